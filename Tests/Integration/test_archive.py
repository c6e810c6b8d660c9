"""Topics become files, each record once, whatever is killed; and trainers learn from those files before they go online."""

import collections
import io
import json
import subprocess

import pytest

import audit
import log
from cluster import PARTITIONS, SERVERS, SHARDS
from s3 import BUCKET
from waiting import wait_until

RATINGS = 6_000
RATE = 2_000
LATER = 2_000
# Files of a second or two: a test sees many of them.
SETTINGS = {"archive.window_ms": 1000, "archive.close_after_ms": 300, "archive.file_offsets": 512}


@pytest.fixture
def store(tmp_path):
    return tmp_path / "archive"


def topic_ends(cluster, topic):
    """Partition → the offset behind its last committed record, and how many records there are."""
    ends, counts = {}, collections.Counter()
    for record in log.read_to_end(cluster.bootstrap_servers, topic):
        ends[record.partition] = max(ends.get(record.partition, 0), record.offset + 1)
        counts[record.partition] += 1
    return ends, counts


def check(cluster, *options):
    """What `archive check` finds, by partition."""
    done = cluster.run("archive", "check", "--json", *options)
    assert done.returncode in (0, 1) and done.stdout, done.stderr
    return json.loads(done.stdout)


def wait_until_archived(cluster, topic, *options, name="archive"):
    """Until everything of the topic is in files; the files have its records and no others."""
    ends, counts = topic_ends(cluster, topic)

    def is_archived():
        found = {entry["partition"]: entry for entry in check(cluster, *options)["partitions"]}
        return found if all(found.get(number, {}).get("end", -1) >= end for number, end in ends.items()) else None
    found = wait_until(is_archived, f"{topic} is archived", 40, check=lambda: cluster.check_running(name))
    report = check(cluster, *options)
    assert report["problems"] == []
    assert {number: entry["records"] for number, entry in found.items()} == dict(counts)
    return found


def zstd_lines(data):
    """The lines of a .jsonl.zst file, by Debian's zstd."""
    done = subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True)
    return [json.loads(line) for line in io.BytesIO(done.stdout)]


def learned(make_cluster, store, **settings):
    cluster = make_cluster(settings={"archive.store": store, **SETTINGS, **settings})
    cluster.start_all(serve=False)
    cluster.wait_until_assigned()
    return cluster


def test_a_killed_archive_leaves_no_duplicate_and_no_gap(make_cluster, store):
    # Long enough for the slowest transaction: the clock must cut where the log does.
    cluster = learned(make_cluster, store, **{"archive.close_after_ms": 5000})
    cluster.start("archive")
    cluster.start_replay("--limit", RATINGS, "--rate", RATE)
    kills = 0
    while cluster.processes["replay0"].is_running and kills < 4:
        seen = len(list(store.rglob("*.records.zst")))
        wait_until(
            lambda: len(list(store.rglob("*.records.zst"))) > seen or not cluster.processes["replay0"].is_running,
            "another file is there", 20)
        cluster.kill("archive")
        cluster.start("archive")
        kills += 1
    assert kills >= 2
    assert cluster.processes["replay0"].wait(60) == 0
    cluster.expect_exactly(RATINGS)
    found = wait_until_archived(cluster, cluster.topics["examples"])
    assert sum(entry["records"] for entry in found.values()) == RATINGS
    assert sum(entry["files"] for entry in found.values()) > 2 * PARTITIONS
    before = {path.relative_to(store): path.read_bytes() for path in store.rglob("*.zst")}
    assert not list(store.rglob(".partial-*"))
    # Offsets are committed for lag tools.
    info = cluster.info("archive")
    assert info["store_failures"] == 0 and info["lost_offsets"] == 0
    # A rerun over an empty store writes the same bytes.
    assert cluster.processes["archive"].stop() == 0
    cluster.settings["archive.store"] = store.with_name("again")
    cluster.settings["archive.group"] += "-again"
    cluster.start("archive")
    wait_until_archived(cluster, cluster.topics["examples"])
    after = {path.relative_to(store.with_name("again")): path.read_bytes()
             for path in store.with_name("again").rglob("*.zst")}
    assert before == after


def test_other_topics_become_lines_of_json_in_a_bucket(make_cluster, s3):
    settings = {key.replace("snapshot.", "archive."): value for key, value in s3.settings("archive").items()}
    cluster = make_cluster(settings={**SETTINGS, **settings})
    cluster.command("ctl", "topics", "create")
    topic = cluster.topics["features"]
    cluster.start("archive", "--topics", topic)
    cluster.replay("--limit", 500)
    log.produce(cluster.bootstrap_servers, topic, [("k", b"no json"), (None, None), ("k", b'{\n"a": [1,\t2]}')])
    wait_until_archived(cluster, topic, "--topics", topic)
    files = s3.keys(f"archive/topics/{topic}/")
    assert files and all(key.endswith(".jsonl.zst") for key in files)
    lines = []
    for key in sorted(files):
        lines += zstd_lines(s3.client.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    records = log.read_to_end(cluster.bootstrap_servers, topic)
    got = {(line["partition"], line["offset"]): line for line in lines}
    assert len(got) == len(lines) == len(records)
    for record in records:
        line = got[record.partition, record.offset]
        assert line["key"] == (record.key.decode() if record.key is not None else None)
        if record.value == b"no json":
            assert line["value_text"] == "no json"
        else:
            assert line["value"] == (json.loads(record.value) if record.value is not None else None)


def test_archived_examples_become_lines_of_json(make_cluster, store, tmp_path):
    cluster = learned(make_cluster, store)
    cluster.start("archive")
    cluster.replay("--limit", 1_000)
    cluster.expect_exactly(1_000)
    wait_until_archived(cluster, cluster.topics["examples"])
    done = cluster.command("archive", "export", "--out", tmp_path / "lines")
    files = sorted((tmp_path / "lines").rglob("*.jsonl.zst"))
    assert f"{len(files)} files with 1000 examples written, 0 were there" in done.stdout
    lines = [line for path in files for line in zstd_lines(path.read_bytes())]
    records = {(record.partition, record.offset): record
               for record in log.read_to_end(cluster.bootstrap_servers, cluster.topics["examples"])}
    assert len(lines) == len(records)
    for line in lines:
        record = records[line["partition"], line["offset"]]
        assert int(line["request"]) == log.request_hash(record.value)
        fids = [int(fid) for slot in line["fids"].values() for fid in slot]
        assert fids == list(audit.fids_of(record.value, *audit.shape()))
        assert line["labels"]["like"] in (0, 1) and line["weight"] == 1 and line["origin"] == "actions"
    again = cluster.command("archive", "export", "--out", tmp_path / "lines")
    assert f"0 files with 0 examples written, {len(files)} were there" in again.stdout


def offsets(cluster):
    """(shard, partition, pass or 0) → how far each shard is, passes that have finished at their ends; and the ends of those."""
    marks, ends = {}, collections.defaultdict(set)
    for index in range(SERVERS):
        for key, value in cluster.info(f"ps{index}").items():
            words = key.split("_")
            if words[0] == "watermark" and len(words) == 3:
                marks[int(words[1]), int(words[2]), 0] = int(value)
            elif words[0] == "pass":
                # redis-py makes a dictionary of name=value.
                what, offset = next(iter(value.items())) if isinstance(value, dict) else value.split("=")
                marks[tuple(map(int, words[1:]))] = int(offset)
                if what == "finished_at":
                    ends[int(words[2]), int(words[3])].add(int(offset))
    return marks, ends


def is_online(cluster, archived):
    marks, _ = offsets(cluster)
    return all(marks.get((shard, number, 0), -1) >= end for shard in range(SHARDS) for number, end in archived.items())


def wait_until_servers_answer(cluster):
    for index in range(SERVERS):
        cluster.wait_until_listening(f"ps{index}")
        wait_until(lambda: cluster.info(f"ps{index}")["loading"] == 0, f"ps{index} has restored its shards", 20)


@pytest.mark.parametrize("source", ["archive", "beginning"])
def test_two_epochs_and_then_the_stream_count_each_example_as_often_as_they_should(make_cluster, store, source):
    """New servers learn a log in two epochs and go online, while more comes and everybody is killed in turn."""
    cluster = learned(make_cluster, store, **{"model.audit": "true", "trainer.batch_size": 2})
    # The first life only makes the log and its archive.
    cluster.start("archive")
    cluster.replay("--limit", RATINGS)
    cluster.expect_exactly(RATINGS)
    archived = {
        number: entry["end"] for number, entry in wait_until_archived(cluster, cluster.topics["examples"]).items()}
    assert cluster.processes["archive"].stop() == 0
    for name in ("trainer0", "trainer1", "ps0", "ps1"):
        cluster.kill(name)

    cluster.settings |= {"snapshot.store": store.with_name("snapshots"), "snapshot.interval_ms": 200}
    options = {"trainer": ("--from", source, "--epochs", 2), "ps": ()}
    for name in ("ps0", "ps1", "trainer0", "trainer1"):
        cluster.start(name, *options[name[:-1]])
    wait_until_servers_answer(cluster)
    replay = cluster.start_replay("--start", RATINGS, "--limit", LATER, "--rate", LATER / 8)
    kills = 0
    for name in ("trainer0", "ps1", "trainer1", "ps0", "trainer0", "trainer1"):
        before = sum(offsets(cluster)[0].values())
        wait_until(
            lambda: sum(offsets(cluster)[0].values()) > before + SHARDS * RATINGS // 8 or is_online(cluster, archived),
            f"more is learned before {name} is killed", 60)
        kills += not is_online(cluster, archived)
        cluster.kill(name)
        cluster.start(name, *options[name[:-1]])
        wait_until_servers_answer(cluster)
    assert kills >= 3
    wait_until(lambda: is_online(cluster, archived), "all partitions are online", 90, check=cluster.check_healthy)
    assert replay.wait(60) == 0, replay.log
    wait_until(
        lambda: sum(topic_ends(cluster, cluster.topics["examples"])[1].values()) == RATINGS + LATER,
        "everything is joined", 60, 0.5, check=cluster.check_healthy)
    ends, _ = topic_ends(cluster, cluster.topics["examples"])
    wait_until(
        lambda: cluster.all_shards_reached(ends), f"all shards have everything up to {ends}", 90,
        check=cluster.check_healthy)

    # One end of the first epoch for all shards; that of the archive, if that was the source.
    seams = {number: ends for (number, _), ends in offsets(cluster)[1].items()}
    assert all(len(ends) == 1 for ends in seams.values()), seams
    seam = {number: ends.pop() for number, ends in seams.items()}
    assert source == "beginning" or seam == archived
    tasks, slots = audit.shape()
    expected, twice = collections.Counter(), 0
    for record in log.read_to_end(cluster.bootstrap_servers, cluster.topics["examples"]):
        times = 2 if record.offset < seam[record.partition] else 1
        twice += times == 2
        for fid in audit.fids_of(record.value, tasks, slots):
            expected[fid] += times
    assert twice == RATINGS if source == "archive" else RATINGS <= twice < RATINGS + LATER
    counted = {}
    for index in range(SERVERS):
        counted |= audit.audit_rows(cluster, f"ps{index}", sorted(expected))
    assert counted == expected
    # Each is validated once, before anything was learned from it.
    assert cluster.examples() == RATINGS + LATER
    print(f"{source}: {twice} examples counted twice, {RATINGS + LATER - twice} once, {kills} kills in the batch stage")
