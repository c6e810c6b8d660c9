"""Ratings in, scores out, through every role, asked by clients that are not ours."""

import json
import subprocess

import pytest
import redis

from cluster import SERVERS, SHARDS
from conftest import RATINGS
from reference import Reference, read_movies, shard_of

USER = 1
ITEMS = [1, 3, 6, 47, 50, 1193, 661, 914, 999_999_999]
SCORE = ["SCORE", "movielens", f"user_id={USER}", "CANDIDATES", "item_id", *map(str, ITEMS)]


def redis_cli(cluster, *words, name="serve"):
    done = subprocess.run(
        ["redis-cli", "-p", str(cluster.port(name)), *map(str, words)], capture_output=True, text=True, timeout=10)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_status_counts_every_rating_exactly_once(trained_cluster):
    status = trained_cluster.status()
    assert [process["up"] for process in status["processes"]] == [True] * (SERVERS + 1)
    [task] = status["tasks"]
    assert task["name"] == "like"
    assert task["examples"] == RATINGS
    assert 0.55 < task["auc"] < 1
    assert trained_cluster.dead_letters() == []


def test_redis_cli_and_redis_py_get_the_same_scores(trained_cluster):
    by_cli = [float(line) for line in redis_cli(trained_cluster, *SCORE)]
    for protocol in (2, 3):
        with trained_cluster.client(protocol=protocol) as client:
            assert [float(score) for score in client.execute_command(*SCORE)] == by_cli
    assert len(by_cli) == len(ITEMS) and all(0 < score < 1 for score in by_cli)
    assert len(set(by_cli)) > 5
    single = redis_cli(trained_cluster, "SCORE", "movielens", f"user_id={USER}", f"item_id={ITEMS[0]}")
    assert [float(line) for line in single] == pytest.approx(by_cli[:1], abs=1e-6)


def test_requests_that_come_together_are_answered_as_one_by_one_and_in_order(trained_cluster):
    requests = []
    for number in range(120):
        user = f"user_id={number % 25 + 1}" if number % 9 else "user_id=123456789"
        requests.append(["SCORE", "movielens", user, "CANDIDATES", "item_id", *ITEMS[:number % 9 + 1]])
        match number % 12:
            case 2: requests.append(["PING"])
            case 4: requests.append(["SCORE", "movielens", user, "color=red"])
            case 5: requests.append(["SCORE", "movielens", user, "item_id=1", "year=1994"])
            case 7: requests.append(["SCORE", "movielens", user, "CANDIDATES", "item_id", *range(1, 200)])
            case 8: requests.append(["SCORE", "movielens", "item_id=1", "CANDIDATES", "user_id", 1, 2, 3])
            case 9: requests.append(["RECOMMEND", "movielens", user, "TOPK", 3])
            case 11: requests.append(["ROW", "embedding", "7"])
    with trained_cluster.client() as client:
        before = int(trained_cluster.info("serve")["candidates"])
        pipeline = client.pipeline(transaction=False)
        for request in requests:
            pipeline.execute_command(*request)
        together = pipeline.execute(raise_on_error=False)
        candidates = int(trained_cluster.info("serve")["candidates"]) - before
        alone = []
        for request in requests:
            try:
                alone.append(client.execute_command(*request))
            except redis.ResponseError as error:
                alone.append(error)
    assert len(together) == len(requests)
    for request, reply, expected in zip(requests, together, alone):
        assert str(reply) == str(expected), request
    assert sum(isinstance(reply, redis.ResponseError) for reply in together) == 10
    assert candidates == int(trained_cluster.info("serve")["candidates"]) - before - candidates


def test_score_json_says_the_same_as_score(trained_cluster):
    with trained_cluster.client() as client:
        request = {"context": {"user_id": USER}, "candidates": [{"item_id": item} for item in ITEMS]}
        assert client.execute_command("SCOREJSON", "movielens", json.dumps(request)) == client.execute_command(*SCORE)


def test_scores_equal_those_computed_from_the_rows_by_hand(trained_cluster):
    with trained_cluster.client() as client:
        reference = Reference(client)
        users = [USER, 4, 19, 123_456_789]
        for user in users:
            served = client.execute_command(
                "SCORE", "movielens", f"user_id={user}", "CANDIDATES", "item_id", *ITEMS)
            expected = [reference.score(user, item) for item in ITEMS]
            assert [float(score) for score in served] == pytest.approx(expected, abs=1e-5)
        learned = [exists for (table, _), (exists, _) in reference.rows.items() if table == "embedding"]
        assert sum(learned) > 20, "the rows compared are of users and items that were trained on"
        assert all(exists for (table, _), (exists, _) in reference.rows.items() if table == "dense")


def test_the_replica_has_the_rows_of_the_parameter_servers(trained_cluster):
    with trained_cluster.client() as client:
        reference = Reference(client)
        for item in ITEMS:
            reference.score(USER, item)
    servers = [trained_cluster.client(f"ps{index}") for index in range(SERVERS)]
    for (table, fid), (exists, weights) in reference.rows.items():
        owner = shard_of(fid, SHARDS) % SERVERS
        reply = servers[owner].execute_command("ROW", table, fid)
        assert int(reply[0]) == exists
        assert [float(weight) for weight in reply[1:]] == weights.tolist()
    shard_rows = [trained_cluster.info(f"ps{index}")["embedding_rows"] for index in range(SERVERS)]
    assert trained_cluster.info("serve")["embedding_rows"] == sum(shard_rows)
    for server in servers:
        server.close()


def test_the_wrong_server_says_where_the_row_is(trained_cluster):
    with trained_cluster.client() as client:
        fid = next(iter(Reference(client).rows))[1]
    owner = shard_of(fid, SHARDS) % SERVERS
    [line, *_] = redis_cli(trained_cluster, "ROW", "dense", fid, name=f"ps{1 - owner}")
    assert line.startswith("MOVED "), line


def test_recommendations_are_sorted_and_have_the_scores_of_score(trained_cluster):
    with trained_cluster.client() as client:
        reply = client.execute_command("RECOMMEND", "movielens", f"user_id={USER}", "TOPK", 10)
        ids, scores = reply[0::2], [float(score) for score in reply[1::2]]
        assert len(set(ids)) == 10
        assert scores == sorted(scores, reverse=True)
        again = client.execute_command("SCORE", "movielens", f"user_id={USER}", "CANDIDATES", "item_id", *ids)
        assert [float(score) for score in again] == pytest.approx(scores, abs=1e-6)
        # Nothing in the catalog is better than the last of the ten.
        catalog = [str(item) for item in read_movies()]
        everything = client.execute_command("SCORE", "movielens", f"user_id={USER}", "CANDIDATES", "item_id", *catalog)
        best = sorted((float(score) for score in everything), reverse=True)[:10]
        assert best == pytest.approx(scores, abs=1e-6)
        excluded = client.execute_command(
            "RECOMMEND", "movielens", f"user_id={USER}", "TOPK", 10, "EXCLUDE", *ids[:5])
        assert excluded[0:10:2] == ids[5:]
        assert not set(excluded[0::2]) & set(ids[:5])


def test_the_replica_describes_itself_to_any_client(trained_cluster):
    with trained_cluster.client() as client:
        assert client.ping()
        [model] = client.execute_command("MODELS")
        # A map in RESP3, its keys and values in turn in RESP2.
        model = model if isinstance(model, dict) else dict(zip(model[0::2], model[1::2]))
        assert model["name"] == "movielens" and model["ready"] == 1 and model["items"] == 9742
        with pytest.raises(redis.ResponseError, match="no model 'other'"):
            client.execute_command("SCORE", "other", "user_id=1", "item_id=1")
    assert "SCORE" in " ".join(redis_cli(trained_cluster, "COMMAND", "LIST")).upper()
