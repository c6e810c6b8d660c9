"""The table `audit` of a cluster (`model.audit`): how often each fid has been learned, against what the log says."""

import struct

import yaml

from processes import CONFIGURATION

LABELS_AT = 46
ROWS_AT_ONCE = 2_000


def shape(configuration=CONFIGURATION):
    """Tasks and slots of a configuration's model."""
    model = yaml.safe_load(configuration.read_text())["model"]
    return len(model["tasks"]), len(model["slots"])


def fids_of(example, tasks, slots):
    """The fids of an example record, with repetitions (docs/example-format.md)."""
    at = LABELS_AT + 4 * tasks
    count = sum(example[at:at + slots])
    return struct.unpack_from(f"<{count}Q", example, at + slots)


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
