"""The examples of people who have data: their programs as their `run` scripts start them, on a slice of made-up data."""

import csv
import json
import os
import random
import re
import subprocess
import sys
from collections import Counter

import duckdb
import pytest

from example_data import write_clicks, write_listens
from processes import FIXTURE, ROOT, free_port, free_ports, is_alive, listens, program
from waiting import wait_until

for folder in ("lib", "lastfm", "criteo", "pins", "tweets"):
    sys.path.insert(0, str(ROOT / "Examples" / folder))

import batch  # noqa: E402
import criteo  # noqa: E402
import emulator  # noqa: E402
import listens as lastfm_listens  # noqa: E402
import ngrams  # noqa: E402
import quality  # noqa: E402
import warehouse  # noqa: E402
import windows  # noqa: E402
import world as tweets_world  # noqa: E402


@pytest.fixture
def run_example(bootstrap_servers, log_directory):
    """Runs an example to its end, with ports of its own; gives what it printed, and its summary. Wants nothing left running."""
    def run(name, *words, expected=0, more=()):
        ports = {key: free_port() for key in (
            "trainer.port", "joiner.port", "joiner.metrics_port", "serve.port", "serve.http_port", "dashboard.port", *more)}
        ports |= {key: free_ports(2) for key in ("ps.metrics_port",)}
        ports |= {"archive.port": free_ports(2), "archive.metrics_port": 0, "trainer.metrics_port": 0}
        ports |= {"cluster.servers": f"127.0.0.1:{free_port()},127.0.0.1:{free_port()}"}
        settings = [word for item in ports.items() for word in ("--set", "=".join(map(str, item)))]
        output = log_directory / name
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("FRESHET_", "AWS_"))}
        done = subprocess.run(
            [sys.executable, ROOT / "Examples" / name / f"{name}.py", "--binary", program(), "--output", output, "--trainers", "1",
             *settings, *map(str, words)],
            cwd=ROOT, env=environment | {"FRESHET_KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=90)
        (log_directory / "example.log").write_text(done.stdout + done.stderr)
        assert done.returncode == expected, done.stderr
        if expected:
            return done, None
        pids = [int(pid) for pid in re.findall(r"msg=started child=\S+ pid=(\d+)", (output / "cluster.log").read_text())]
        assert len(pids) >= 5
        wait_until(lambda: not any(map(is_alive, pids)), "all processes of the example have ended", 10)
        assert not listens(ports["serve.port"])
        return done, json.loads((output / "summary.json").read_text())
    return run


def test_lastfm_recommends_held_back_artists_better_than_popularity(run_example, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    write_listens(data, users=60, seed=1)
    done, summary = run_example("lastfm", "--data", data, "--pause-ms", 1)
    # A page has one artist that is played and eight that are not; each impression is learned or left out, none twice.
    assert summary["plays"] > 60 * 20
    assert summary["impressions"] == 9 * summary["plays"]
    assert summary["examples"] + summary["negatives_dropped"] == summary["impressions"]
    share = summary["negatives_dropped"] / (8 * summary["plays"])
    assert share == pytest.approx(0.5, abs=0.03)
    assert summary["users"] == 60
    # A genre has a sixth of the artists, and users keep to one: who knows it finds a held-back artist far more often.
    assert summary["recall"] > 1.5 * summary["popularity_recall"]
    assert summary["hit_rate"] > summary["popularity_hit_rate"]
    # By name, with the accent of the file.
    assert re.search(r"^  0\.\d{4}  Artist \d+ é", done.stdout, re.MULTILINE)
    assert "most played in the last 24 hours: Artist" in done.stdout


@pytest.fixture
def pins(run_example, log_directory):
    ports = ("gateway.port", "gateway.status_port", "archive.port", "archive.metrics_port")
    done, summary = run_example("pins", "--users", 60, "--pins", 80, "--pages", 1_500, "--pause-ms", 0.5, more=ports)
    return done, summary, log_directory / "pins" / "archive"


def test_pins_are_learned_better_than_popularity_and_the_archive_has_every_record(pins, tmp_path):
    done, summary, archive = pins
    assert summary["impressions"] == summary["examples"] == 5 * 1_500
    assert summary["popularity_auc_last_half"] + 0.02 < summary["auc_last_half"] < summary["best_auc_last_half"]
    assert summary["auc_last_half"] > 0.6 and 0.8 < summary["calibration"] < 1.25
    # The impressions that close the windows are in the topic, and of no user.
    rows = summary["rows"]
    assert rows["features"] == 5 * 1_500 + 4 and rows["actions"] == summary["clicks"]
    assert rows["user"] == rows["geo"] == 60 and rows["pin"] > 80
    assert summary["clean_rows"] == {"pins": 80, "users": 60, "places": 60, "shown": 5 * 1_500}
    assert "The most clicked category of each country" in done.stdout

    days = sorted({path.name.removeprefix("date=") for path in archive.glob("topics/*/date=*")})
    [prefix] = {path.name.removesuffix("pin") for path in (archive / "topics").glob("*pin")}
    out = tmp_path / "clean"
    # What a run that was killed left behind.
    (out / f".date={days[-1]}.left").mkdir(parents=True)

    def run_batch(day):
        return subprocess.run(
            [ROOT / "Examples/pins/batch", "--date", day, "--archive", archive, "--out", out, "--topic-prefix", prefix],
            capture_output=True, text=True, timeout=60)

    def contents(day):
        return {path.name: path.read_bytes() for path in (out / f"date={day}").iterdir()}
    shown = 0
    for day in days:
        done = run_batch(day)
        assert done.returncode == 0, done.stderr
        first = contents(day)
        assert set(first) == {"pins.parquet", "users.parquet", "places.parquet", "shown.parquet", "report.txt"}
        assert run_batch(day).returncode == 0 and contents(day) == first
        with duckdb.connect() as connection:
            shown += connection.execute(f"SELECT count(*) FROM '{out}/date={day}/shown.parquet'").fetchall()[0][0]
    assert shown == 5 * 1_500
    assert sorted(path.name for path in out.iterdir()) == [f"date={day}" for day in days]
    missing = run_batch("2001-01-01")
    assert missing.returncode == 1 and "no files of 2001-01-01" in missing.stderr and "Traceback" not in missing.stderr
    assert sorted(path.name for path in out.iterdir()) == [f"date={day}" for day in days]


def test_the_emulator_draws_the_same_from_the_same_seed():
    def drawn(seed):
        made = emulator.Emulator(seed, users=5, pins=9)
        return made.users, made.places, made.pins, [made.page([1, 2], list(made.pins)) for _ in range(20)]
    assert drawn(1) == drawn(1) != drawn(2)
    made = emulator.Emulator(3, users=20, pins=20)
    for _ in range(200):
        _, shown, chances, clicks = made.page(list(made.users), list(made.pins))
        assert len(set(shown)) == emulator.PLACES == len(chances) == len(clicks) and all(0 < chance < 1 for chance in chances)


def test_a_partition_is_exchanged_for_another_in_one_step(tmp_path):
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    batch.exchange(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "old" / "file").read_text() == "new" and (tmp_path / "new" / "file").read_text() == "old"
    with pytest.raises(OSError, match="cannot exchange"):
        batch.exchange(tmp_path / "nothing", tmp_path / "old")


def test_untidy_values_are_cleaned_up(tmp_path):
    def archive(topic, *records):
        directory = tmp_path / "topics" / topic / "date=2026-01-02"
        directory.mkdir(parents=True)
        plain = tmp_path / "records.jsonl"
        plain.write_text("".join(
            json.dumps({"partition": 0, "offset": offset, "time": 0, "key": None, "value": value}) + "\n"
            for offset, value in enumerate(records)))
        with duckdb.connect() as connection:
            connection.execute(
                f"COPY (FROM read_json('{plain}', columns = {{'partition': 'INT', 'offset': 'BIGINT', 'time': 'BIGINT', 'key': 'VARCHAR', "
                f"'value': 'JSON'}})) TO '{directory}/{topic}+0+0.jsonl.zst' (FORMAT json, COMPRESSION zstd)")
    archive(
        "pin", {"pin_id": 1, "follower_count": "12k", "title": " A pin "}, {"pin_id": 2, "follower_count": "3M", "title": ""},
        {"pin_id": "3", "follower_count": "User Info Error", "title": "No Title Data Available"}, {"pin_id": 1, "follower_count": "14"},
        {"pin_id": "x"}, None)
    archive("user", {"user_id": 1, "age": 17}, {"user_id": 2, "age": "n/a", "date_joined": "soon"}, {"user_id": 3, "age": 51})
    with warehouse.connect(tmp_path, {name: name for name in warehouse.TOPICS}) as connection:
        def rows(query):
            return connection.execute(query).fetchall()
        assert warehouse.raw_counts(connection) == {"pin": 6, "geo": 0, "user": 3, "features": 0, "actions": 0}
        assert rows("SELECT pin_id, follower_count, title FROM pins") == [(1, 14, None), (2, 3_000_000, None), (3, None, None)]
        assert rows("SELECT number_of('12k'), number_of('7'), number_of('k'), number_of('1.5M')") == [(12_000, 7, None, None)]
        assert rows("SELECT user_id, age_group, date_joined FROM users") == [(1, "under 18", None), (2, None, None), (3, "51 and over", None)]


def test_criteo_predicts_clicks_of_rows_that_it_has_not_seen(run_example, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    write_clicks(data, rows=4_000, held_back=500, seed=1)
    _, summary = run_example("criteo", "--data", data, "--pause-ms", 1)
    labels = [int(line[0]) for line in (data / "train.csv").read_text().splitlines()]
    assert summary["impressions"] == summary["examples"] == 4_000
    assert summary["clicks"] == sum(labels)
    held_back = summary["held_back"]
    assert held_back["rows"] == 500
    assert held_back["auc"] > 0.75
    assert held_back["logloss"] < 0.95 * held_back["logloss_of_click_rate"]
    assert 0.8 < held_back["calibration"] < 1.25
    assert summary["progressive"]["auc_last_half"] > 0.7


def test_tweets_are_in_topic_and_archive_once_whatever_is_killed_and_learning_on_beats_a_frozen_model(run_example):
    done, summary = run_example("tweets", "--tweets", 4_000, "--rate", 1_500)
    # That each tweet is in the topic once, and each offset in the files, is what the example itself fails for.
    assert [kill["what"] for kill in summary["killed"]] == ["producer", "archive"]
    assert 0 < summary["killed"][0]["tweets_in_topic"] < 4_000
    assert summary["examples"] == 4_000
    offsets = {(topic, partition): row for topic, partition, *row in summary["offsets"]}
    assert len(offsets) == 8
    assert all(rows == offsets == different == tweets for rows, offsets, different, tweets in offsets.values())
    assert sum(row[0] for (topic, _), row in offsets.items() if topic == "tweets") == summary["tweets_by_minute"] == 4_000
    assert sum(row[0] for row in offsets.values()) == summary["records_archived"]
    assert summary["hashtags"][0][0] == "trains"
    # So few tweets teach little; but the one learns what the other cannot know.
    figures = summary["after_the_flip"]
    assert figures["flipped"]["online"] > figures["flipped"]["frozen"] + 0.05
    assert figures["all"]["frozen"] < figures["all"]["online"] < figures["all"]["limit"]
    assert "producer killed (kill -9)" in done.stdout


def test_a_tweet_is_a_function_of_seed_and_number_in_the_form_of_the_filtered_stream():
    world = tweets_world.World(3, 1_000, 1_700_000_000_000)
    again = tweets_world.World(3, 1_000, 1_700_000_000_000)
    tweets = [world.tweet(number) for number in range(1_000)]
    assert tweets[::-1] == [again.tweet(number) for number in reversed(range(1_000))]
    ids = [int(tweet["data"]["id"]) for tweet in tweets]
    assert ids == sorted(set(ids))
    for number, tweet in enumerate(tweets):
        data, text = tweet["data"], tweet["data"]["text"]
        assert tweets_world.index_of(data["id"], world.start_ms) == number
        assert set(tweet) == {"data", "includes", "matching_rules"}
        assert [user["id"] for user in tweet["includes"]["users"]] == [data["author_id"]]
        assert tweet["matching_rules"][0]["tag"] == data["entities"]["hashtags"][0]["tag"]
        assert all(text[tag["start"]:tag["end"]] == f"#{tag['tag']}" for tag in data["entities"]["hashtags"])
    # The meaning of the first rule flips in the middle, that of the others does not.
    later = tweets_world.World(3, 10_000, 1_700_000_000_000)
    for number in range(600, 900):
        (_, after, _), (tweet, before, _) = world.draw(number), later.draw(number)
        assert (after == before) == (tweet["matching_rules"][0]["tag"] != "trains")


def test_ngrams_are_words_pairs_and_pieces_each_once():
    assert ngrams.fields("So good, SO good #now") == {
        "words": ["so", "good", "#now"], "bigrams": ["so good", "good so", "good #now"],
        "pieces": [" so ", " goo", "good", "ood ", " #no", "#now", "now "]}
    assert ngrams.fields("") == {"words": [], "bigrams": [], "pieces": []}
    assert max(map(len, ngrams.fields(" ".join(map(str, range(1_000)))).values())) == 255


def test_movielens_joins_every_example_with_its_film_in_the_warehouse(run_example):
    _, summary = run_example("movielens", "--data", FIXTURE, "--limit", 4_000, "--least-ratings", 20)
    assert summary["examples"] == summary["ratings"] == 4_000
    topics = {row["topic"]: row for row in summary["offsets"]}
    for topic in ("features", "actions"):
        assert topics[topic]["rows"] == topics[topic]["offsets"] == 4_000
    assert topics["items"]["rows"] == topics["items"]["offsets"] == summary["movies"]
    assert topics["examples"]["rows"] == 4_000 == topics["examples"]["offsets"] - topics["examples"]["without_record"]
    assert all(row["duplicates"] == 0 for row in topics.values())
    assert summary["join"][0]["examples"] == summary["join"][0]["with_film"] == 4_000
    # By the same files, read without Freshet and without SQL.
    rated = sorted((int(row[3]), int(row[0]), int(row[1]), float(row[2])) for row in list(
        csv.reader(open(FIXTURE / "ratings.csv", encoding="utf-8")))[1:])[:4_000]
    genres = {int(row[0]): row[2].split("|") for row in list(csv.reader(open(FIXTURE / "movies.csv", encoding="utf-8")))[1:]}
    liked = [rating >= 4 for *_, movie, rating in rated if "Horror" in genres[movie]]
    horror = next(row for row in summary["genres"] if row["genre"] == "Horror")
    assert horror["examples"] == len(liked) and horror["liked"] == pytest.approx(sum(liked) / len(liked), abs=6e-4)
    assert summary["quality"][0]["ratings"] == 2_000
    assert summary["quality"][0]["liked"] == sum(rating >= 4 for *_, rating in rated[2_000:])
    assert summary["quality"][0]["auc"] > 0.55
    best = [row["shrunk_mean"] for row in summary["films"]]
    assert len(best) == 10 and best == sorted(best, reverse=True) and min(row["ratings"] for row in summary["films"]) >= 20


@pytest.mark.parametrize(("name", "file", "text", "message"), [
    ("criteo", "train.csv", "0\t1\t2\n", "train.csv:1: not a label of 0 or 1 and 39 columns"),
    ("criteo", "other.csv", "", "has neither train.csv nor train.txt"),
    ("lastfm", "user_artists.dat", "userID\tartistID\tweight\r\n2 51 7\r\n", "user_artists.dat:2: no tab-separated row"),
    ("lastfm", "artists.dat", "", "user_artists.dat"),
    ("movielens", "ratings.dat", "1::2::3\n", "ratings.dat:1: 3 columns, 4 expected"),
    ("movielens", "other.csv", "", "has neither ratings.dat nor ratings.csv"),
])
def test_data_in_another_form_is_an_error_that_names_the_place(run_example, tmp_path, name, file, text, message):
    (tmp_path / file).write_text(text, newline="")
    done, _ = run_example(name, "--data", tmp_path, expected=1)
    assert message in done.stderr and "Traceback" not in done.stderr


def test_what_lastfm_holds_back_is_in_no_listen_and_gives_no_tag(tmp_path):
    write_listens(tmp_path, users=40, seed=2)
    library = lastfm_listens.read(tmp_path, seed=1)
    assert len(library.held_back) == 40
    pairs = {(user, artist) for user, artists in library.held_back.items() for artist in artists}
    assert len(pairs) == 40 * lastfm_listens.HELD_BACK
    stream = lastfm_listens.stream(library, seed=1, days=3, end_ms=10 ** 12)
    assert stream == sorted(stream) and 10 ** 12 - 3 * lastfm_listens.DAY_MS <= stream[0][0] < stream[-1][0] < 10 ** 12
    assert not pairs & {(user, artist) for _, user, artist in stream}
    tagged = [tuple(map(int, line.split("\t")[:2])) for line in (tmp_path / "user_taggedartists.dat").read_text().splitlines()[1:]]
    assert set(library.tags) == {artist for user, artist in tagged if (user, artist) not in pairs} != {artist for _, artist in tagged}
    # Of artists that were not played in the stream, held-back ones are shown like any other.
    user, held_back = next(iter(library.held_back.items()))
    shown = set()
    draw = random.Random(1)
    for _ in range(1_000):
        shown |= lastfm_listens.shown_beside(draw, list(library.names), library.plays[user], 8)
    assert held_back <= shown and not shown & library.plays[user].keys()


def test_without_files_to_score_the_last_tenth_of_criteos_rows_is_held_back(tmp_path):
    write_clicks(tmp_path, rows=105, held_back=20, seed=1)
    rows, held_back = criteo.read_directory(tmp_path, limit=None)
    assert (len(rows), len(held_back)) == (105, 20)
    (tmp_path / "test.csv").unlink()
    (tmp_path / "train.csv").rename(tmp_path / "train.txt")
    assert criteo.read_directory(tmp_path, limit=None) == (rows[:95], rows[95:])
    assert criteo.read_directory(tmp_path, limit=30) == (rows[:27], rows[27:30])
    line = (tmp_path / "train.txt").read_text().split("\n")[0].split("\t")
    label, fields = rows[0]
    assert label == int(line[0])
    assert fields == {
        name: int(text) if name in criteo.INTEGERS else text
        for name, text in zip(criteo.INTEGERS + criteo.CATEGORIES, line[1:]) if text}


def test_windows_count_what_a_list_of_the_events_would():
    draw = random.Random(7)
    last, sliding, recent = windows.CountWindow(10), windows.TimeWindow(500), windows.LastDistinct(4)
    events, now = [], 0
    for _ in range(2_000):
        now += draw.choice((0, 1, 30, 700))
        events.append((now, draw.randrange(6)))
        last.add(events[-1][1])
        sliding.add(*events[-1])
        recent.add(events[-1][1])
        later = now + draw.choice((0, 100, 499, 500))
        assert last.counts == Counter(value for _, value in events[-10:])
        assert sliding.counts == Counter(value for at, value in events if at > now - 500)
        distinct = list(dict.fromkeys(value for _, value in reversed(events)))
        assert recent.list() == distinct[:4]
        if draw.random() < 0.3:
            now = later
            assert sliding.total(now) == sum(at > now - 500 for at, _ in events)


def test_quality_is_that_of_the_definitions():
    draw = random.Random(3)
    labels = [int(draw.random() < 0.3) for _ in range(200)]
    scores = [round(0.05 + 0.9 * draw.random(), 1) for _ in labels]
    pairs = [(p > n) + (p == n) / 2 for p, y in zip(scores, labels) if y for n, z in zip(scores, labels) if not z]
    assert quality.auc(labels, scores) == pytest.approx(sum(pairs) / len(pairs))
    assert quality.logloss([1, 0], [0.5, 0.75]) == pytest.approx((0.693147 + 1.386294) / 2, abs=1e-5)
    assert quality.calibration([1, 0, 1, 0], [0.5, 0.5, 0.5, 0.0]) == pytest.approx(0.75)
    with pytest.raises(ValueError):
        quality.auc([1, 1], [0.1, 0.2])
