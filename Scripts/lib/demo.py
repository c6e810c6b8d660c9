"""Runs the demo: starts a cluster, replays ratings, watches it learn, asks for scores, writes the summary.

Called by Scripts/demo, which has built the binary and started the broker.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request

import redis

from local_cluster import LocalCluster, names_of_their_own

OUTPUT = ".freshet/demo"
TRAINERS, REPLICAS = 2, 2
# The last ratings go at this pace: freshness says something only while nothing waits in line, and it is that of the last 5 s.
TAIL, TAIL_RATE = 6_000, 1_000
# The replay waits while more records than this are not yet joined and learned.
MAX_LEAD = 100_000
DEADLINE_SECONDS = 600


def say(text):
    print(text, flush=True)


def fail(text):
    print(f"demo: {text}", file=sys.stderr, flush=True)
    raise SystemExit(1)


def count_ratings(directory):
    for name, header in (("ratings.dat", 0), ("ratings.csv", 1)):
        path = os.path.join(directory, name)
        if os.path.exists(path):
            with open(path, "rb") as file:
                return sum(1 for line in file if line.strip()) - header
    fail(f"{directory} has neither ratings.dat nor ratings.csv")


def titles(directory):
    names = {}
    for name, separator in (("movies.dat", "::"), ("movies.csv", ",")):
        path = os.path.join(directory, name)
        if os.path.exists(path):
            with open(path, encoding="latin-1" if name.endswith(".dat") else "utf-8") as file:
                for line in file:
                    parts = line.rstrip("\n").split(separator)
                    names[parts[0]] = re.sub(r'^"|"$', "", separator.join(parts[1:-1]))
    return names


def stream(cluster, arguments, total):
    """Replays and waits until everything is learned. Returns seconds, the bulk's rate, and the last status."""
    tail = min(TAIL, total // 10)
    replay_log = os.path.join(OUTPUT, "replay.log")
    words = [
        "replay", "--data", arguments.data, "--limit", str(total), "--max-lead", str(MAX_LEAD),
        *(["--tail", str(tail), "--tail-rate", str(TAIL_RATE)] if tail else []), *cluster.configured]
    started = time.monotonic()
    with open(replay_log, "wb") as log:
        replay = subprocess.Popen(
            [arguments.binary, *words], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    bulk = total - tail
    bulk_seconds, learned, status, shown = None, 0, None, 0.0
    try:
        while learned < total:
            cluster.check()
            if replay.poll() not in (None, 0):
                with open(replay_log, errors="replace") as log:
                    print("".join(log.readlines()[-5:]), file=sys.stderr)
                fail(f"the replay ended with code {replay.returncode}; its log is {replay_log}")
            if time.monotonic() - started > DEADLINE_SECONDS:
                fail(f"{learned:,} of {total:,} examples were learned within {DEADLINE_SECONDS} s; see {OUTPUT}/*.log")
            status = cluster.status() or status
            seconds = time.monotonic() - started
            if status:
                learned = status[0]["examples"]
                if bulk_seconds is None and learned >= bulk:
                    bulk_seconds = seconds
                if seconds - shown >= 2 or learned >= total:
                    shown = seconds
                    show_progress(status, learned, total, seconds)
            time.sleep(0.1)
    finally:
        if replay.poll() is None and learned < total:
            replay.terminate()
        replay.wait(timeout=30)
    return time.monotonic() - started, bulk / (bulk_seconds or 1), status


def show_progress(status, learned, total, seconds):
    task, replicas = status
    number = lambda value: "  -  " if value is None else f"{value:.4f}"
    fresh = replicas[0].get("recent_p50_ms")
    say(f"  {seconds:5.1f} s  {learned:>9,} learned ({100 * learned // total:3d}%)   AUC {number(task.get('auc'))}   "
        f"recently {number(task.get('auc_recent'))}   freshness p50 {fresh + ' ms' if fresh else '-'}")


def show_scores(cluster, directory):
    """A few live answers of the first replica, by an ordinary Redis client and by HTTP."""
    names = titles(directory)
    model, serve = cluster.configuration["model"]["name"], cluster.configuration["serve"]
    client = redis.Redis(port=serve["port"], protocol=3, decode_responses=True)
    movies = [movie for movie in ("1193", "661", "914", "2858", "1") if movie in names][:3] or list(names)[:3]
    command = ["SCORE", model, "user_id=1", "CANDIDATES", "item_id", *movies]
    say(f"\nredis-cli -p {serve['port']} {' '.join(command)}")
    for movie, score in zip(movies, client.execute_command(*command)):
        say(f"  {float(score):.4f}  {movie:>5}  {names.get(movie, '')}")
    address, body = f"localhost:{serve['http_port']}/v1/models/{model}:predict", {"inputs": {"user_id": 1, "item_id": movies}}
    say(f"curl {address} -d '{json.dumps(body)}'")
    with urllib.request.urlopen(f"http://{address}", json.dumps(body).encode(), timeout=10) as reply:
        say(f"  {reply.read().decode()}")
    command = ["RECOMMEND", model, "user_id=1", "TOPK", "5"]
    say(f"redis-cli -p {serve['port']} {' '.join(command)}")
    answer = client.execute_command(*command)
    for movie, score in zip(answer[::2], answer[1::2]):
        say(f"  {float(score):.4f}  {movie:>5}  {names.get(str(movie), '')}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--broker-pid", type=int, default=0)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--config", default="Config/cluster.yaml")
    parser.add_argument("--set", action="append", default=[])
    arguments = parser.parse_args()
    total = count_ratings(arguments.data)
    total = min(total, arguments.limit or total)
    # On a broker of the user's own the demo stays out of the way of everything else, and of earlier demos.
    topics = {}
    if not arguments.broker_pid:
        topics = names_of_their_own(f"freshet-demo-{int(time.time())}-")
    # So that `finally` below runs: a demo that is told to stop leaves nothing behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    settings = topics | dict(item.split("=", 1) for item in arguments.set)
    cluster = LocalCluster("demo", arguments.binary, arguments.config, OUTPUT, settings, TRAINERS, REPLICAS)
    say(f"demo: {total:,} ratings through {os.environ['FRESHET_KAFKA_BOOTSTRAP_SERVERS']}; "
        f"2 parameter servers, 1 joiner, {TRAINERS} trainers, {REPLICAS} replicas; logs in {OUTPUT}/")
    cluster.start()
    done = False
    try:
        cluster.wait_until_up()
        if port := cluster.configuration["dashboard"]["port"]:
            say(f"demo: watch it at http://127.0.0.1:{port}/")
        seconds, rate, status = stream(cluster, arguments, total)
        task, replicas = status
        freshness = {key: max(float(info[f"recent_{key}_ms"]) for info in replicas if f"recent_{key}_ms" in info)
                     for key in ("p50", "p99")} if any("recent_p99_ms" in info for info in replicas) else {}
        show_scores(cluster, arguments.data)
        summary = {
            "examples": task["examples"], "auc": task["auc"], "auc_last_half": task["auc_last_half"],
            "logloss": task["logloss"], "calibration": task["calibration"], "auc_error_bound": task["auc_error_bound"],
            "seconds": round(seconds, 2), "examples_per_second": round(rate),
            "freshness_p50_ms": freshness.get("p50"), "freshness_p99_ms": freshness.get("p99"),
            "freshness_examples_per_second": TAIL_RATE, "peak_memory_mb": round(cluster.peak_bytes / 2**20)}
        with open(os.path.join(OUTPUT, "summary.json"), "w") as file:
            json.dump(summary, file, indent=2)
            file.write("\n")
        say(f"\n{summary['examples']:,} examples in {seconds:.1f} s ({rate:,.0f}/s, then the last ones at {TAIL_RATE:,}/s)\n"
            f"AUC {summary['auc']:.4f}, last half {summary['auc_last_half']:.4f}, logloss {summary['logloss']:.4f}\n"
            f"freshness p50 {freshness.get('p50', float('nan')):.0f} ms, p99 {freshness.get('p99', float('nan')):.0f} ms, "
            f"from an action's append to Kafka to scores that reflect it\n"
            f"peak memory {summary['peak_memory_mb']} MB, all processes together, without the broker\n"
            f"written to {OUTPUT}/summary.json")
        if task["examples"] != total:
            fail(f"{task['examples']:,} examples were counted, {total:,} were sent")
        done = True
    finally:
        if arguments.keep and done:
            pids = " ".join(str(pid) for pid in (cluster.process.pid, arguments.broker_pid) if pid)
            cluster.stopping.set()
            # `freshet` finds the cluster's ports in Config/cluster.yaml; the broker's is another each time.
            settings = " ".join(f"--set {key}={value}" for key, value in topics.items())
            say(f"left running; for commands that write to it: export FRESHET_KAFKA_BOOTSTRAP_SERVERS={os.environ['FRESHET_KAFKA_BOOTSTRAP_SERVERS']}"
                + (f"\n  and give them: {settings}" if settings else "") + f"\nstop with: kill {pids}")
        else:
            cluster.stop()


if __name__ == "__main__":
    main()
