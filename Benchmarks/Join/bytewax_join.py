"""Bytewax: `bytewax_join.py DIRECTORY COUNT`. One worker; a join by request id within an hour, in a stateful step.

The rows are parsed before the clock starts. Impressions whose action never comes stay for ever: Bytewax would need a timer for each.
"""

import csv
import importlib.metadata
import json
import pathlib
import sys
import time

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main

HOUR_MS = 3_600_000


def rows(directory, name):
    with open(pathlib.Path(directory) / f"{name}.csv", newline="") as file:
        reader = csv.reader(file)
        next(reader)
        for row in reader:
            yield row[0], (int(row[1]), name == "actions", row[2])


def match(state, event):
    moment, is_action, content = event
    if not is_action:
        return (moment, content), ()
    if state is not None and state[0] <= moment <= state[0] + HOUR_MS:
        return None, ((state[1], content),)
    return state, ()


def main(directory, count):
    events = sorted([*rows(directory, "features"), *rows(directory, "actions")], key=lambda event: event[1][:2])
    out = []
    flow = Dataflow("join")
    stream = op.input("events", flow, TestingSource(events, batch_size=1_000))
    joined = op.stateful_flat_map("match", stream, match)
    op.output("out", joined, TestingSink(out))
    start = time.perf_counter()
    run_main(flow)
    seconds = time.perf_counter() - start
    assert len(out) == sum(number % 5 < 3 for number in range(count)), len(out)
    print(json.dumps({
        "version": importlib.metadata.version("bytewax"), "events_per_second": int(len(events) / seconds)}))


main(sys.argv[1], int(sys.argv[2]))
