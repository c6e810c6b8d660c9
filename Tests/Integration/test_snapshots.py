"""Parameter servers that are killed, stopped and started again from their store."""

import json
import re
import shutil
import time

import pytest
import redis

from cluster import PARTITIONS, SERVERS, SHARDS
from s3 import FlakyProxy
from waiting import wait_until

RATINGS = 9_000
RATE = 3_000
# Leaves time for some crashes.
SLOW_RATE = 900
INTERVAL_MS = 300


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def saved(make_cluster, store):
    """A cluster with a store, before or after it has learned `RATINGS` ratings."""
    def make(learned=False, **settings):
        cluster = make_cluster(settings={"snapshot.store": store, "snapshot.interval_ms": INTERVAL_MS, **settings})
        cluster.start_all(serve=False)
        wait_until_open(cluster)
        if learned:
            cluster.replay("--limit", RATINGS)
            cluster.expect_exactly(RATINGS)
        return cluster
    return make


def servers():
    return [f"ps{index}" for index in range(SERVERS)]


def wait_until_open(cluster, *names):
    """Until the servers have restored their shards."""
    for name in names or servers():
        cluster.wait_until_listening(name)
        wait_until(
            lambda: cluster.info(name)["loading"] == 0, f"{name} is open", 20,
            check=lambda: cluster.check_running(name))


def restart(cluster, *names):
    for name in names:
        cluster.start(name)
    wait_until_open(cluster, *names)


def trained_examples(cluster):
    return sum(cluster.info(f"trainer{index}")["examples"] for index in range(2))


def stop(cluster, name, within=10.0):
    """SIGTERM; wants exit code 0 in time."""
    begin = time.monotonic()
    assert cluster.processes[name].stop() == 0
    assert time.monotonic() - begin < within


def kill_servers_in_the_middle(cluster):
    """Kills one server after the other while it learns, each after it has saved something in this life."""
    replay = cluster.start_replay("--limit", RATINGS, "--rate", SLOW_RATE)
    cluster.wait_for_examples(RATINGS // 9)
    kills = 0
    for name in ("ps1", "ps0", "ps1"):
        wait_until(lambda: cluster.info(name)["bases"] >= SHARDS // SERVERS, f"{name} has saved every shard", 30)
        if cluster.examples() == RATINGS:
            break
        cluster.kill(name)
        kills += 1
        restart(cluster, name)
    assert kills >= 2
    assert replay.wait(60) == 0, replay.log
    cluster.expect_exactly(RATINGS, 60)


def newest_manifest(store, shard):
    return max((store / f"shard-{shard:04}").glob("*.manifest"))


def newest_data(store, shard):
    """The data file that came with the newest manifest."""
    stem = newest_manifest(store, shard).name.removesuffix(".manifest")
    [path] = (store / f"shard-{shard:04}").glob(f"{stem}-*.rows")
    return path


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def test_servers_that_are_killed_go_on_from_their_snapshots(saved):
    cluster = saved()
    kill_servers_in_the_middle(cluster)
    for name in servers():
        info = cluster.info(name)
        assert info["restored_shards"] == SHARDS // SERVERS and info["restored_rows"] > 0
        assert info["failures"] == 0 and info["abandoned"] == 0


def test_servers_that_save_to_a_bucket_go_on_from_it_when_they_are_killed(saved, s3):
    cluster = saved(**s3.settings("killed"))
    kill_servers_in_the_middle(cluster)
    assert cluster.info("ps1")["restored_shards"] == SHARDS // SERVERS
    files = s3.keys("killed/")
    assert len({key.split("/")[1] for key in files if key.endswith(".manifest")}) == SHARDS
    assert all(size > 0 for size in files.values())


def test_the_store_alone_is_enough(saved, store, tmp_path):
    cluster = saved(learned=True)
    done = cluster.command("ctl", "snapshot", "--json")
    taken = json.loads(done.stdout)["servers"]
    assert sorted(shard["shard"] for server in taken for shard in server["shards"]) == list(range(SHARDS))
    before = cluster.watermarks()
    cluster.kill_all()
    shutil.move(store, tmp_path / "elsewhere")
    cluster.settings["snapshot.store"] = tmp_path / "elsewhere"
    restart(cluster, *servers())
    # Nobody trains: what is there comes from the store.
    assert cluster.watermarks() == before
    assert cluster.examples() == RATINGS


def test_a_server_that_stops_loses_nothing_and_reads_nothing_again(saved):
    cluster = saved(learned=True, **{"snapshot.interval_ms": 3_600_000})
    before = cluster.watermarks()
    trained = trained_examples(cluster)
    for name in servers():
        stop(cluster, name)
    restart(cluster, *servers())
    assert cluster.watermarks() == before
    assert cluster.examples() == RATINGS
    for name in servers():
        wait_until(lambda: cluster.info(name)["claims"] >= PARTITIONS, "the trainers have claimed again", 30)
    assert trained_examples(cluster) == trained
    assert all(cluster.info(name)["duplicate_pushes"] == 0 for name in servers())


def test_stopping_in_the_middle_of_the_stream_is_quick_and_loses_nothing(saved):
    cluster = saved()
    replay = cluster.start_replay("--limit", RATINGS, "--rate", RATE)
    cluster.wait_for_examples(RATINGS // 6)
    assert cluster.examples() < RATINGS
    stop(cluster, "ps0", within=5)
    restart(cluster, "ps0")
    assert replay.wait(60) == 0, replay.log
    cluster.expect_exactly(RATINGS, 60)


def test_a_damaged_snapshot_is_skipped_for_the_one_before(saved, store):
    cluster = saved(learned=True)
    cluster.command("ctl", "snapshot")
    cluster.kill_all()
    damaged = newest_data(store, 0)
    damage(damaged)
    for name in servers():
        cluster.start(name)
    wait_until_open(cluster)
    log = cluster.processes["ps0"].log
    assert "a snapshot cannot be used" in log and newest_manifest(store, 0).name in log and damaged.name in log
    assert cluster.info("ps0")["restored_skipped"] == 1
    for index in range(2):
        cluster.start(f"trainer{index}")
    cluster.expect_exactly(RATINGS, 60)


def test_a_server_none_of_whose_snapshots_is_whole_refuses_to_start(saved, store):
    cluster = saved(learned=True)
    cluster.command("ctl", "snapshot")
    cluster.kill_all()
    for path in (store / "shard-0002").glob("*.rows"):
        damage(path)
    server = cluster.start("ps0")
    assert server.wait() == 1
    assert "no snapshot of shard 2" in server.log and "shard-0002" in server.log and "remove the directory" in server.log
    restart(cluster, "ps1")


def test_a_store_of_another_model_is_refused(saved):
    cluster = saved(learned=True)
    cluster.command("ctl", "snapshot")
    cluster.kill_all()
    cluster.settings["model.tables.embedding.dimension"] = 8
    server = cluster.start("ps0")
    assert server.wait() == 2
    assert "snapshot-mismatch" in server.log and "embedding" in server.log and "17" in server.log and "9" in server.log


def test_only_the_newest_snapshots_stay(saved, store):
    cluster = saved(**{"snapshot.keep": 2, "snapshot.interval_ms": 3_600_000})
    replay = cluster.start_replay("--limit", RATINGS, "--rate", SLOW_RATE)
    for number in range(1, 6):
        cluster.wait_for_examples(number * RATINGS // 7)
        cluster.command("ctl", "snapshot")
    assert replay.wait(60) == 0, replay.log
    # Removals come after the replies. One more than `keep` may stay: the newest that rests on another base.
    wait_until(
        lambda: all(2 <= len(list(path.glob("*.manifest"))) <= 3 for path in store.glob("shard-*")),
        "old ones are removed")
    assert len(list(store.glob("shard-*"))) == SHARDS and not list(store.rglob(".partial-*"))


def test_a_server_answers_loading_while_it_restores(saved, s3):
    cluster = saved(learned=True, **s3.settings("loading"))
    cluster.command("ctl", "snapshot")
    cluster.kill("ps0")
    proxy = FlakyProxy(s3.port, lambda number, method, path: "hold" if method == "GET" and ".rows" in path else None)
    cluster.settings["snapshot.s3.endpoint"] = proxy.endpoint
    cluster.start("ps0")
    cluster.wait_until_listening("ps0")
    with cluster.client("ps0") as client:
        assert client.ping()
        assert cluster.info("ps0")["loading"] == 1
        for words in (["CLAIM", "0"], ["METRICS"], ["SNAPSHOT"], ["ROW", "embedding", "1"]):
            # What redis-py makes of `-LOADING`.
            with pytest.raises(redis.BusyLoadingError, match="the shards are being restored"):
                client.execute_command(*words)
    proxy.gate.set()
    wait_until_open(cluster, "ps0")
    cluster.expect_exactly(RATINGS)
    proxy.stop()


def test_a_store_that_does_not_answer_holds_up_neither_training_nor_the_end(saved, s3):
    proxy = FlakyProxy(s3.port, lambda number, method, path: "hold" if method in ("PUT", "POST") else None)
    cluster = saved(learned=True, **s3.settings("stuck", proxy.endpoint))
    assert cluster.info("ps0")["bases"] == 0
    for name in servers():
        stop(cluster, name)
    proxy.stop()


def test_snapshots_are_asked_for_by_command(saved):
    cluster = saved(learned=True)
    done = cluster.command("ctl", "snapshot")
    lines = done.stdout.splitlines()
    assert len(lines) == SERVERS
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+ +8 shards, \d+\.\d MB, \d+\.\d\d s", line) for line in lines), lines
    cluster.kill("ps1")
    done = cluster.run("ctl", "snapshot")
    assert done.returncode == 1
    assert sorted("FAILED" in line for line in done.stdout.splitlines()) == [False, True]


def test_without_a_store_there_are_no_snapshots(make_cluster):
    cluster = make_cluster()
    cluster.start("ps0")
    cluster.wait_until_listening("ps0")
    with cluster.client("ps0") as client, pytest.raises(redis.ResponseError, match="no snapshot.store"):
        client.execute_command("SNAPSHOT")
    begin = time.monotonic()
    assert cluster.processes["ps0"].stop() == 0
    assert time.monotonic() - begin < 2


def test_idle_clients_do_not_hold_up_the_end(saved):
    cluster = saved()
    with cluster.client("ps0") as client:
        assert client.ping()
        stop(cluster, "ps0", within=2)
    assert cluster.processes["ps0"].popen.returncode == 0
