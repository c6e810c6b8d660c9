"""Streams ratings of films through a cluster, archives all of it, and joins what was learned with the films in a warehouse."""

import json
import os
import shutil
import sys
import time
from pathlib import Path
from random import Random

import duckdb
import xxhash

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

import ratings  # noqa: E402
from archiving import TopicArchive  # noqa: E402
from example import Example, launch, options, say, settings_for  # noqa: E402

HERE = Path(__file__).parent
WAREHOUSE = HERE.parent / "warehouse"
CONFIGURATION = str(HERE / "cluster.yaml")
BURST = 1_000
MAXIMUM_LEAD = 50_000
# The last ratings are scored before they are sent, a page at a time, while no more than this wait to be learned.
PAGE, MAXIMUM_WAITING = 100, 500
# Between an impression and its rating, event time.
LONGEST_THOUGHT_MS = 60_000


class MovieLens:
    def __init__(self, arguments):
        self.arguments = arguments
        self.ratings = ratings.ratings(arguments.data, arguments.limit)
        self.movies = list(ratings.movies(arguments.data))
        self.users = list(ratings.users(arguments.data))
        self.scored = min(arguments.scored, len(self.ratings) // 2)
        settings = settings_for(arguments, "movielens")
        self.users_topic = "users"
        if settings:
            prefix = settings["kafka.topics.items"].removesuffix("items")
            self.users_topic = settings["model.enrichments.users.topic"] = prefix + "users"
            settings["archive.group"] = prefix + "archive"
        self.archive_store = os.path.join(arguments.output, "archive")
        self.lines = os.path.join(arguments.output, "lines")
        for directory in (self.archive_store, self.lines):
            shutil.rmtree(directory, ignore_errors=True)
        settings["archive.store"] = self.archive_store
        self.example = Example("movielens", arguments, CONFIGURATION, settings, mean_pause_ms=0)
        self.cluster = self.example.cluster
        # (request, user, movie, score) of the last ratings.
        self.predictions = []

    def run(self):
        names = self.example.topics
        archive = self.cluster.configuration["archive"]
        raw = TopicArchive(
            self.example, [names["features"], names["actions"], names["items"]], self.archive_store, f"{archive['group']}-raw",
            archive["port"] + 1)
        try:
            raw.start()
            self.send_catalogs()
            self.send_ratings()
            task, _ = self.example.wait_until_learned()
            records, files = raw.wait_until_complete()
            say(f"\n{records:,} records of {len(raw.topics)} topics in {files} files, as many as there are offsets")
            self.export(task["examples"])
        finally:
            raw.stop()
        self.report(task)

    # MARK: - Sending

    def send_catalogs(self):
        for movie in self.movies:
            self.example.producer.send(self.example.topics["items"], movie["item_id"], movie)
        for user in self.users:
            self.example.producer.send(self.users_topic, user["user_id"], user)
        self.example.producer.flush()

    def send_ratings(self):
        draw = Random(self.arguments.seed)
        first_scored = len(self.ratings) - self.scored
        for number, rating in enumerate(self.ratings):
            if number >= first_scored and (number - first_scored) % PAGE == 0:
                self.score(self.ratings[number:number + PAGE], number)
            self.send_rating(number, rating, draw)
            if (number + 1) % BURST == 0:
                self.example.producer.pause()
                self.example.progress(MAXIMUM_LEAD)
        self.example.producer.flush()

    def send_rating(self, number, rating, draw):
        at_ms, user, movie, value = rating
        request = {"request_id": str(number), "user_id": user}
        shown_ms = at_ms - 1 - int(draw.random() * LONGEST_THOUGHT_MS)
        self.example.producer.send(self.example.topics["features"], user, {**request, "event_time": shown_ms, "item_id": movie})
        self.example.producer.send(
            self.example.topics["actions"], user, {**request, "event_time": at_ms, "action": "rating", "value": value})
        self.example.impressions += 1

    def score(self, page, first):
        """What the model says before it is told."""
        self.example.producer.flush()
        self.example.wait_until_recent(MAXIMUM_WAITING)
        body = {"instances": [{"user_id": user, "item_id": movie} for _, user, movie, _ in page]}
        scores = self.example.post("/v1/models/{model}:predict", body)["predictions"]
        self.predictions += [
            (str(number), user, movie, score) for number, ((_, user, movie, _), score) in enumerate(zip(page, scores), first)]

    # MARK: - The warehouse

    def export(self, examples):
        """The archived examples as lines of JSON, once all of them are archived."""
        def is_exported():
            done = self.cluster.freshet("archive", "check", "--json")
            return sum(part["records"] for part in json.loads(done.stdout)["partitions"]) >= examples
        self.cluster.wait_until(is_exported, f"{examples:,} examples are archived", 120)
        done = self.cluster.freshet("archive", "export", "--out", self.lines)
        if done.returncode != 0:
            self.cluster.fail(done.stdout + done.stderr)
        say(done.stdout.strip())

    def named(self):
        """The archive and the lines under the names that the warehouse's SQL has for the topics."""
        root = Path(self.arguments.output, "named").resolve()
        shutil.rmtree(root, ignore_errors=True)
        for store, names in ((self.archive_store, ("features", "actions", "items")), (self.lines, ("examples",))):
            (root / "topics").mkdir(parents=True, exist_ok=True)
            for name in names:
                (root / "topics" / name).symlink_to(Path(store, "topics", self.example.topics[name]).resolve())
        return str(root)

    def load(self, connection):
        connection.execute("SET VARIABLE archive = $1", [root := self.named()])
        connection.execute("SET VARIABLE lines = $1", [root])
        for path in (WAREHOUSE / "duckdb.sql", WAREHOUSE / "views.sql"):
            self.execute(connection, path)
        insert(connection, "predictions (request_id VARCHAR, user_id BIGINT, item_id BIGINT, score DOUBLE)", self.predictions)
        # What examples call a film: DuckDB has not this hash, so the fids come from here.
        insert(connection, "item_fids (item_id BIGINT, item_fid VARCHAR)",
               [(movie["item_id"], fid("item_id", movie["item_id"])) for movie in self.movies])
        self.execute(connection, HERE / "warehouse.sql")

    def execute(self, connection, path):
        for statement in connection.extract_statements(path.read_text()):
            connection.execute(statement)

    def report(self, task):
        path = os.path.join(self.arguments.output, "warehouse.duckdb")
        Path(path).unlink(missing_ok=True)
        tables = {}
        with duckdb.connect(path) as connection:
            self.load(connection)
            connection.execute("SET VARIABLE ratings = $1", [self.arguments.least_ratings])
            for name, statement in zip(
                    ("offsets", "join", "quality", "genres", "films"), connection.extract_statements((HERE / "report.sql").read_text())):
                relation = connection.sql(statement.query)
                say("\n".join(line for line in statement.query.splitlines() if line.startswith("--")))
                say(str(relation))
                tables[name] = [dict(zip(relation.columns, row)) for row in relation.fetchall()]
        seconds = time.monotonic() - self.example.started
        live = tables["quality"][0]
        say(f"{task['examples']:,} examples in {seconds:.1f} s; progressive AUC {task['auc']:.4f}, last half {task['auc_last_half']:.4f}; "
            f"the last {live['ratings']:,} by live scores {live['auc']:.4f}\nthe warehouse is {path}")
        self.example.write_summary({
            "ratings": len(self.ratings), "movies": len(self.movies), "examples": task["examples"], "auc": task["auc"],
            "auc_last_half": task["auc_last_half"], "calibration": task["calibration"], "seconds": round(seconds, 1), **tables})

    @property
    def summary(self):
        return f"{len(self.ratings):,} ratings of {len(self.movies):,} films, the last {self.scored:,} scored before they are sent"


def insert(connection, table, rows):
    """A new table of rows, by columns: row after row would take DuckDB a millisecond each."""
    connection.execute(f"CREATE OR REPLACE TABLE {table}")
    columns = [list(column) for column in zip(*rows)]
    places = ", ".join(f"unnest(${number})" for number in range(1, len(columns) + 1))
    connection.execute(f"INSERT INTO {table.split(' ')[0]} SELECT {places}", columns)


def fid(slot, value):
    """docs/architecture.md: XXH3-64 over slot name, a zero byte and the value's text; in decimal."""
    return str(xxhash.xxh3_64_intdigest(slot.encode() + b"\0" + str(value).encode()))


def main():
    parser = options(__doc__)
    parser.add_argument("--data", required=True, help="directory with ratings, movies and, if there are, users: .dat or .csv")
    parser.add_argument("--limit", type=int, help="only the first so many ratings")
    parser.add_argument("--scored", type=int, default=20_000, help="of the last ratings, half of all at most (default 20,000)")
    parser.add_argument("--least-ratings", type=int, default=200, help="of a film in the list of the best (default 200)")
    launch("movielens", MovieLens, parser)


if __name__ == "__main__":
    main()
