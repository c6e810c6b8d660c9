"""A parameter server, the broker, then both are down: replicas answer on and say how old they are, and catch up by themselves."""

import os

import pytest

from cluster import Cluster
from processes import Broker, free_port
from test_sync import SCORE, expect_equal_rows
from waiting import wait_until

pytestmark = pytest.mark.skipif(
    "KAFKA_BOOTSTRAP_SERVERS" in os.environ and "KAFKA_BROKER_IS_LOCAL" not in os.environ,
    reason="needs a broker of its own to stop")
STEP = 1_500


def expect_answers_that_grow_old(cluster, scores):
    """The replica goes on answering from what it has, and its age shows it."""
    with cluster.client() as client:
        assert client.execute_command(*SCORE) == scores
        age = int(cluster.info("serve")["age_ms"])
        wait_until(lambda: int(cluster.info("serve")["age_ms"]) > max(1_500, age + 300), "the age grows")
        assert client.execute_command(*SCORE) == scores
    assert cluster.info("serve")["ready"] == 1


def test_replicas_answer_through_outages_and_catch_up_without_a_restart(tmp_path, monkeypatch):
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    data, port = tmp_path / "broker", free_port()
    data.mkdir()
    broker = Broker(data, port)
    cluster = Cluster(broker.address, tmp_path, settings={
        "snapshot.store": tmp_path / "snapshots", "snapshot.interval_ms": 300})
    learned = 0

    def learn():
        nonlocal learned
        learned += STEP
        cluster.replay("--start", learned - STEP, "--limit", STEP, seconds=90)
        cluster.expect_exactly(learned, 60)
        expect_equal_rows(cluster)
        wait_until(lambda: int(cluster.info("serve")["age_ms"]) < 1_500, "the age is small")
        with cluster.client() as client:
            return client.execute_command(*SCORE)

    try:
        cluster.start_all()
        cluster.wait_until_assigned()
        cluster.wait_until_ready()
        replica = cluster.processes["serve"].pid
        scores = learn()

        cluster.kill("ps0")
        wait_until(lambda: int(cluster.info("serve")["servers_connected"]) == 1, "the replica notices")
        expect_answers_that_grow_old(cluster, scores)
        cluster.start("ps0")
        scores = learn()

        broker.stop()
        with cluster.client() as client:
            assert client.execute_command(*SCORE) == scores
        broker = Broker(data, port)
        scores = learn()

        broker.stop()
        for name in ("ps0", "ps1"):
            cluster.kill(name)
        wait_until(lambda: int(cluster.info("serve")["servers_connected"]) == 0, "the replica notices")
        expect_answers_that_grow_old(cluster, scores)
        for name in ("ps0", "ps1"):
            cluster.start(name)
        broker = Broker(data, port)
        assert learn() != scores
        assert cluster.processes["serve"].pid == replica and cluster.processes["serve"].is_running
    finally:
        cluster.kill_all()
        broker.stop()
