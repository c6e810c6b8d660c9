"""`freshet bench` against clusters, and `freshet query` at length."""

import json
import subprocess

import pytest

from cluster import SERVERS
from processes import FIXTURE, ROOT, program
from waiting import wait_until


def bench_serve(cluster, *words):
    """Ends with the command to send, so the cluster's settings, which it does not need, are left out."""
    command = [program(), "bench", "serve", "--json", "--port", cluster.port("serve"), *words]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)


def report_of(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_open_loop_sends_what_was_asked_for(trained_cluster):
    report = report_of(bench_serve(
        trained_cluster, "--rate", 200, "--seconds", 2, "--warm-up", 0.5, "--connections", 5, "SCORE", "movielens",
        "user_id={1..50}", "CANDIDATES", "item_id", "{1..500}*10"))
    assert report["errors"] == 0 and report["requests"] == 400
    assert report["candidates"] == 10 and report["rate"] == 200
    assert 0 < report["p50_us"] <= report["p90_us"] <= report["p99_us"] <= report["p999_us"] <= report["max_us"]
    served = trained_cluster.info("serve")
    assert int(served["candidates"]) >= 5000


def test_a_closed_loop_keeps_its_pipeline_full(trained_cluster):
    report = report_of(bench_serve(
        trained_cluster, "--seconds", 1, "--warm-up", 0.2, "--connections", 2, "--pipeline", 8, "PING"))
    assert report["errors"] == 0 and report["requests"] > 1000 and "rate" not in report


def test_errors_are_counted_and_shown(trained_cluster):
    done = bench_serve(
        trained_cluster, "--rate", 50, "--seconds", 1, "--warm-up", 0, "SCORE", "nosuch", "user_id=1")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["errors"] == 50 and report["requests"] == 0 and "nosuch" in report["first_error"]


def test_pushed_rows_arrive_at_the_replica(make_cluster):
    cluster = make_cluster()
    cluster.start_all(trainers=0, joiners=0)
    cluster.wait_until_ready()
    report = report_of(cluster.run("bench", "push", "--json", "--rate", 5000, "--rows", 3000, "--seconds", 2))
    assert report["pushes"] == 200 * SERVERS and report["rows"] > 4000
    # 10,000 draws of 3,000 rows leave some 100 out.
    wait_until(lambda: 2800 < int(cluster.info("serve")["embedding_rows"]) <= 3000, "the pushed rows at the replica")


def test_freshness_is_measured_from_outside(make_cluster, tmp_path):
    cluster = make_cluster()
    report = report_of(cluster.run(
        "bench", "e2e", "--json", "--rate", 100, "--probes", 5, "--seconds", 4, "--warm-up", 1, "--users", 100,
        "--items", 50, "--cluster-log", tmp_path / "e2e.log", seconds=90))
    assert report["probes"] >= 15 and report["lost"] == 0
    assert 0 < report["p50_ms"] <= report["p90_ms"] <= report["p99_ms"] <= report["max_ms"] < 30_000
    assert report["events_per_s_written"] > 50


def test_query_reads_commands_line_by_line(trained_cluster):
    commands = 'PING\n\nSCORE movielens "user_id=1" item_id=1193\nNOSUCH\nPING "two words"\nquit\nPING never\n'
    done = subprocess.run(
        [program(), "query", "--port", str(trained_cluster.port("serve"))], input=commands, capture_output=True, text=True,
        timeout=20)
    lines = done.stdout.splitlines()
    assert done.returncode == 1, done
    assert lines[0] == "PONG" and 0 < float(lines[1]) < 1 and lines[2] == "two words" and len(lines) == 3
    assert "NOSUCH" in done.stderr or "nosuch" in done.stderr


def test_lives_of_a_joiner_that_end_anywhere_give_what_a_sort_merge_join_gives(tmp_path):
    done = subprocess.run(
        [program(), "bench", "join", "--json", "--case", "kills", "--impressions", "60000", "--actions", "36000", "--kills", "10",
         "--state-bytes", "500000", "--commit-every", "3000", "--directory", str(tmp_path / "join")],
        capture_output=True, text=True, timeout=120)
    case = report_of(done)["cases"][0]
    assert case["is_as_expected"] and case["examples"] > 36_000 and case["dead_letters"] == 0
    assert case["kills"] >= 5 and case["moves"] >= 1 and case["disk_hits"] > 1000
    assert not (tmp_path / "join").exists()


def test_joining_is_measured_in_memory_on_disk_and_after_a_restart(tmp_path):
    done = subprocess.run(
        [program(), "bench", "join", "--json", "--impressions", "3000", "--actions", "3000", "--pending", "5000",
         "--directory", str(tmp_path / "join")], capture_output=True, text=True, timeout=120)
    report = report_of(done)
    assert report["events_per_second"] > 0 and report["peak_rss_mb"] > 0
    cases = {case["name"]: case for case in report["cases"]}
    assert list(cases) == ["in-order", "out-of-order", "spilled", "restart"]
    for name in ("in-order", "out-of-order", "spilled"):
        assert cases[name]["events"] == 6000 and cases[name]["examples"] == 1800
    assert cases["in-order"]["disk_lookups"] == 0 and cases["spilled"]["disk_hits"] > 0
    assert cases["restart"]["restart_from_disk"] and cases["restart"]["restart_seconds"] > 0
    assert cases["restart"]["rebuild_records_per_second"] > 0 and cases["restart"]["pending"] >= 4900


@pytest.mark.parametrize("emit", ["on-action", "at-window-end"])
def test_served_probabilities_are_those_of_the_stream_before_negatives_were_dropped(emit):
    command = [
        program(), "bench", "calibration", "--json", "-c", ROOT / "Examples/implicit-feedback/cluster.yaml", "--data", FIXTURE,
        "--negative-rate", 0.1, "--held-out", 0.3, "--rounds", 20, "--set", f"joiner.emit={emit}"]
    report = report_of(subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60))
    assert report["negatives_learned"] < 0.12 * report["impressions"] and report["scored"] > 25_000
    assert abs(report["ratio"] - 1) < 0.05 and 1.6 < report["uncorrected_ratio"]
    assert all(abs(decile["ratio"] - 1) < 0.25 for decile in report["deciles"])
    assert report["auc"] > 0.63


def bench_table(requests, *words):
    command = [program(), "bench", "table", "--json", "--rows", 20_000, "--queries", 5_000, *words]
    return subprocess.run([str(word) for word in command], input=requests, capture_output=True, text=True, timeout=60)


def test_a_table_is_filled_read_trained_and_expired():
    report = report_of(bench_table(""))
    assert report["rows"] == 20_000 and report["distribution"] == "uniform"
    assert min(report[f"{name}_ns"] for name in ["insert", "gather", "update", "expire"]) > 0


def test_a_table_carries_out_the_passes_that_are_asked_for():
    done = bench_table("gather zipf\nupdate uniform\nupdate zipf\n", "--on-request")
    assert done.returncode == 0, done.stderr
    ready, *passes, report = [json.loads(line) for line in done.stdout.splitlines()]
    assert ready == {"ready": True} and len(passes) == 3 and min(answer["ns"] for answer in passes) > 0
    assert report["insert_ns"] > 0 and "gather_ns" not in report and "distribution" not in report


def test_a_pass_that_does_not_exist_is_refused():
    done = bench_table("gather zipf\ngather zip\n", "--on-request")
    assert done.returncode == 2 and len(done.stdout.splitlines()) == 2
    assert 'standard input: a pass is "gather" or "update", and "uniform" or "zipf", not "gather zip"' in done.stderr
