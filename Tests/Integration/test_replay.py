"""Replays: bad rows, repetition, interruption."""

import json
import signal

import log
from processes import FIXTURE
from waiting import wait_until

BAD_ROWS = {
    3: "not,enough",
    7: "abc,1,4.0,964982703",
    11: "1,minus one,4.0,964982703",
    13: "1,1,lots,964982703",
    17: "1,1,4.0,yesterday",
    19: "1,2,3.0,964982703,5",
    23: "-1,2,3.0,964982703",
    29: "1,2,nan,964982703",
    31: "99999999999,2,3.0,964982703",
    37: "1,2,3.0,96498270300000000",
}
GOOD_ROWS = 300


def data_with_bad_rows(directory):
    lines = (FIXTURE / "ratings.csv").read_text().splitlines()[: GOOD_ROWS + 1]
    for line in sorted(BAD_ROWS):
        lines.insert(line - 1, BAD_ROWS[line])
    directory.mkdir()
    (directory / "ratings.csv").write_text("\n".join(lines) + "\n")
    (directory / "movies.csv").write_bytes((FIXTURE / "movies.csv").read_bytes())
    return directory


def test_bad_rows_are_named_by_line_and_the_others_are_learned(make_cluster, tmp_path):
    data = data_with_bad_rows(tmp_path / "data")
    cluster = make_cluster().start_all(trainers=1, serve=False)
    said = cluster.replay(data=data).stderr
    for line in BAD_ROWS:
        assert f"{data}/ratings.csv:{line}: " in said
    assert f"{len(BAD_ROWS)} bad rows" in said
    cluster.expect_exactly(GOOD_ROWS)
    letters = cluster.dead_letters()
    assert {letter["line"]: letter["payload"] for letter in letters} == BAD_ROWS
    for letter in letters:
        assert letter["reason_code"] == "unparsable-row" and letter["role"] == "replay"
        assert letter["file"] == f"{data}/ratings.csv" and letter["topic"] == cluster.topics["actions"]


def test_a_strict_replay_sends_nothing_and_fails_at_the_first_bad_row(make_cluster, tmp_path):
    data = data_with_bad_rows(tmp_path / "data")
    cluster = make_cluster()
    cluster.command("ctl", "topics", "create")
    done = cluster.run("replay", "--data", data, "--strict")
    assert done.returncode == 1
    assert f"{data}/ratings.csv:{min(BAD_ROWS)}: " in done.stderr
    for name in ("features", "actions", "dead_letter"):
        assert log.read_to_end(cluster.bootstrap_servers, cluster.topics[name]) == []


def test_a_replay_sent_twice_is_learned_once(make_cluster):
    # These are of 20 days, and the window holds 30: when they come again, all of them are still remembered.
    cluster = make_cluster(settings={"joiner.window_ms": 2_592_000_000}).start_all(trainers=1, serve=False)
    count = 2_000
    for _ in range(2):
        cluster.replay("--start", 14_900, "--limit", count)
    wait_until(
        lambda: cluster.info("joiner0")["features"] + cluster.info("joiner0")["actions"] == 4 * count,
        "both replays are joined")
    cluster.expect_exactly(count)
    info = cluster.info("joiner0")
    assert info["duplicate_features"] == count and info["duplicate_actions"] == count
    assert cluster.dead_letters() == []


def test_an_interrupted_replay_resumes_where_it_was(make_cluster, tmp_path):
    cluster = make_cluster().start_all(trainers=1, serve=False)
    state = tmp_path / "progress"
    options = ["--limit", 3_000, "--state", state]
    replay = cluster.start_replay(*options, "--rate", 1_000)
    wait_until(lambda: (cluster.examples() or 0) > 500, "some of it has arrived")
    replay.signal(signal.SIGINT)
    assert replay.wait() == 1
    assert "interrupted" in replay.log
    confirmed = int(state.read_text().split()[-1])
    assert 0 < confirmed < 6_000
    sent = sum(
        len(log.read_to_end(cluster.bootstrap_servers, cluster.topics[name])) for name in ("features", "actions"))
    assert sent == confirmed
    again = cluster.replay(*options)
    assert "resuming at event" in again.stderr
    cluster.expect_exactly(3_000)
    assert cluster.info("joiner0")["duplicate_features"] == 0
    # Another replay than the one that was interrupted does not take its progress for its own.
    other = cluster.run("replay", "--data", FIXTURE, "--limit", 2_999, "--state", state)
    assert other.returncode != 0 and str(state) in other.stderr


def test_records_of_ones_own_go_through_as_they_are(make_cluster, tmp_path):
    features, actions, items = (tmp_path / f"{name}.jsonl" for name in ("features", "actions", "items"))
    start = 1_600_000_000_000
    count = 50
    write_lines(features, (
        {"request_id": f"r{n}", "event_time": start + n * 1000, "user_id": n % 5, "item_id": n % 3, "age": 30}
        for n in range(count)))
    write_lines(actions, (
        {"request_id": f"r{n}", "event_time": start + n * 1000 + 10, "user_id": n % 5, "action": "rating", "value": n % 6}
        for n in range(count)))
    write_lines(items, ({"item_id": n, "title": f"Movie {n} (1999)", "genres": ["Drama"]} for n in range(3)))
    with features.open("a") as file:
        file.write('{"request_id": "broken"\n{"event_time": 5}\n')
    cluster = make_cluster().start_all(trainers=1, serve=False)
    done = cluster.command("replay", "--features", features, "--actions", actions, "--items", items)
    for line in (count + 1, count + 2):
        assert f"{features}:{line}: " in done.stderr
    cluster.expect_exactly(count)
    assert sorted(letter["line"] for letter in cluster.dead_letters()) == [count + 1, count + 2]


def write_lines(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
