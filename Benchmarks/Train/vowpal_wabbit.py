"""Vowpal Wabbit on MovieLens-1M, one pass, predict then learn: prints one line of JSON.

    python vowpal_wabbit.py DATA

Low-rank factors of 4 between user and movie, genres and year (`--lrq`), which of its models predicts best here. It is timed on its
binary cache, without parsing and without writing predictions; a second run, which is not timed, writes these.
"""

import pathlib
import resource
import subprocess
import sys
import tempfile

import numpy as np

from movielens import ratings_in_order, report, rows

COMMON = ["--quiet", "--loss_function", "logistic", "--bit_precision", "22"]
MODEL = ["--lrq", "ui4", "--lrq", "uG4", "--lrq", "uy4"]


def write_examples(directory, path):
    """One line for each rating in the order of time. Returns the labels."""
    users = {u: f"|u u{u} |g g{g} |a a{a} |o o{o} |z z{z[:2]}" for u, g, a, o, z in rows(directory, "users.dat")}
    movies = {}
    for movie, *title, genres in rows(directory, "movies.dat"):
        words = " ".join(genre.replace(" ", "_").replace(":", "_") for genre in genres.split("|"))
        movies[movie] = f"|i i{movie} |G {words} |y y{title[-1].rsplit('(', 1)[1][:4]}"
    ratings = ratings_in_order(directory)
    labels = np.array([int(value) >= 4 for _, _, value, _ in ratings])
    with open(path, "w") as file:
        for (user, movie, _, _), label in zip(ratings, labels):
            file.write(f"{1 if label else -1} {users[user]} {movies[movie]}\n")
    return labels


def run(*arguments):
    """Returns seconds of processor time."""
    def spent():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = spent()
    subprocess.run([sys.executable, "-m", "vowpalwabbit", *COMMON, *arguments], check=True)
    return spent() - before


def main():
    with tempfile.TemporaryDirectory() as scratch:
        text, cache, nothing, predictions = (f"{scratch}/{name}" for name in ("text", "cache", "nothing", "predictions"))
        labels = write_examples(sys.argv[1], text)
        pathlib.Path(nothing).touch()
        run("-d", text, "--cache_file", cache, "--noop")
        starting = run(*MODEL, "-d", nothing)
        seconds = run(*MODEL, "-d", text, "--cache_file", cache) - starting
        run(*MODEL, "-d", text, "-p", predictions)
        logits = np.loadtxt(predictions)
    report(logits, labels, seconds)


if __name__ == "__main__":
    main()
