"""SIGTERM in the middle of the stream: every role ends by itself, soon, with exit code 0, and nothing is lost or repeated."""

import time

import pytest

RATINGS = 9_000
RATE = 3_000
# Of the promise of 10 s. Usually it is a tenth of a second.
SECONDS = 4.0


@pytest.mark.parametrize("name", ["trainer0", "joiner0", "serve", "ps1"])
def test_a_role_ends_soon_after_sigterm_and_comes_back(make_cluster, name, record_property):
    cluster = make_cluster()
    cluster.start_all()
    cluster.wait_until_assigned()
    cluster.start_replay("--limit", RATINGS, "--rate", RATE)
    cluster.wait_for_examples(RATINGS // 6)
    assert cluster.processes["replay0"].is_running, "otherwise there was nothing in hand"
    started = time.monotonic()
    assert cluster.processes[name].stop() == 0
    took = time.monotonic() - started
    record_property("seconds", round(took, 3))
    print(f"{name} ended {took:.3f} s after SIGTERM")
    assert took < SECONDS
    log = cluster.processes[name].log
    assert "error" not in log.lower(), log[-2000:]
    cluster.start(name)
    assert cluster.processes["replay0"].wait(30) == 0
    cluster.expect_exactly(RATINGS)
    cluster.wait_until_ready()


def test_a_trainer_that_is_stopped_has_its_batches_acknowledged(make_cluster):
    """What it has pushed is applied once: the next trainer starts where it ended, and nothing comes twice."""
    cluster = make_cluster()
    cluster.start_all(trainers=1)
    cluster.wait_until_assigned()
    cluster.start_replay("--limit", RATINGS, "--rate", RATE)
    cluster.wait_for_examples(RATINGS // 6)
    assert cluster.processes["trainer0"].stop() == 0
    marks = cluster.watermarks()
    for partition in range(cluster.partitions):
        assert len({mark for (_, where), mark in marks.items() if where == partition}) == 1, marks
    cluster.start("trainer0")
    assert cluster.processes["replay0"].wait(30) == 0
    cluster.expect_exactly(RATINGS)
    for server in ("ps0", "ps1"):
        info = cluster.info(server)
        assert (info["duplicate_pushes"], info["fenced_pushes"], info["watermark_refusals"]) == (0, 0, 0)
