"""What the examples share: options, a cluster, a producer that pauses, and the way from the last record to the last score."""

import argparse
import heapq
import json
import os
import random
import signal
import sys
import time
import urllib.request
from pathlib import Path

from confluent_kafka import Producer

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Scripts/lib"))

from local_cluster import LocalCluster, names_of_their_own  # noqa: E402


def options(description):
    """The options that every example has. `--binary`, `--output` and `--broker-pid` come from its `run`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--binary", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--output", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--broker-pid", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--keep", action="store_true", help="leave broker and cluster running, and say how to stop them")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="stands above cluster.yaml")
    parser.add_argument("--seed", type=int, default=1, help="of everything that is drawn (default 1)")
    parser.add_argument("--trainers", type=int, default=2, help="default 2")
    return parser


def launch(name, make, parser):
    """Makes the example of the command line's arguments, says what it is about to do (`summary`), and does it.

    Data that cannot be used, an OSError or a ValueError of `make`, ends the program with its message.
    """
    arguments = parser.parse_args()
    try:
        made = make(arguments)
    except (OSError, ValueError) as error:
        sys.exit(f"{name}: {error}")
    say(f"{name}: {made.summary}, through {os.environ['FRESHET_KAFKA_BOOTSTRAP_SERVERS']}; logs in {arguments.output}/")
    made.example.run(made.run)


class PacedProducer:
    """Writes JSON records with pauses of random length between bursts, as live traffic has them. Not exact; never early."""

    def __init__(self, bootstrap_servers, seed, mean_pause_ms):
        self.producer = Producer({"bootstrap.servers": bootstrap_servers, "linger.ms": 5, "compression.type": "lz4"})
        self.random = random.Random(seed)
        self.mean_pause_ms = mean_pause_ms
        self.error = None
        self.sent = 0

    def delivered(self, error, _):
        self.error = self.error or error

    def send(self, topic, key, record, partition=-1):
        """Without a partition librdkafka takes the key's, the same one in `features` and in `actions`."""
        value = json.dumps(record, separators=(",", ":"), ensure_ascii=False)
        while True:
            try:
                self.producer.produce(
                    topic, key=str(key), value=value, partition=partition, on_delivery=self.delivered)
                break
            except BufferError:
                # librdkafka's queue is full: the broker is slower than this program.
                self.producer.poll(0.1)
        self.sent += 1
        if self.sent % 256 == 0:
            self.producer.poll(0)
            self.check()

    def check(self):
        if self.error is not None:
            raise RuntimeError(f"the broker did not take a record: {self.error}")

    def pause(self, mean_ms=None):
        self.producer.poll(0)
        time.sleep(self.random.expovariate(1) * (self.mean_pause_ms if mean_ms is None else mean_ms) / 1000)

    def flush(self):
        left = self.producer.flush(60)
        self.check()
        if left:
            raise RuntimeError(f"the broker did not take {left} records within a minute")


class Example:
    """One run: a cluster, a producer, and what has been learned of what was sent."""

    def __init__(self, name, arguments, configuration, settings, mean_pause_ms):
        self.name = name
        self.arguments = arguments
        self.bootstrap_servers = os.environ["FRESHET_KAFKA_BOOTSTRAP_SERVERS"]
        os.makedirs(arguments.output, exist_ok=True)
        given = dict(item.split("=", 1) for item in arguments.set)
        self.cluster = LocalCluster(
            name, arguments.binary, configuration, arguments.output, {**settings, **given}, arguments.trainers, replicas=1)
        self.producer = PacedProducer(self.bootstrap_servers, arguments.seed, mean_pause_ms)
        self.started = time.monotonic()
        self.shown = 0.0
        self.impressions = 0
        # Impressions that were learned or left out when that was last asked for.
        self.known = 0
        self.actions = []

    def run(self, body):
        """Starts the cluster, calls `body`, and stops everything, whatever happens. `--keep` keeps what went well."""
        # So that `finally` below runs: an example that is told to stop leaves nothing behind.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        done = False
        try:
            self.cluster.start()
            self.cluster.wait_until_up()
            body()
            done = True
        finally:
            if self.arguments.keep and done:
                self.cluster.stopping.set()
                pids = " ".join(str(pid) for pid in (self.cluster.process.pid, self.arguments.broker_pid) if pid)
                say(f"left running; stop with: kill {pids}")
            else:
                self.cluster.stop()

    # MARK: - Sending

    @property
    def topics(self):
        return self.cluster.configuration["kafka"]["topics"]

    def send_impression(self, key, record):
        self.send_actions(record["event_time"])
        self.producer.send(self.topics["features"], key, record)
        self.impressions += 1

    def plan_action(self, key, record):
        """Sends it when the impressions have reached its event time."""
        heapq.heappush(self.actions, (record["event_time"], self.producer.sent, len(self.actions), key, record))

    def send_actions(self, until_ms):
        while self.actions and self.actions[0][0] <= until_ms:
            *_, key, record = heapq.heappop(self.actions)
            self.producer.send(self.topics["actions"], key, record)

    def close_windows(self, at_ms, record):
        """Ends the stream: the time of each partition moves on, by one impression that itself is never judged."""
        self.send_actions(at_ms)
        joiner = self.cluster.configuration["joiner"]
        event_time = at_ms + joiner["window_ms"] + joiner["grace_ms"] + 1
        for partition in range(self.cluster.configuration["kafka"]["partitions"]):
            closing = {**record, "request_id": f"closing-{partition}", "event_time": event_time}
            self.producer.send(self.topics["features"], "closing", closing, partition)
        self.producer.flush()

    # MARK: - Learning

    def progress(self, maximum_lead, every_seconds=5.0, more=lambda: ""):
        """Shows a line now and then, and waits while more than `maximum_lead` impressions are not learned yet."""
        if time.monotonic() - self.started - self.shown < every_seconds:
            return

        def is_close():
            status = self.cluster.status()
            dropped = self.joined()["negatives_dropped"]
            return status if status and self.impressions - dropped - status[0]["examples"] <= maximum_lead else None
        task, replicas = self.cluster.wait_until(is_close, f"no more than {maximum_lead:,} impressions wait", 120)
        self.shown = time.monotonic() - self.started
        self.show(task, replicas[0], more())

    def wait_until_recent(self, waiting, seconds=120):
        """Until no more than so many impressions are neither learned nor left out, so that scores are those of a live system."""
        least = self.impressions - waiting
        if least <= self.known:
            return

        def is_recent():
            status = self.cluster.status()
            self.known = status[0]["examples"] + self.joined()["negatives_dropped"] if status else self.known
            return self.known >= least
        self.cluster.wait_until(is_recent, f"{least:,} impressions are learned", seconds)

    def show(self, task, replica, more):
        def number(value):
            return "  -   " if value is None else f"{value:.4f}"
        fresh = replica.get("recent_p50_ms")
        say(f"  {time.monotonic() - self.started:5.1f} s  {self.impressions:>9,} shown  {task['examples']:>9,} learned   "
            f"AUC {number(task.get('auc'))}  recently {number(task.get('auc_recent'))}   "
            f"freshness p50 {fresh + ' ms' if fresh else '-'}{more}")

    def joined(self):
        """What the joiner has done with the impressions so far."""
        info = self.cluster.wait_until(
            lambda: self.cluster.info(self.cluster.configuration["joiner"]["port"]), "the joiner answers")
        return {key: int(info[key]) for key in ("joined", "negatives", "negatives_dropped", "dead_lettered")}

    def wait_until_learned(self):
        """Until every impression has been judged, every example learned, and the replica has it. Returns task and counts."""
        def judged():
            joined = self.joined()
            return joined if joined["joined"] + joined["negatives"] + joined["negatives_dropped"] >= self.impressions else None
        counts = self.cluster.wait_until(judged, f"{self.impressions:,} impressions are joined", 120)
        examples = counts["joined"] + counts["negatives"]

        def learned():
            status = self.cluster.status()
            return status if status and status[0]["examples"] >= examples else None
        task, replicas = self.cluster.wait_until(learned, f"{examples:,} examples are learned", 120)
        if task["examples"] != examples or counts["dead_lettered"]:
            self.cluster.fail(
                f"{examples:,} examples were joined and {task['examples']:,} learned; {counts['dead_lettered']} dead letters")
        self.show(task, replicas[0], "")
        self.wait_until_served()
        return task, counts

    def wait_until_served(self):
        """Until the replica's scores reflect every example that any shard has applied."""
        configuration = self.cluster.configuration

        def is_served():
            ends = {}
            for address in configuration["cluster"]["servers"]:
                for key, offset in (self.cluster.info(int(address.rpartition(":")[2])) or {}).items():
                    if key.startswith("watermark_") and key != "watermark_refusals":
                        partition = key.rpartition("_")[2]
                        ends[partition] = max(ends.get(partition, 0), int(offset))
            replica = self.cluster.info(configuration["serve"]["port"]) or {}
            return ends and all(int(replica.get(f"partition_{key}", -1)) >= end for key, end in ends.items())
        self.cluster.wait_until(is_served, "the replica has everything that was learned", 30)

    # MARK: - Asking

    def post(self, path, body):
        """A request to the serving port; `path` may say {model}."""
        configuration = self.cluster.configuration
        path = path.format(model=configuration["model"]["name"])
        address = f"http://127.0.0.1:{configuration['serve']['http_port']}{path}"
        with urllib.request.urlopen(address, json.dumps(body).encode(), timeout=20) as reply:
            return json.load(reply)

    def write_summary(self, summary):
        path = os.path.join(self.arguments.output, "summary.json")
        with open(path, "w") as file:
            json.dump(summary, file, indent=2)
            file.write("\n")
        say(f"written to {path}")


def settings_for(arguments, name):
    """On a broker of the user's own an example stays out of the way of everything else, and of earlier runs."""
    return {} if arguments.broker_pid else names_of_their_own(f"freshet-{name}-{os.getpid()}-{int(time.time())}-")


def say(text):
    print(text, flush=True)
