"""The stores of snapshots by themselves: `ctl store` against a directory, moto's S3 and a proxy that fails."""

import random
import re

import pytest

from s3 import BUCKET, FlakyProxy, S3Server

MIB = 1 << 20


def check(cluster, settings, files=2, size=100_000, environment=None, seconds=60):
    cluster.settings.update(settings)
    done = cluster.run(
        "ctl", "store", "check", "--files", files, "--bytes", size, seconds=seconds, environment=environment)
    return done


@pytest.fixture
def cluster(make_cluster):
    return make_cluster()


def test_a_directory_passes_the_check_and_keeps_nothing_of_it(cluster, tmp_path):
    done = check(cluster, {"snapshot.store": tmp_path / "store"}, size=3 * MIB)
    assert done.returncode == 0, done.stderr
    assert re.search(r"2 files of 3145728 bytes written at .* MB/s, listed, read back at .* and removed", done.stdout)
    assert not [path for path in (tmp_path / "store").rglob("*") if path.is_file()]


@pytest.mark.parametrize("size", [0, 1, 16 * MIB, 16 * MIB + 1, 40 * MIB])
def test_files_of_every_size_come_back_from_a_bucket(cluster, s3, size):
    proxy = FlakyProxy(s3.port, lambda number, method, path: None)
    done = check(cluster, s3.settings("sizes", proxy.endpoint), files=1, size=size)
    proxy.stop()
    assert done.returncode == 0, done.stderr
    parts = [path for method, path in proxy.requests if method == "PUT" and "partNumber" in path]
    assert len(parts) == (0 if size <= 16 * MIB else -(-size // (16 * MIB)))
    assert s3.keys("sizes/") == {} and s3.uploads() == []


def test_long_lists_are_read_page_by_page(cluster, s3):
    names = [f"shard-0001/{number:05}" for number in range(2_500)]
    for name in random.sample(names, len(names)):
        s3.client.put_object(Bucket=BUCKET, Key=f"pages/{name}", Body=name.encode())
    s3.client.put_object(Bucket=BUCKET, Key="pages-of-others/x", Body=b"")
    cluster.settings.update(s3.settings("pages"))
    done = cluster.command("ctl", "store", "list")
    assert done.stdout.splitlines() == [f"{len(name)}\t{name}" for name in names]


def test_what_fails_now_and_then_is_tried_again(cluster, s3):
    faults = random.Random(1)
    kinds = ["500", "503", "429", "reset", "lost"]
    # At most three times in a row, so that seven attempts are enough whatever comes.
    in_row = {}

    def plan(number, method, path):
        key = (method, path.split("?")[0], "partNumber" in path)
        if in_row.get(key, 0) < 3 and faults.random() < 0.4:
            in_row[key] = in_row.get(key, 0) + 1
            return faults.choice(kinds)
        in_row[key] = 0
        return None

    proxy = FlakyProxy(s3.port, plan)
    done = check(cluster, s3.settings("flaky", proxy.endpoint), files=6, size=17 * MIB, seconds=180)
    proxy.stop()
    assert done.returncode == 0, done.stderr
    assert proxy.failed >= 10
    assert done.stderr.count("trying again") == proxy.failed
    assert s3.keys("flaky/") == {}


def test_an_answer_that_is_lost_after_the_last_step_is_no_failure(cluster, s3):
    lost = []

    def plan(number, method, path):
        if method == "POST" and "uploadId" in path and not lost:
            lost.append(path)
            return "lost"
        return None

    proxy = FlakyProxy(s3.port, plan)
    done = check(cluster, s3.settings("lost", proxy.endpoint), files=1, size=17 * MIB)
    proxy.stop()
    assert done.returncode == 0, done.stderr
    assert lost


def test_an_upload_that_cannot_be_finished_is_aborted_and_named(cluster, s3):
    proxy = FlakyProxy(s3.port, lambda number, method, path: "500" if "partNumber=2" in path else None)
    done = check(cluster, s3.settings("aborted", proxy.endpoint), files=1, size=40 * MIB, seconds=120)
    proxy.stop()
    assert done.returncode == 1
    assert re.search(
        rf"put part 2 of s3://{BUCKET}/aborted/check-\w+/0: HTTP 500 InternalError \(7 attempts\)", done.stderr)
    assert s3.uploads() == [] and s3.keys("aborted/") == {}


def test_a_bucket_that_is_not_there_is_named(cluster, s3):
    done = check(cluster, {**s3.settings("x"), "snapshot.store": "s3://no-such-bucket/x"})
    assert done.returncode == 1
    assert "s3://no-such-bucket/x/check-" in done.stderr and "HTTP 404 NoSuchBucket" in done.stderr
    assert "create the bucket" in done.stderr


def test_missing_credentials_are_a_mistake_in_the_configuration(cluster, s3):
    settings = s3.settings("x")
    del settings["snapshot.s3.access_key_id"], settings["snapshot.s3.secret_access_key"]
    done = check(cluster, settings, environment={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""})
    assert done.returncode == 2
    assert "snapshot.s3.access_key_id: is required" in done.stderr and "AWS_ACCESS_KEY_ID" in done.stderr


def test_credentials_and_endpoint_come_from_the_usual_variables(cluster, s3):
    done = check(
        cluster, {"snapshot.store": f"s3://{BUCKET}/environment"},
        environment={
            "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "token",
            "AWS_ENDPOINT_URL": s3.endpoint})
    assert done.returncode == 0, done.stderr


def test_signatures_hold_where_they_are_looked_at(cluster, tmp_path):
    server = S3Server(tmp_path)
    try:
        settings = server.settings("signed")
        settings["snapshot.s3.access_key_id"], settings["snapshot.s3.secret_access_key"] = server.restrict()
        done = check(cluster, settings, size=17 * MIB)
        assert done.returncode == 0, done.stderr
        done = check(cluster, {**settings, "snapshot.s3.secret_access_key": "wrong"})
        assert done.returncode == 1
        assert "HTTP 403 SignatureDoesNotMatch" in done.stderr and "check the access key" in done.stderr
    finally:
        server.stop()
