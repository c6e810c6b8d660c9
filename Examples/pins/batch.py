#!/usr/bin/env python3
"""Cleans up one day of the archive of pins and writes it as a partition of Parquet files: OUT/date=YYYY-MM-DD/.

Pins, users, places and what was shown, one file each, and report.txt. The partition appears whole, by a rename: what was there of the day is
exchanged for it. The same archive gives the same bytes, so the command may be repeated, and after a failure simply is.
"""

import argparse
import ctypes
import os
import shutil
import sys
import tempfile
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import warehouse

ROOT = Path(__file__).resolve().parents[2]
TABLES = ("pins", "users", "places", "shown")
AT_FDCWD, RENAME_EXCHANGE = -100, 2


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    yesterday = datetime.now(timezone.utc).date() - timedelta(days=1)
    parser.add_argument("--date", type=date.fromisoformat, default=yesterday, help="a day in UTC (default: yesterday)")
    parser.add_argument("--archive", type=Path, default=ROOT / ".freshet/pins/archive", help="archive.store, a directory")
    parser.add_argument("--out", type=Path, default=ROOT / ".freshet/pins/clean", help="where partitions are written")
    parser.add_argument(
        "--topic-prefix", default="", help="before the names of the topics: those of a run on a broker of your own have one")
    return parser.parse_args()


def exchange(new, old):
    """Puts `new` in the place of `old` in one step. What was `old` is at `new` then."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_FDCWD, os.fsencode(new), AT_FDCWD, os.fsencode(old), RENAME_EXCHANGE) != 0:
        raise OSError(ctypes.get_errno(), f"cannot exchange {new} and {old}: {os.strerror(ctypes.get_errno())}")


def write(connection, directory):
    rows = {}
    for table in TABLES:
        path = directory / f"{table}.parquet"
        connection.execute(f"COPY (FROM {table}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
        rows[table] = connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0]
    with open(directory / "report.txt", "w") as file:
        for title, answer in warehouse.report(connection):
            file.write(f"{title}\n{answer}\n\n")
    for path in directory.iterdir():
        with open(path, "rb") as file:
            os.fsync(file.fileno())
    return rows


def main():
    options = arguments()
    topics = {name: options.topic_prefix + name for name in warehouse.TOPICS}
    if not any(warehouse.files(options.archive, topic, options.date) for topic in topics.values()):
        sys.exit(f"batch: {options.archive} has no files of {options.date}; is it archive.store, and has the day's archive been written?")
    if options.date >= datetime.now(timezone.utc).date():
        print(f"batch: {options.date} is not over; run it again tomorrow", file=sys.stderr)
    options.out.mkdir(parents=True, exist_ok=True)
    target = options.out / f"date={options.date}"
    # Readers do not look at names that begin with a dot. What a run that was killed left behind is removed.
    prefix = f".{target.name}."
    for left in options.out.glob(f"{prefix}*"):
        shutil.rmtree(left)
    new = Path(tempfile.mkdtemp(prefix=prefix, dir=options.out))
    try:
        with warehouse.connect(options.archive, topics, options.date) as connection:
            raw = warehouse.raw_counts(connection)
            rows = write(connection, new)
        new.chmod(0o755)
        if target.exists():
            exchange(new, target)
        else:
            new.rename(target)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    print(f"{target}: " + ", ".join(f"{count:,} {table}" for table, count in rows.items())
          + " of " + ", ".join(f"{count:,} {topic}" for topic, count in raw.items()))


if __name__ == "__main__":
    main()
