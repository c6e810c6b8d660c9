"""`freshet gateway` in front of a real broker: what it says is in the topics is there, once, and what it refuses is not."""

import base64
import http.client
import json
import os
import re
import signal
import subprocess
import threading
import time
import uuid

import jsonschema
import openapi_spec_validator
import pytest
from confluent_kafka import Consumer, TopicPartition

import http_client
import log
from cluster import PARTITIONS, Cluster
from http_client import get, post
from processes import ROOT, Broker
from waiting import wait_until

JSON = {"Content-Type": "application/vnd.kafka.json.v2+json"}
BINARY = {"Content-Type": "application/vnd.kafka.binary.v2+json"}
PROXY = "application/vnd.kafka.v2+json"
# The topics' names in the document, which the clusters of tests have others for.
PLAIN_TOPICS = {"kafka.topics.features": "features", "kafka.topics.actions": "actions", "kafka.topics.items": "items"}


def start_gateway(cluster, name="gateway0"):
    cluster.start(name)
    cluster.wait_until_listening(name)
    wait_until(
        lambda: get(cluster.http_ports[name], "/health/ready").status == 200, f"{name} is ready", 30,
        check=lambda: cluster.check_running(name))
    return cluster.http_ports[name]


@pytest.fixture(scope="module")
def cluster(bootstrap_servers, tmp_path_factory):
    """A gateway alone, for tests that do not change it."""
    cluster = Cluster(bootstrap_servers, tmp_path_factory.mktemp("gateway"))
    try:
        start_gateway(cluster)
        yield cluster
    finally:
        cluster.kill_all()


@pytest.fixture
def port(cluster):
    return cluster.http_ports["gateway0"]


def body_of(reply):
    """The JSON of a reply of the REST Proxy's paths."""
    assert reply.headers["Content-Type"] == PROXY, reply
    return json.loads(reply.body)


def read(cluster, topic, places):
    """The records at (partition, offset), in that order."""
    records = {(record.partition, record.offset): record for record in log.read_to_end(cluster.bootstrap_servers, topic)}
    return [records[place] for place in places]


def places(reply):
    assert reply.status == 200, reply
    return [(offset["partition"], offset["offset"]) for offset in json.loads(reply.body)["offsets"]]


def impression(request, user=1, item=1193):
    return {
        "request_id": request, "event_time": int(time.time() * 1000), "user_id": user, "item_id": item, "gender": "F",
        "age": 25, "occupation": 10, "zip": "48067"}


def action(request, user=1, value=5):
    return {"request_id": request, "event_time": int(time.time() * 1000), "user_id": user, "action": "rating", "value": value}


# MARK: - What is acknowledged is there

def test_offsets_are_those_that_a_consumer_reads(cluster, port):
    features = cluster.topics["features"]
    sent = [{"key": f"k{index % 7}", "value": {"number": index, "text": "é\n"}} for index in range(200)]
    reply = post(port, f"/topics/{features}", {"records": sent}, JSON)
    body = body_of(reply)
    assert reply.status == 200, reply
    assert body["key_schema_id"] is None and body["value_schema_id"] is None
    assert all(offset["error_code"] is None and offset["error"] is None for offset in body["offsets"])
    found = read(cluster, features, places(reply))
    assert [(json.loads(record.key), json.loads(record.value)) for record in found] == [
        (record["key"], record["value"]) for record in sent]
    assert len(set(places(reply))) == 200
    # A key has one partition, and its records keep their order there.
    for key in {record["key"] for record in sent}:
        of_key = [place for place, record in zip(places(reply), sent) if record["key"] == key]
        assert len({partition for partition, _ in of_key}) == 1 and of_key == sorted(of_key)


def test_bytes_of_all_kinds_and_null_keys_arrive(cluster, port):
    actions = cluster.topics["actions"]
    values = [bytes(range(256)), b"", b"\xff\xfe"]
    records = [{"key": None, "value": base64.b64encode(value).decode(), "partition": 1} for value in values]
    reply = post(port, f"/topics/{actions}", {"records": [*records, {"key": "a2V5", "value": None, "partition": 0}]}, BINARY)
    found = read(cluster, actions, places(reply))
    assert [(record.key, record.value) for record in found] == [*((None, value) for value in values), (b"key", None)]
    assert [record.partition for record in found] == [1, 1, 1, 0]


def test_a_partition_may_be_in_the_path(cluster, port):
    items = cluster.topics["items"]
    reply = post(port, f"/topics/{items}/partitions/0", b'{"records":[{"key" : 7.0, "value":  {"a" : 1.50}}]}', JSON)
    [record] = read(cluster, items, places(reply))
    assert (record.key, record.value) == (b"7.0", b'{"a" : 1.50}')


def test_what_the_broker_refuses_is_said_record_by_record(cluster, port):
    """A compacted topic takes no record without a key."""
    items = cluster.topics["items"]
    reply = post(port, f"/topics/{items}/partitions/0", {"records": [{"value": 1}]}, JSON)
    [offset] = body_of(reply)["offsets"]
    assert reply.status == 500 and offset["error_code"] == 50002 and offset["offset"] is None
    assert offset["error"].endswith("; it was not written")


def test_requests_of_one_connection_are_answered_in_turn(cluster, port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    features = cluster.topics["features"]
    replies = [
        http_client.send(connection, "POST", f"/topics/{features}/partitions/0", {"records": [{"value": number}]}, JSON)
        for number in range(20)]
    assert [int(record.value) for record in read(cluster, features, [place for reply in replies for place in places(reply)])] \
        == list(range(20))
    connection.close()


def test_topics_are_described_as_kafka_has_them(cluster, port):
    assert body_of(get(port, "/topics")) == sorted(cluster.topics[name] for name in ("features", "actions", "items"))
    items = cluster.topics["items"]
    topic = body_of(get(port, f"/topics/{items}"))
    assert topic["name"] == items and topic["configs"]["cleanup.policy"] == "compact"
    features = body_of(get(port, f"/topics/{cluster.topics['features']}"))["partitions"]
    assert [partition["partition"] for partition in features] == list(range(PARTITIONS))
    leader = features[0]["leader"]
    assert {"broker": leader, "leader": True, "in_sync": True} in features[0]["replicas"]
    assert body_of(get(port, f"/topics/{cluster.topics['features']}/partitions/1")) == features[1]
    assert get(port, f"/topics/{cluster.topics['examples']}").status == 404


def test_what_the_gateway_takes_is_learned(make_cluster):
    """Impressions, actions and items through the gateway, in each form of body, become examples: not one dead letter."""
    cluster = make_cluster()
    cluster.start_all(trainers=1)
    port = start_gateway(cluster)
    count, users = 60, 5
    shown = [impression(f"r{number}", user=number % users, item=number) for number in range(count)]
    # One way to write a user's id is as good as another: the records meet all the same.
    done = [action(f"r{number}", user=str(number % users)) for number in range(count)]
    items = [{"item_id": number, "title": f"t{number}", "year": 1990, "genres": ["Drama"]} for number in range(count)]
    assert len(places(post(port, "/v1/items", items))) == count
    assert len(places(post(port, "/v1/impressions", "\n".join(map(json.dumps, shown)).encode()))) == count
    for record in done:
        assert len(places(post(port, "/v1/actions", json.dumps(record, indent=1).encode()))) == 1
    cluster.expect_exactly(count)
    assert cluster.dead_letters() == []
    keys = {record.key for record in log.read_to_end(cluster.bootstrap_servers, cluster.topics["actions"])}
    assert keys == {str(user).encode() for user in range(users)}
    wait_until(lambda: int(cluster.info("serve")["items"]) == count, "the replica has the items")


# MARK: - What is refused is not

def test_errors_have_the_apis_own_form(cluster, port):
    features = cluster.topics["features"]
    before = len(log.read_to_end(cluster.bootstrap_servers, features))
    one = {"records": [{"value": 1}]}
    for path, body, headers, status, code in [
        ("/topics/nosuch", one, JSON, 404, 40401),
        (f"/topics/{cluster.topics['examples']}", one, JSON, 404, 40401),
        (f"/topics/{features}/partitions/{PARTITIONS}", one, JSON, 404, 40402),
        (f"/topics/{features}", {"records": [{"value": 1}, {"value": 1, "partition": 99}]}, JSON, 404, 40402),
        (f"/topics/{features}", one, {"Content-Type": "application/vnd.kafka.avro.v2+json"}, 415, 415),
        (f"/topics/{features}", one, {}, 415, 415),
        (f"/topics/{features}", one, {**JSON, "Accept": "text/html"}, 406, 406),
        (f"/topics/{features}", b"{", JSON, 400, 400),
        (f"/topics/{features}", {"records": []}, JSON, 422, 422),
        (f"/topics/{features}", {"records": [{"value": "?"}]}, BINARY, 422, 42203),
        (f"/topics/{features}", one, {**JSON, "Content-Encoding": "gzip"}, 415, 415),
        ("/topics/%FF", one, JSON, 400, 400),
    ]:
        reply = post(port, path, body, headers)
        error = body_of(reply)
        assert (reply.status, error["error_code"]) == (status, code), (path, reply)
        assert set(error) == {"error_code", "message"} and error["message"]
    assert http_client.request(port, "DELETE", f"/topics/{features}").status == 405
    assert len(log.read_to_end(cluster.bootstrap_servers, features)) == before


def test_a_batch_with_one_bad_record_is_refused_whole_and_counted(cluster, port):
    before = len(log.read_to_end(cluster.bootstrap_servers, cluster.topics["features"]))
    counts = cluster.info("gateway0")
    bad = impression("r1") | {"age": "old"}
    reply = post(port, "/v1/impressions", [impression("r0"), bad, {**impression("r2"), "event_time": None}])
    assert reply.status == 422 and reply.json["code"] == "INVALID"
    assert [(record["index"], record["field"], record["code"]) for record in reply.json["records"]] == [
        (1, "age", "wrong-type"), (2, "event_time", "missing-field")]
    assert reply.json["records"][0]["error"] == 'field `age` must be an integer of 64 bits, is "old"'
    after = cluster.info("gateway0")
    assert int(after["invalid_records"]) - int(counts["invalid_records"]) == 2
    assert int(after["invalid_requests"]) - int(counts["invalid_requests"]) == 1
    assert len(log.read_to_end(cluster.bootstrap_servers, cluster.topics["features"])) == before


def test_bounds_are_413_in_the_form_of_the_path(make_cluster):
    cluster = make_cluster(settings={"gateway.max_body_bytes": 2_000, "gateway.max_records_in_flight": 3})
    port = start_gateway(cluster)
    items = cluster.topics["items"]
    large = post(port, f"/topics/{items}", {"records": [{"value": "x" * 3_000}]}, JSON)
    assert large.status == 413 and body_of(large)["error_code"] == 413
    assert post(port, "/v1/items", {"item_id": 1, "title": "x" * 3_000}).json["code"] == "TOOBIG"
    many = post(port, f"/topics/{items}", {"records": [{"value": 1}] * 4}, JSON)
    assert many.status == 413 and "at most 3" in body_of(many)["message"]
    assert post(port, "/v1/items", [{"item_id": number} for number in range(4)]).status == 413
    assert len(places(post(port, "/v1/items", [{"item_id": number} for number in range(3)]))) == 3
    assert len(log.read_to_end(cluster.bootstrap_servers, items)) == 3
    assert int(cluster.info("gateway0")["too_large_requests"]) == 4


# MARK: - Trouble

local_broker = pytest.mark.skipif(
    "KAFKA_BOOTSTRAP_SERVERS" in os.environ and "KAFKA_BROKER_IS_LOCAL" not in os.environ,
    reason="needs a broker of its own to freeze")


@local_broker
def test_a_frozen_broker_gives_503_and_429_in_bounded_time_and_neither_loss_nor_lie(tmp_path, monkeypatch):
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    data = tmp_path / "broker"
    data.mkdir()
    broker = Broker(data)
    cluster = Cluster(broker.address, tmp_path, settings={
        "gateway.timeout_ms": 5_000, "gateway.max_records_in_flight": 10, "gateway.max_body_bytes": 100_000})
    sent, replies = {}, {}

    def send(name, count, port):
        values = [f"{name}-{number}" for number in range(count)]
        sent[name] = values
        replies[name] = post(port, f"/topics/{cluster.topics['actions']}", {"records": [{"value": value} for value in values]}, JSON)

    try:
        port = start_gateway(cluster)
        send("before", 5, port)
        assert replies["before"].status == 200, replies["before"]
        os.killpg(broker.popen.pid, signal.SIGSTOP)
        started = time.monotonic()
        waiting = threading.Thread(target=send, args=("frozen", 6, port))
        waiting.start()
        wait_until(lambda: int(cluster.info("gateway0")["in_flight_records"]) == 6, "the records are on their way")
        send("full", 5, port)
        assert replies["full"].status == 429 and replies["full"].headers["Retry-After"] == "1"
        assert body_of(replies["full"])["error_code"] == 429
        waiting.join(30)
        assert not waiting.is_alive() and time.monotonic() - started < 25
        assert replies["frozen"].status == 503 and replies["frozen"].headers["Retry-After"] == "1"
        assert all(offset["error_code"] == 50003 for offset in body_of(replies["frozen"])["offsets"])
        wait_until(lambda: get(port, "/health/ready").status == 503, "the gateway is not ready", 20)
        assert get(port, "/health/live").status == 200
        os.killpg(broker.popen.pid, signal.SIGCONT)

        def works():
            # Until the broker answers again, requests may fail, each with its own honest word.
            name = f"after{len(replies)}"
            send(name, 5, port)
            return replies[name].status == 200
        wait_until(works, "the gateway writes again", 30, 0.2)
        records = log.read_to_end(broker.address, cluster.topics["actions"])
        found = {}
        for record in records:
            found.setdefault(json.loads(record.value), []).append((record.partition, record.offset))
        for name, values in sent.items():
            reply = replies[name]
            offsets = json.loads(reply.body).get("offsets") or [{"error": "it was not written"}] * len(values)
            for value, offset in zip(values, offsets):
                if offset.get("offset") is not None:
                    assert found[value] == [(offset["partition"], offset["offset"])], value
                elif offset["error"].endswith("it may have been written"):
                    assert len(found.get(value, [])) <= 1, value
                else:
                    assert offset["error"].endswith("it was not written") and value not in found, (value, offset)
        info = cluster.info("gateway0")
        told = [offset for name in sent for offset in json.loads(replies[name].body).get("offsets", [])]
        assert int(info["written"]) == sum(offset["offset"] is not None for offset in told)
        assert int(info["unwritten"]) + int(info["uncertain"]) == sum(offset["offset"] is None for offset in told)
        assert int(info["in_flight_records"]) == 0 and int(info["full_requests"]) >= 1
        assert cluster.stop() == {"gateway0": 0}
    finally:
        os.killpg(broker.popen.pid, signal.SIGCONT)
        cluster.kill_all()
        broker.stop()


def test_sigterm_under_load_answers_what_is_in_flight_and_every_acknowledged_record_is_there_once(make_cluster):
    cluster = make_cluster()
    port = start_gateway(cluster)
    actions = cluster.topics["actions"]
    acknowledged, failures = {}, []

    def load(thread):
        number = 0
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        while True:
            values = [f"{thread}-{number}-{record}" for record in range(10)]
            number += 1
            try:
                reply = http_client.send(connection, "POST", f"/topics/{actions}", {"records": [{"value": v} for v in values]}, JSON)
            except (OSError, http.client.HTTPException) as error:
                # Without a reply nothing is known of the request: the connection was closed before it was read.
                failures.append(error)
                return
            if reply.status != 200:
                failures.append(reply)
                return
            acknowledged.update(zip(values, places(reply)))

    threads = [threading.Thread(target=load, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(acknowledged) > 2_000, "records are acknowledged")
    assert cluster.processes["gateway0"].stop(20) == 0
    for thread in threads:
        thread.join(30)
    assert len(failures) == 8
    found = {}
    for record in log.read_to_end(cluster.bootstrap_servers, actions):
        found.setdefault(json.loads(record.value), []).append((record.partition, record.offset))
    assert {value: [place] for value, place in acknowledged.items()} == {value: found.get(value) for value in acknowledged}
    assert all(len(places) == 1 for places in found.values())
    # Nothing is cut off in the middle: what reached the topic without being acknowledged is a request that was under way for
    # each connection at most.
    assert len(found) - len(acknowledged) <= 8 * 10


def test_a_gateway_without_a_broker_is_live_and_refuses(make_cluster):
    cluster = make_cluster()
    cluster.settings["kafka.bootstrap_servers"] = "127.0.0.1:1"
    cluster.start("gateway0")
    cluster.wait_until_listening("gateway0")
    port = cluster.http_ports["gateway0"]
    assert get(port, "/health/live").json == {"live": True}
    ready = get(port, "/health/ready")
    assert ready.status == 503 and "broker" in ready.json["error"]
    refused = post(port, "/v1/items", {"item_id": 1})
    assert (refused.status, refused.json["code"]) == (503, "BUSY") and refused.headers["Retry-After"] == "1"
    assert body_of(post(port, f"/topics/{cluster.topics['items']}", {"records": [{"value": 1}]}, JSON))["error_code"] == 503
    assert cluster.processes["gateway0"].stop() == 0


# MARK: - What it says of itself

def test_the_examples_of_the_document_work(bootstrap_servers, make_cluster):
    cluster = make_cluster()
    text = (ROOT / "docs" / "gateway.md").read_text()
    commands = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    port = start_gateway(cluster)
    commands = commands.replace("localhost:8082", f"127.0.0.1:{port}")
    for key, name in PLAIN_TOPICS.items():
        commands = commands.replace(f"/topics/{name}", f"/topics/{cluster.settings[key]}")
    commands = "\n".join(line for line in commands.splitlines() if not line.startswith("freshet "))
    assert "localhost" not in commands
    count = len(re.findall(r"^curl -s ", commands, re.MULTILINE))
    assert count >= 10
    commands = re.sub(r"^curl -s ", "curl -sS --fail-with-body -o /dev/null -w '%{http_code}\\\\n' ", commands, flags=re.MULTILINE)
    done = subprocess.run(["bash", "-e", "-c", commands], capture_output=True, text=True, timeout=60, cwd=cluster.directory)
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.split() == ["200"] * count


def resolved(document, part):
    while "$ref" in part:
        _, _, kind, name = part["$ref"].split("/")
        part = document["components"][kind][name]
    return part


def test_the_openapi_document_is_what_the_port_does(cluster, port):
    document = get(port, "/openapi.json").json
    openapi_spec_validator.validate(document)
    text = (ROOT / "docs" / "gateway.md").read_text()
    topic = cluster.topics["items"]
    bodies = {
        "produce": {"records": [{"key": "1", "value": {"a": 1}}]}, "produceToPartition": {"records": [{"key": "1", "value": None}]},
        "impressions": [impression("o1")], "actions": action("o1"), "items": {"item_id": 1}}
    seen = 0
    for path, item in document["paths"].items():
        assert path.replace("{topic}", "items").replace("{partition}", "0") in text or path in text, path
        for method, operation in item.items():
            body = bodies.get(operation["operationId"])
            headers = JSON if operation["operationId"].startswith("produce") else {}
            target = path.format(topic=topic, partition=0)
            reply = http_client.request(port, method.upper(), target, body, headers)
            assert reply.status == 200, (path, reply)
            [(kind, content)] = resolved(document, operation["responses"]["200"])["content"].items()
            assert reply.headers["Content-Type"].split(";")[0] == kind
            if kind != "text/plain":
                schema = {**content["schema"], "components": document["components"]}
                jsonschema.Draft202012Validator(schema).validate(json.loads(reply.body))
            if body is not None:
                wanted = next(iter(resolved(document, operation["requestBody"])["content"].values()))["schema"]
                jsonschema.Draft202012Validator({**wanted, "components": document["components"]}).validate(body)
            seen += 1
    assert seen == 13


def test_info_status_and_metrics_agree(cluster, port):
    before = int(cluster.info("gateway0")["written"])
    post(port, "/v1/items", [{"item_id": number} for number in range(7)])
    info = cluster.info("gateway0")
    assert info["role"] == "gateway" and int(info["written"]) == before + 7
    metrics = get(port, "/metrics").body.decode()
    assert f'freshet_gateway_written_records_total{{topic="{cluster.topics["items"]}"}} ' in metrics
    samples = [line for line in metrics.splitlines() if line.startswith("freshet_gateway_written_records_total{")]
    assert sum(int(line.split()[-1]) for line in samples) == before + 7
    assert get(port, "/").status == 404
    done = cluster.run("ctl", "status", "--json", "--gateway", f"127.0.0.1:{cluster.ports['gateway0']}")
    processes = {process["role"]: process for process in json.loads(done.stdout)["processes"]}
    assert processes["gateway"]["up"] and int(processes["gateway"]["info"]["written"]) >= before + 7


def test_a_password_is_asked_for(make_cluster):
    cluster = make_cluster(settings={"cluster.password": "secret"})
    cluster.start("gateway0")
    port = cluster.http_ports["gateway0"]
    wait_until(lambda: answers(port), "the gateway answers", check=lambda: cluster.check_running("gateway0"))
    assert body_of(get(port, "/topics"))["error_code"] == 401
    assert post(port, "/v1/items", {"item_id": 1}).json["code"] == "NOAUTH"
    login = {"Authorization": "Bearer secret"}
    wait_until(lambda: get(port, "/topics", login).status == 200, "the topics are known")
    assert post(port, "/v1/items", {"item_id": 1}, login).status == 200


def answers(port):
    try:
        return get(port, "/health/live").status == 200
    except ConnectionRefusedError:
        return False


def test_bench_gateway_counts_what_was_written(cluster, port):
    features = cluster.topics["features"]

    def end():
        consumer = Consumer({"bootstrap.servers": cluster.bootstrap_servers, "group.id": uuid.uuid4().hex})
        ends = [consumer.get_watermark_offsets(TopicPartition(features, number), timeout=10)[1] for number in range(PARTITIONS)]
        consumer.close()
        return sum(ends)
    before = end()
    done = cluster.command(
        "bench", "gateway", "--json", "--port", port, "--records", 10, "--rate", 50, "--seconds", 1, "--warm-up", 0,
        "--connections", 4)
    report = json.loads(done.stdout)
    assert report["errors"] == 0 and report["requests"] == 50 and report["records_per_request"] == 10
    assert 0 < report["p50_us"] <= report["p99_us"] <= report["max_us"]
    assert end() - before == 500
    native = json.loads(cluster.command("bench", "gateway", "--json", "--native", "--records", 10, "--seconds", 0.2).stdout)
    assert native["records"] > 0 and end() - before == 500 + native["records"] + 1
