"""The joiner's state on disk: killed, moved, lost or full, every example is made once."""

import errno
import fcntl
import json
import random
import shutil
import struct
import subprocess

import pytest
import xxhash

import log
from waiting import wait_until

START_MS = 1_600_000_000_000
WAVES = 6
IMPRESSIONS = 1_500
PARTITIONS = 2


class Stream:
    """Waves of impressions, and actions on some of those of all waves so far; nothing is late."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.random = random.Random(7)
        self.impressions = 0
        self.idle = []
        self.expected = {}

    def send(self, impressions=IMPRESSIONS, actions=IMPRESSIONS * 2 // 3):
        features, rated = ([[] for _ in range(PARTITIONS)] for _ in range(2))
        for _ in range(impressions):
            number = self.impressions
            self.impressions += 1
            user = number % 50 + 1
            time = START_MS + number * 10
            self.idle.append((number, user, time))
            features[user % PARTITIONS].append(self.record(number, user, time, item_id=number % 7 + 1))
        now = START_MS + self.impressions * 10
        for _ in range(min(actions, len(self.idle))):
            number, user, _ = self.idle.pop(self.random.randrange(len(self.idle)))
            value = number % 5 + 1
            rated[user % PARTITIONS].append(self.record(number, user, now, action="rating", value=value))
            self.expected[xxhash.xxh3_64_intdigest(f"request-{number}".encode())] = 1.0 if value >= 4 else 0.0
        for partition in range(PARTITIONS):
            for topic, records in (("features", features), ("actions", rated)):
                log.produce(
                    self.cluster.bootstrap_servers, self.cluster.topics[topic], records[partition], partition)

    @staticmethod
    def record(number, user, time, **more):
        value = {"request_id": f"request-{number}", "event_time": time, "user_id": user, **more}
        return str(user).encode(), json.dumps(value).encode()

    def made(self):
        return log.read_to_end(self.cluster.bootstrap_servers, self.cluster.topics["examples"])

    def wait_for(self, count, seconds=40):
        return wait_until(
            lambda: (lambda made: made if len(made) >= count else None)(self.made()), f"{count} examples are made",
            seconds, 0.1, check=self.cluster.check_healthy)

    def expect_exactly(self):
        made = self.wait_for(len(self.expected))
        labels = {log.request_hash(example.value): struct.unpack_from("<f", example.value, 46)[0] for example in made}
        assert len(made) == len(labels) == len(self.expected)
        assert labels == self.expected
        assert self.cluster.dead_letters() == []


@pytest.fixture
def make_stream(make_cluster, tmp_path):
    def make(**settings):
        cluster = make_cluster(settings={
            "joiner.state": tmp_path / "state", "joiner.state_bytes": 1 << 20, "joiner.window_ms": 86_400_000,
            "joiner.idle_timeout_ms": 200, **settings})
        cluster.command("ctl", "topics", "create")
        return cluster, Stream(cluster)
    return make


def start(cluster, name="joiner0"):
    cluster.start(name)
    cluster.wait_until_listening(name)


def said(cluster, text, name="joiner0"):
    return text in cluster.processes[name].log


def test_a_joiner_that_is_killed_again_and_again_makes_every_example_once(make_stream, tmp_path):
    cluster, stream = make_stream()
    start(cluster)
    for wave in range(WAVES):
        before = len(stream.expected)
        stream.send()
        stream.wait_for(before + stream.random.randrange(1, 500))
        cluster.kill("joiner0")
        start(cluster)
    # Of these impressions, the last life has none in memory.
    stream.send(0, 500)
    stream.expect_exactly()
    info = cluster.info("joiner0")
    assert int(info["state_disk_lookups"]) > 0 and int(info["state_disk_hits"]) > 0
    assert int(info["state_disk_bytes"]) > 0
    waiting = WAVES * IMPRESSIONS - len(stream.expected)
    assert int(info["waiting_features"]) >= waiting and int(info["state_disk_features"]) >= waiting
    assert said(cluster, "restored") and not said(cluster, "set aside")
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["partition-0", "partition-1"]


def test_a_joiner_whose_disk_is_lost_rebuilds_its_state_from_the_log(make_stream, tmp_path):
    cluster, stream = make_stream()
    start(cluster)
    for wave in range(3):
        before = len(stream.expected)
        stream.send()
        stream.wait_for(before + 300)
        cluster.kill("joiner0")
        shutil.rmtree(tmp_path / "state")
        start(cluster)
    stream.expect_exactly()
    wait_until(lambda: said(cluster, "records_per_second"), "the rate of the rebuild is printed")


def test_a_state_of_other_settings_is_set_aside(make_stream, tmp_path):
    cluster, stream = make_stream()
    start(cluster)
    stream.send()
    stream.expect_exactly()
    assert cluster.processes["joiner0"].stop() == 0
    cluster.settings["joiner.window_ms"] = 86_400_001
    start(cluster)
    stream.send()
    stream.expect_exactly()
    assert said(cluster, "set aside")
    assert (tmp_path / "state" / "partition-0.aside").is_dir()


def test_a_partition_that_comes_and_goes_finds_the_older_state_of_its_machine(make_stream, tmp_path):
    cluster, stream = make_stream()
    for wave in range(5):
        cluster.settings["joiner.state"] = tmp_path / f"machine-{wave % 2}"
        start(cluster)
        before = len(stream.expected)
        stream.send()
        stream.wait_for(before + 300)
        cluster.kill("joiner0")
    start(cluster)
    stream.expect_exactly()
    assert not said(cluster, "set aside")


def test_a_state_that_another_process_has_open_is_waited_for(make_stream, tmp_path):
    cluster, stream = make_stream()
    start(cluster)
    stream.send()
    stream.expect_exactly()
    cluster.kill("joiner0")
    with open(tmp_path / "state" / "partition-0" / "LOCK", "r+b") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        start(cluster)
        wait_until(lambda: said(cluster, "the partition waits for its state"), "the joiner says that it waits")
        before = len(stream.expected)
        stream.send()
        stream.wait_for(before + 100)
        assert len(stream.made()) < len(stream.expected)
    stream.expect_exactly()


def test_a_partition_stands_still_while_its_part_of_the_disk_is_full(make_stream):
    cluster, stream = make_stream(**{"joiner.disk_bytes": 1 << 20})
    start(cluster)
    # How much fits depends on how many records a commit takes: a batch is refused as a whole, before it is written.
    def are_full():
        if int(cluster.info("joiner0")["state_full_partitions"]) == PARTITIONS:
            return True
        stream.send(IMPRESSIONS * 2, 300)

    wait_until(are_full, "both partitions are full", 40, poll_seconds=0.3, check=cluster.check_healthy)
    assert said(cluster, "the disk is full") and said(cluster, "joiner.disk_bytes")
    assert len(stream.made()) < len(stream.expected)
    cluster.kill("joiner0")
    cluster.settings["joiner.disk_bytes"] = 1 << 30
    start(cluster)
    stream.expect_exactly()


def fill(path):
    """Writes a file until the disk has no byte left."""
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError as error:
                assert error.errno == errno.ENOSPC


def test_a_full_disk_is_waited_for(make_stream, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", small], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("a small disk can only be mounted as root")
    try:
        cluster, stream = make_stream(**{"joiner.state": small / "state"})
        start(cluster)
        stream.send()
        stream.expect_exactly()
        ballast = small / "ballast"
        fill(ballast)

        # RocksDB has reserved room for its log before, some megabytes of it.
        def is_noticed():
            if int(cluster.info("joiner0")["state_full_partitions"]) > 0:
                return True
            stream.send(IMPRESSIONS * 4, 300)

        wait_until(is_noticed, "the full disk is noticed", 90, poll_seconds=0.3, check=cluster.check_healthy)
        assert said(cluster, "the disk is full")
        ballast.unlink()
        stream.expect_exactly()
        wait_until(lambda: said(cluster, "the disk has room again"), "the joiner says that it goes on")
        cluster.kill("joiner0")
    finally:
        subprocess.run(["umount", "-l", small], check=True)
