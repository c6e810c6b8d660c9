"""The SQL of Examples/warehouse reads what `freshet archive` wrote: a row for each record, and the sums that its records give."""

import collections
import ctypes
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
import pytest

import log
from cluster import Cluster
from processes import ROOT, free_port, listens
from test_archive import wait_until_archived
from waiting import wait_until

EXAMPLE = ROOT / "Examples/warehouse"
ZSTD = ctypes.CDLL("libzstd.so.1")
ZSTD.ZSTD_findFrameCompressedSize.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
ZSTD.ZSTD_findFrameCompressedSize.restype = ctypes.c_size_t
RATINGS = 600
RAW = ("features", "actions", "items")
SETTINGS = {"archive.window_ms": 1000, "archive.close_after_ms": 300, "archive.file_offsets": 128}
# Nothing of these can be used; a JSON text, a number that is none, no value and other bytes.
UNUSABLE = [("k", b"no json"), ("k", b'{"request_id": 7}'), (None, None), ("k", b"\xff\x00"), ("k", b"[1, 2]"),
            ("k", b'{"request_id": "r", "event_time": "soon"}')]
POPULAR = "SELECT item_id, title, ratings, mean_rating FROM popularity ORDER BY item_id"
OFFSETS = "SELECT topic, kafka_partition, records, first_offset, last_offset, duplicates, without_record FROM offsets ORDER BY 1, 2"
CLEAN = "SELECT (SELECT count(*) FROM clean_features) f, (SELECT count(*) FROM clean_actions) a, (SELECT count(*) FROM clean_items) i"


class Warehouse:
    """An archive under the topics' usual names, and what its queries should give."""

    def __init__(self, cluster, directory):
        self.archive, self.lines = directory / "named", directory / "named-lines"
        self.records = {
            name: log.read_to_end(cluster.bootstrap_servers, cluster.topics[name]) for name in (*RAW, "examples")}
        for name, records in self.records.items():
            source, target = (directory / "lines", self.lines) if name == "examples" else (directory / "archive", self.archive)
            (target / "topics").mkdir(parents=True, exist_ok=True)
            (target / "topics" / name).symlink_to(source / "topics" / cluster.topics[name])
        self.offsets = self.expected_offsets()
        self.popular = self.expected_popularity()

    def expected_offsets(self):
        rows = []
        for name, records in self.records.items():
            partitions = collections.defaultdict(list)
            for record in records:
                partitions[record.partition].append(record.offset)
            for number, found in partitions.items():
                span = max(found) - min(found) + 1
                rows.append((name, number, len(found), min(found), max(found), 0, span - len(found)))
        return sorted(rows)

    def expected_popularity(self):
        def values(name, key):
            """Those that can be used have the key, and no others."""
            values = [json.loads(record.value) for record in self.records[name] if (record.value or b"").startswith(b'{"')]
            return [value for value in values if key in value]
        items = {value["item_id"]: value["title"] for value in values("items", "item_id")}
        shown = {value["request_id"]: value["item_id"] for value in values("features", "item_id")}
        ratings = collections.defaultdict(dict)
        for value in values("actions", "action"):
            ratings[shown[value["request_id"]]].setdefault(value["request_id"], value["value"])
        return sorted(
            (item, items[item], len(given), pytest.approx(sum(given.values()) / len(given))) for item, given in ratings.items())

    def check(self, query):
        """`query` gives the rows of a statement, as tuples of Python's own types."""
        assert query(OFFSETS) == self.offsets
        assert sum(records for name, _, records, *_ in self.offsets if name == "examples") == RATINGS
        # The repeated action counts once, the deleted item and what could not be used not at all.
        items = len({record.key for record in self.records["items"]} - {b"k", None}) - 1
        assert query(CLEAN) == [(RATINGS, RATINGS, items)]
        assert query("SELECT count(*) FROM ratings") == [(RATINGS,)]
        assert query(POPULAR) == self.popular


@pytest.fixture(scope="module")
def warehouse(bootstrap_servers, tmp_path_factory):
    directory = tmp_path_factory.mktemp("warehouse")
    cluster = Cluster(bootstrap_servers, directory, settings={"archive.store": directory / "archive", **SETTINGS})
    try:
        cluster.command("ctl", "topics", "create")
        cluster.start("joiner0")
        cluster.replay("--limit", RATINGS)
        wait_until(lambda: cluster.committed_examples(RATINGS), "everything is joined", 30, check=cluster.check_healthy)
        for name in RAW:
            # A compacted topic takes no record without a key.
            keys = {None: "k"} if name == "items" else {}
            log.produce(bootstrap_servers, cluster.topics[name], [(keys.get(key, key), value) for key, value in UNUSABLE])
        repeated = log.read_to_end(bootstrap_servers, cluster.topics["actions"])[0]
        log.produce(bootstrap_servers, cluster.topics["actions"], [(repeated.key, repeated.value)], repeated.partition)
        # Nobody has rated it in what was sent.
        log.produce(bootstrap_servers, cluster.topics["items"], [("193609", None)])
        cluster.start("archive0")
        cluster.settings["archive.group"] += "-raw"
        raw = [cluster.topics[name] for name in RAW]
        cluster.start("archive1", "--topics", ",".join(raw))
        wait_until_archived(cluster, cluster.topics["examples"], name="archive0")
        for topic in raw:
            wait_until_archived(cluster, topic, "--topics", topic, name="archive1")
        cluster.command("archive", "export", "--out", directory / "lines")
        yield Warehouse(cluster, directory)
    finally:
        cluster.kill_all()


def test_duckdb_has_a_row_for_each_record(warehouse, tmp_path):
    database = tmp_path / "warehouse.duckdb"
    done = subprocess.run(
        [sys.executable, EXAMPLE / "query.py", warehouse.archive, warehouse.lines, "--database", database],
        capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "shrunk_mean" in done.stdout
    with duckdb.connect(str(database), read_only=True) as connection:
        warehouse.check(lambda statement: [tuple(row) for row in connection.execute(statement).fetchall()])


def test_files_of_lines_are_ordinary_frames_and_nothing_else_is_beside_them(warehouse):
    """As readers need it that take every file of a directory, and that stop at skippable frames."""
    for name in RAW:
        # Through the link to the topic's directory.
        files = [path for path in (warehouse.archive / "topics" / name).resolve().rglob("*") if path.is_file()]
        assert files and all(path.name.endswith(".jsonl.zst") for path in files)
        for path in files:
            for frame in frames(path.read_bytes()):
                assert json.loads(frame.split(b"\n")[0])["offset"] >= 0 and frame.endswith(b"\n")


def frames(data):
    """What the frames of a .zst file hold; fails at anything but frames of data."""
    while data:
        assert data[:4] == b"\x28\xb5\x2f\xfd", "a frame of data, not a skippable one"
        # libzstd's own count of the first frame's bytes.
        size = ZSTD.ZSTD_findFrameCompressedSize(data, len(data))
        assert size <= len(data), "a whole frame"
        yield subprocess.run(["zstd", "-dc"], input=data[:size], capture_output=True, check=True).stdout
        data = data[size:]


def postgres_program(name):
    """On PATH, or where Debian's package postgresql-15 puts it."""
    packaged = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (packaged[-1] if packaged else None)
    if found is None:
        pytest.skip(f"no {name} on PATH nor in /usr/lib/postgresql: apt-get install postgresql")
    return found


@pytest.fixture
def postgres():
    """A server of this test's own; its environment for psql."""
    programs = {name: postgres_program(name) for name in ("initdb", "postgres", "psql")}
    directory = Path(tempfile.mkdtemp(prefix="freshet-postgres-"))
    options = {}
    if os.geteuid() == 0:
        # The server refuses to be root, and pytest's directories are open to root alone.
        nobody = pwd.getpwnam("nobody")
        os.chown(directory, nobody.pw_uid, nobody.pw_gid)
        options = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    data, port = directory / "data", free_port()
    subprocess.run(
        [programs["initdb"], "-D", data, "-A", "trust", "-U", "freshet", "-E", "UTF8", "--no-locale", "--no-sync"],
        capture_output=True, check=True, cwd=directory, **options)
    with open(directory / "log", "wb") as output:
        server = subprocess.Popen(
            [programs["postgres"], "-D", data, "-k", directory, "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=directory, start_new_session=True, **options)
    try:
        def answers():
            assert server.poll() is None, (directory / "log").read_text()
            return listens(port)
        wait_until(answers, "PostgreSQL listens", 20)
        yield programs["psql"], {**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "freshet", "PGDATABASE": "postgres"}
    finally:
        server.terminate()
        server.wait(20)
        shutil.rmtree(directory)


def test_postgres_has_a_row_for_each_record(warehouse, postgres):
    program, environment = postgres
    environment |= {"ARCHIVE": str(warehouse.archive), "LINES_DIR": str(warehouse.lines)}

    def psql(*arguments):
        done = subprocess.run(
            [program, "-X", "-q", "-v", "ON_ERROR_STOP=1", *arguments], capture_output=True, text=True, timeout=60, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout
    # Twice: what is there already is replaced.
    for _ in range(2):
        report = psql(*(word for name in ("postgres.sql", "views.sql", "report.sql") for word in ("-f", EXAMPLE / name)))
        assert "shrunk_mean" in report
    warehouse.check(lambda statement: [
        tuple(row.values()) for row in json.loads(psql("-At", "-c", f"SELECT json_agg(q) FROM ({statement}) q"))])
