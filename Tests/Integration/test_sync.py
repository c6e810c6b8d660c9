"""A replica that is killed comes back from its saved copy and ends with the rows of its servers, sum by sum."""

import signal

from waiting import wait_until

SCORE = ["SCORE", "movielens", "user_id=1", "CANDIDATES", "item_id", "1", "47", "50"]
RATINGS = 6_000


def sums(cluster, *names):
    """By shard: generation, sequence, rows and checksum."""
    found = {}
    for name in names:
        with cluster.client(name) as client:
            for shard, *rest in client.execute_command("CHECKSUM"):
                found[shard] = rest
    return found


def expect_equal_rows(cluster):
    """At rest: what the servers have yet to seal changes their sums without anything being learned."""
    def equal_sums():
        servers = sums(cluster, "ps0", "ps1")
        return servers if sums(cluster, "serve") == servers else None

    servers = wait_until(equal_sums, "the replica has its servers' rows")
    assert len(servers) == 16 and sum(rows for _, _, rows, _ in servers.values()) > 0
    return servers


def test_a_killed_replica_goes_on_from_its_saved_copy_and_ends_with_equal_rows(make_cluster, tmp_path):
    state = tmp_path / "state"
    cluster = make_cluster(settings={"serve.state": state, "serve.state_interval_ms": 300}).start_all()
    cluster.wait_until_assigned()
    cluster.start_replay("--limit", RATINGS, "--rate", 2_000)
    cluster.wait_for_examples(RATINGS // 3)
    wait_until(lambda: int(cluster.info("serve")["bases"]) >= 16, "every shard has been saved")
    cluster.kill("serve")
    cluster.start("serve")
    cluster.wait_until_listening("serve")
    assert int(cluster.info("serve")["restored_shards"]) == 16
    assert cluster.processes["replay0"].wait(30) == 0
    cluster.expect_exactly(RATINGS)
    before = expect_equal_rows(cluster)

    # SIGTERM saves the last of it: nothing but the copy is needed to answer, and it says how old it is.
    with cluster.client() as client:
        scores = client.execute_command(*SCORE)
    assert cluster.processes["serve"].stop() == 0
    for name in ("ps0", "ps1", "trainer0", "trainer1"):
        cluster.kill(name)
    cluster.start("serve")
    cluster.wait_until_listening("serve")
    # The catalog is no part of the copy: it comes from the broker.
    wait_until(lambda: int(cluster.info("serve")["caught_up"]) == 1, "the catalog is read")
    with cluster.client() as client:
        assert client.execute_command(*SCORE) == scores
    info = cluster.info("serve")
    assert int(info["servers_connected"]) == 0 and int(info["restored_age_ms"]) > 0 and info["ready"] == 1
    age = int(info["age_ms"])
    wait_until(lambda: int(cluster.info("serve")["age_ms"]) > age + 300, "the age grows")
    assert sums(cluster, "serve") == before

    # The servers begin anew, without snapshots: the copy is replaced by what they learn.
    for name in ("ps0", "ps1", "trainer0", "trainer1"):
        cluster.start(name)
    cluster.expect_exactly(RATINGS)
    after = expect_equal_rows(cluster)
    assert {shard: generation for shard, (generation, *_) in after.items()} != {
        shard: generation for shard, (generation, *_) in before.items()}


def test_frames_in_sixteen_bits_and_a_capped_line_bring_the_same_rows(make_cluster):
    cluster = make_cluster(settings={
        "ps.sync_weights": "fp16", "ps.dense_interval_ms": 500, "ps.sync_bytes_per_second": 100_000}).start_all()
    cluster.replay("--limit", 3_000)
    cluster.expect_exactly(3_000)
    cluster.wait_until_ready()
    expect_equal_rows(cluster)
    assert sum(int(cluster.info(f"ps{index}")["capped_requests"]) for index in (0, 1)) > 0


def test_two_replicas_do_not_share_a_directory(make_cluster, tmp_path):
    cluster = make_cluster(settings={"serve.state": tmp_path / "state"})
    cluster.command("ctl", "topics", "create")
    cluster.start("serve")
    cluster.wait_until_listening("serve")
    second = cluster.start("serve1")
    assert second.wait(20) == 1
    assert "is used by another process" in second.log
    assert cluster.processes["serve"].is_running
    cluster.processes["serve"].signal(signal.SIGTERM)
    assert cluster.processes["serve"].stop() == 0
