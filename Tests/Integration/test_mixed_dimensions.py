"""A model whose slots have tables of different dimensions: learned exactly once, saved, and served as its rows say."""

import json
from collections import Counter

import pytest

import audit
from cluster import SERVERS, SHARDS
from http_client import post
from processes import ROOT
from reference import Reference, shard_of
from test_sync import expect_equal_rows
from waiting import wait_until

EXAMPLE = ROOT / "Examples/models/mixed-dimensions.yaml"
RATINGS = 6_000
USERS = [1, 4, 19, 123_456_789]
ITEMS = [1, 3, 6, 47, 50, 1193, 661, 914, 999_999_999]


def score(client, user):
    reply = client.execute_command("SCORE", "movielens", f"user_id={user}", "CANDIDATES", "item_id", *ITEMS)
    return [float(score) for score in reply]


def scores_in_every_way(cluster, user):
    request = {"context": {"user_id": user}, "candidates": [{"item_id": item} for item in ITEMS]}
    for protocol in (2, 3):
        with cluster.client(protocol=protocol) as client:
            yield score(client, user)
            yield [float(score) for score in client.execute_command("SCOREJSON", "movielens", json.dumps(request))]
    inputs = [
        {"name": "user_id", "datatype": "INT64", "shape": [1], "data": [user]},
        {"name": "item_id", "datatype": "INT64", "shape": [len(ITEMS), 1], "data": ITEMS},
    ]
    reply = post(cluster.http_ports["serve"], "/v2/models/movielens/infer", {"inputs": inputs})
    assert reply.status == 200, reply
    yield reply.json["outputs"][0]["data"]


def expect_counts_of_the_log(cluster):
    """Every fid has been learned as often as it occurs in the examples."""
    tasks, slots = audit.shape(EXAMPLE)
    expected = Counter()
    for record in cluster.committed_examples(RATINGS):
        expected.update(audit.fids_of(record.value, tasks, slots))
    counted = {}
    for index in range(SERVERS):
        counted |= audit.audit_rows(cluster, f"ps{index}", sorted(expected))
    assert counted == expected


def test_tables_of_different_dimensions_are_learned_exactly_once_and_served(make_cluster, tmp_path):
    cluster = make_cluster(
        configuration=EXAMPLE,
        settings={
            "model.audit": "true", "trainer.micro_batch_size": 4, "snapshot.store": tmp_path / "store",
            "snapshot.interval_ms": 300,
        })
    cluster.start_all(trainers=2)
    replay = cluster.start_replay("--limit", RATINGS, "--rate", 1_500)
    cluster.wait_for_examples(RATINGS // 3)
    # It goes on from what it has saved of tables of three dimensions, and learns the rest again.
    wait_until(lambda: int(cluster.info("ps0")["bases"]) >= SHARDS // SERVERS, "ps0 has saved every shard", 30)
    cluster.kill("ps0")
    cluster.start("ps0")
    cluster.wait_until_listening("ps0")
    assert replay.wait(60) == 0
    cluster.expect_exactly(RATINGS)
    assert cluster.dead_letters() == []
    expect_counts_of_the_log(cluster)
    cluster.wait_until_ready()
    expect_equal_rows(cluster)
    with cluster.client() as client:
        reference = Reference(client, EXAMPLE)
        for user in USERS:
            served = list(scores_in_every_way(cluster, user))
            assert all(way == served[0] for way in served)
            assert served[0] == pytest.approx([reference.score(user, item) for item in ITEMS], abs=1e-5)
        learned = Counter(table for (table, _), (exists, _) in reference.rows.items() if exists)
        assert learned["ids"] > 5 and learned["values"] > 5 and learned["dense"] > 20
        expect_the_rows_of_the_servers(cluster, reference.rows)
        best = client.execute_command("RECOMMEND", "movielens", "user_id=1", "TOPK", 5)
        again = client.execute_command("SCORE", "movielens", "user_id=1", "CANDIDATES", "item_id", *best[0::2])
        assert again == best[1::2] and [float(score) for score in again] == sorted(map(float, again), reverse=True)


def expect_the_rows_of_the_servers(cluster, rows):
    clients = [cluster.client(f"ps{index}") for index in range(SERVERS)]
    for (table, fid), (exists, weights) in rows.items():
        reply = clients[shard_of(fid, SHARDS) % SERVERS].execute_command("ROW", table, fid)
        assert int(reply[0]) == exists and [float(weight) for weight in reply[1:]] == weights.tolist()
    for client in clients:
        client.close()
