"""The examples of people who have data: their programs as their `run` scripts start them, on a slice of made-up data."""

import json
import os
import random
import re
import subprocess
import sys
from collections import Counter

import pytest

from example_data import write_clicks, write_listens
from processes import ROOT, free_port, free_ports, is_alive, listens, program
from waiting import wait_until

for folder in ("lastfm", "criteo"):
    sys.path.insert(0, str(ROOT / "Examples" / folder))

import criteo  # noqa: E402
import listens as lastfm_listens  # noqa: E402
import quality  # noqa: E402
import windows  # noqa: E402


@pytest.fixture
def run_example(bootstrap_servers, log_directory):
    """Runs an example to its end, with ports of its own; gives what it printed, and its summary. Wants nothing left running."""
    def run(name, *words, expected=0):
        ports = {key: free_port() for key in ("trainer.port", "joiner.port", "joiner.metrics_port", "serve.port", "serve.http_port", "dashboard.port")}
        ports |= {key: free_ports(2) for key in ("ps.metrics_port",)}
        ports |= {"trainer.metrics_port": 0, "cluster.servers": f"127.0.0.1:{free_port()},127.0.0.1:{free_port()}"}
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


@pytest.mark.parametrize(("name", "file", "text", "message"), [
    ("criteo", "train.csv", "0\t1\t2\n", "train.csv:1: not a label of 0 or 1 and 39 columns"),
    ("criteo", "other.csv", "", "has neither train.csv nor train.txt"),
    ("lastfm", "user_artists.dat", "userID\tartistID\tweight\r\n2 51 7\r\n", "user_artists.dat:2: no tab-separated row"),
    ("lastfm", "artists.dat", "", "user_artists.dat"),
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
