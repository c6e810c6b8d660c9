"""The exact comparison: what the log says against what servers and replica have counted."""

import struct
from collections import Counter

import log

SLOTS_AT = 46
ROWS_AT_ONCE = 2_000


def fids_of(example, tasks, slots):
    """The fids of an example record, with repetitions (docs/example-format.md)."""
    at = SLOTS_AT + 4 * tasks
    count = sum(example[at:at + slots])
    return struct.unpack_from(f"<{count}Q", example, at + slots)


def expected_counts(cluster, tasks, slots):
    """Fid → occurrences in the committed examples, and the examples themselves."""
    records = log.read_to_end(cluster.bootstrap_servers, cluster.topics["examples"], 60)
    counts = Counter()
    for record in records:
        counts.update(fids_of(record.value, tasks, slots))
    return counts, records


def audit_rows(cluster, name, fids):
    """Fid → count, as the process answers `ROW audit`; only for those whose row it has."""
    rows = {}
    with cluster.client(name) as client:
        for first in range(0, len(fids), ROWS_AT_ONCE):
            some = fids[first:first + ROWS_AT_ONCE]
            pipeline = client.pipeline(transaction=False)
            for fid in some:
                pipeline.execute_command("ROW", "audit", fid)
            for fid, reply in zip(some, pipeline.execute(raise_on_error=False)):
                if isinstance(reply, Exception):
                    if "Moved" not in type(reply).__name__:
                        raise reply
                elif int(reply[0]):
                    rows[fid] = float(reply[1])
    return rows


def differences(cluster, counts, limit=50):
    """Rows that are not what the log says, as (where, fid, expected, found); and how many rows were compared."""
    fids = sorted(counts)
    servers = {}
    for index in range(len(cluster.server_ports)):
        servers |= audit_rows(cluster, f"ps{index}", fids)
    found = {"servers": servers, "replica": audit_rows(cluster, "serve", fids)}
    wrong = [
        {"where": where, "fid": fid, "expected": counts[fid], "found": rows.get(fid)}
        for where, rows in found.items() for fid in fids if rows.get(fid) != counts[fid]]
    # Rows of fids that no example has would not be asked for.
    held = {"servers": sum(int(cluster.info(f"ps{index}")["audit_rows"]) for index in range(len(cluster.server_ports))),
            "replica": int(cluster.info("serve")["audit_rows"])}
    wrong += [{"where": where, "fid": None, "expected": len(fids), "found": rows}
              for where, rows in held.items() if rows != len(fids)]
    return wrong[:limit], len(fids) * len(found)
