"""MovieLens-1M for the learners beside Freshet, and the figures that each of them prints."""

import json
import pathlib

import numpy as np


def rows(directory, name):
    """A file's lines, by field."""
    with open(pathlib.Path(directory) / name, encoding="latin-1") as file:
        return [line.rstrip("\n").split("::") for line in file]


def ratings_in_order(directory):
    """User, movie, stars and time of each rating, by time; of the same second in the file's order."""
    return sorted(rows(directory, "ratings.dat"), key=lambda rating: int(rating[3]))


def auc(logits, labels):
    """Exact; equal predictions count half."""
    _, group, counts = np.unique(logits, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[group]
    positives = labels > 0.5
    count = positives.sum()
    return float((ranks[positives].sum() - count * (count + 1) / 2) / (count * (~positives).sum()))


def report(logits, labels, seconds):
    """Prints a line of JSON."""
    half = len(labels) // 2
    print(json.dumps({
        "auc": auc(logits, labels), "auc_last_half": auc(logits[half:], labels[half:]),
        "logloss": float(np.mean(np.logaddexp(0, logits) - logits * labels)),
        "examples_per_core_second": len(labels) / seconds}))
