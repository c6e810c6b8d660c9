"""The command line: help, examples, completions, suggestions, and what `config` and `metrics` print."""

import json
import re
import shlex
import subprocess

import pytest
import yaml

from processes import CONFIGURATION, ROOT, program


def run(*words, seconds=30, environment=None):
    return subprocess.run(
        [program(), *map(str, words)], capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL, cwd=ROOT,
        env=environment)


def commands():
    """Words of every command → its description, as the parser dumps it."""
    done = run("--experimental-dump-help")
    found = {}

    def visit(command, words):
        found[tuple(words)] = command
        for child in command.get("subcommands", []):
            if child["commandName"] != "help":
                visit(child, [*words, child["commandName"]])
    visit(json.loads(done.stdout)["command"], [])
    return found


COMMANDS = commands()


def examples(command):
    """The lines below EXAMPLES."""
    _, _, text = command.get("discussion", "").partition("EXAMPLES:")
    return [line.strip() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words) or "freshet")
def test_help_teaches_and_its_forms_agree(words):
    command = COMMANDS[words]
    assert command["abstract"].endswith((".", "…")), command["abstract"]
    found = examples(command)
    assert 1 <= len(found) <= 3, found
    forms = [run(*words, "--help"), run(*words, "-h"), run("help", *words)]
    assert [form.returncode for form in forms] == [0, 0, 0]
    assert forms[0].stdout == forms[1].stdout == forms[2].stdout
    for example in found:
        assert example in forms[0].stdout, "an example is not wrapped"


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words) or "freshet")
def test_examples_use_commands_and_options_that_there_are(words):
    for example in examples(COMMANDS[words]):
        line = re.sub(r"^source <\((.*)\)$", r"\1", example)
        parts = shlex.split(re.split(r" (?:\||2?>) ", line)[0])
        assert parts[0] == "freshet", example
        named = parts[1:]
        depth = next(length for length in range(len(named), -1, -1) if tuple(named[:length]) in COMMANDS)
        command = tuple(named[:depth])
        assert command[:len(words)] == words or not words, example
        shown = run(*command, "--help").stdout
        if COMMANDS[command].get("defaultSubcommand"):
            shown += run(*command, COMMANDS[command]["defaultSubcommand"], "--help").stdout
        for option in (part for part in named[depth:] if part.startswith("--")):
            assert re.search(rf"{option}\b", shown), (example, option)


@pytest.mark.parametrize("words, said", [
    (["trian"], "`freshet` has no command `trian`; did you mean `trainer`?"),
    (["ctl", "stauts"], "`freshet ctl` has no command `stauts`; did you mean `status`?"),
    (["config", "validate"], "`freshet config` has no command `validate`; there are check, print, reference"),
    (["bench", "tabel"], "did you mean `table`?"),
    (["up", "--trainer", "2"], "--trainers"),
])
def test_what_was_mistyped_is_suggested(words, said):
    done = run(*words)
    assert done.returncode == 2 and done.stdout == ""
    assert said in done.stderr, done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_are_completions(shell):
    done = run("completions", shell)
    assert done.returncode == 0 and "freshet" in done.stdout and "trainer" in done.stdout
    assert run("completions", "basch").returncode == 2


def completed(script, *words):
    """What bash offers for the last word."""
    body = script + "\n" + f"COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}; COMP_LINE={shlex.quote(' '.join(words))}; " \
        "COMP_POINT=${#COMP_LINE}; COMP_TYPE=9; COMPREPLY=(); " \
        "function=$(complete -p freshet | sed -n 's/.*-F \\([^ ]*\\).*/\\1/p'); " \
        f"\"$function\" freshet {shlex.quote(words[-1])} {shlex.quote(words[-2])} || true; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    done = subprocess.run(["bash", "--norc", "-c", body], capture_output=True, text=True, timeout=20)
    return [word.strip() for word in done.stdout.splitlines()], done.stderr


def test_bash_takes_the_completions_and_completes_commands_and_options(tmp_path):
    script = run("completions", "bash").stdout
    file = tmp_path / "freshet.bash"
    file.write_text(script)
    checked = subprocess.run(["bash", "-n", file], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    words, errors = completed(script, "freshet", "tra")
    assert words == ["trainer"], errors
    words, errors = completed(script, "freshet", "ctl", "")
    assert {"status", "promote", "topics"} <= set(words), (words, errors)
    words, errors = completed(script, "freshet", "up", "--tr")
    assert words == ["--trainers"], errors


def test_metrics_and_keys_are_those_of_the_documents():
    assert run("metrics").stdout == (ROOT / "docs/metrics.md").read_text()
    document = (ROOT / "docs/configuration.md").read_text()
    done = run("config", "reference")
    assert done.returncode == 0
    for line in done.stdout.splitlines():
        if line.startswith("| `"):
            assert line in document
    one = run("config", "reference", "trainer").stdout
    assert one.startswith("| key | type | default | unit | what |") and "`batch_size`" in one


def test_the_reference_writes_its_tables_into_a_document(tmp_path):
    text = (ROOT / "docs/configuration.md").read_text()
    file = tmp_path / "configuration.md"
    file.write_text(text.replace("| `batch_size` | integer", "| `batch_size` | word"))
    assert run("config", "reference", "--update", file).returncode == 0
    assert file.read_text() == text
    file.write_text("nothing\n")
    done = run("config", "reference", "--update", file)
    assert done.returncode == 2 and "no place for the keys of" in done.stderr
    assert file.read_text() == "nothing\n"


def test_printed_values_say_where_they_come_from():
    environment = {"FRESHET_SERVERS": "a:1,b:2"}
    words = ["config", "print", "-c", "Config/cluster.yaml", "--set", "trainer.batch_size=7"]
    done = run(*words, environment=environment)
    assert done.returncode == 0
    lines = CONFIGURATION.read_text().splitlines()
    kind = lines.index("    kind: deepfm") + 1
    said = dict(re.match(r"\s*(\S+:.*?)\s+# (.*)", line).groups() for line in done.stdout.splitlines() if "#" in line)
    assert said["batch_size: 7"] == "--set" and said["servers: [a:1, b:2]"] == "FRESHET_SERVERS"
    assert said["kind: deepFM"] == f"Config/cluster.yaml:{kind}" and said["micro_batch_size: 1"] == "default"
    plain = run(*words, "--plain", environment=environment).stdout
    assert "#" not in plain and yaml.safe_load(plain) == yaml.safe_load(done.stdout)
    values = json.loads(run(*words, "--json", environment=environment).stdout)
    assert values["trainer.batch_size"] == {"value": 7, "from": "option"}
    assert values["cluster.servers"] == {"value": ["a:1", "b:2"], "from": "environment", "variable": "FRESHET_SERVERS"}
    assert values["model.network.kind"] == {"value": "deepFM", "from": "file", "file": "Config/cluster.yaml", "line": kind}
    assert run(*words, "--json", "--plain").returncode == 2
