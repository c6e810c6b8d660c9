"""The exact comparison: what the log says against what servers and replica have counted."""

from collections import Counter

import log
from audit import audit_rows, fids_of


def expected_counts(cluster, tasks, slots):
    """Fid → occurrences in the committed examples, and the examples themselves."""
    records = log.read_to_end(cluster.bootstrap_servers, cluster.topics["examples"], 60)
    counts = Counter()
    for record in records:
        counts.update(fids_of(record.value, tasks, slots))
    return counts, records


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
