"""docs/first-changes.md does what it says: its slots and its dimension are learned, and its Python gets scores."""

import re
import subprocess
import sys

import pytest
import yaml

from processes import CONFIGURATION, ROOT

TEXT = (ROOT / "docs/first-changes.md").read_text()


def block(language):
    """The document's one block of code in a language."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1
    return blocks[0]


@pytest.fixture
def changed(tmp_path):
    """Config/cluster.yaml with the document's changes."""
    text = CONFIGURATION.read_text()
    for before, after in (("      dimension: 16\n", "      dimension: 32\n"), ("    genres: {}\n", "    genres: {}\n" + block("yaml"))):
        assert text.count(before) == 1
        text = text.replace(before, after)
    path = tmp_path / "my.yaml"
    path.write_text(text)
    return path


def test_another_dimension_and_slots_are_learned_and_asked_for_from_python(make_cluster, changed):
    cluster = make_cluster(configuration=changed)
    cluster.command("config", "check")
    printed = yaml.safe_load(cluster.command("config", "print").stdout)["model"]
    assert printed["tables"]["embedding"]["dimension"] == 32 and {"decade", "gender_genres"} <= set(printed["slots"])
    cluster.start_all(trainers=1)
    cluster.replay("--limit", 1_000)
    cluster.expect_exactly(1_000)
    cluster.wait_until_ready()
    program = block("python").replace("port=7000", f"port={cluster.ports['serve']}").replace(":8080/", f":{cluster.http_ports['serve']}/")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    scores, found, outputs = (eval(line, {"__builtins__": {}}) for line in done.stdout.splitlines())
    assert len(scores) == len(outputs) == len(found) == 3
    assert [round(score, 4) for score in outputs] == scores and all(0 < score < 1 for score in scores)
    assert all(0 < score < 1 for _, score in found)


def test_a_wrong_dimension_is_named_with_its_line(make_cluster, changed):
    changed.write_text(changed.read_text().replace("dimension: 32", "dimension: -1"))
    done = make_cluster(configuration=changed).run("config", "check")
    line = changed.read_text()[:changed.read_text().index("dimension: -1")].count("\n") + 1
    assert done.returncode == 2
    assert f"my.yaml:{line}: model.tables.embedding.dimension: -1 is outside" in done.stderr
