"""Programs under test as child processes: their logs, their signals, their end."""

import os
import signal
import socket
import subprocess
from pathlib import Path

from waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
FIXTURE = ROOT / "Tests/Fixtures/ml-latest-small"
CONFIGURATION = ROOT / "Config/cluster.yaml"


def program():
    """The executable: `FRESHET_PROGRAM`, or the release build."""
    path = Path(os.environ.get("FRESHET_PROGRAM", ROOT / ".build/release/freshet"))
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: swift build -c release --product freshet")
    return str(path)


_next_port = 20_000 + os.getpid() * 53 % 8_000


def free_port():
    """A port that nothing listens on, below the range from which the system picks ports by itself."""
    global _next_port
    while True:
        _next_port = _next_port + 1 if _next_port < 31_999 else 20_000
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", _next_port))
                return _next_port
            except OSError:
                continue


def free_ports(count):
    """The first of `count` free ports in a row."""
    ports = [free_port()]
    while len(ports) < count:
        port = free_port()
        ports = [*ports, port] if port == ports[-1] + 1 else [port]
    return ports[0]


def listens(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_alive(pid):
    """Whether a process runs, whoever's child it is; one that has ended and not been reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Process:
    """One started program. Standard output and error go to a log file."""

    def __init__(self, name, arguments, log_directory, environment=None):
        self.name = name
        self.was_signalled = False
        self.arguments = [str(argument) for argument in arguments]
        self.log_path = Path(log_directory) / f"{name}.log"
        with open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen(
                self.arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT,
                env=environment, start_new_session=True)

    @property
    def pid(self):
        return self.popen.pid

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    @property
    def is_running(self):
        return self.popen.poll() is None

    @property
    def has_failed(self):
        return self.popen.poll() is not None and self.popen.returncode != 0 and not self.was_signalled

    def kill(self):
        """SIGKILL: no chance to tidy up."""
        self.signal(signal.SIGKILL)
        self.popen.wait(10)

    def signal(self, number):
        self.was_signalled = True
        self.popen.send_signal(number)

    def wait(self, seconds=20.0):
        return self.popen.wait(seconds)

    def stop(self, seconds=15.0):
        """SIGTERM, then the exit code. A process that does not end in time is killed, and that is an error."""
        if self.is_running:
            self.signal(signal.SIGTERM)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end within {seconds:g} s of SIGTERM") from None

    def wait_for_log(self, text, seconds=20.0):
        wait_until(lambda: text in self.log, f"{self.name} says {text!r}", seconds)


class Broker:
    """A local Kafka-protocol broker, started as the scripts do. It ends with this process, whatever happens to it."""

    def __init__(self, directory, port=None):
        environment = dict(os.environ, BROKER_DATA=str(directory))
        environment.pop("KAFKA_BOOTSTRAP_SERVERS", None)
        if port is not None:
            environment["BROKER_PORT"] = str(port)
        script = "set -eu; . Scripts/lib/broker.sh; trap broker_stop EXIT; broker_start; " \
            "echo $KAFKA_BOOTSTRAP_SERVERS; read -r _ || true"
        self.popen = subprocess.Popen(
            ["bash", "-c", script], cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True)
        self.address = self.popen.stdout.readline().decode().strip()
        if not self.address:
            raise AssertionError("the broker did not start: Scripts/setup --python installs it")

    def stop(self):
        self.popen.stdin.close()
        self.popen.wait(20)
