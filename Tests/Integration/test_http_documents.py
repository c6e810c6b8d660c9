"""What HTTP says of itself: the OpenAPI document, the examples of docs/http.md, and the metrics of every role."""

import re
import subprocess

import jsonschema
import openapi_spec_validator
import pytest
from prometheus_client.parser import text_string_to_metric_families

import http_client
from http_client import get
from processes import ROOT, free_port
from waiting import wait_until

INPUTS = [
    {"name": "user_id", "shape": [1], "datatype": "INT64", "data": [1]},
    {"name": "item_id", "shape": [2, 1], "datatype": "INT64", "data": [[1193], [661]]}]
# One request for each operation with a body.
BODIES = {
    "infer": {"id": "1", "inputs": INPUTS, "outputs": [{"name": "like"}]},
    "inferVersion": {"inputs": INPUTS},
    "predict": {"instances": [{"user_id": 1, "item_id": 1193}, {"item_id": 661, "genres": ["Drama"]}]},
    "predictVersion": {"inputs": {"user_id": 1, "item_id": [1193, 661]}},
    "recommend": {"context": {"user_id": 1}, "topk": 3, "exclude": [1193, "661"]},
}
# What the specification of Open Inference Protocol v2 (specification/protocol/open_inference_rest.yaml) requires of replies.
REQUIRED = {
    "serverMetadata": {"name", "version", "extensions"},
    "modelMetadata": {"name", "platform"},
    "infer": {"model_name", "outputs"},
}
ROLES = ("serve", "ps0", "ps1", "trainer0", "trainer1", "joiner0")


@pytest.fixture(scope="module")
def document(trained_cluster):
    return get(trained_cluster.http_ports["serve"], "/openapi.json").json


def operations(document):
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method.upper(), operation


def schema(document, part):
    """A schema of the document with everything that it may refer to."""
    return {**part, "components": document["components"]}


def resolved(document, part):
    if "$ref" not in part:
        return part
    _, _, kind, name = part["$ref"].split("/")
    return document["components"][kind][name]


def test_the_openapi_document_is_one(document):
    openapi_spec_validator.validate(document)
    assert document["openapi"].startswith("3.1")
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names)) == 19


def test_every_documented_path_answers_as_it_is_documented(trained_cluster, document):
    port = trained_cluster.http_ports["serve"]
    for path, method, operation in operations(document):
        body = BODIES.get(operation["operationId"])
        if body is not None:
            described = operation["requestBody"]["content"]["application/json"]["schema"]
            jsonschema.Draft202012Validator(schema(document, described)).validate(body)
        reply = http_client.request(port, method, path.format(model="movielens", version="1"), body)
        assert reply.status == 200, (path, reply)
        [(content_type, content)] = operation["responses"]["200"]["content"].items()
        assert reply.headers["Content-Type"].split(";")[0] == content_type
        if content_type == "application/json":
            jsonschema.Draft202012Validator(schema(document, content["schema"])).validate(reply.json)
            assert REQUIRED.get(operation["operationId"], set()) <= set(reply.json)
        if "{model}" in path:
            other = http_client.request(port, method, path.format(model="other", version="1"), body)
            assert other.status == 404 and "404" in operation["responses"]
            error = resolved(document, operation["responses"]["404"])["content"]["application/json"]["schema"]
            jsonschema.Draft202012Validator(schema(document, error)).validate(other.json)


def test_paths_that_are_not_documented_are_not_there(trained_cluster, document):
    port = trained_cluster.http_ports["serve"]
    documented = {path.format(model="movielens", version="1") for path in document["paths"]}
    source = "".join((ROOT / "docs" / "http.md").read_text().split())
    for path in document["paths"]:
        plain = path.replace("/versions/{version}", "").format(model="movielens")
        assert plain in source, f"{plain} is in docs/http.md"
    for path in ("/v1/models", "/v2/models", "/v1/score/movielens", "/v1/models/movielens/metadata", "/topics/features"):
        assert path not in documented and get(port, path).status == 404


def test_the_examples_of_the_document_work(trained_cluster):
    text = (ROOT / "docs" / "http.md").read_text()
    commands = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    ports = {"8080": "serve", "8100": "ps0", "8200": "trainer0", "8300": "joiner0"}
    for port, name in ports.items():
        commands = commands.replace(f"localhost:{port}", f"127.0.0.1:{trained_cluster.http_ports[name]}")
    assert "localhost" not in commands
    count = len(re.findall(r"^curl -s ", commands, re.MULTILINE))
    assert count >= 19
    commands = re.sub(r"^curl -s ", "curl -sS --fail-with-body -o /dev/null -w '%{http_code}\\\\n' ", commands, flags=re.MULTILINE)
    done = subprocess.run(["bash", "-e", "-c", commands], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.split() == ["200"] * count


# MARK: - Metrics

def metrics(cluster, name):
    """(name, labels) → (value, type), read by Prometheus' own parser."""
    reply = get(cluster.http_ports[name], "/metrics")
    assert reply.status == 200 and reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = {}
    families = set()
    for family in text_string_to_metric_families(reply.body.decode()):
        assert family.documentation and family.type in ("gauge", "counter"), family
        assert family.name not in families, f"{family.name} is in one place"
        families.add(family.name)
        for sample in family.samples:
            assert sample.name.startswith("freshet_")
            assert sample.name.endswith("_total") == (family.type == "counter"), sample
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in samples, f"{key} is there once"
            samples[key] = sample.value, family.type
    return samples


def info_sections(cluster, name):
    """Section → key → text of INFO as it is printed."""
    with cluster.client(name) as client:
        client.response_callbacks.clear()
        text = client.execute_command("INFO")
    sections = {}
    for line in text.splitlines():
        if line.startswith("# "):
            section = sections.setdefault(line[2:], {})
        elif ":" in line:
            key, _, value = line.partition(":")
            section[key] = value
    return sections


@pytest.mark.parametrize("name", ROLES)
def test_every_number_of_info_is_a_metric(trained_cluster, name):
    before = info_sections(trained_cluster, name)
    samples = metrics(trained_cluster, name)
    after = info_sections(trained_cluster, name)
    role = name.rstrip("01")
    [info] = [dict(labels) for sample, labels in samples if sample == "freshet_server_info"]
    assert info == {"role": role, "freshet_version": before["server"]["freshet_version"]}
    compared = 0
    for section, lines in before.items():
        values = [value for (sample, _), (value, _) in samples.items() if sample.startswith(f"freshet_{section}_")]
        for key, text in lines.items():
            for part in text.split(","):
                number = part.rpartition("=")[2]
                if not re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?", number):
                    continue
                # What changes meanwhile cannot be compared, nor the connections, one of which asks for INFO.
                if after[section].get(key) == text and key != "connected_clients":
                    assert float(number) in values, (section, key, text)
                    compared += 1
    assert compared > 10


def test_keys_that_say_which_are_labels(trained_cluster):
    serve, trainer = metrics(trained_cluster, "serve"), metrics(trained_cluster, "trainer0")
    server = metrics(trained_cluster, "ps0")
    [partition] = [dict(labels)["partition"] for name, labels in trainer if name == "freshet_partitions_applied"]
    assert partition in ("0", "1")
    joiner = metrics(trained_cluster, "joiner0")
    assert sum(value for (name, _), (value, _) in joiner.items() if name == "freshet_dead_letters_records_total") == 0
    assert joiner["freshet_join_joined_total", ()] == (20_000, "counter")
    assert serve["freshet_replica_ready", ()] == (1, "gauge")
    assert serve["freshet_commandstats_calls_total", (("command", "info"),)][1] == "counter"
    assert server["freshet_server_resident_bytes", ()][0] > 1 << 20


def test_counters_rise_with_what_is_asked(trained_cluster):
    port = trained_cluster.http_ports["serve"]

    def counts():
        samples = metrics(trained_cluster, "serve")
        names = "http_requests", "http_succeeded", "http_refused"
        return [samples[f"freshet_{name}_total", ()][0] for name in names]
    before = counts()
    body = {"inputs": {"user_id": 1, "item_id": [1, 2, 3]}}
    assert http_client.post(port, "/v1/models/movielens:predict", body).status == 200
    assert get(port, "/nothing").status == 404
    after = counts()
    # The request for the metrics itself is counted when it begins, and its reply when it is written.
    assert [b - a for a, b in zip(before, after)] == [3, 2, 1]


@pytest.mark.parametrize("name", ROLES)
def test_every_role_tells_its_health(trained_cluster, name):
    port = trained_cluster.http_ports[name]
    assert get(port, "/health/live").json == {"live": True}
    assert get(port, "/health/ready").json == {"ready": True}
    head = http_client.request(port, "HEAD", "/health/ready")
    assert (head.status, head.body) == (200, b"")
    assert http_client.post(port, "/health/ready", {}).status == 405
    reply = get(port, "/")
    assert reply.status == 404 and reply.json["code"] == "NOTFOUND"


def test_roles_that_wait_for_others_are_live_and_not_ready(make_cluster):
    cluster = make_cluster(settings={"kafka.bootstrap_servers": f"127.0.0.1:{free_port()}"})
    reasons = {"trainer0": f"127.0.0.1:{cluster.server_ports[0]}", "joiner0": "broker"}
    for name, reason in reasons.items():
        cluster.start(name)
        port = cluster.http_ports[name]
        wait_until(lambda: answers(port), f"{name} is live")
        reply = get(port, "/health/ready")
        assert (reply.status, reply.json["code"]) == (503, "LOADING") and reason in reply.json["error"]
        assert get(port, "/metrics").status == 200


def answers(port):
    try:
        return get(port, "/health/live").status == 200
    except ConnectionRefusedError:
        return False


