"""The cluster under test: that of the integration tests, with proxies before its servers and a disk that can fill up."""

import subprocess
from pathlib import Path

import cluster as integration

from chaos.proxy import Proxy

DISK_MEGABYTES = 256
JOINERS = TRAINERS = 2
ROLES = ("ps", "trainer", "joiner", "serve", "archive")


class Disk:
    """Where snapshots go: a small tmpfs if this user may mount one, else a directory that does not fill up."""

    def __init__(self, directory):
        self.path = Path(directory)
        self.path.mkdir(parents=True, exist_ok=True)
        self.ballast = self.path / "ballast"
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m", "tmpfs", str(self.path)]
        self.is_small = subprocess.run(mount, capture_output=True, check=False).returncode == 0

    def fill(self):
        """Takes all the room that is left."""
        with open(self.ballast, "ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 20))
            except OSError:
                return  # That is what it is for.

    def empty(self):
        self.ballast.unlink(missing_ok=True)

    def release(self):
        if self.is_small:
            subprocess.run(["umount", "-l", str(self.path)], capture_output=True, check=False)


class Cluster(integration.Cluster):
    def __init__(self, bootstrap_servers, directory, disk):
        # A busy machine may hold one of the replay's topics up for longer than the default; what is late then is dead-lettered.
        settings = {"model.audit": "true", "joiner.idle_timeout_ms": 20_000}
        super().__init__(bootstrap_servers, directory, settings, partitions=4)
        self.proxies = [Proxy(port) for port in self.server_ports]
        self.has_snapshots = "snapshot:" in self.command("config", "print").stdout
        if self.has_snapshots:
            self.settings["snapshot.store"] = str(disk.path / "snapshots")
            self.settings["snapshot.interval_ms"] = 3_000
        self.names = [f"ps{index}" for index in range(integration.SERVERS)]
        self.names += [f"trainer{index}" for index in range(TRAINERS)]
        self.names += [f"joiner{index}" for index in range(JOINERS)]
        self.names += ["serve", "archive"]
        # On the disk that fills up. Files of some seconds, so that there are many; closed by the clock well after the longest stop.
        self.settings |= {
            "archive.store": str(disk.path / "archive"), "archive.window_ms": 5_000, "archive.close_after_ms": 15_000}

    def start(self, name, *options):
        direct = self.settings
        if role(name) in ("trainer", "serve"):
            addresses = ",".join(f"127.0.0.1:{proxy.port}" for proxy in self.proxies)
            self.settings = direct | {"cluster.servers": addresses}
        try:
            return super().start(name, *options)
        finally:
            self.settings = direct


def role(name):
    return name.rstrip("0123456789")
