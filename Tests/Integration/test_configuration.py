"""Mistakes in configuration and surroundings: exit codes and messages."""

import subprocess

import pytest

from processes import CONFIGURATION, FIXTURE, ROOT, Broker, Process, free_port, program


def run(*words, seconds=30):
    return subprocess.run(
        [program(), *map(str, words)], capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)


def test_an_unknown_key_is_named_with_its_line(tmp_path):
    file = tmp_path / "cluster.yaml"
    lines = CONFIGURATION.read_text().splitlines()
    line = lines.index("trainer:") + 1
    lines.insert(line, "  batchsize: 64")
    file.write_text("\n".join(lines) + "\n")
    for words in (["config", "check"], ["ps", "--index", "0"], ["trainer"], ["joiner"], ["serve"]):
        done = run(*words, "-c", file)
        assert done.returncode == 2, done.stderr
        assert f"{file}:{line + 1}" in done.stderr
        assert "trainer.batchsize" in done.stderr and "batch_size" in done.stderr


def test_a_value_of_the_wrong_type_is_named_with_its_line(tmp_path):
    file = tmp_path / "cluster.yaml"
    text = CONFIGURATION.read_text().replace("batch_size: 128", "batch_size: many")
    file.write_text(text)
    line = text.splitlines().index("  batch_size: many") + 1
    done = run("config", "check", "-c", file)
    assert done.returncode == 2
    assert f"{file}:{line}" in done.stderr and "trainer.batch_size" in done.stderr and "many" in done.stderr


def test_a_missing_file_an_unknown_override_and_an_unknown_option_are_usage_errors(tmp_path):
    for words, said in (
        (["config", "check", "-c", tmp_path / "none.yaml"], "none.yaml"),
        (["config", "check", "-c", CONFIGURATION, "--set", "trainer.speed=1"], "trainer.speed"),
        (["config", "check", "-c", CONFIGURATION, "--set", "kafka.properties.no.such.property=1"], "no.such.property"),
        (["ps", "-c", CONFIGURATION, "--index", "7"], "--index 7"),
        (["trainer", "--colour", "red"], "--colour"),
    ):
        done = run(*words)
        assert done.returncode == 2, (words, done.stderr)
        assert said in done.stderr


def test_the_shipped_configuration_is_right_and_prints_what_it_means(tmp_path):
    assert run("config", "check", "-c", CONFIGURATION).returncode == 0
    printed = run("config", "print", "--plain", "-c", CONFIGURATION, "--set", "trainer.batch_size=7")
    assert printed.returncode == 0 and "batch_size: 7" in printed.stdout
    copy = tmp_path / "printed.yaml"
    copy.write_text(printed.stdout)
    assert run("config", "print", "--plain", "-c", copy).stdout == printed.stdout


@pytest.mark.parametrize("file", sorted(ROOT.glob("Examples/models/*.yaml")), ids=lambda file: file.stem)
def test_an_example_of_each_kind_of_network_is_right(file, tmp_path):
    done = run("config", "check", "-c", file)
    assert done.returncode == 0, done.stderr
    printed = run("config", "print", "--plain", "-c", file)
    copy = tmp_path / "printed.yaml"
    copy.write_text(printed.stdout)
    assert printed.returncode == 0 and run("config", "print", "--plain", "-c", copy).stdout == printed.stdout


def test_a_size_that_a_network_does_not_have_is_named_with_its_line(tmp_path):
    example = ROOT / "Examples/models/mmoe.yaml"
    text = example.read_text().replace("experts: 4", "experts: 1")
    file = tmp_path / "cluster.yaml"
    file.write_text(text)
    line = text.splitlines().index("    experts: 1") + 1
    done = run("config", "check", "-c", file)
    assert done.returncode == 2
    assert f"{file}:{line}: model.network.experts: 1 is outside 2...64" in done.stderr
    file.write_text(example.read_text().replace("kind: mmoe", "kind: deepfm\n    hidden: [8]"))
    done = run("config", "check", "-c", file)
    assert done.returncode == 2
    # The line of `hidden` has come in before.
    assert f"{file}:{line + 2}: model.network.expert_hidden: only mmoe can have it" in done.stderr, done.stderr


def test_a_busy_port_ends_each_role_with_a_clear_message(make_cluster):
    cluster = make_cluster()
    cluster.command("ctl", "topics", "create")
    cluster.start("ps0")
    cluster.wait_until_listening("ps0")
    port = cluster.port("ps0")
    for words in (["ps", "--index", "0"], ["trainer", "--port", port], ["joiner", "--port", port],
                  ["serve", "--port", port]):
        done = cluster.run(*words, seconds=20)
        assert done.returncode == 1, (words, done.stderr)
        assert str(port) in done.stderr and "in use" in done.stderr, done.stderr
    assert cluster.processes["ps0"].is_running


def test_topics_are_created_once_and_another_number_of_partitions_is_refused(make_cluster):
    cluster = make_cluster()
    cluster.settings["kafka.topics.dead_letter"] = cluster.topics["dead_letter"]
    first = cluster.command("ctl", "topics", "create").stdout.splitlines()[1:]
    found = {line.split()[0]: line.split(maxsplit=2)[1:] for line in first}
    joined = {cluster.topics[name]: ["2", "created"] for name in ("features", "actions", "examples")}
    compacted = {cluster.topics[name]: ["1", "created, compacted"] for name in ("items", "validation")}
    assert found == joined | compacted | {cluster.topics["dead_letter"]: ["1", "created"]}
    again = cluster.command("ctl", "topics", "create").stdout.splitlines()[1:]
    assert [line.split(maxsplit=2)[2] for line in again] == ["is there"] * 6
    cluster.settings["kafka.partitions"] = 5
    cluster.settings["kafka.topics.items"] = fresh = cluster.topics["items"] + "-new"
    done = cluster.run("ctl", "topics", "create")
    assert done.returncode == 1
    assert f"topic {cluster.topics['features']} has 2 partitions, the configuration says 5: change the configuration to 2" in done.stderr
    cluster.settings["kafka.partitions"] = 2
    # Nothing was created by the command that failed.
    assert any(line.split(maxsplit=2) == [fresh, "1", "created, compacted"]
               for line in cluster.command("ctl", "topics", "create").stdout.splitlines())


def test_an_unreachable_broker_is_named_and_fail_fast_gives_up(make_cluster):
    address = f"127.0.0.1:{free_port()}"
    cluster = make_cluster(settings={"kafka.bootstrap_servers": address})
    commands = {
        "trainer": ["trainer"],
        "joiner": ["joiner"],
        "serve": ["serve"],
        "topics": ["ctl", "topics", "create"],
        "replay": ["replay", "--data", FIXTURE],
    }
    started = {
        name: Process(name, cluster.arguments(*words, "--fail-fast"), cluster.directory, cluster.environment())
        for name, words in commands.items()
    }
    for name, process in started.items():
        assert process.wait(30) == 1, (name, process.log)
        assert address in process.log, (name, process.log)


def test_roles_wait_for_a_broker_and_go_on_when_it_appears(make_cluster, tmp_path):
    port = free_port()
    cluster = make_cluster(settings={"kafka.bootstrap_servers": f"127.0.0.1:{port}"})
    names = ["ps0", "ps1", "joiner0", "trainer0", "serve"]
    for name in names:
        cluster.start(name)
    for name in ("joiner0", "trainer0", "serve"):
        cluster.processes[name].wait_for_log(f"127.0.0.1:{port}")
    cluster.check_running(*names)
    broker = Broker(tmp_path / "broker", port)
    try:
        cluster.bootstrap_servers = broker.address
        cluster.replay("--limit", 500)
        cluster.expect_exactly(500)
        cluster.wait_until_ready()
        cluster.check_running(*names)
    finally:
        broker.stop()


def test_every_role_stops_when_asked_with_and_without_a_broker(make_cluster):
    without = make_cluster(settings={"kafka.bootstrap_servers": f"127.0.0.1:{free_port()}"})
    names = ["ps0", "ps1", "joiner0", "trainer0", "serve", "dashboard"]
    for name in names:
        without.start(name)
    for name in names:
        without.wait_until_listening(name)
    cluster = make_cluster().start_all()
    cluster.start("dashboard")
    cluster.replay("--limit", 500)
    cluster.expect_exactly(500)
    for codes in (cluster.stop(), without.stop()):
        assert set(codes.values()) == {0}, codes
