"""Labels of all tasks when the window closes, and users from a compacted topic: joined, learned and served."""

import json
import struct
import time
import uuid

import pytest
import yaml

import log
from processes import CONFIGURATION
from reference import fid
from waiting import wait_until

START_MS = 1_600_000_000_000
HOUR_MS = 3_600_000
HEADER = 46
NEGATIVE, CORRECTS_NEGATIVE = 1, 2


@pytest.fixture
def configuration(tmp_path):
    """The shipped configuration with two tasks, and the users' fields in a topic of their own."""
    document = yaml.safe_load(CONFIGURATION.read_text())
    model = document["model"]
    for name in ("gender", "age"):
        model["fields"][name]["source"] = "users"
    model["enrichments"] = {"users": {"topic": f"users-{uuid.uuid4().hex[:10]}", "key": "user_id"}}
    model["tasks"] = {
        "like": {"action": "rating", "positive_if_at_least": 4},
        "stay": {"action": "leave", "positive_if_dwell_ms": 30_000},
    }
    path = tmp_path / "cluster.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def feature(number, at, user):
    return json.dumps({
        "request_id": f"request-{number}", "event_time": START_MS + at, "user_id": user, "item_id": 1}).encode()


def action(number, at, user, kind, value=None):
    record = {"request_id": f"request-{number}", "event_time": START_MS + at, "user_id": user, "action": kind}
    return json.dumps(record if value is None else {**record, "value": value}).encode()


def decode(record, slots):
    """(request hash, flags, labels, fids) of an example (docs/example-format.md) of two tasks without dense features."""
    value = record.value
    labels = struct.unpack_from("<2f", value, HEADER)
    counts = value[HEADER + 8:HEADER + 8 + slots]
    fids = struct.unpack_from(f"<{sum(counts)}Q", value, HEADER + 8 + slots)
    return log.request_hash(value), value[1], labels, fids


def test_one_example_for_each_impression_with_the_fields_of_its_user(make_cluster, configuration):
    cluster = make_cluster(
        partitions=1, configuration=configuration,
        settings={
            "joiner.emit": "at-window-end", "joiner.window_ms": HOUR_MS, "joiner.grace_ms": 1000,
            "joiner.negatives": "true", "joiner.idle_timeout_ms": 500,
        })
    document = yaml.safe_load(configuration.read_text())
    users = document["model"]["enrichments"]["users"]["topic"]
    slots = len(document["model"]["slots"])
    cluster.command("ctl", "topics", "create")
    broker = cluster.bootstrap_servers
    log.produce(broker, cluster.topics["items"], [(b"1", json.dumps({"item_id": 1, "year": 1995}).encode())])
    log.produce(broker, users, [
        (b"1", json.dumps({"user_id": 1, "gender": "F", "age": 25}).encode()),
        (b"2", json.dumps({"user_id": 2, "gender": "M", "age": 35}).encode()),
        # Deleted: its slots are empty.
        (b"2", None),
    ])
    cluster.start_all(trainers=1)
    log.produce(broker, cluster.topics["actions"], [
        (b"1", action(1, 10_000, 1, "rating", 5)),
        (b"1", action(1, 35_000, 1, "leave")),
        (b"2", action(2, 20_000, 2, "leave")),
        (b"9", action(9, 3 * HOUR_MS, 9, "leave")),
    ])
    log.produce(broker, cluster.topics["features"], [
        (b"1", feature(1, 0, 1)), (b"2", feature(2, 1, 2)), (b"1", feature(3, 2, 1)),
        # Closes the windows of those before it.
        (b"9", feature(9, 3 * HOUR_MS, 9)),
    ])
    records = wait_until(
        lambda: cluster.committed_examples(3), "the windows are closed", 40, check=cluster.check_healthy)
    examples = sorted((decode(record, slots) for record in records), key=lambda example: example[2], reverse=True)
    assert [(flags, labels) for _, flags, labels, _ in examples] == [
        (0, (1.0, 1.0)), (0, (0.0, 0.0)), (NEGATIVE, (0.0, 0.0))]
    profile = {fid("gender", "F"), fid("age", "25")}
    other = {fid("gender", "M"), fid("age", "35")}
    by_user = [(fid("user_id", "1") in fids, profile <= set(fids), bool(other & set(fids))) for *_, fids in examples]
    assert sorted(by_user) == [(False, False, False), (True, True, False), (True, True, False)]
    wait_until(lambda: int(cluster.info("joiner0")["matched"]) == 4, "every action has met its impression", 20)
    info = cluster.info("joiner0")
    assert int(info["joined"]) == 2 and int(info["expired"]) == 1 and int(info["negatives"]) == 1
    expect_served_users(cluster, users)


def test_a_late_action_takes_its_negative_back(make_cluster):
    cluster = make_cluster(
        partitions=1,
        settings={
            "joiner.window_ms": HOUR_MS, "joiner.grace_ms": 1000, "joiner.negatives": "true",
            "joiner.late_actions": "correct", "joiner.correction_ms": 5 * HOUR_MS, "joiner.idle_timeout_ms": 500,
        })
    cluster.start_all(trainers=1)
    log.produce(cluster.bootstrap_servers, cluster.topics["features"], [
        (b"1", feature(1, 0, 1)), (b"9", feature(9, 3 * HOUR_MS, 9)),
    ])
    log.produce(cluster.bootstrap_servers, cluster.topics["actions"], [
        (b"9", action(9, 3 * HOUR_MS, 9, "rating", 5)),
        (b"1", action(1, 3 * HOUR_MS + 1000, 1, "rating", 4)),
    ])
    records = wait_until(
        lambda: cluster.committed_examples(3), "the late action has come", 40, check=cluster.check_healthy)
    examples = [(log.request_hash(record.value), record.value[1], *struct.unpack_from("<f", record.value, HEADER))
                for record in records]
    (first, *negative), joined, (again, *correction) = examples
    assert negative == [NEGATIVE, 0.0] and correction == [CORRECTS_NEGATIVE, 1.0] and first == again
    assert joined[1:] == (0, 1.0) and joined[0] != first
    cluster.wait_for_examples(3)
    [task] = cluster.status()["tasks"]
    assert task["examples"] == 3
    info = cluster.info("joiner0")
    assert int(info["corrections"]) == 1 and int(info["late"]) == 1 and int(info["dead_lettered"]) == 0


def test_a_producer_whose_clock_is_ahead_closes_no_window(make_cluster):
    cluster = make_cluster(
        partitions=1, settings={"joiner.window_ms": HOUR_MS, "joiner.negatives": "true", "joiner.idle_timeout_ms": 500})
    cluster.start_all(trainers=1)
    month_ahead = int(time.time() * 1000) + 30 * 24 * HOUR_MS
    # Kafka's timestamps are the producer's: they vouch for the event times.
    ahead = month_ahead - START_MS
    for topic, record in [("features", feature(8, ahead, 8)), ("actions", action(8, ahead, 8, "rating", 5))]:
        log.produce(cluster.bootstrap_servers, cluster.topics[topic], [(b"8", record)], timestamp_ms=month_ahead)
    log.produce(cluster.bootstrap_servers, cluster.topics["features"], [(b"1", feature(1, 0, 1))])
    log.produce(cluster.bootstrap_servers, cluster.topics["actions"], [(b"1", action(1, 1000, 1, "rating", 5))])
    [record] = wait_until(
        lambda: cluster.committed_examples(1), "the others are joined", 40, check=cluster.check_healthy)
    assert record.value[1] == 0
    letters = [letter["reason_code"] for letter in cluster.dead_letters()]
    assert letters == ["future-event-time"] * 2


def expect_served_users(cluster, users):
    """A request finds its user's fields, as long as they are there."""
    cluster.wait_for_examples(3)
    cluster.wait_until_ready()
    # Scores are compared: from here on no example changes them.
    wait_until(cluster.serves_all_examples, "the replica has everything that was learned")
    ask = ["SCORE", "movielens:stay", "user_id=1", "CANDIDATES", "item_id", "1", "2"]
    said = ["SCORE", "movielens:stay", "user_id=1", "gender=F", "age=25", "CANDIDATES", "item_id", "1", "2"]
    with cluster.client() as client:
        known = client.execute_command(*said)
        assert client.execute_command(*ask) == known
        log.produce(cluster.bootstrap_servers, users, [(b"1", None)])
        wait_until(lambda: client.execute_command(*ask) != known, "the deleted user's fields are gone", 20)
        assert client.execute_command(*said) == known
        assert int(cluster.info("serve")["enrichment_users"]) == 0
