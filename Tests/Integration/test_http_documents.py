"""What HTTP says of itself: the OpenAPI document, the examples of docs/http.md, and the metrics of every role."""

import re
import subprocess
import time

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

# What /metrics says of a value that the catalog of metrics does not have.
UNDESCRIBED = "Not described yet; see INFO."


def metrics(cluster, name):
    """(name, labels) → (value, type), read by Prometheus' own parser."""
    reply = get(cluster.http_ports[name], "/metrics")
    assert reply.status == 200 and reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    samples = {}
    families = set()
    for family in text_string_to_metric_families(reply.body.decode()):
        assert family.documentation and family.documentation != UNDESCRIBED, family
        assert family.type in ("gauge", "counter", "histogram"), family
        assert family.name not in families, f"{family.name} is in one place"
        families.add(family.name)
        for sample in family.samples:
            assert sample.name.startswith(("freshet_", "process_"))
            assert sample.name.endswith("_total") == (family.type == "counter"), sample
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in samples, f"{key} is there once"
            samples[key] = sample.value, family.type
    return samples


def documented_metrics(role):
    """Name → (type, labels) of docs/metrics.md."""
    document = (ROOT / "docs/metrics.md").read_text().replace("<role>", role)
    section = next(part for part in document.split("\n## ") if part.startswith(role + "\n"))
    common = next(part for part in document.split("\n## ") if part.startswith("Every role"))
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in (common + section).splitlines() if line.startswith("| `")]
    return {name.strip("`"): (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _, _ in rows}


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
def test_every_metric_is_as_the_document_says(trained_cluster, name):
    samples, documented = metrics(trained_cluster, name), documented_metrics(name.rstrip("01"))
    found = set()
    for (sample, labels), (_, kind) in samples.items():
        family = re.sub("_(bucket|sum|count)$", "", sample) if kind == "histogram" else sample
        assert documented.get(family) == (kind, {label for label, _ in labels} - {"le"}), sample
        found.add(family)
    # The rest is of what this cluster does not have: snapshots, a guard, a state on disk …
    assert len(found) > 25 and f"freshet_{name.rstrip('01')}_ready" in found


@pytest.mark.parametrize("name", ROLES)
def test_what_every_program_tells_is_told_as_prometheus_names_it(trained_cluster, name):
    samples, info = metrics(trained_cluster, name), info_sections(trained_cluster, name)["server"]
    assert samples[("freshet_build_info", (("role", name.rstrip("01")), ("version", info["freshet_version"])))] == (1, "gauge")
    started = samples["process_start_time_seconds", ()][0]
    assert abs(time.time() - started - int(info["uptime_in_seconds"])) < 30
    assert samples["process_resident_memory_bytes", ()][0] > 10 << 20
    assert 5 < samples["process_open_fds", ()][0] < samples["process_max_fds", ()][0]
    assert samples["process_cpu_seconds_total", ()] > (0, "")


def test_keys_that_say_which_are_labels(trained_cluster):
    serve, trainer = metrics(trained_cluster, "serve"), metrics(trained_cluster, "trainer0")
    server = metrics(trained_cluster, "ps0")
    [partition] = [dict(labels)["partition"] for name, labels in trainer if name == "freshet_trainer_applied_offset"]
    assert partition in ("0", "1")
    joiner = metrics(trained_cluster, "joiner0")
    assert sum(value for (name, _), (value, _) in joiner.items() if name == "freshet_joiner_dead_letters_total") == 0
    assert joiner["freshet_joiner_joined_examples_total", ()] == (20_000, "counter")
    assert serve["freshet_serve_ready", ()] == (1, "gauge")
    assert serve["freshet_serve_requests_total", ()][1] == "counter"
    assert serve["freshet_serve_replica_rows", (("table", "embedding"),)][0] > 1_000
    assert [dict(labels)["partition"] for name, labels in serve if name == "freshet_serve_watermark_offset"] == ["0", "1"]
    assert serve["freshet_serve_commands_total", (("command", "info"),)][1] == "counter"
    assert server["freshet_ps_table_updates_total", (("table", "embedding"),)][0] > 20_000


def counts(samples, name, **labels):
    """How many values a histogram has in all, and its buckets by upper bound."""
    def of(suffix):
        return {dict(found).get("le"): value for (sample, found), (value, _) in samples.items()
                if sample == f"{name}_{suffix}" and labels.items() <= dict(found).items()}
    buckets = of("bucket")
    ordered = [buckets[bound] for bound in sorted(buckets, key=float)]
    assert ordered == sorted(ordered) and ordered[-1] == buckets["+Inf"] == of("count")[None]
    assert of("sum")[None] > 0
    return ordered[-1], buckets


def test_times_are_in_histograms(trained_cluster):
    server, trainer = metrics(trained_cluster, "ps0"), [metrics(trained_cluster, f"trainer{number}") for number in (0, 1)]
    pushes, _ = counts(server, "freshet_ps_request_duration_seconds", command="push")
    assert pushes == server["freshet_ps_pushes_total", ()][0]
    counts(server, "freshet_ps_request_duration_seconds", command="pull")
    sent = sum(counts(samples, "freshet_trainer_round_trip_seconds", command="push")[0] for samples in trainer)
    assert sent > sum(samples["freshet_trainer_batches_total", ()][0] for samples in trainer) > 100
    # Almost all: when a partition goes to another trainer, the one before may not hear of what it pushed last.
    assert sum(counts(samples, "freshet_trainer_freshness_seconds")[0] for samples in trainer) > 15_000
    serve = metrics(trained_cluster, "serve")
    fresh, _ = counts(serve, "freshet_serve_freshness_seconds")
    assert fresh + serve["freshet_serve_unmeasured_examples_total", ()][0] == 20_000
    delays, buckets = counts(metrics(trained_cluster, "joiner0"), "freshet_joiner_join_delay_seconds")
    assert delays == buckets["2000000"] == 20_000


def test_requests_for_scores_and_recommendations_have_times_of_their_own(trained_cluster):
    def now():
        samples = metrics(trained_cluster, "serve")
        return [samples["freshet_serve_request_duration_seconds_count", (("command", command),)][0]
                for command in ("score", "recommend")]
    before = now()
    with trained_cluster.client("serve") as client:
        for _ in range(3):
            client.execute_command("SCORE", "movielens", "user_id=1", "CANDIDATES", "item_id", "1", "2")
        client.execute_command("RECOMMEND", "movielens", "user_id=1", "TOPK", "2")
    body = {"inputs": {"user_id": 1, "item_id": [1, 2, 3]}}
    assert http_client.post(trained_cluster.http_ports["serve"], "/v1/models/movielens:predict", body).status == 200
    assert [b - a for a, b in zip(before, now())] == [4, 1]


def test_what_has_not_been_read_is_a_metric(trained_cluster):
    """Everything has been read, whatever markers of transactions are at the topics' ends."""
    def lags():
        found = {}
        for name in ("joiner0", "trainer0", "trainer1"):
            for (sample, labels), (value, _) in metrics(trained_cluster, name).items():
                if sample.endswith("_consumer_lag_records"):
                    found[sample, labels] = value
        return found
    topics = trained_cluster.topics
    expected = {
        (f"freshet_{role}_consumer_lag_records", (("partition", str(partition)), ("topic", topics[topic]))): 0
        for role, topic in (("joiner", "features"), ("joiner", "actions"), ("trainer", "examples"))
        for partition in range(trained_cluster.partitions)}
    wait_until(lambda: lags() == expected, "nothing is left to read", 20)


def test_counters_rise_with_what_is_asked(trained_cluster):
    port = trained_cluster.http_ports["serve"]

    def counts():
        samples = metrics(trained_cluster, "serve")
        names = "http_requests", "http_requests_succeeded", "http_requests_refused"
        return [samples[f"freshet_serve_{name}_total", ()][0] for name in names]
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
        assert metrics(cluster, name)[f"freshet_{name.rstrip('01')}_ready", ()] == (0, "gauge")


def answers(port):
    try:
        return get(port, "/health/live").status == 200
    except ConnectionRefusedError:
        return False


