"""Processes are killed in the middle of the stream; every example still counts exactly once."""

import os

import pytest

from waiting import wait_until

# Scripts/test says so when it has started the broker; without a broker at all these tests start one themselves.
BROKER_IS_LOCAL = "KAFKA_BROKER_IS_LOCAL" in os.environ or "KAFKA_BOOTSTRAP_SERVERS" not in os.environ
RATINGS = 9_000
RATE = 3_000


@pytest.fixture
def streaming(make_cluster):
    """A cluster in the middle of a stream of `RATINGS` ratings."""
    def start(**options):
        cluster = make_cluster()
        cluster.start_all(**options)
        cluster.wait_until_assigned()
        cluster.start_replay("--limit", RATINGS, "--rate", RATE)
        cluster.wait_for_examples(RATINGS // 6)
        return cluster
    return start


def finish(cluster, seconds=40.0):
    replay = cluster.processes["replay0"]
    assert replay.wait(30) == 0, replay.log
    cluster.expect_exactly(RATINGS, seconds)


def is_in_the_middle(cluster):
    """A crash after the end of the stream would prove nothing."""
    return cluster.processes["replay0"].is_running


def test_a_killed_trainer_and_a_killed_replica_lose_and_repeat_nothing(streaming):
    cluster = streaming()
    assert is_in_the_middle(cluster)
    cluster.kill("trainer0")
    cluster.kill("serve")
    cluster.start("trainer0")
    cluster.start("serve")
    finish(cluster)
    cluster.wait_until_ready()
    rows = sum(cluster.info(f"ps{index}")["embedding_rows"] for index in (0, 1))
    wait_until(lambda: cluster.info("serve")["embedding_rows"] == rows, "the new replica has every row")


def test_a_joiner_that_stops_and_comes_back_makes_no_example_twice(streaming):
    cluster = streaming()
    assert is_in_the_middle(cluster)
    assert cluster.processes["joiner0"].stop() == 0
    cluster.start("joiner0")
    finish(cluster)
    assert cluster.dead_letters() == []


@pytest.mark.parametrize("joiners", [1, 2])
def test_a_joiner_that_is_killed_and_comes_back_writes_every_example_once(streaming, joiners):
    cluster = streaming(joiners=joiners)
    assert is_in_the_middle(cluster)
    assert joiners == 1 or both_joiners_have_work(cluster)
    cluster.kill("joiner0")
    cluster.start("joiner0")
    finish(cluster)
    assert cluster.dead_letters() == []


@pytest.mark.skipif(
    BROKER_IS_LOCAL, reason="the local broker never gives the partitions of a member that vanished to others")
def test_the_other_joiner_takes_over_from_one_that_is_killed_for_good(streaming):
    cluster = streaming(joiners=2)
    assert is_in_the_middle(cluster)
    assert both_joiners_have_work(cluster)
    cluster.kill("joiner0")
    finish(cluster, 90)
    assert cluster.dead_letters() == []


def both_joiners_have_work(cluster):
    return all(cluster.info(f"joiner{index}").get("joined", 0) > 0 for index in (0, 1))


def test_a_parameter_server_that_lost_its_shards_is_trained_again_from_the_log(streaming):
    cluster = streaming()
    assert is_in_the_middle(cluster)
    cluster.kill("ps1")
    cluster.start("ps1")
    # It comes back empty. What it had learned and counted is read again; the other server takes nothing twice.
    finish(cluster)
    rows = sum(cluster.info(f"ps{index}")["embedding_rows"] for index in (0, 1))
    wait_until(lambda: cluster.info("serve")["embedding_rows"] == rows, "the replica follows the server's new life")
    assert cluster.info("ps0")["duplicate_pushes"] > 0
    assert cluster.info("ps0")["task0_examples"] + cluster.info("ps1")["task0_examples"] == RATINGS
