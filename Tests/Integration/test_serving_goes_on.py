"""Replicas answer whatever happens to the rest of the cluster."""

import pytest

from waiting import wait_until

SCORE = ["SCORE", "movielens", "user_id=1", "CANDIDATES", "item_id", "1", "47", "50"]
RATINGS = 4_000


def test_a_replica_answers_without_servers_and_trainers_and_says_how_old_it_is(make_cluster):
    cluster = make_cluster().start_all()
    cluster.replay("--limit", RATINGS)
    cluster.expect_exactly(RATINGS)
    cluster.wait_until_ready()
    learners = ["trainer0", "trainer1", "ps0", "ps1"]
    with cluster.client() as client:
        wait_until(lambda: cluster.info("serve")["embedding_rows"] == rows(cluster), "every row is copied")
        before = client.execute_command(*SCORE)
        for name in learners:
            cluster.kill(name)
        wait_until(lambda: cluster.info("serve")["servers_connected"] == 0, "the replica notices")
        assert client.execute_command(*SCORE) == before
        assert len(client.execute_command("RECOMMEND", "movielens", "user_id=1", "TOPK", 10)) == 20
        age = cluster.info("serve")["age_ms"]
        wait_until(lambda: cluster.info("serve")["age_ms"] > age + 300, "the age grows")
        assert cluster.info("serve")["ready"] == 1

        # Servers start empty and learn everything again from the log; scores never stop.
        for name in learners:
            cluster.start(name)
        wait_until(lambda: client.execute_command(*SCORE) and cluster.examples() == RATINGS, "all is learned again", 40)
        wait_until(lambda: cluster.info("serve")["embedding_rows"] == rows(cluster), "every row is copied again")
        wait_until(lambda: cluster.info("serve")["age_ms"] < 2_000, "the age is small again")
        after = [float(score) for score in client.execute_command(*SCORE)]
        assert after == pytest.approx([float(score) for score in before], abs=0.2)


def rows(cluster):
    return sum(cluster.info(f"ps{index}")["embedding_rows"] for index in (0, 1))


def test_a_replica_that_has_copied_nothing_yet_says_loading(make_cluster):
    cluster = make_cluster()
    cluster.command("ctl", "topics", "create")
    cluster.start("serve")
    cluster.wait_until_listening("serve")
    with cluster.client() as client:
        with pytest.raises(Exception, match="0 of 16 shards"):
            client.execute_command(*SCORE)
        cluster.start("ps0")
        cluster.start("ps1")
        cluster.wait_until_ready()
        assert client.execute_command(*SCORE) == ["0.5"] * 3 or len(client.execute_command(*SCORE)) == 3
