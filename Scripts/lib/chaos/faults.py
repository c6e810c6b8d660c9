"""Draws faults from a seed and carries them out."""

import json
import random
import signal
import time
from collections import Counter

from chaos.cluster import role

# Weights by kind, and how long a fault lasts, in seconds. Stops stay below the session timeout of the Kafka groups (10 s): the local
# broker never gives the partitions of a silent member to others.
WEIGHTS = {"kill": 75, "stop": 15, "reset": 4, "stall": 4, "disk": 2}
PAUSE = (1.0, 4.5)
DOWN = (0.0, 2.5)
STOPPED = (0.3, 6.0)
STALLED = (0.3, 4.0)
FULL = (2.0, 8.0)


class Faults:
    """A timetable: what to do next, and what to undo when."""

    def __init__(self, cluster, disk, monitor, seed, log_path):
        self.cluster, self.disk, self.monitor = cluster, disk, monitor
        self.random = random.Random(seed)
        self.log = open(log_path, "w", encoding="utf-8")
        self.started = time.monotonic()
        self.undo = []
        self.down, self.stopped, self.stalled = set(), set(), set()
        self.is_full = False
        self.kills, self.stops, self.others = Counter(), Counter(), Counter()
        self.bystanders = []

    def run(self, seconds):
        end = self.started + seconds
        due = self.started
        while (now := time.monotonic()) < end:
            self.undo_what_is_due(now)
            self.check()
            if now >= due:
                self.inject(now)
                due = now + self.random.uniform(*PAUSE)
            time.sleep(0.02)

    def heal(self):
        self.undo_what_is_due(float("inf"))

    def note(self, what, name, **rest):
        line = {"at": round(time.monotonic() - self.started, 3), "what": what, "name": name, **rest}
        self.log.write(json.dumps(line) + "\n")
        self.log.flush()

    def undo_what_is_due(self, now):
        for entry in sorted(self.undo, key=lambda entry: entry[0]):
            if entry[0] <= now:
                self.undo.remove(entry)
                entry[1]()

    def check(self):
        """A process that ends by itself is a finding; it is started again, as a supervisor would."""
        for name in self.cluster.names:
            process = self.cluster.processes[name]
            if name not in self.down and not process.is_running:
                self.bystanders.append({"name": name, "exit_code": process.popen.returncode})
                self.note("ended by itself", name, exit_code=process.popen.returncode)
                self.stopped.discard(name)
                self.start(name)

    # MARK: - Kinds

    def inject(self, now):
        kinds = dict(WEIGHTS)
        if not (self.disk.is_small and self.cluster.has_snapshots):
            del kinds["disk"]
        # Everything is drawn whether it can be done or not, so that a seed's faults do not depend on timing.
        kind = self.random.choices(list(kinds), list(kinds.values()))[0]
        name = self.random.choice(self.cluster.names)
        proxy = self.random.randrange(len(self.cluster.proxies))
        share = self.random.random()

        def within(bounds):
            return now + bounds[0] + share * (bounds[1] - bounds[0])

        match kind:
            case "kill" if name not in self.down:
                self.kill(name)
                self.undo.append((within(DOWN), lambda: self.start(name)))
            case "stop" if name not in self.down | self.stopped:
                self.stop(name)
                self.undo.append((within(STOPPED), lambda: self.go_on(name, self.cluster.processes[name])))
            case "reset":
                self.others["reset"] += 1
                self.note("reset", f"proxy{proxy}", connections=self.cluster.proxies[proxy].cut())
            case "stall" if proxy not in self.stalled:
                self.others["stall"] += 1
                self.stalled.add(proxy)
                self.note("stall", f"proxy{proxy}")
                self.cluster.proxies[proxy].stall()
                self.undo.append((within(STALLED), lambda: self.flow(proxy)))
            case "disk" if not self.is_full:
                self.others["disk full"] += 1
                self.is_full = True
                self.note("disk full", "store")
                self.disk.fill()
                self.undo.append((within(FULL), self.empty_disk))

    def kill(self, name):
        self.monitor.note_death(name)
        self.kills[role(name)] += 1
        self.down.add(name)
        self.stopped.discard(name)
        self.note("kill", name, pid=self.cluster.processes[name].pid)
        self.cluster.kill(name)

    def start(self, name):
        self.monitor.note_start(name)
        self.cluster.start(name)
        self.down.discard(name)
        self.note("start", name, pid=self.cluster.processes[name].pid)

    def stop(self, name):
        self.stops[role(name)] += 1
        self.stopped.add(name)
        self.note("stop", name)
        self.cluster.processes[name].signal(signal.SIGSTOP)

    def go_on(self, name, process):
        if process.is_running:
            process.signal(signal.SIGCONT)
            self.note("continue", name)
        if self.cluster.processes[name] is process:
            self.stopped.discard(name)

    def flow(self, proxy):
        self.stalled.discard(proxy)
        self.cluster.proxies[proxy].flow()
        self.note("flow", f"proxy{proxy}")

    def empty_disk(self):
        self.is_full = False
        self.disk.empty()
        self.note("disk has room", "store")
