"""Writes the streams that the peers join: `streams.py DIRECTORY COUNT`.

`features.csv` (request, time in ms, user, item) and `actions.csv` (request, time, label), both in the order of event time, in the
shape of `freshet bench join`: an impression every 10 ms; 60 % of them have an action up to an hour later; the other actions
belong to none.
"""

import csv
import pathlib
import random
import sys

START_MS = 1_700_000_000_000
HOUR_MS = 3_600_000


def main(directory, count):
    draw = random.Random(11)
    features, actions = [], []
    for number in range(count):
        time = START_MS + number * 10
        features.append((number, time, draw.randrange(6040), draw.randrange(3706)))
        if number % 5 < 3:
            actions.append((number, time + draw.randrange(HOUR_MS), draw.randrange(2)))
    for number in range(count - len(actions)):
        actions.append((count + number, START_MS + draw.randrange(count * 10), 0))
    actions.sort(key=lambda action: action[1])
    for name, header, rows in (
            ("features", ("request", "time", "user", "item"), features), ("actions", ("request", "time", "label"), actions)):
        with open(pathlib.Path(directory) / f"{name}.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)


main(sys.argv[1], int(sys.argv[2]))
