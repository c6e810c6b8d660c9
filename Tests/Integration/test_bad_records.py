"""Records that cannot be used go to dead-letter with their reason; everything else is learned."""

import json

import pytest

import log
from waiting import wait_until

START_MS = 1_600_000_000_000
GOOD = 200
# Larger than what the joiner takes and smaller than what brokers refuse.
OVERSIZED_BYTES = 300_000


def feature(number, **changes):
    record = {
        "request_id": f"request-{number}", "event_time": START_MS + number * 1000, "user_id": number % 10 + 1,
        "item_id": number % 7 + 1,
    }
    return {**record, **changes}


def action(number, **changes):
    record = {
        "request_id": f"request-{number}", "event_time": START_MS + number * 1000 + 500, "user_id": number % 10 + 1,
        "action": "rating", "value": 1 + number % 5,
    }
    return {**record, **changes}


def without(record, name):
    return {key: value for key, value in record.items() if key != name}


def encoded(record):
    return json.dumps(record).encode() if isinstance(record, dict) else record


FUTURE_MS = 4_000_000_000_000

BAD_FEATURES = [
    ("malformed-json", b'{"request_id": "x", '),
    ("malformed-json", b'[1, 2, 3]'),
    ("malformed-json", b'{"request_id": "\xff\xfe", "event_time": 1}'),
    ("missing-field", without(feature(900), "request_id")),
    ("missing-field", without(feature(901), "event_time")),
    ("missing-field", without(feature(902), "user_id")),
    ("missing-field", without(feature(903), "item_id")),
    ("wrong-type", feature(904, user_id="somebody")),
    ("wrong-type", feature(905, event_time="yesterday")),
    ("wrong-type", feature(906, request_id=17)),
    ("null-payload", None),
    ("malformed-json", b""),
    ("oversized", feature(907, zip="z" * OVERSIZED_BYTES)),
    ("future-event-time", feature(908, event_time=FUTURE_MS)),
]

BAD_ACTIONS = [
    ("malformed-json", b"rating"),
    ("malformed-json", b'{"action": "\xc3\x28"}'),
    ("missing-field", without(action(910), "request_id")),
    ("missing-field", without(action(911), "action")),
    ("missing-field", without(action(912), "value")),
    ("wrong-type", action(913, value="five")),
    ("wrong-type", action(914, action=3)),
    ("unknown-action", action(915, action="purchase")),
    ("null-payload", None),
    ("oversized", action(916, comment="c" * OVERSIZED_BYTES)),
    ("future-event-time", action(917, event_time=FUTURE_MS)),
]

BAD_ITEMS = [
    ("malformed-json", b"5", b'{"item_id": '),
    ("missing-field", b"6", json.dumps({"title": "No id (1990)"}).encode()),
    ("wrong-type", b"7", json.dumps({"item_id": "seven", "genres": []}).encode()),
    ("wrong-type", b"8", json.dumps({"item_id": 8, "year": "long ago"}).encode()),
    # A deletion of something that cannot be an item.
    ("wrong-type", b"nine", None),
]


def with_bad_between(good, bad):
    """Kafka values, the bad ones spread between the good ones, and reason → places."""
    values, reasons = [], {}
    for number, record in enumerate(good):
        values.append(encoded(record))
        if number % 10 == 5 and bad:
            reason, value = bad.pop(0)
            reasons[len(values)] = reason
            values.append(encoded(value))
    assert not bad
    return values, reasons


@pytest.fixture(scope="module")
def fed(bootstrap_servers, tmp_path_factory):
    """A cluster that was fed good and bad records; with what was sent where."""
    from cluster import Cluster
    from conftest import shared_log_directories
    directory = tmp_path_factory.mktemp("bad-records")
    shared_log_directories.append(directory)
    cluster = Cluster(bootstrap_servers, directory, partitions=1)
    try:
        cluster.start_all(trainers=1)
        items = [(str(item).encode(), json.dumps({"item_id": item, "title": "T (1990)", "year": 1990}).encode())
                 for item in range(1, 8)]
        log.produce(bootstrap_servers, cluster.topics["items"], items + [(key, value) for _, key, value in BAD_ITEMS])
        features, bad_features = with_bad_between([feature(number) for number in range(GOOD)], list(BAD_FEATURES))
        actions, bad_actions = with_bad_between([action(number) for number in range(GOOD)], list(BAD_ACTIONS))
        # Twice the same action and the same impression, an action without an impression, one that comes far too late.
        actions.append(encoded(action(0)))
        features.append(encoded(feature(1)))
        orphan = len(actions)
        actions.append(encoded(action(920)))
        # Moves the time on, so that the orphan has waited long enough.
        later = START_MS + 10 * 3_600_000
        features.append(encoded(feature(GOOD, event_time=later)))
        actions.append(encoded(action(GOOD, event_time=later + 1)))
        late_feature, late_action = len(features), len(actions)
        features.append(encoded(feature(930)))
        actions.append(encoded(action(931)))
        send = {"features": features, "actions": actions}
        offsets = {}
        for name, values in send.items():
            offsets[name] = log.produce(
                bootstrap_servers, cluster.topics[name], [(b"1", value) for value in values])
        expected = {("features", offsets["features"][place]): reason for place, reason in bad_features.items()}
        expected |= {("actions", offsets["actions"][place]): reason for place, reason in bad_actions.items()}
        expected["actions", offsets["actions"][orphan]] = "orphan-action"
        expected["features", offsets["features"][late_feature]] = "late-feature"
        expected["actions", offsets["actions"][late_action]] = "late-action"
        cluster.expect_exactly(GOOD + 1)
        wait_until(
            lambda: len(cluster.dead_letters()) >= len(expected) + len(BAD_ITEMS), "every bad record is a dead letter",
            check=cluster.check_healthy)
        yield cluster, expected, send
    finally:
        cluster.kill_all()


def found(cluster, *names):
    """(topic, offset) → dead letter."""
    name_of = {topic: name for name, topic in cluster.topics.items()}
    letters = {}
    for letter in cluster.dead_letters():
        place = name_of[letter["topic"]], letter["offset"]
        if place[0] in names:
            assert place not in letters, "a record becomes one dead letter"
            letters[place] = letter
    return letters


def test_each_bad_record_becomes_one_dead_letter_that_says_what_and_where(fed):
    cluster, expected, _ = fed
    letters = found(cluster, "features", "actions")
    assert {place: letter["reason_code"] for place, letter in letters.items()} == expected
    assert len(set(expected.values())) >= 9
    for letter in letters.values():
        assert letter["role"] == "joiner" and letter["partition"] == 0 and letter["reason"]


def test_dead_letters_carry_the_payload_as_it_was(fed):
    cluster, _, send = fed
    import base64
    for (name, offset), letter in found(cluster, "features", "actions").items():
        sent = send[name][offset]
        if sent is None:
            assert "payload" not in letter and "payload_base64" not in letter
        elif "payload_base64" in letter:
            assert base64.b64decode(letter["payload_base64"]) == sent
            assert letter["reason_code"] == "malformed-json"
        elif letter["reason_code"] == "oversized":
            assert sent.decode().startswith(letter["payload"]) and len(letter["payload"]) > 100_000
        else:
            assert letter["payload"].encode() == sent


def test_bad_items_become_dead_letters_and_the_good_ones_are_served(fed):
    cluster, _, _ = fed
    letters = found(cluster, "items")
    assert sorted(letter["reason_code"] for letter in letters.values()) == sorted(code for code, _, _ in BAD_ITEMS)
    wait_until(lambda: cluster.info("serve")["caught_up"] == 1, "the catalog is read")
    assert cluster.info("serve")["items"] == 7
    assert cluster.info("serve")["bad_records"] == len(BAD_ITEMS)


def test_counters_say_the_same_as_the_dead_letters(fed):
    cluster, expected, _ = fed
    info = cluster.info("joiner0")
    for reason in set(expected.values()):
        assert info[reason.replace("-", "_")] == list(expected.values()).count(reason), reason
    assert info["bad_items"] == len(BAD_ITEMS)
    assert info["duplicate_actions"] == 1
    assert info["duplicate_features"] == 1
    assert info["joined"] == GOOD + 1


def test_rubbish_in_examples_goes_to_dead_letter_and_training_goes_on(fed):
    cluster, _, _ = fed
    known = len(cluster.dead_letters())
    [offset, null] = log.produce(
        cluster.bootstrap_servers, cluster.topics["examples"], [(b"1", b"\x01rubbish"), (b"1", None)])
    later = START_MS + 10 * 3_600_000 + 5_000
    log.produce(
        cluster.bootstrap_servers, cluster.topics["features"], [(b"1", encoded(feature(950, event_time=later)))])
    log.produce(
        cluster.bootstrap_servers, cluster.topics["actions"], [(b"1", encoded(action(950, event_time=later + 1)))])
    cluster.wait_for_examples(GOOD + 2)
    wait_until(lambda: len(cluster.dead_letters()) >= known + 2, "both are dead letters")
    letters = found(cluster, "examples")
    assert {offset for _, offset in letters} == {offset, null}
    assert all(
        letter["role"] == "trainer" and letter["reason_code"] == "example-malformed" for letter in letters.values())
    assert cluster.examples() == GOOD + 2
