"""The files of MovieLens, in the form of ml-1m (`ratings.dat`, `::` between columns) or of ml-latest (`ratings.csv`)."""

import csv
import os
import re


def rows(directory, name, columns):
    """The rows of name.dat or name.csv, `columns` texts each."""
    for path in (os.path.join(directory, f"{name}.dat"), os.path.join(directory, f"{name}.csv")):
        if os.path.exists(path):
            break
    else:
        raise ValueError(f"{directory} has neither {name}.dat nor {name}.csv")
    is_dat = path.endswith(".dat")
    with open(path, encoding="latin-1" if is_dat else "utf-8", newline="") as file:
        lines = (line.rstrip("\r\n").split("::") for line in file) if is_dat else csv.reader(file)
        for number, row in enumerate(lines, 1):
            if number == 1 and not is_dat:
                continue
            if len(row) != columns:
                raise ValueError(f"{path}:{number}: {len(row)} columns, {columns} expected: {str(row)[:80]}")
            yield row


def ratings(directory, limit=None):
    """(milliseconds, user, movie, rating), in the order of time."""
    found = sorted(
        (int(seconds) * 1000, int(user), int(movie), float(rating)) for user, movie, rating, seconds in rows(directory, "ratings", 4))
    return found[:limit]


def movies(directory):
    """Records for the topic `items`. The year is the end of the title."""
    for movie, title, genres in rows(directory, "movies", 3):
        record = {"item_id": int(movie), "title": title}
        if year := re.search(r"\((\d{4})\)\s*$", title):
            record["year"] = int(year[1])
        # ml-latest's way to say that there are none.
        record["genres"] = [] if genres == "(no genres listed)" else genres.split("|")
        yield record


def users(directory):
    """Records for the topic `users`; none without users.dat."""
    if os.path.exists(os.path.join(directory, "users.dat")):
        for user, gender, age, occupation, _ in rows(directory, "users", 5):
            yield {"user_id": int(user), "gender": gender, "age": int(age), "occupation": int(occupation)}
