"""Streams impressions and clicks of Criteo's display advertisements through a cluster, then scores rows that it has not seen."""

import os
import sys
import time
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

import quality  # noqa: E402
from example import Example, launch, options, say, settings_for  # noqa: E402

CONFIGURATION = str(Path(__file__).with_name("cluster.yaml"))
INTEGERS = [f"i{number}" for number in range(1, 14)]
CATEGORIES = [f"c{number}" for number in range(1, 27)]
ITEM = "c17"
# Event time from an impression to the next, and at most from an impression to its click.
ROW_MS, LONGEST_THOUGHT_MS = 1_000, 30_000
BURST = 20
MAXIMUM_LEAD = 20_000
ROWS_A_REQUEST = 100


def read(path, limit=None):
    """(label, fields) of each row: label, 13 integers, 26 categories, with tabs between them. What is empty is left out."""
    rows = []
    with open(path, encoding="ascii", newline="") as file:
        for number, line in enumerate(file, 1):
            if limit is not None and number > limit:
                break
            label, *values = line.rstrip("\r\n").split("\t")
            if label not in ("0", "1") or len(values) != len(INTEGERS) + len(CATEGORIES):
                raise ValueError(f"{path}:{number}: not a label of 0 or 1 and 39 columns: {line[:80]!r}")
            numbers, texts = values[:len(INTEGERS)], values[len(INTEGERS):]
            fields = {name: int(text) for name, text in zip(INTEGERS, numbers) if text}
            fields |= {name: text for name, text in zip(CATEGORIES, texts) if text}
            if ITEM not in fields:
                raise ValueError(f"{path}:{number}: {ITEM} is missing, which this example takes for the item")
            rows.append((int(label), fields))
    return rows


def read_directory(directory, limit):
    """Rows to learn from, and rows to be scored: dev.csv and test.csv, or the last tenth if there are none."""
    names = [name for name in ("train.csv", "train.txt") if os.path.exists(os.path.join(directory, name))]
    if not names:
        raise ValueError(f"{directory} has neither train.csv nor train.txt")
    rows = read(os.path.join(directory, names[0]), limit)
    held_back = [row for name in ("dev.csv", "test.csv") if os.path.exists(os.path.join(directory, name))
                 for row in read(os.path.join(directory, name))]
    if not held_back:
        start = len(rows) - len(rows) // 10
        rows, held_back = rows[:start], rows[start:]
    return rows, held_back


class Criteo:
    def __init__(self, arguments):
        self.rows, self.held_back = read_directory(arguments.data, arguments.limit)
        self.seed = arguments.seed
        # The stream ends an hour ago, so that the records that close its last windows are not ahead of the clock.
        self.start_ms = int(time.time() * 1000) - 3_600_000 - len(self.rows) * ROW_MS
        self.example = Example("criteo", arguments, CONFIGURATION, settings_for(arguments, "criteo"), arguments.pause_ms)

    def run(self):
        self.send()
        task, _ = self.example.wait_until_learned()
        labels = [label for label, _ in self.held_back]
        scores = self.score([fields for _, fields in self.held_back])
        rate = sum(label for label, _ in self.rows) / len(self.rows)
        held_back = {
            "rows": len(labels), "auc": quality.auc(labels, scores), "logloss": quality.logloss(labels, scores),
            "calibration": quality.calibration(labels, scores),
            "logloss_of_click_rate": quality.logloss(labels, [rate] * len(labels))}
        seconds = time.monotonic() - self.example.started
        progressive = {key: task[key] for key in ("auc", "auc_last_half", "logloss", "normalized_entropy", "calibration")}
        say(f"\n{task['examples']:,} impressions, {task['positives']:,} of them clicked, in {seconds:.1f} s")
        say("                          AUC     logloss  calibration")
        say(f"progressive               {task['auc']:.4f}  {task['logloss']:.4f}   {task['calibration']:.3f}    "
            f"last half: AUC {task['auc_last_half']:.4f}; normalized entropy {task['normalized_entropy']:.3f}")
        say(f"held back, {len(labels):>6,} rows    {held_back['auc']:.4f}  {held_back['logloss']:.4f}   {held_back['calibration']:.3f}    "
            f"the click rate for all: logloss {held_back['logloss_of_click_rate']:.4f}")
        self.example.write_summary({
            "impressions": self.example.impressions, "examples": task["examples"], "clicks": task["positives"],
            "seconds": round(seconds, 1), "progressive": progressive, "held_back": held_back})

    def send(self):
        random = Random(self.seed)
        items = set()
        at_ms = self.start_ms
        for number, (label, fields) in enumerate(self.rows):
            at_ms = self.start_ms + number * ROW_MS
            if fields[ITEM] not in items:
                items.add(fields[ITEM])
                self.example.producer.send(self.example.topics["items"], fields[ITEM], {ITEM: fields[ITEM]})
            request = {"request_id": f"row-{number}", "row": number}
            self.example.send_impression(number, {**request, "event_time": at_ms, **fields})
            if label:
                click_ms = at_ms + 1 + int(random.random() * LONGEST_THOUGHT_MS)
                self.example.plan_action(number, {**request, "event_time": click_ms, "action": "click"})
            if (number + 1) % BURST == 0:
                self.example.producer.pause()
                self.example.progress(MAXIMUM_LEAD)
        self.example.close_windows(at_ms + LONGEST_THOUGHT_MS, {"row": -1, ITEM: "closing"})

    def score(self, rows):
        scores = []
        for start in range(0, len(rows), ROWS_A_REQUEST):
            body = {"instances": rows[start:start + ROWS_A_REQUEST]}
            scores += self.example.post("/v1/models/{model}:predict", body)["predictions"]
        return scores

    @property
    def summary(self):
        return f"{len(self.rows):,} rows to learn from, {len(self.held_back):,} to score"


def main():
    parser = options(__doc__)
    parser.add_argument("--data", required=True, help="directory with train.csv (or train.txt) and, if there are, dev.csv and test.csv")
    parser.add_argument("--limit", type=int, help="only the first so many rows")
    parser.add_argument("--pause-ms", type=float, default=10, help="mean pause after 20 rows (default 10)")
    launch("criteo", Criteo, parser)


if __name__ == "__main__":
    main()
