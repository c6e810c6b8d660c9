"""Pathway: `pathway_join.py DIRECTORY COUNT`. One thread; an interval join by request id within an hour.

Both files are read in static mode, as one batch without a watermark and with nothing that expires; parsing is in the time.
"""

import importlib.metadata
import json
import sys
import time

import pathway as pw

HOUR_MS = 3_600_000


class Feature(pw.Schema):
    request: int
    time: int
    user: int
    item: int


class Action(pw.Schema):
    request: int
    time: int
    label: int


def main(directory, count):
    features = pw.io.csv.read(f"{directory}/features.csv", schema=Feature, mode="static")
    actions = pw.io.csv.read(f"{directory}/actions.csv", schema=Action, mode="static")
    joined = features.interval_join_inner(
        actions, features.time, actions.time, pw.temporal.interval(0, HOUR_MS), features.request == actions.request)
    pw.io.null.write(joined.select(features.user, features.item, actions.label))
    start = time.perf_counter()
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)
    seconds = time.perf_counter() - start
    print(json.dumps({
        "version": importlib.metadata.version("pathway"), "events_per_second": int(2 * count / seconds)}))


main(sys.argv[1], int(sys.argv[2]))
