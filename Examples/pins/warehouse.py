"""The archive of the pins in DuckDB: raw.sql, clean.sql and report.sql."""

import http.client
import re
import shutil
from pathlib import Path

import duckdb

HERE = Path(__file__).resolve().parent
TOPICS = ("pin", "geo", "user", "features", "actions")


def is_ready(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def remove(directory):
    shutil.rmtree(directory, ignore_errors=True)


def connect(archive, topics, date="*"):
    """A database in memory with the raw and the clean tables.

    `topics` says what the five topics are called in Kafka; `date` is one day of the archive, or all of them.
    """
    connection = duckdb.connect()
    # The same result each time, to the byte of a file that is written from it.
    connection.execute("SET threads = 1")
    for name in TOPICS:
        paths = f"{archive}/topics/{topics[name]}/date={date}/*.jsonl.zst"
        connection.execute(f"SET VARIABLE {name}_files = $1", [paths if files(archive, topics[name], date) else "/dev/null"])
    for file in ("raw.sql", "clean.sql"):
        run(connection, file)
    return connection


def files(archive, topic, date):
    return any(Path(archive).glob(f"topics/{topic}/date={date}/*.jsonl.zst"))


def run(connection, name):
    for statement in connection.extract_statements((HERE / name).read_text()):
        connection.execute(statement)


def report(connection):
    """(title, answer) of each question of report.sql, which a comment before it says."""
    for part in re.split(r"\n(?=-- )", (HERE / "report.sql").read_text()):
        title, _, query = part.partition("\n")
        yield title.removeprefix("-- "), str(connection.sql(query))


def counts(connection, tables):
    return {name: connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0] for name, table in tables.items()}


def raw_counts(connection):
    """By topic, every record."""
    return counts(connection, {name: f"raw_{name}" for name in TOPICS})


def clean_counts(connection):
    return counts(connection, {name: name for name in ("pins", "users", "places", "shown")})
