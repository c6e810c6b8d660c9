"""Examples/observability names what exists: its targets, its rules and its dashboard against a cluster that runs."""

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from cluster import SERVERS, Cluster
from http_client import get
from processes import CONFIGURATION, ROOT, Process, free_port, program
from waiting import wait_until

EXAMPLE = ROOT / "Examples/observability"
ROLES = ("ps", "trainer", "joiner", "archive", "serve", "gateway", "dashboard")
# Each second, for eight minutes at most: what is recent is only there while something happens.
RATE = 200


def panel_expressions():
    dashboard = json.loads((EXAMPLE / "dashboard.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]


def rule_expressions():
    groups = yaml.safe_load((EXAMPLE / "rules.yml").read_text())["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def metric_names(expressions):
    return {name for expression in expressions for name in re.findall(r"\bfreshet_\w+", expression)}


def promtool(*arguments, **options):
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("no promtool on PATH: apt-get install prometheus")
    return subprocess.run([found, *map(str, arguments)], capture_output=True, text=True, timeout=60, **options)


@pytest.fixture(scope="module")
def cluster(bootstrap_servers, tmp_path_factory):
    """All roles, two trainers and replicas of them, and ratings as long as it lives."""
    directory = tmp_path_factory.mktemp("observability")
    cluster = Cluster(bootstrap_servers, directory, settings={
        "archive.store": directory / "archive", "archive.window_ms": 1000, "archive.close_after_ms": 300,
        "snapshot.store": directory / "snapshots", "snapshot.interval_ms": 500, "joiner.state": directory / "joiner"})
    try:
        cluster.start_all()
        cluster.start("archive0")
        cluster.start("serve1")
        cluster.start("gateway0")
        cluster.start("dashboard")
        cluster.start_replay("--rate", RATE)
        cluster.wait_for_examples(2 * RATE)
        yield cluster
    finally:
        cluster.kill_all()


def names_of(cluster, role):
    return sorted(name for name in cluster.http_ports if name.rstrip("0123456789") == role)


def ask_for_scores(cluster):
    for name in names_of(cluster, "serve"):
        with cluster.client(name) as client:
            client.execute_command("SCORE", "movielens", "user_id=1", "CANDIDATES", "item_id", "1", "2")


def test_every_metric_of_rules_and_dashboard_is_exposed(cluster):
    wanted, seen = metric_names(rule_expressions() + panel_expressions()), set()
    assert len(wanted) > 50

    def all_seen():
        ask_for_scores(cluster)
        for name in cluster.http_ports:
            reply = get(cluster.http_ports[name], "/metrics")
            assert reply.status == 200, (name, reply)
            seen.update(sample.name for family in text_string_to_metric_families(reply.body.decode()) for sample in family.samples)
        return wanted <= seen
    try:
        wait_until(all_seen, "all metrics are exposed", 15, 0.3, check=cluster.check_healthy)
    except AssertionError:
        raise AssertionError(f"no role exposes {sorted(wanted - seen)}") from None


def test_targets_are_the_default_ports():
    done = subprocess.run([program(), "config", "print", "-c", CONFIGURATION], capture_output=True, text=True, check=True)
    settings = yaml.safe_load(done.stdout)
    keys = {"serve": "http_port", "dashboard": "port"}
    # The gateway's own port is none, unless somebody starts it.
    ports = {role: 8082 if role == "gateway" else settings[role][keys.get(role, "metrics_port")] for role in ROLES}
    count = {"ps": SERVERS, "trainer": 2, "serve": 2}
    expected = {role: [f"localhost:{port + i}" for i in range(count.get(role, 1))] for role, port in ports.items()}
    [job] = yaml.safe_load((EXAMPLE / "prometheus.yml").read_text())["scrape_configs"]
    assert {entry["labels"]["role"]: entry["targets"] for entry in job["static_configs"]} == expected


def test_promtool_finds_nothing_wrong_with_configuration_and_rules():
    for words in (("check", "config", "prometheus.yml"), ("check", "rules", "rules.yml"), ("test", "rules", "rules.test.yml")):
        done = promtool(*words, cwd=EXAMPLE)
        assert done.returncode == 0, done.stdout + done.stderr
    # Each rule is tested, on a cluster that is healthy and on one that is not.
    names = [rule["alert"] for rule in yaml.safe_load((EXAMPLE / "rules.yml").read_text())["groups"][0]["rules"]]
    healthy, *others = yaml.safe_load((EXAMPLE / "rules.test.yml").read_text())["tests"]
    assert [test["alertname"] for test in healthy["alert_rule_test"]] == names == [test["name"] for test in others]
    assert all(test["alert_rule_test"][0]["exp_alerts"] for test in others)
    assert metric_names(rule_expressions()) <= metric_names(series["series"] for series in healthy["input_series"])


def test_promtool_finds_nothing_wrong_with_the_metrics(cluster):
    for name, port in cluster.http_ports.items():
        text = get(port, "/metrics").body.decode()
        done = promtool("check", "metrics", input=text)
        assert (done.returncode, done.stderr) == (0, ""), name
        assert "Not described yet" not in text, name


class Prometheus:
    """A server of this test's own, with the example's configuration but for ports and intervals."""

    def __init__(self, cluster, directory, executable):
        configuration = yaml.safe_load((EXAMPLE / "prometheus.yml").read_text())
        configuration["global"] = {"scrape_interval": "500ms", "evaluation_interval": "1s"}
        for entry in configuration["scrape_configs"][0]["static_configs"]:
            entry["targets"] = [f"127.0.0.1:{cluster.http_ports[name]}" for name in names_of(cluster, entry["labels"]["role"])]
        shutil.copy(EXAMPLE / "rules.yml", directory)
        (directory / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        self.port = free_port()
        self.process = Process("prometheus", [
            executable, f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}"], directory)

    def ask(self, path, **parameters):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as reply:
            return json.load(reply)["data"]

    def up(self):
        try:
            targets = self.ask("targets")["activeTargets"]
        except OSError:
            return None
        return targets if targets and all(target["health"] == "up" for target in targets) else None


@pytest.fixture
def prometheus(cluster, tmp_path):
    executable = shutil.which("prometheus")
    if executable is None:
        pytest.skip("no prometheus on PATH: apt-get install prometheus")
    server = Prometheus(cluster, tmp_path, executable)
    yield server
    server.process.kill()


def test_prometheus_reaches_every_role_and_every_panel_has_data(cluster, prometheus):
    targets = wait_until(prometheus.up, "all targets are up", 20)
    assert len(targets) == SERVERS + 2 + 1 + 1 + 2 + 1 + 1
    assert {target["labels"]["role"] for target in targets} == set(ROLES)
    empty = panel_expressions()

    def all_have_data():
        ask_for_scores(cluster)
        empty[:] = [text for text in empty if not prometheus.ask("query", query=text.replace("$__rate_interval", "5s"))["result"]]
        return not empty
    try:
        wait_until(all_have_data, "all panels have data", 20, 0.5, check=cluster.check_healthy)
    except AssertionError:
        raise AssertionError(f"no data for {empty}") from None
    # No rule fails, whatever it says of a replay of ratings from 1996.
    rules = wait_until(
        lambda: [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"] if rule["health"] != "unknown"],
        "the rules are evaluated", 10)
    assert {rule["name"]: rule["lastError"] for rule in rules if rule["health"] != "ok"} == {}
    assert len(rules) == len(rule_expressions())
