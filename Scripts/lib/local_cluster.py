"""A whole cluster on this machine, `freshet up` as a child: what the demo and the examples start, watch and stop."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import redis
import yaml

TOPICS = ("features", "actions", "items", "examples", "dead_letter", "validation")


def names_of_their_own(prefix):
    """Settings with topics and groups that nobody else on the broker uses."""
    topics = {f"kafka.topics.{name}": prefix + name.replace("_", "-") for name in TOPICS}
    return topics | {"joiner.group": prefix + "joiner", "trainer.group": prefix + "trainer"}


class LocalCluster:
    """`freshet up` as a child, and what it tells of itself.

    `name` begins messages; `output` is the directory of logs and snapshots; `settings` stand above the configuration.
    """

    def __init__(self, name, binary, configuration, output, settings, trainers, replicas):
        self.name = name
        self.binary = os.path.abspath(binary)
        self.output = output
        self.trainers, self.replicas = trainers, replicas
        # Snapshots of an earlier run belong to topics that are gone.
        store = os.path.join(output, "snapshots")
        shutil.rmtree(store, ignore_errors=True)
        settings = {**settings, "snapshot.store": store}
        self.configured = ["-c", configuration] + [
            word for item in settings.items() for word in ("--set", "=".join(map(str, item)))]
        self.log_path = os.path.join(output, "cluster.log")
        self.peak_bytes = 0
        self.stopping = threading.Event()
        self.process = None

    def fail(self, text):
        print(f"{self.name}: {text}", file=sys.stderr, flush=True)
        raise SystemExit(1)

    # MARK: - Life

    def start(self):
        # Of the whole configuration: the file, the environment and the settings.
        printed = self.freshet("config", "print")
        if printed.returncode != 0:
            self.fail(printed.stderr.strip())
        self.configuration = yaml.safe_load(printed.stdout)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [self.binary, "up", "--trainers", str(self.trainers), "--replicas", str(self.replicas), *self.configured],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        threading.Thread(target=self.watch_memory, daemon=True).start()

    def stop(self):
        self.stopping.set()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()

    def watch_memory(self):
        """The largest sum of the resident memory of all Freshet's processes, replay included, sampled."""
        name = os.path.realpath(self.binary)
        while not self.stopping.is_set():
            total = 0
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    if os.readlink(f"/proc/{pid}/exe") == name:
                        with open(f"/proc/{pid}/statm") as file:
                            total += int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
                except (OSError, IndexError):
                    continue
            self.peak_bytes = max(self.peak_bytes, total)
            self.stopping.wait(0.2)

    def check(self):
        if self.process.poll() is not None:
            with open(self.log_path, errors="replace") as log:
                print("".join(log.readlines()[-15:]), file=sys.stderr)
            self.fail(f"the cluster ended with code {self.process.returncode}; its log is {self.log_path}")

    def wait_until(self, condition, what, seconds=60.0):
        """Returns the first true value of `condition()`; fails when a process has ended, or after `seconds`."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            self.check()
            if time.monotonic() > deadline:
                self.fail(f"after {seconds:g} s still not: {what}; the cluster's log is {self.log_path}")
            time.sleep(0.2)
        return value

    def wait_until_up(self):
        self.wait_until(self.status, "every process of the cluster answers")

    # MARK: - What it tells

    def freshet(self, *words):
        return subprocess.run(
            [self.binary, *words, *self.configured], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)

    def status(self):
        """The merged metrics of the first task, and each replica's INFO; nothing while not everybody answers."""
        port = self.configuration["serve"]["port"]
        replicas = [word for index in range(self.replicas) for word in ("--replica", f"127.0.0.1:{port + index}")]
        result = self.freshet("ctl", "status", "--json", *replicas)
        if result.returncode != 0:
            return None
        status = json.loads(result.stdout)
        # All answer, and one of the servers has not said yet what it knows of progressive validation.
        if not status["tasks"]:
            return None
        return status["tasks"][0], [p["info"] for p in status["processes"] if p["role"] == "serve"]

    def info(self, port):
        """`INFO` of the process at a RESP port: key → value; None while it does not answer."""
        try:
            with redis.Redis(port=port, socket_timeout=10, decode_responses=True) as client:
                return client.info()
        except (redis.ConnectionError, redis.TimeoutError):
            return None
