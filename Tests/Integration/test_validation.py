"""Progressive validation by slice: in the compacted topic, in INFO and in the metrics, against the ratings themselves."""

import csv
import re
from collections import Counter

from confluent_kafka.admin import AdminClient, ConfigResource

from processes import FIXTURE
from test_http_documents import metrics
from validation import compacted, is_like, ratings, write_data
from waiting import wait_until

RATINGS = 6_000
SETTINGS = {
    "trainer.validation.slices": "year,genres,gender", "trainer.validation.slice_values": 200,
    "trainer.validation.window": 1_000, "trainer.validation.interval_ms": 200,
    # A busy machine may hold one of the replay's topics up for longer than the default.
    "joiner.idle_timeout_ms": 7_000,
}


def years():
    """Movie → year, for those that have one, as `replay` reads them."""
    with open(FIXTURE / "movies.csv", newline="") as file:
        matches = {row["movieId"]: re.search(r"\((\d{4})\)\s*$", row["title"]) for row in csv.DictReader(file)}
    return {movie: match.group(1) for movie, match in matches.items() if match}


def summed(records, model="movielens", task="like", slot=None):
    """Sums over partitions, by slice: value or text → (examples, positives)."""
    sums = Counter()
    for key, record in records.items():
        assert key[0] == model and key[2] == task
        if (key[3] if len(key) > 3 else None) != slot:
            continue
        name = record["slice"].get("text", key[4]) if slot else None
        sums[name, "examples"] += record["total"]["examples"]
        sums[name, "positives"] += record["total"]["positives"]
    return sums


def test_the_topic_has_the_newest_figures_of_every_slice(make_cluster):
    cluster = make_cluster(settings=SETTINGS)
    cluster.start_all(trainers=2, serve=False)
    cluster.wait_until_assigned()
    cluster.replay("--limit", RATINGS)
    cluster.expect_exactly(RATINGS)

    def is_told():
        whole = summed(compacted(cluster))
        return whole[None, "examples"] == RATINGS
    wait_until(is_told, "the topic speaks of all examples", 20, 0.2, check=cluster.check_healthy)
    records = compacted(cluster)
    rows = ratings()[:RATINGS]
    whole = summed(records)
    assert whole[None, "positives"] == sum(map(is_like, rows))

    # Every year is kept, and the fid of a year has its text.
    year_of = years()
    expected = Counter()
    for row in rows:
        name = year_of.get(row["movieId"], "missing")
        expected[name, "examples"] += 1
        expected[name, "positives"] += is_like(row)
    assert +summed(records, slot="year") == +expected
    # No rating of this set has a gender.
    assert +summed(records, slot="gender") == +Counter(
        {("missing", "examples"): RATINGS, ("missing", "positives"): whole[None, "positives"]})
    # A genre's name is longer than what can be tried: its fid stands for itself. A film has many.
    genres = summed(records, slot="genres")
    assert all(re.fullmatch(r"0x[0-9a-f]{16}", name) for name, _ in genres)
    assert sum(count for (_, what), count in genres.items() if what == "examples") > 2 * RATINGS

    for key, record in records.items():
        assert (record["model"], record["partition"], record["task"]) == key[:3]
        assert record["trainer"].rpartition("-")[2] in {str(cluster.ports[f"trainer{index}"]) for index in (0, 1)}
        assert 0 <= record["from_offset"] < record["to_offset"]
        total, recent = record["total"], record["recent"]
        assert abs(total["logloss"] - total["loss_sum"] / total["examples"]) < 1e-12
        assert recent["examples"] <= min(total["examples"], 2 * (1_000 + 128))
    task = cluster.status()["tasks"][0]
    loss = sum(record["total"]["loss_sum"] for key, record in records.items() if len(key) == 3)
    assert abs(loss / RATINGS - task["logloss"]) < 1e-9, "the servers' figures and the trainers' are of the same predictions"
    assert task["normalized_entropy"] and task["logloss_recent"] and task["calibration_recent"]

    client = AdminClient({"bootstrap.servers": cluster.bootstrap_servers})
    resource = ConfigResource(ConfigResource.Type.TOPIC, cluster.topics["validation"])
    [described] = client.describe_configs([resource]).values()
    assert described.result(10)["cleanup.policy"].value == "compact"

    info, samples = cluster.info("trainer0"), metrics(cluster, "trainer0")
    assert int(info["records_written"]) > 0 and int(info["records_failed"]) == 0
    assert info["task0_slice_gender_missing"]["value"] == '"missing"'
    by_year = {
        dict(labels)["value"]: value for (name, labels), (value, _) in samples.items()
        if name == "freshet_trainer_validation_slice_examples" and dict(labels)["slot"] == "year"}
    assert "1995" in by_year and all(dict(labels)["task"] == "0" for name, labels in samples if "slice" in name)
    own = [count for (name, _), (count, _) in samples.items() if name == "freshet_trainer_validation_examples"]
    assert sum(by_year.values()) == own[0] > 0
    names = {name for name, _ in samples}
    for figure in ("auc", "logloss", "normalized_entropy", "calibration_ratio"):
        assert {f"freshet_trainer_validation_{scope}{figure}" for scope in ("", "recent_", "slice_", "slice_recent_")} <= names


def test_a_trainer_that_comes_back_counts_from_where_it_begins(make_cluster, tmp_path):
    """Figures by slice are of a trainer's life, and say of which offsets they are; the servers' are of everything."""
    cluster = make_cluster(settings=SETTINGS)
    cluster.start_all(trainers=1, serve=False)
    rows = ratings()
    cluster.replay(data=write_data(tmp_path / "first", rows[:RATINGS // 2]))
    cluster.expect_exactly(RATINGS // 2)
    assert cluster.processes["trainer0"].stop() == 0
    last = {key: record for key, record in compacted(cluster).items() if len(key) == 3}
    assert sum(record["total"]["examples"] for record in last.values()) == RATINGS // 2, "written at the end"
    cluster.start("trainer0")
    cluster.replay(data=write_data(tmp_path / "second", rows[RATINGS // 2:RATINGS]))
    cluster.expect_exactly(RATINGS)

    def goes_on():
        records = [record for key, record in compacted(cluster).items() if len(key) == 3]
        return sum(record["total"]["examples"] for record in records) == RATINGS - RATINGS // 2 and records
    for record in wait_until(goes_on, "the second life is told of", 20, 0.2, check=cluster.check_healthy):
        assert record["from_offset"] == last[record["model"], record["partition"], record["task"]]["to_offset"]


def test_without_an_interval_there_is_no_topic(make_cluster):
    cluster = make_cluster(settings={"trainer.validation.interval_ms": 0})
    cluster.start_all(trainers=1, serve=False)
    cluster.replay("--limit", 500)
    cluster.expect_exactly(500)
    topics = AdminClient({"bootstrap.servers": cluster.bootstrap_servers}).list_topics(timeout=10).topics
    assert cluster.topics["examples"] in topics and cluster.topics["validation"] not in topics
    assert int(cluster.info("trainer0")["task0_examples"]) == 500
