"""Runs one chaos: starts the cluster, streams ratings, injects faults, heals, drains, compares, reports."""

import argparse
import json
import os
import statistics
import sys
import time
from collections import Counter
from pathlib import Path

import yaml

import log
from chaos import check
from chaos.cluster import ROLES, Cluster, Disk
from chaos.faults import Faults
from chaos.monitor import Monitor
from processes import CONFIGURATION, FIXTURE, ROOT
from waiting import wait_until

DRAIN_SECONDS = 300


def say(text):
    print(f"chaos: {text}", flush=True)


def arguments():
    parser = argparse.ArgumentParser(prog="Scripts/chaos")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    whole = ROOT / ".freshet/data/ml-1m"
    given.data = (given.data or (whole if whole.is_dir() else FIXTURE)).resolve()
    return given


def count_ratings(directory):
    for name, header in (("ratings.dat", 0), ("ratings.csv", 1)):
        if (directory / name).is_file():
            with open(directory / name, "rb") as file:
                return sum(1 for line in file if line.strip()) - header
    raise SystemExit(f"chaos: {directory} has neither ratings.dat nor ratings.csv")


def enlarged(directory, count, target):
    """MovieLens data of at least `count` ratings: copies of all users, under other ids, rate the same a second later each."""
    if (directory / "ratings.dat").is_file():
        return directory
    target.mkdir()
    for name in ("movies.csv", "links.csv", "tags.csv"):
        if (directory / name).is_file():
            (target / name).symlink_to(directory / name)
    with open(directory / "ratings.csv", encoding="utf-8") as file:
        header, *lines = file.read().splitlines()
    rows = [line.split(",") for line in lines]
    users = max(int(row[0]) for row in rows)
    copies = -(-count // len(rows))
    with open(target / "ratings.csv", "w", encoding="utf-8") as file:
        file.write(header + "\n")
        for copy in range(copies):
            for user, movie, rating, second in rows:
                file.write(f"{int(user) + copy * users},{movie},{rating},{int(second) + copy}\n")
    return target


def drain(cluster, count):
    """Until everything is joined, learned, and copied. If examples stay away, until what there is is learned."""
    deadline = time.monotonic() + DRAIN_SECONDS

    def left():
        return max(1.0, deadline - time.monotonic())

    def last_ends():
        records = log.read_to_end(cluster.bootstrap_servers, cluster.topics["examples"], 60)
        ends = {}
        for record in records:
            ends[record.partition] = max(ends.get(record.partition, 0), record.offset + 1)
        is_complete = len(records) >= count
        return ends if is_complete or time.monotonic() > deadline - DRAIN_SECONDS / 2 else None

    ends = wait_until(last_ends, f"{count} examples are committed", left(), 1)
    wait_until(lambda: cluster.all_shards_reached(ends), f"all shards have applied up to {ends}", left(), 0.2)
    wait_until(lambda: cluster.info("serve")["ready"] == 1, "the replica is ready", left(), 0.2)

    def copied():
        info = cluster.info("serve")
        return all(int(info.get(f"partition_{partition}", -1)) >= end for partition, end in ends.items())

    wait_until(copied, f"the replica has {ends}", left(), 0.2)


def percentiles(values):
    return {"count": len(values), "p50_s": round(statistics.median(values), 2), "max_s": round(max(values), 2)}


def main():
    options = arguments()
    seconds = options.minutes * 60
    ratings = min(count_ratings(options.data), options.limit or 1 << 60)
    rate = options.rate or ratings / seconds
    count = min(options.limit or 1 << 60, round(rate * seconds))
    data = options.data if count <= ratings else enlarged(options.data, count, options.output / "data")
    count = min(count, count_ratings(data))
    model = yaml.safe_load(CONFIGURATION.read_text())["model"]
    disk = Disk(options.output / "store")
    cluster = Cluster(os.environ["KAFKA_BOOTSTRAP_SERVERS"], options.output, disk)
    report = {
        "seed": options.seed, "minutes": options.minutes, "rate": round(rate, 1), "ratings": count,
        "data": options.data.name, "snapshots": cluster.has_snapshots, "small_disk": disk.is_small, "problems": [],
    }
    failure = None
    monitor = None
    try:
        cluster.start_all(trainers=2, joiners=2)
        cluster.start("archive")
        cluster.wait_until_ready()
        monitor = Monitor(cluster)
        say(f"{count} ratings at {rate:.0f}/s, faults for {options.minutes:g} minutes, seed {options.seed}")
        replay = cluster.start_replay("--limit", count, "--rate", rate, data=data)
        faults = Faults(cluster, disk, monitor, options.seed, options.output / "events.jsonl")
        try:
            faults.run(seconds)
        finally:
            faults.heal()
        report |= {
            "kills": dict(faults.kills), "kills_total": faults.kills.total(), "stops": dict(faults.stops),
            "others": dict(faults.others), "ended_by_themselves": faults.bystanders,
        }
        say(f"{faults.kills.total()} kills, {faults.stops.total()} stops; healing")
        healed = time.monotonic()
        assert replay.wait(seconds + 120) == 0, f"the replay failed: {replay.log[-2000:]}"
        drain(cluster, count)
        report["drain_s"] = round(time.monotonic() - healed, 1)
        compare(cluster, count, model, report)
        compare_archive(cluster, report)
        for bystander in faults.bystanders:
            report["problems"].append(f"{bystander['name']} ended by itself with exit code {bystander['exit_code']}")
    except AssertionError as error:
        failure = str(error)
        report["problems"].append(failure)
    finally:
        if monitor is not None:
            monitor.stop()
            report |= totals(monitor)
        codes = {}
        try:
            codes = {name: code for name, code in cluster.stop().items() if name in cluster.names}
        except AssertionError as error:
            report["problems"].append(str(error))
        report["exit_codes"] = codes
        cluster.kill_all()
        disk.release()
    report["problems"] += [f"{name} ended with {code} after SIGTERM" for name, code in codes.items() if code != 0]
    (options.output / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    print_report(report)
    return 1 if report["problems"] else 0


def compare(cluster, count, model, report):
    counts, records = check.expected_counts(cluster, len(model["tasks"]), len(model["slots"]))
    wrong, compared = check.differences(cluster, counts)
    learned = cluster.examples()
    distinct = len({log.request_hash(record.value) for record in records})
    report |= {
        "examples": len(records), "distinct_requests": distinct, "validated": learned, "rows_compared": compared,
        "occurrences": counts.total(), "differences": wrong, "dead_letters": len(cluster.dead_letters()),
    }
    for name, found in (("examples", len(records)), ("distinct requests", distinct), ("validated examples", learned)):
        if found != count:
            report["problems"].append(f"{found} {name}, {count} expected")
    if wrong:
        report["problems"].append(f"{len(wrong)} or more rows differ, the first: {wrong[0]}")


def compare_archive(cluster, report):
    """Every committed example is in one file, and nothing else is."""
    ends, counts = {}, Counter()
    for record in log.read_to_end(cluster.bootstrap_servers, cluster.topics["examples"], 60):
        ends[record.partition] = max(ends.get(record.partition, 0), record.offset + 1)
        counts[record.partition] += 1

    def archived():
        found = json.loads(cluster.run("archive", "check", "--json").stdout)
        has = {entry["partition"]: entry for entry in found["partitions"]}
        return found if all(has.get(number, {}).get("end", -1) >= end for number, end in ends.items()) else None

    found = wait_until(archived, f"the archive has {ends}", DRAIN_SECONDS, 1)
    records = {entry["partition"]: entry["records"] for entry in found["partitions"]}
    report |= {"archived": sum(records.values()), "archive_files": sum(entry["files"] for entry in found["partitions"])}
    report["problems"] += found["problems"]
    if records != dict(counts):
        report["problems"].append(f"the archive has {records} records, the log {dict(counts)}")


def totals(monitor):
    by_role = {kind: [seconds for which, seconds in monitor.recoveries if which == kind] for kind in ROLES}
    return {
        "counters": monitor.totals,
        "recovery": {kind: percentiles(values) for kind, values in by_role.items() if values},
        "recoveries_superseded": monitor.superseded,
    }


def print_report(report):
    counters = report.get("counters", {})
    servers, trainers = counters.get("ps", {}), counters.get("trainer", {})
    say(f"kills {report.get('kills_total', 0)}: {report.get('kills')}; stops {report.get('stops')}; {report.get('others')}")
    say(f"trained {trainers.get('examples')} examples in {trainers.get('claims')} claims, {trainers.get('restarts')} restarts; "
        f"duplicates refused {servers.get('duplicate_pushes')}, fenced {servers.get('fenced_pushes')}, "
        f"watermark refusals {servers.get('watermark_refusals')}")
    for kind, times in report.get("recovery", {}).items():
        say(f"{kind} recovered {times['count']} times: p50 {times['p50_s']} s, max {times['max_s']} s")
    say(f"examples {report.get('examples')}, distinct {report.get('distinct_requests')}, validated {report.get('validated')}, "
        f"of {report['ratings']}; {report.get('rows_compared')} rows compared, {len(report.get('differences', []))} differ")
    say(f"{report.get('archived')} examples are archived in {report.get('archive_files')} files")
    for problem in report["problems"]:
        say(f"PROBLEM: {problem}")
    say("0 examples lost, 0 applied twice" if not report["problems"] else "FAILED; logs and report are in .freshet/chaos")


sys.exit(main())
