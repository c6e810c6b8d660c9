"""Labels go wrong in mid-stream: the guard holds training, the watermarks stand, and resumed it learns each example once."""

import random
import time

import pytest

import http_client
import log
from audit import audit_rows, fids_of, shape
from validation import garbage, honest, ratings, write_data
from waiting import wait_until

HONEST = 6_000
FALSE = 4_000
WINDOW = 1_000
BATCH = 32
BOUND = 0.5
SETTINGS = {
    "trainer.guard.window": WINDOW, "trainer.guard.maximum_logloss": BOUND, "trainer.batch_size": BATCH,
    "model.audit": "true",
    # A busy machine may hold one of the replay's topics up for longer than the default.
    "joiner.idle_timeout_ms": 7_000,
}


def is_held(cluster):
    return int(cluster.info("trainer0")["held"]) == 1


def settle(cluster):
    """Until what was pushed before the hold has arrived."""
    def stands():
        before = cluster.watermarks()
        time.sleep(0.1)
        return cluster.watermarks() == before
    wait_until(stands, "the last pushes have arrived", 10, check=cluster.check_healthy)


def expect_standstill(cluster, seconds):
    """No watermark moves, and no example is counted."""
    settle(cluster)
    before = cluster.watermarks(), cluster.examples()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert (cluster.watermarks(), cluster.examples()) == before
        cluster.check_healthy()
        time.sleep(0.1)
    return before


def expect_exact_rows(cluster):
    """Each row of the audit is the number of times that its fid is in the log."""
    expected = {}
    tasks, slots = shape()
    for record in log.read_to_end(cluster.bootstrap_servers, cluster.topics["examples"]):
        for fid in fids_of(record.value, tasks, slots):
            expected[fid] = expected.get(fid, 0) + 1
    rows = {}
    for index in (0, 1):
        rows |= audit_rows(cluster, f"ps{index}", sorted(expected))
    assert rows == expected


@pytest.fixture
def held(make_cluster, tmp_path):
    """A cluster that has learned honest ratings, then met garbage."""
    cluster = make_cluster(settings=SETTINGS)
    cluster.start_all(trainers=1, serve=False)
    rows = [honest(row) for row in ratings()]
    cluster.replay(data=write_data(tmp_path / "honest", rows[:HONEST]))
    cluster.expect_exactly(HONEST)
    info = cluster.info("trainer0")
    assert (int(info["held"]), int(info["holds"])) == (0, 0)
    assert float(info["task0_window_logloss"]) < BOUND
    coin = random.Random(3)
    cluster.replay(data=write_data(tmp_path / "false", [garbage(row, coin) for row in rows[HONEST:HONEST + FALSE]]))
    wait_until(lambda: is_held(cluster), "the guard holds training", 30, check=cluster.check_healthy)
    return cluster


def test_the_guard_stops_training_within_a_window_and_says_so(held):
    marks, examples = expect_standstill(held, 1.0)
    # The window is full of false labels at the latest after as many of them.
    assert HONEST < examples <= HONEST + WINDOW + BATCH
    # All servers stand at one place: nothing is half pushed.
    for partition in range(held.partitions):
        assert len({mark for (_, where), mark in marks.items() if where == partition}) == 1, marks
    info = held.info("trainer0")
    # redis-py makes a list of a text with a comma.
    assert int(info["holds"]) == 1 and "logloss of task like" in str(info["reason"]), info
    assert {info[f"partition_{number}"]["phase"] for number in range(held.partitions)} == {"held"}
    assert "level=error" in held.processes["trainer0"].log and "training is held" in held.processes["trainer0"].log
    done = held.run("ctl", "status", "--trainer", f"127.0.0.1:{held.port('trainer0')}")
    assert "HELD: logloss of task like" in done.stdout
    port = held.http_ports["trainer0"]
    assert "freshet_trainer_guard_held 1\n" in http_client.get(port, "/metrics").body.decode()
    ready = http_client.get(port, "/health/ready")
    assert ready.status == 503 and "training is held" in ready.body.decode()
    assert http_client.get(port, "/health/live").status == 200


def resume(cluster):
    return cluster.command("ctl", "trainer", "resume", "--trainer", f"127.0.0.1:{cluster.port('trainer0')}").stdout


def test_resumed_training_goes_on_where_it_stood(held):
    """Each time for another window, while what comes is false, until it is learned or all is."""
    stood = held.examples()
    resumptions = 0
    while stood < HONEST + FALSE:
        assert "goes on" in resume(held)
        resumptions += 1
        wait_until(
            lambda: is_held(held) or held.examples() == HONEST + FALSE, "held again, or through", 30,
            check=held.check_healthy)
        _, examples = expect_standstill(held, 0.3)
        assert examples - stood >= WINDOW - BATCH or examples == HONEST + FALSE
        stood = examples
    assert resumptions >= 1
    held.expect_exactly(HONEST + FALSE)
    assert int(held.info("trainer0")["task0_examples"]) == HONEST + FALSE
    expect_exact_rows(held)
    for name in ("ps0", "ps1"):
        info = held.info(name)
        assert (info["duplicate_pushes"], info["fenced_pushes"], info["watermark_refusals"]) == (0, 0, 0)


def test_a_trainer_that_starts_with_another_bound_goes_on_where_the_held_one_stood(held):
    assert held.processes["trainer0"].stop() == 0, "a held trainer ends like any other"
    held.settings["trainer.guard.maximum_logloss"] = 10
    held.start("trainer0")
    held.expect_exactly(HONEST + FALSE)
    assert not is_held(held)
    assert "was not held" in resume(held)
    expect_exact_rows(held)


def test_servers_that_die_while_training_is_held_lose_and_repeat_nothing(held):
    held.kill("ps1")
    held.start("ps1")
    held.wait_until_listening("ps1")
    wait_until(lambda: is_held(held) and held.examples() is not None, "still held", 10)
    # It came back empty, and is taught nothing as long as training is held.
    held.settings["trainer.guard.maximum_logloss"] = 10
    assert held.processes["trainer0"].stop() == 0
    held.start("trainer0")
    held.expect_exactly(HONEST + FALSE)
    expect_exact_rows(held)


def test_a_trainer_that_does_not_answer_is_told(make_cluster):
    cluster = make_cluster()
    done = cluster.run("ctl", "trainer", "resume", "--trainer", "127.0.0.1:1")
    assert done.returncode == 1 and "FAILED" in done.stdout
    assert cluster.run("ctl", "trainer", "pause").returncode == 2
