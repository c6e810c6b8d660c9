"""`freshet experiment` on the fixture: tables and charts that say what they should."""

import re
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

from processes import CONFIGURATION, FIXTURE, program


def experiment(name, out, *words):
    command = [program(), "experiment", name, "-c", CONFIGURATION, "--data", FIXTURE, "--out", out, *words]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300)


def table_of(text):
    """Rows by their first cell, as dictionaries by column."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(header, row)) for row in rows]


def mean(cell):
    return float(cell.split(" ")[0])


def run(name, out, *words):
    done = experiment(name, out, *words)
    assert done.returncode == 0, done.stderr
    text = (out / f"{name}.md").read_text()
    assert done.stdout == text and f"]({name}.svg)" in text
    ElementTree.parse(out / f"{name}.svg")
    return table_of(text)


def test_a_copy_that_is_refreshed_more_often_serves_better(tmp_path):
    rows = {row["sync interval"]: row for row in run("sync-interval", tmp_path, "--limit", 40000, "--seeds", 2)}
    assert list(rows) == ["live", "30 min", "1 h", "5 h", "24 h", "never (batch)"]
    aucs = [mean(row["AUC"]) for row in rows.values()]
    assert 0.6 < aucs[-1] and max(aucs) == aucs[0] < 0.9 and aucs[0] > aucs[-1] + 0.02
    refreshes = [int(row["refreshes"].replace(",", "")) for row in list(rows.values())[1:]]
    assert refreshes == sorted(refreshes, reverse=True) and refreshes[-1] == 0 < refreshes[-2]
    assert all(re.fullmatch(r"0\.\d{4} ± 0\.\d{4}", row["AUC"]) for row in rows.values())


def test_ids_that_share_rows_cost_accuracy(tmp_path):
    rows = run("collision", tmp_path, "--limit", 40000, "--seeds", 2)
    assert [row["collisions"] for row in rows] == ["none", "Monolith's", "25 %", "50 %"]
    assert rows[0]["users, %"] == "0" and 40 < mean(rows[3]["users, %"]) < 60 and 1 < mean(rows[1]["movies, %"]) < 5
    aucs = [mean(row["AUC"]) for row in rows]
    assert 0.6 < aucs[3] < aucs[0] < 0.9


def test_servers_that_die_lose_updates_unless_they_learn_them_again(tmp_path):
    rows = run("fault-tolerance", tmp_path, "--limit", 5000, "--seeds", 1)
    assert (rows[0]["failures"], rows[0]["lost, %"], rows[0]["replayed"]) == ("0", "0.000", "0")
    for row in rows[1:]:
        if row["recovery"] == "exact":
            assert row["lost, %"] == "0.000" and row["replayed"] != "0"
        else:
            assert row["replayed"] == "0"
    weekly = [row for row in rows if row["snapshots every"] == "7 days"]
    assert [row["recovery"] for row in weekly] == ["loss", "exact"] and mean(weekly[0]["lost, %"]) > 1
    assert weekly[0]["failures"] == weekly[1]["failures"]
    # The table does not depend on when it was made.
    before = (tmp_path / "fault-tolerance.md").read_text()
    run("fault-tolerance", tmp_path, "--limit", 5000, "--seeds", 1)
    assert (tmp_path / "fault-tolerance.md").read_text() == before


@pytest.mark.parametrize("words, reason", [
    (["--seeds", 0], "--seeds 0 is outside"), (["--limit", 3], "--limit 3 is outside"),
])
def test_what_makes_no_experiment_is_refused(tmp_path, words, reason):
    done = experiment("collision", tmp_path / "out", *words)
    assert done.returncode == 2 and reason in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_directory_without_ratings_is_named(tmp_path):
    command = [program(), "experiment", "collision", "-c", CONFIGURATION, "--data", tmp_path, "--out", tmp_path / "out"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and str(tmp_path) in done.stderr and "get-movielens" in done.stderr
