"""The dashboard: a page that needs nothing from elsewhere, figures of every process, and nobody's bytes as HTML."""

import base64
import csv
import json
import re
import signal

import pytest

import log
from cluster import SERVERS, Cluster
from http_client import get, post
from processes import FIXTURE, Process, free_port
from waiting import wait_until

RATINGS = 2_000
FILES = ("", "dashboard.css", "dashboard.js", "dom.js", "format.js", "pipeline.js", "charts.js", "tables.js", "ask.js", "icon.svg")
HOSTILE = b'{"request_id": "</pre><script>alert(1)</script><img src=x onerror=alert(1)>\\u0000\\u202e"}'


def start_dashboard(cluster, **settings):
    """Starts a dashboard that knows all processes of a cluster. Returns its port."""
    port = free_port()
    roles = {"joiners": "joiner", "trainers": "trainer", "replicas": "serve"}
    named = {f"dashboard.{key}": ",".join(f"127.0.0.1:{cluster.ports[name]}" for name in cluster.processes if name.startswith(role))
             for key, role in roles.items()}
    sets = [word for item in {**named, **settings}.items() for word in ("--set", "=".join(map(str, item)))]
    name = f"dashboard{port}"
    cluster.processes[name] = Process(
        name, [*cluster.arguments("dashboard", "--port", port), *sets], cluster.directory, cluster.environment())
    wait_until(lambda: answers(port), f"{name} answers", check=lambda: cluster.check_running(name))
    return port


def answers(port):
    try:
        return get(port, "/health/ready").status == 200
    except OSError:
        return False


def state(port):
    reply = get(port, "/api/state")
    assert reply.status == 200, reply
    return reply.json


def health(port):
    return {process["id"]: process["health"] for process in state(port)["processes"]}


@pytest.fixture(scope="module")
def watched(bootstrap_servers, tmp_path_factory):
    """A cluster with two replicas that has learned some ratings, and its dashboard's port."""
    from conftest import shared_log_directories
    directory = tmp_path_factory.mktemp("dashboard")
    shared_log_directories.append(directory)
    cluster = Cluster(bootstrap_servers, directory)
    try:
        cluster.start_all(trainers=1)
        cluster.start("serve1")
        cluster.wait_until_listening("serve1")
        port = start_dashboard(cluster)
        cluster.replay("--limit", RATINGS)
        cluster.expect_exactly(RATINGS)
        cluster.wait_until_ready()
        yield cluster, port
    finally:
        cluster.kill_all()


def test_the_page_is_whole_and_loads_nothing_from_elsewhere(watched):
    _, port = watched
    for name in FILES:
        reply = get(port, "/" + name)
        assert reply.status == 200 and reply.body, f"{name}: {reply}"
        policy = reply.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'"), policy
        assert "unsafe" not in policy and reply.headers["X-Content-Type-Options"] == "nosniff"
        elsewhere = re.findall(rb"(?:https?:)?//[a-z0-9.-]+\.[a-z]+", reply.body)
        assert set(elsewhere) <= {b"http://www.w3.org"}, f"{name}: {elsewhere}"
    page = get(port, "/").body.decode()
    named = set(re.findall(r'(?:src|href)="([^"#]+)"', page))
    assert named and named <= set(FILES)
    assert not re.search(r"<style|style=|\son\w+=|javascript:", page)
    modules = {name for file in FILES if file.endswith(".js") for name in re.findall(rb"from '\./([^']+)'", get(port, "/" + file).body)}
    assert {name.decode() for name in modules} <= set(FILES)


def test_the_state_has_every_process_and_counts_every_example(watched):
    cluster, port = watched
    expected = {"joiner-0", "trainer-0", *(f"ps-{index}" for index in range(SERVERS)), "serve-0", "serve-1"}

    def has_everything():
        now = state(port)
        waiting = {flow["to"]: flow["waiting"] for flow in now["flows"] if flow["from"] in ("examples", "ps", "features")}
        return now if (
            {process["id"] for process in now["processes"] if process["health"] == "up"} == expected
            and [task["examples"] for task in now["tasks"]] == [RATINGS]
            and waiting == {"trainer": 0, "serve": 0, "joiner": 0}) else None
    now = wait_until(has_everything, "everybody is up, everything is learned and nothing waits")
    assert 0.5 < now["tasks"][0]["auc"] < 1
    assert {(table["server"], table["table"]) for table in now["tables"]} >= {("ps-0", "embedding"), ("ps-1", "dense")}
    assert {topic["name"] for topic in now["topics"]} == set(cluster.topics.values()) - {cluster.topics["validation"]}
    assert now["kafka"]["error"] is None and now["model"]["name"] == "movielens"
    for process in now["processes"]:
        assert process["age_ms"] < 10_000 and process["resident_bytes"] > 0, process
    past = get(port, "/api/history").json
    assert past["next"] >= len(past["points"]) > 0 and {len(point) for point in past["points"]} == {1 + len(past["series"])}
    later = get(port, f"/api/history?after={past['next'] - 1}").json
    assert later["next"] >= past["next"] and len(later["points"]) == later["next"] - past["next"]


def test_recommendations_and_scores_are_the_replicas_and_have_titles(watched):
    cluster, port = watched
    with open(FIXTURE / "movies.csv", encoding="utf-8") as file:
        titles = {row["movieId"]: row["title"] for row in csv.DictReader(file)}
    with cluster.client(protocol=3) as client:
        flat = client.execute_command("RECOMMEND", "movielens", "user_id=1", "TOPK", 7)
        scores = client.execute_command("SCORE", "movielens", "user_id=1", "CANDIDATES", "item_id", 1, 3)

    def titled():
        reply = get(port, "/api/recommend?user_id=1&topk=7").json
        return reply if all(item["title"] for item in reply["items"]) else None
    reply = wait_until(titled, "all items have titles")
    assert [(item["id"], item["score"]) for item in reply["items"]] == list(zip(flat[0::2], flat[1::2]))
    assert len(reply["items"]) == 7 and all(item["title"] == titles[item["id"]] for item in reply["items"])
    assert reply["replica"] in {f"127.0.0.1:{cluster.ports[name]}" for name in ("serve", "serve1")}
    reply = get(port, "/api/score/like?user_id=1&item_id=1&item_id=3").json
    assert [(item["id"], item["title"], item["score"]) for item in reply["items"]] == [
        ("1", titles["1"], scores[0]), ("3", titles["3"], scores[1])]


def test_wrong_questions_get_reasons_and_nothing_can_be_changed(watched):
    _, port = watched
    for path, status, words in (
        ("/api/recommend?user_id=somebody", 400, "user_id"), ("/api/recommend?user_id=1&topk=x", 400, "topk"),
        ("/api/recommend?nobody=1", 400, "nobody"), ("/api/recommend/click?user_id=1", 404, "click"),
        ("/api/score?user_id=1", 400, "item_id"), ("/api/history?after=x", 400, "after"), ("/api/history?range=week", 400, "range"),
        ("/elsewhere", 404, "/api/state"), ("/../etc/passwd", 404, "no such path"),
    ):
        reply = get(port, path)
        assert reply.status == status and words in reply.json["error"], f"{path}: {reply}"
        assert "Content-Security-Policy" in reply.headers
    for path in ("/", "/api/state", "/api/recommend?user_id=1"):
        assert post(port, path, {}).status == 405


def test_a_dead_letter_is_shown_with_its_reason_and_is_no_html(watched):
    cluster, port = watched
    log.produce(cluster.bootstrap_servers, cluster.topics["features"], [(b"1", HOSTILE)])

    def letter():
        return next((each for each in state(port)["dead_letters"]["recent"] if "request_id" in each["payload"]), None)
    letter = wait_until(letter, "the dead letter is shown")
    assert letter["code"] == "missing-field" and letter["role"] == "joiner" and letter["reason"]
    assert letter["origin"].startswith(cluster.topics["features"] + " 0@")
    # Text stays text: the page only ever puts it into text nodes, and nothing takes the reply for a page.
    assert "<script>alert(1)</script>" in letter["payload"] and json.loads(HOSTILE)["request_id"][:20] in letter["payload"]
    reply = get(port, "/api/state")
    assert reply.headers["Content-Type"] == "application/json" and reply.headers["X-Content-Type-Options"] == "nosniff"


def test_a_replica_that_hangs_or_is_killed_is_shown_within_seconds_and_delays_nobody(watched):
    cluster, port = watched
    wait_until(lambda: set(health(port).values()) == {"up"}, "everybody is up")
    hanging = cluster.processes["serve1"]
    hanging.signal(signal.SIGSTOP)
    wait_until(lambda: health(port)["serve-1"] in ("stale", "down"), "the hanging replica is seen", 15)

    def is_alone():
        ages = {process["id"]: process["age_ms"] for process in state(port)["processes"]}
        return ages.pop("serve-1") > 2_000 > max(ages.values())
    wait_until(is_alone, "the others are asked as before")
    hanging.signal(signal.SIGCONT)
    wait_until(lambda: health(port)["serve-1"] == "up", "it answers again")
    cluster.kill("serve1")
    wait_until(lambda: health(port)["serve-1"] == "down", "the killed replica is shown", 10)
    dead = next(process for process in state(port)["processes"] if process["id"] == "serve-1")
    assert "efused" in dead["reason"] and dead["figures"] == {}, dead
    # The other one answers questions.
    assert get(port, "/api/recommend?user_id=1&topk=1").json["replica"] == f"127.0.0.1:{cluster.ports['serve']}"
    cluster.start("serve1")
    wait_until(lambda: health(port)["serve-1"] == "up", "the replica is back")


def test_without_a_broker_or_replicas_it_says_so_and_shows_the_rest(watched):
    cluster, _ = watched
    port = start_dashboard(cluster, **{"kafka.bootstrap_servers": f"127.0.0.1:{free_port()}", "dashboard.replicas": ""})
    wait_until(lambda: state(port)["kafka"]["error"], "the broker is missed")
    wait_until(lambda: set(health(port).values()) == {"up"}, "everybody is up")
    reply = get(port, "/api/recommend?user_id=1")
    assert reply.status == 503 and reply.json["code"] == "UNAVAILABLE" and "dashboard.replicas" in reply.json["error"]


def test_the_clusters_password_is_the_dashboards(watched):
    cluster, _ = watched
    port = start_dashboard(cluster, **{"cluster.password": "secret"})
    for path in ("/", "/api/state", "/metrics"):
        reply = get(port, path)
        assert reply.status == 401 and "Basic" in reply.headers["WWW-Authenticate"], path
    right = {"Authorization": "Basic " + base64.b64encode(b"default:secret").decode()}
    assert get(port, "/", right).status == 200
    assert b'freshet_build_info{version="0.1.0",role="dashboard"} 1' in get(port, "/metrics", right).body
