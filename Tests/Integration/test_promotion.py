"""Replicas change over to a second model without a gap, remember it, and go back."""

import threading

import log
from http_client import get, post
from promotion import INFER, Load, answers, promote, second_model, write_configuration
from waiting import wait_until

RATINGS = 6_000
MORE = 2_000
REPLICAS = ("serve", "serve2")


def start_replicas(cluster, directory, names=REPLICAS):
    for name in names:
        cluster.start(name, "--set", f"serve.state={directory / name}")
    for name in names:
        cluster.wait_until_listening(name)
        wait_until(lambda name=name: is_complete(cluster, name), f"{name} is ready")


def is_complete(cluster, name):
    info = cluster.info(name)
    return info["ready"] == 1 and info["caught_up"] == 1 and cluster.serves_all_examples(name)


def start_candidate(candidate, *names):
    for name in names or ("ps0", "ps1", "trainer0"):
        options = ("--from", "beginning", "--epochs", 2) if name.startswith("trainer") else ()
        candidate.start(name, *options)
        candidate.wait_until_listening(name)


def wait_until_online(candidate, seconds=90):
    goal = candidate.example_ends()
    wait_until(lambda: candidate.all_shards_reached(goal), "the candidate is online", seconds, 0.2,
               check=candidate.check_healthy)


def version(cluster, name="serve"):
    return cluster.info(name)["model_version"]


def test_replicas_change_over_under_load_remember_it_and_go_back(make_cluster, tmp_path):
    cluster = make_cluster(settings={"serve.threads": 2, "serve.state_interval_ms": 500})
    cluster.start_all(serve=False)
    cluster.replay("--limit", RATINGS)
    cluster.expect_exactly(RATINGS)
    start_replicas(cluster, tmp_path / "state")
    old = answers(cluster)
    assert answers(cluster, "serve2") == old

    candidate = second_model(make_cluster, cluster, tmp_path / "candidate.yaml")
    start_candidate(candidate)
    wait_until_online(candidate)
    # A replica of the second model alone says what its scores are.
    candidate.start("serve")
    candidate.wait_until_listening("serve")
    wait_until(lambda: is_complete(candidate, "serve"), "the candidate's replica is ready")
    new = answers(candidate)
    assert all(old[kind] != new[kind] for kind in old)

    target = write_configuration(candidate, tmp_path / "target.yaml")
    loads = [Load(cluster, name) for name in REPLICAS]
    done = promote(cluster, "--to", target, replicas=REPLICAS)
    wait_until(lambda: all(load.replies[-1][3] == new[load.replies[-1][2]] for load in loads), "the new model answers")
    for load in loads:
        load.stop()
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    for load in loads:
        counts = load.check(old, new)
        assert counts["old"] > 20 and counts["new"] > 20, counts
        print(counts)

    # What tells which model answers.
    for name in REPLICAS:
        info = cluster.info(name)
        assert (info["model_version"], info["promotion"]) == (2, "switched")
        assert get(cluster.http_ports[name], "/v2/models/movielens").json["versions"] == ["2"]
        assert post(cluster.http_ports[name], "/v2/models/movielens/versions/1/infer", INFER).status == 404
        assert post(cluster.http_ports[name], "/v2/models/movielens/versions/2/infer", INFER).status == 200
    status = cluster.run("ctl", "status", "--replica", f"127.0.0.1:{cluster.port('serve')}").stdout
    assert "movielens version 2 of " in status and "version 2: switched" in status
    again = promote(cluster, "--to", target, replicas=REPLICAS)
    assert again.returncode == 1 and "already" in again.stderr

    # It goes on learning from the second model's servers alone, and comes back with it.
    cluster.kill("serve")
    start_replicas(cluster, tmp_path / "state", ["serve"])
    assert answers(cluster) == new and version(cluster) == 2

    loads = [Load(cluster, name) for name in REPLICAS]
    done = promote(cluster, "--back", replicas=REPLICAS)
    wait_until(lambda: all(load.replies[-1][3] == old[load.replies[-1][2]] for load in loads), "the old model answers")
    for load in loads:
        load.stop()
    assert done.returncode == 0, done.stdout + done.stderr
    for load in loads:
        assert not load.errors
        assert all(reply in (old[kind], new[kind]) for _, _, kind, reply, _ in load.replies)
    assert all(version(cluster, name) == 1 for name in REPLICAS)
    cluster.kill("serve2")
    start_replicas(cluster, tmp_path / "state", ["serve2"])
    assert answers(cluster, "serve2") == old and version(cluster, "serve2") == 1
    assert not [path for path in (tmp_path / "state").glob("*/version-2/**/*") if path.is_file()]
    assert not list((tmp_path / "state").glob("*/promotion"))


def test_a_promotion_that_cannot_be_ended_leaves_everything_as_it_was(make_cluster, tmp_path):
    cluster = make_cluster()
    cluster.start_all(serve=False)
    cluster.replay("--limit", RATINGS)
    cluster.expect_exactly(RATINGS)
    start_replicas(cluster, tmp_path / "state")
    candidate = second_model(make_cluster, cluster, tmp_path / "candidate.yaml")
    start_candidate(candidate)
    wait_until_online(candidate)
    target = write_configuration(candidate, tmp_path / "target.yaml")

    # Its trainer stops and the stream goes on: from now on it is behind.
    candidate.processes["trainer0"].stop()
    cluster.replay("--start", RATINGS, "--limit", MORE)
    cluster.expect_exactly(RATINGS + MORE)
    for name in REPLICAS:
        wait_until(lambda name=name: cluster.serves_all_examples(name), f"{name} has everything")
    old = answers(cluster)
    done = promote(cluster, "--to", target, "--timeout", 3, "--max-lag", 500, replicas=REPLICAS)
    assert done.returncode == 1 and "its scores lack" in done.stderr, done.stderr
    assert all(cluster.info(name)["promotion"] == "failed" for name in REPLICAS)

    # A replica is killed while it copies.
    outcome = []
    running = threading.Thread(target=lambda: outcome.append(promote(cluster, "--to", target, replicas=REPLICAS)))
    running.start()
    wait_until(lambda: all(cluster.info(name).get("promotion") == "copying" for name in REPLICAS), "both copy", 20)
    wait_until(lambda: cluster.info("serve")["candidate_shards_complete"] == 16, "all shards are copied", 20)
    # Two at once would take three times the memory.
    assert "is being promoted" in promote(cluster, "--to", target).stderr
    # A server of the candidate goes away, and the live model answers.
    candidate.kill("ps1")
    wait_until(lambda: cluster.info("serve")["candidate_servers_connected"] == 1, "the loss is seen", 20)
    assert answers(cluster) == old and cluster.info("serve")["promotion"] == "copying"
    metrics = get(cluster.http_ports["serve"], "/metrics").body.decode()
    assert "\nfreshet_serve_candidate_shards_complete 16\n" in metrics and "Not described yet" not in metrics
    cluster.kill("serve2")
    running.join(60)
    assert outcome[0].returncode == 1 and f"replica 127.0.0.1:{cluster.port('serve2')}" in outcome[0].stderr
    wait_until(lambda: cluster.info("serve")["promotion"] == "failed", "the other one gives it up", 20)
    start_replicas(cluster, tmp_path / "state", ["serve2"])
    assert answers(cluster) == old and answers(cluster, "serve2") == old and version(cluster, "serve2") == 1

    # The server comes back empty, its trainer teaches it again while the stream goes on, and the promotion waits for that.
    start_candidate(candidate, "ps1", "trainer0")
    replay = cluster.start_replay("--start", RATINGS + MORE, "--limit", MORE, "--rate", MORE / 10)
    load = Load(cluster, "serve", connections=1)
    done = promote(cluster, "--to", target, "--max-lag", 3000, replicas=REPLICAS)
    load.stop()
    assert done.returncode == 0, done.stdout + done.stderr
    assert not load.errors
    versions = [version for *_, version in load.replies if version is not None]
    assert versions == sorted(versions) and {"1"} <= set(versions)
    assert all(version(cluster, name) == 2 for name in REPLICAS)
    assert replay.wait(60) == 0
    wait_until(lambda: len(log.read_to_end(cluster.bootstrap_servers, cluster.topics["examples"])) == RATINGS + 2 * MORE,
               "everything is joined", 60)
    for name in REPLICAS:
        wait_until(lambda name=name: cluster.serves_all_examples(name), f"{name} follows the second model", 40)


def test_what_cannot_be_promoted_is_refused_with_the_reason(make_cluster, tmp_path):
    cluster = make_cluster()
    cluster.start_all(trainers=1)
    cluster.replay("--limit", 500)
    cluster.expect_exactly(500)
    cluster.wait_until_ready()
    candidate = second_model(make_cluster, cluster, tmp_path / "candidate.yaml")
    target = write_configuration(candidate, tmp_path / "target.yaml")

    def refusal(target, *options):
        done = promote(cluster, "--to", target, "--timeout", 5, *options)
        assert done.returncode == 1, done.stdout + done.stderr
        assert version(cluster) == 1
        return done.stderr
    assert f"parameter server 127.0.0.1:{candidate.server_ports[0]} does not answer" in refusal(target)
    assert cluster.run("ctl", "promote", "--to", target, "--back").returncode == 2
    start_candidate(candidate, "ps0", "ps1")
    # Without a place to remember it.
    assert "no serve.state to remember" in refusal(target)
    assert "already" in refusal(write_configuration(cluster, tmp_path / "same.yaml"), "--until-restart")

    def changed(name, change):
        return write_configuration(candidate, tmp_path / f"{name}.yaml", change)

    def without_zip(content):
        del content["model"]["fields"]["zip"]
        del content["model"]["slots"]["zip"]

    def version_1(content):
        content["model"]["version"] = 1

    def narrower(content):
        content["model"]["tables"]["embedding"]["dimension"] = 4

    def more_shards(content):
        content["cluster"]["shards"] = 32
    assert "it has no field zip" in refusal(changed("zip", without_zip), "--until-restart")
    assert "both models are version 1" in refusal(changed("version", version_1), "--until-restart")
    # Its servers have another dimension than its file says: nothing of them can be used.
    assert "are the models the same?" in refusal(changed("narrow", narrower), "--until-restart", "--force")
    assert "not ready within 5 s" in refusal(changed("shards", more_shards), "--until-restart", "--force")
    # Nothing was learned by it, so it is far behind; that can be overruled.
    assert "its scores lack" in refusal(target, "--until-restart", "--max-lag", 100)
    done = promote(cluster, "--to", target, "--until-restart", "--force")
    assert done.returncode == 0, done.stdout + done.stderr
    assert version(cluster) == 2
