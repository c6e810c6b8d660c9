"""`freshet up`: one command for a whole cluster on one machine."""

import os
import re
import signal

import pytest

import http_client
from cluster import SERVERS
from processes import Process, free_port, free_ports, is_alive, listens
from waiting import wait_until

ROLES = {"ps-0", "ps-1", "joiner", "trainer-0", "trainer-1", "serve-0", "dashboard"}


@pytest.fixture
def up(make_cluster):
    """A cluster whose processes are children of one `freshet up`."""
    cluster = make_cluster()
    # The second trainer takes the port after the first one's.
    cluster.settings["trainer.port"] = 0
    for key in ("ps.metrics_port", "trainer.metrics_port", "serve.http_port"):
        cluster.settings[key] = free_ports(2)
    cluster.settings["dashboard.port"] = free_port()
    process = Process("up", cluster.arguments("up"), cluster.directory, cluster.environment())
    cluster.processes["up"] = process
    wait_until(lambda: set(children(process)) == ROLES, "every role is started", check=lambda: cluster.check_running("up"))
    cluster.ports["joiner0"] = cluster.settings["joiner.port"]
    for name in ("ps0", "ps1", "serve", "joiner0"):
        wait_until(lambda: answers(cluster, name), f"{name} answers")
    wait_until(lambda: listens(cluster.settings["dashboard.port"]), "the dashboard listens")
    yield cluster, process
    pids = children(process).values()
    process.kill()
    wait_until(lambda: not any(map(is_alive, pids)), "the children have ended")


def answers(cluster, name):
    try:
        with cluster.client(name) as client:
            return client.ping()
    except OSError:
        return False
    except Exception as error:
        assert "onnect" in str(error), error
        return False


def children(process):
    """Name → process id of the last start of each child, as the log tells."""
    return {name: int(pid) for name, pid in re.findall(r"msg=started child=(\S+) pid=(\d+)", process.log)}


def lives(port):
    try:
        return http_client.get(port, "/health/live").status == 200
    except ConnectionRefusedError:
        return False


def test_up_runs_a_whole_cluster_and_starts_again_what_ends(up):
    cluster, process = up
    assert len(children(process)) == SERVERS + 5
    for key, count in (("ps.metrics_port", SERVERS), ("trainer.metrics_port", 2), ("serve.http_port", 1)):
        for port in range(cluster.settings[key], cluster.settings[key] + count):
            # A trainer says nothing of its own to wait for: its port opens some milliseconds later than the replica's.
            wait_until(lambda: lives(port), f"{key}, port {port}, is served")
    dashboard = cluster.settings["dashboard.port"]
    watched = [process["id"] for process in http_client.get(dashboard, "/api/state").json["processes"]]
    # trainer.port is 0 here: the trainers have no port to be asked at.
    assert watched == ["joiner-0", "ps-0", "ps-1", "serve-0"]
    cluster.replay("--limit", 2_000)
    cluster.expect_exactly(2_000)
    before = children(process)
    assert all(map(is_alive, before.values()))
    for name in ("joiner", "serve-0", "ps-1", "dashboard"):
        os.kill(before[name], signal.SIGKILL)
        wait_until(lambda: children(process)[name] != before[name], f"{name} is started again")
    wait_until(lambda: answers(cluster, "serve"), "the replica answers again")
    # The server lost its shards with its process: they are learned again.
    cluster.expect_exactly(2_000)
    cluster.wait_until_ready()


def test_sigterm_ends_up_and_all_its_children(up):
    _, process = up
    pids = children(process).values()
    assert process.stop(15) == 0
    assert not any(map(is_alive, pids))


def test_children_end_when_up_is_killed(up):
    _, process = up
    pids = children(process).values()
    process.kill()
    wait_until(lambda: not any(map(is_alive, pids)), "the children have ended", 15)


def test_a_gateway_runs_if_there_is_a_port_for_it(make_cluster):
    port = free_port()
    cluster = make_cluster(settings={"gateway.port": port})
    process = Process("up", cluster.arguments("up", "--trainers", "0", "--replicas", "0"), cluster.directory, cluster.environment())
    cluster.processes["up"] = process
    cluster.ports["gateway"] = cluster.settings["gateway.status_port"]
    wait_until(lambda: answers(cluster, "gateway"), "the gateway answers", check=lambda: cluster.check_running("up"))
    assert set(children(process)) == {"ps-0", "ps-1", "joiner", "gateway"}
    assert cluster.info("gateway")["role"] == "gateway"
    wait_until(lambda: http_client.get(port, "/health/ready").status == 200, "the gateway is ready")
    assert process.stop() == 0


def test_an_archive_runs_if_there_is_a_store_for_it(make_cluster, tmp_path):
    cluster = make_cluster(settings={"archive.store": tmp_path / "archive"})
    words = cluster.arguments("up", "--trainers", "0", "--replicas", "0")
    process = Process("up", words, cluster.directory, cluster.environment())
    cluster.processes["up"] = process
    cluster.ports["archive"] = cluster.settings["archive.port"]
    wait_until(lambda: answers(cluster, "archive"), "the archive answers", check=lambda: cluster.check_running("up"))
    assert set(children(process)) == {"ps-0", "ps-1", "joiner", "archive"}
    assert cluster.info("archive")["role"] == "archive"
    assert process.stop() == 0
