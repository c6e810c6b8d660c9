#!/usr/bin/env python3
"""Runs duckdb.sql, views.sql and report.sql over an archive and prints what the report says.

    .freshet/venv/bin/python Examples/warehouse/query.py ARCHIVE LINES [--database FILE]

ARCHIVE is `archive.store` of `freshet archive --topics features,actions,items`, LINES is what `freshet archive export --out` wrote.
The tables stay in FILE, for the DuckDB of your choice; without it they are gone at the end.
"""

import argparse
import pathlib

import duckdb

HERE = pathlib.Path(__file__).resolve().parent


def statements(connection, name):
    return connection.extract_statements((HERE / name).read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive")
    parser.add_argument("lines")
    parser.add_argument("--database", default=":memory:")
    options = parser.parse_args()
    with duckdb.connect(options.database) as connection:
        connection.execute("SET VARIABLE archive = $1", [options.archive])
        connection.execute("SET VARIABLE lines = $1", [options.lines])
        for name in ("duckdb.sql", "views.sql"):
            for statement in statements(connection, name):
                connection.execute(statement)
        for statement in statements(connection, "report.sql"):
            print(connection.sql(statement.query))


if __name__ == "__main__":
    main()
