"""What the processes say of themselves while they are killed: counters over all their lives, and how long recovery takes."""

import threading
import time

import redis

from chaos.cluster import role

INTERVAL_SECONDS = 0.25
COUNTERS = {
    "ps": ("claims", "pushes", "duplicate_pushes", "fenced_pushes", "watermark_refusals"),
    "trainer": ("examples", "claims", "restarts", "lost_offsets"),
    "joiner": ("joined", "transactions", "aborted_transactions"),
    "serve": ("gaps", "malformed"),
    "archive": ("records", "files", "store_failures"),
}


class Monitor:
    def __init__(self, cluster):
        self.cluster = cluster
        self.lock = threading.Lock()
        self.latest = {}
        self.totals = {name: dict.fromkeys(counters, 0) for name, counters in COUNTERS.items()}
        self.pending = {}
        self.recoveries = []
        self.superseded = 0
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def stop(self):
        self.ending.set()
        self.thread.join()
        with self.lock:
            for name in list(self.latest):
                self.retire(name)

    # MARK: - Faults

    def note_death(self, name):
        """Before a kill: what the process had, which it must have again."""
        with self.lock:
            had = watermarks(self.latest.get(name, {}))
            if name in self.pending:
                self.superseded += 1
                # It must have again what the life before had, unless this one is further.
                had = {key: max(value, had.get(key, -1)) for key, value in self.pending[name][1].items()} | had
            self.pending[name] = (time.monotonic(), had)

    def note_start(self, name):
        with self.lock:
            self.retire(name)

    def retire(self, name):
        for key, value in self.latest.pop(name, {}).items():
            counters = self.totals[role(name)]
            if key in counters:
                counters[key] += int(value)

    # MARK: - Watching

    def watch(self):
        while not self.ending.wait(INTERVAL_SECONDS):
            for name, process in list(self.cluster.processes.items()):
                if name in self.cluster.names and process.is_running:
                    self.sample(name, process)
            self.note_recoveries()

    def sample(self, name, process):
        try:
            client = redis.Redis(
                port=self.cluster.port(name), decode_responses=True, socket_timeout=0.5, socket_connect_timeout=0.5)
            with client:
                info = client.execute_command("INFO")
        except (redis.exceptions.RedisError, OSError):
            return
        if not isinstance(info, dict):
            info = dict(line.split(":", 1) for line in info.splitlines() if ":" in line)
        with self.lock:
            if self.cluster.processes.get(name) is process and process.is_running:
                self.latest[name] = info

    def note_recoveries(self):
        now = time.monotonic()
        with self.lock:
            for name, (died, had) in list(self.pending.items()):
                if name in self.latest and self.cluster.processes[name].is_running and self.has_recovered(name, had):
                    self.recoveries.append((role(name), now - died))
                    del self.pending[name]

    def has_recovered(self, name, had):
        info = self.latest[name]
        match role(name):
            case "ps":
                has = watermarks(info)
                return all(has.get(key, -1) >= value for key, value in had.items())
            case "serve":
                return int(info.get("ready", 0)) == 1
            case "archive":
                topic = self.cluster.topics["examples"]
                held = [key for key, value in info.items() if key.startswith(topic) and "'reading': 1" in str(value)]
                return len(held) >= self.cluster.partitions
            case kind:
                return self.held_partitions(kind) >= self.cluster.partitions

    def held_partitions(self, kind):
        """Partitions that processes of this role work on."""
        held = set()
        for name, info in self.latest.items():
            if role(name) == kind:
                for key, value in info.items():
                    if key.startswith("partition_") and (kind == "joiner" or "running" in str(value)):
                        held.add(key.split("_")[1])
        return len(held)


def watermarks(info):
    return {key: int(value) for key, value in info.items() if key.startswith("watermark_") and key[10:11].isdigit()}
