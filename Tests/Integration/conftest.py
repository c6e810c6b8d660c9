"""Fixtures: one broker for the session, clusters of processes for the tests."""

import os

import pytest

from cluster import Cluster
from processes import Broker
from s3 import S3Server

TAIL_LINES = 25
RATINGS = 20_000
shared_log_directories = []


@pytest.fixture(scope="session")
def bootstrap_servers(tmp_path_factory):
    """The broker of `KAFKA_BOOTSTRAP_SERVERS`, or one for these tests."""
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given:
        yield given
        return
    broker = Broker(tmp_path_factory.mktemp("broker"))
    yield broker.address
    broker.stop()


@pytest.fixture
def log_directory(request, tmp_path):
    """Where a test's processes write; shown when the test fails."""
    request.node.log_directories = [tmp_path]
    return tmp_path


@pytest.fixture
def make_cluster(bootstrap_servers, log_directory):
    """Makes clusters whose processes end with the test."""
    clusters = []

    def make(**options):
        clusters.append(Cluster(bootstrap_servers, log_directory, **options))
        return clusters[-1]

    yield make
    for cluster in clusters:
        cluster.kill_all()


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    """A server with one bucket; tests use prefixes of their own."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def trained_cluster(bootstrap_servers, tmp_path_factory):
    """A cluster that has learned `RATINGS` ratings; for tests that change nothing."""
    directory = tmp_path_factory.mktemp("trained")
    shared_log_directories.append(directory)
    cluster = Cluster(bootstrap_servers, directory)
    try:
        cluster.start_all()
        cluster.replay("--limit", RATINGS)
        cluster.expect_exactly(RATINGS)
        cluster.wait_until_ready()
        yield cluster
    finally:
        cluster.kill_all()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    directories = getattr(item, "log_directories", shared_log_directories)
    for path in sorted(path for directory in directories for path in directory.glob("*.log")):
        lines = path.read_text(errors="replace").splitlines()
        report.sections.append((f"end of {path}", "\n".join(lines[-TAIL_LINES:])))
