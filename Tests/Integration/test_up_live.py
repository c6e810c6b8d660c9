"""`freshet up` on a terminal: a table of the processes, drawn in place."""

import os
import re
import signal
import subprocess

import pytest

from processes import ROOT, free_port, is_alive
from terminal import TerminalProgram
from waiting import wait_until

PROCESSES = ["ps-0", "ps-1", "joiner", "trainer-0", "serve-0"]


@pytest.fixture
def started(make_cluster, tmp_path):
    """A function that starts `up` on a terminal, with what is set in its environment."""
    programs = []

    def start(*words, settings=None, **variables):
        cluster = make_cluster(settings=settings)
        arguments = cluster.arguments("up", "--trainers", "1", "--log-directory", tmp_path / "logs", *words)
        environment = {"TERM": "xterm", **cluster.environment(), **variables}
        if "NO_COLOR" not in variables:
            environment.pop("NO_COLOR", None)
        programs.append(TerminalProgram(arguments, environment))
        return cluster, programs[-1]
    yield start
    for program in programs:
        program.kill()


def rows(program):
    """Process → (state, pid, restarts) as the screen shows them."""
    found = {}
    for line in program.screen.lines:
        match = re.match(r"(\S+)\s+(starting|running|restarting|stopping|ended)\s+(\d+|-)\s+(\d+)\s", line)
        if match:
            found[match[1]] = match[2], match[3], int(match[4])
    return found


def states(program):
    return {name: state for name, (state, _, _) in rows(program).items()}


def expect_clean_end(program):
    program.press(b"\x03")
    wait_until(program.has_ended, "up has ended", 30)
    assert program.exit_status == 0, program.raw[-2000:]
    assert program.screen.shows_cursor


def test_the_table_shows_each_process_its_restarts_and_its_end(started, tmp_path):
    cluster, program = started()
    wait_until(lambda: states(program) == dict.fromkeys(PROCESSES, "running"), "every process runs", 60)
    screen = program.screen
    assert screen.lines[0].startswith("freshet up · ") and "Ctrl-C" in screen.lines[0]
    assert not screen.shows_cursor and screen.colors > 0
    # One table, however often it was drawn.
    assert len([line for line in screen.lines if line.startswith("PROCESS ")]) == 1
    assert all(is_alive(int(pid)) for _, pid, _ in rows(program).values())

    cluster.replay("--limit", 2_000)
    cluster.expect_exactly(2_000)
    # The score and the lag of what has been learned.
    wait_until(lambda: re.search(r"(?m)^trainer-0 .* 0  0\.[4-9]\d{3}  ", "\n".join(program.screen.lines)), "AUC and lag are shown", 20)

    before = rows(program)["joiner"]
    os.kill(int(before[1]), signal.SIGKILL)
    wait_until(lambda: states(program)["joiner"] == "restarting", "the joiner is shown as restarting", 20, 0.02)
    wait_until(lambda: states(program)["joiner"] == "running", "it runs again", 30)
    after = rows(program)["joiner"]
    assert after[2] == 1 and after[1] != before[1] and rows(program)["ps-0"][2] == 0
    logs = {path.stem: path.read_text() for path in (tmp_path / "logs").glob("*.log")}
    assert set(logs) == {*PROCESSES, "up"}
    assert "msg=started child=joiner" in logs["up"] and "role=joiner" in logs["joiner"]
    # Nothing but the table is on the terminal.
    assert "level=" not in program.raw

    pids = [int(pid) for _, pid, _ in rows(program).values()]
    expect_clean_end(program)
    assert states(program) == dict.fromkeys(PROCESSES, "ended")
    assert not any(map(is_alive, pids))


def test_without_colours_the_table_has_none_and_says_what_is_waited_for(started):
    _, program = started(settings={"kafka.bootstrap_servers": f"127.0.0.1:{free_port()}"}, NO_COLOR="1")
    wait_until(lambda: re.search(r"(?m)^joiner .*  the broker has not been reached yet$", "\n".join(program.screen.lines)),
               "the joiner says what it waits for", 30)
    wait_until(lambda: set(rows(program)) == set(PROCESSES), "the table is there", 30)
    assert program.screen.colors == 0
    expect_clean_end(program)


@pytest.mark.parametrize("words, variables", [(["--no-live"], {}), ([], {"TERM": "dumb"})])
def test_without_the_table_there_are_log_lines(started, tmp_path, words, variables):
    _, program = started(*words, **variables)
    wait_until(lambda: len(re.findall(r"msg=started child=", program.raw)) == len(PROCESSES), "every process is started", 30)
    assert "\x1b" not in program.raw
    assert not (tmp_path / "logs").exists()
    expect_clean_end(program)
    assert "\x1b" not in program.raw


def test_a_configuration_that_a_process_refuses_is_told_below_the_table(started, tmp_path):
    """A trainer that is to learn from an archive that there is not."""
    _, program = started("--from", "archive")
    wait_until(program.has_ended, "up has ended", 60)
    assert program.exit_status == 2 and program.screen.shows_cursor
    assert f"its message is in {tmp_path}/logs/trainer-0.log" in program.raw
    assert "archive.store" in (tmp_path / "logs/trainer-0.log").read_text()


def test_output_that_is_no_terminal_has_no_table(make_cluster):
    cluster = make_cluster()
    done = subprocess.Popen(
        cluster.arguments("up", "--trainers", "0", "--replicas", "0"), cwd=ROOT, env={"TERM": "xterm", **cluster.environment()},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        for line in done.stderr:
            if b"child=joiner" in line:
                break
    finally:
        done.terminate()
        output, _ = done.communicate(timeout=30)
    assert done.returncode == 0 and output == b""
