"""A cluster of Freshet processes with topics, groups and ports of its own."""

import json
import os
import re
import signal
import subprocess
import uuid

import redis

import log
from processes import CONFIGURATION, FIXTURE, Process, free_port, listens, program
from waiting import wait_until

PARTITIONS = 2
SERVERS = 2
SHARDS = 16


class Cluster:
    """Starts roles one by one; every one of them is a process that a test may kill and start again."""

    def __init__(self, bootstrap_servers, directory, settings=None, partitions=PARTITIONS, configuration=CONFIGURATION):
        self.configuration = configuration
        self.bootstrap_servers = bootstrap_servers
        self.directory = directory
        self.partitions = partitions
        self.processes = {}
        suffix = uuid.uuid4().hex[:10]
        self.topics = {
            name: f"{name.replace('_', '-')}-{suffix}"
            for name in ("features", "actions", "items", "examples", "dead_letter", "validation")
        }
        self.server_ports = [free_port() for _ in range(SERVERS)]
        self.ports = {"serve": free_port()}
        self.http_ports = {}
        self.settings = {
            "kafka.bootstrap_servers": bootstrap_servers,
            "kafka.partitions": partitions,
            **{f"kafka.topics.{name}": topic for name, topic in self.topics.items()},
            "cluster.servers": ",".join(f"127.0.0.1:{port}" for port in self.server_ports),
            "trainer.group": f"trainer-{suffix}",
            "trainer.port": free_port(),
            "joiner.group": f"joiner-{suffix}",
            "joiner.port": free_port(),
            "archive.group": f"archive-{suffix}",
            "archive.port": free_port(),
            "gateway.status_port": free_port(),
            "serve.port": self.ports["serve"],
            # `start` gives each process a port of its own; those of `up` do without.
            "ps.metrics_port": 0,
            "trainer.metrics_port": 0,
            "joiner.metrics_port": 0,
            "archive.metrics_port": 0,
            "serve.http_port": 0,
            "dashboard.port": 0,
            "ps.sync_interval_ms": 100,
            **(settings or {}),
        }

    # MARK: - Commands

    def arguments(self, *words):
        overrides = [word for key, value in self.settings.items() for word in ("--set", f"{key}={value}")]
        return [program(), *map(str, words), "-c", str(self.configuration), *overrides]

    def environment(self):
        return {name: value for name, value in os.environ.items() if not name.startswith(("FRESHET_", "AWS_"))}

    def run(self, *words, seconds=60, environment=None):
        """Runs a command to its end."""
        return subprocess.run(
            self.arguments(*words), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds,
            env={**self.environment(), **(environment or {})}, cwd=self.directory)

    def command(self, *words, seconds=60):
        done = self.run(*words, seconds=seconds)
        assert done.returncode == 0, f"{' '.join(map(str, words))}: exit code {done.returncode}\n{done.stderr}"
        return done

    def start(self, name, *options):
        """Starts `ps0`, `ps1`, `trainer…`, `joiner…`, `archive…`, `gateway…`, `serve` or `dashboard`; a restarted one keeps its port."""
        role = name.rstrip("0123456789")
        words = [role]
        http_port = self.http_ports.setdefault(name, free_port())
        settings = self.settings
        if role == "ps":
            index = int(name[len(role):])
            words += ["--index", index]
            # Server i listens on the i-th port after the setting.
            self.settings = settings | {"ps.metrics_port": http_port - index}
        elif role == "gateway":
            words += ["--status-port", self.ports.setdefault(name, free_port()), "--port", http_port]
        elif role == "dashboard":
            # Its one port is HTTP.
            self.ports[name] = http_port
            words += ["--port", http_port]
        else:
            words += ["--port", self.ports.setdefault(name, free_port())]
            words += ["--http-port" if role == "serve" else "--metrics-port", http_port]
        process = Process(name, self.arguments(*words, *options), self.directory, self.environment())
        self.settings = settings
        self.processes[name] = process
        return process

    def start_all(self, trainers=2, joiners=1, serve=True):
        self.command("ctl", "topics", "create")
        names = [f"ps{index}" for index in range(SERVERS)]
        names += [f"joiner{index}" for index in range(joiners)]
        names += [f"trainer{index}" for index in range(trainers)]
        names += ["serve"] if serve else []
        for name in names:
            self.start(name)
        for name in names:
            self.wait_until_listening(name)
        return self

    def port(self, name):
        return self.server_ports[int(name[2:])] if name.startswith("ps") else self.ports[name]

    def wait_until_listening(self, name):
        wait_until(lambda: listens(self.port(name)), f"{name} listens", 20, check=lambda: self.check_running(name))

    def check_running(self, *names):
        for name in names or self.processes:
            process = self.processes[name]
            assert process.is_running, f"{name} ended with exit code {process.popen.returncode}"

    def kill(self, name):
        self.processes[name].kill()

    def stop(self):
        """Ends every process by SIGTERM and returns their exit codes."""
        for process in self.processes.values():
            if process.is_running:
                process.signal(signal.SIGTERM)
        return {name: process.stop() for name, process in self.processes.items()}

    def kill_all(self):
        """After a test: nothing is left to be tidied up."""
        for process in self.processes.values():
            if process.is_running:
                process.kill()

    def replay(self, *options, data=FIXTURE, seconds=60):
        """Sends MovieLens ratings, all of them before it returns."""
        return self.command("replay", "--data", data, *options, seconds=seconds)

    def start_replay(self, *options, data=FIXTURE):
        name = f"replay{sum(key.startswith('replay') for key in self.processes)}"
        process = Process(
            name, self.arguments("replay", "--data", data, *options), self.directory, self.environment())
        self.processes[name] = process
        return process

    # MARK: - State

    def status(self):
        """What `ctl status --json` says; processes may be down."""
        done = self.run("ctl", "status", "--json")
        assert done.returncode in (0, 1), done.stderr
        return json.loads(done.stdout)

    def examples(self):
        """The examples that progressive validation has counted, or None while a server does not answer."""
        tasks = self.status()["tasks"]
        return tasks[0]["examples"] if tasks else None

    def client(self, name="serve", **options):
        return redis.Redis(
            port=self.port(name), decode_responses=True, socket_timeout=10, socket_connect_timeout=5, **options)

    def info(self, name):
        """`INFO` of a process: key → text."""
        with self.client(name) as client:
            text = client.execute_command("INFO")
        # redis-py parses what looks like Redis' own INFO.
        if isinstance(text, dict):
            return {key: value for key, value in text.items()}
        return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def wait_for_examples(self, at_least, seconds=40.0):
        seen = []

        def has_learned():
            seen.append(self.examples())
            return (seen[-1] or 0) >= at_least
        try:
            wait_until(has_learned, f"{at_least} examples are learned", seconds, 0.1, check=self.check_healthy)
        except AssertionError as error:
            raise AssertionError(f"{error}, last seen: {seen[-1]}; {self.progress()}") from None

    def progress(self):
        """Where each process stands, for messages about failures."""
        lines = []
        for name, process in self.processes.items():
            if process.is_running and name in self.ports:
                wanted = ("joined", "queued_records", "transactions", "examples", "restarts", "partition", "items")
                info = {key: value for key, value in self.info(name).items() if key.startswith(wanted)}
                lines.append(f"{name}: {info}")
        return "\n".join(lines)

    def check_healthy(self):
        """No process has failed. Those that a test ended by a signal have not."""
        for name, process in self.processes.items():
            assert not process.has_failed, f"{name} ended with exit code {process.popen.returncode}"

    def wait_until_assigned(self, seconds=40.0):
        """Until joiners and trainers have all partitions. A group that forms may take as long as its poll interval (15 s)."""
        def held(role):
            names = [name for name in self.processes if name.startswith(role)]
            partition = re.compile(r"partition_\d+$")
            return sum(bool(partition.match(key)) for name in names for key in self.info(name))
        for role in ("joiner", "trainer"):
            wait_until(
                lambda role=role: held(role) == self.partitions, f"the {role}s have all partitions", seconds,
                check=self.check_healthy)

    def wait_until_ready(self, seconds=30.0):
        """Until the replica has a copy of every shard, and every item of the catalog's topic."""
        def is_ready():
            info = self.info("serve")
            return info["ready"] == 1 and info["caught_up"] == 1
        # Of `up`, it is a child that this cluster does not hold.
        owner = "serve" if "serve" in self.processes else "up"
        wait_until(is_ready, "the replica is ready", seconds, check=lambda: self.check_running(owner))

    def watermarks(self):
        """(shard, partition) → offset, of all servers."""
        marks = {}
        for index in range(SERVERS):
            for key, value in self.info(f"ps{index}").items():
                if key.startswith("watermark_") and key != "watermark_refusals":
                    shard, partition = key.removeprefix("watermark_").split("_")
                    marks[int(shard), int(partition)] = int(value)
        return marks

    def expect_exactly(self, count, seconds=40.0):
        """Waits until everything is learned, then wants `count` examples: no more, no less, each once.

        Looks at both sides: the committed records of the topic, and the servers, all of whose shards must have reached
        the end of every partition. After that no count can change any more.
        """
        self.wait_for_examples(count, seconds)
        records = wait_until(
            lambda: self.committed_examples(count), f"{count} examples are committed", 10, check=self.check_healthy)
        ends = {}
        for record in records:
            ends[record.partition] = max(ends.get(record.partition, 0), record.offset + 1)
        wait_until(
            lambda: self.all_shards_reached(ends), f"all shards have applied everything up to {ends}", seconds,
            check=self.check_healthy)
        assert self.examples() == count
        assert len(records) == count
        assert len({log.request_hash(record.value) for record in records}) == count

    def committed_examples(self, at_least):
        records = log.read_to_end(self.bootstrap_servers, self.topics["examples"])
        return records if len(records) >= at_least else None

    def example_ends(self):
        """Partition of the examples' topic → the offset behind its last record."""
        ends = {}
        for record in log.read_to_end(self.bootstrap_servers, self.topics["examples"]):
            ends[record.partition] = max(ends.get(record.partition, 0), record.offset + 1)
        return ends

    def serves_all_examples(self, name="serve"):
        """Whether a replica answers from rows that every example in the topic has changed."""
        info = self.info(name)
        return all(info.get(f"partition_{number}", -1) >= end for number, end in self.example_ends().items())

    def all_shards_reached(self, ends):
        marks = self.watermarks()
        return all(
            marks.get((shard, partition), -1) >= end for shard in range(SHARDS) for partition, end in ends.items())

    def dead_letters(self):
        """All dead-letter records, decoded."""
        records = log.read_to_end(self.bootstrap_servers, self.topics["dead_letter"])
        return [json.loads(record.value) for record in records]
