"""What trainers write to the validation topic, and MovieLens data whose labels go wrong."""

import csv
import json

import log
from processes import FIXTURE


def ratings():
    """The ratings of the fixture in the order of time, as `replay` sends them."""
    with open(FIXTURE / "ratings.csv", newline="") as file:
        return sorted(csv.DictReader(file), key=lambda row: int(row["timestamp"]))


def is_like(row):
    return float(row["rating"]) >= 4


def honest(row):
    """The rating as a user gives it who likes everything, or nothing: easy to predict."""
    return row | {"rating": "5.0" if int(row["userId"]) % 2 == 0 else "1.0"}


def garbage(row, random):
    """The rating with a label that depends on nothing: no model predicts it better than by ln 2."""
    return row | {"rating": random.choice(("5.0", "1.0"))}


def write_data(directory, rows):
    """A MovieLens directory of these ratings."""
    directory.mkdir()
    (directory / "movies.csv").write_bytes((FIXTURE / "movies.csv").read_bytes())
    with open(directory / "ratings.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["userId", "movieId", "rating", "timestamp"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return directory


def compacted(cluster):
    """The validation topic as compaction would leave it: key → record, keys and records decoded; tombstones are gone."""
    newest = {}
    for record in log.read_to_end(cluster.bootstrap_servers, cluster.topics["validation"]):
        newest[record.key] = record.value
    return {tuple(json.loads(key)): json.loads(value) for key, value in newest.items() if value is not None}
