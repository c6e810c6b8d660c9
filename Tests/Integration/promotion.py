"""A second model beside a cluster's, and requests that never stop while replicas change over to it."""

import http.client
import threading
import time

import yaml

import http_client
from processes import CONFIGURATION

ITEMS = [1, 47, 50, 110, 260, 296, 318, 356]
SCORE = ["SCORE", "movielens", "user_id=1", "gender=F", "CANDIDATES", "item_id", *map(str, ITEMS)]
RECOMMEND = ["RECOMMEND", "movielens", "user_id=1", "gender=F", "TOPK", "20"]
INFER = {"inputs": [
    {"name": "user_id", "shape": [1], "datatype": "INT64", "data": [1]},
    {"name": "gender", "shape": [1], "datatype": "BYTES", "data": ["F"]},
    {"name": "item_id", "shape": [len(ITEMS)], "datatype": "INT64", "data": ITEMS}]}


def second_model(make_cluster, cluster, path, version=2, dimension=8, hidden="[24, 12]"):
    """A model of another dimension and network on the same topics, with servers and a group of trainers of its own."""
    text = CONFIGURATION.read_text()
    for old, new in (("  name: movielens\n", f"  name: movielens\n  version: {version}\n"),
                     ("dimension: 16", f"dimension: {dimension}"), ("hidden: [64, 32]", f"hidden: {hidden}")):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path.write_text(text)
    topics = {f"kafka.topics.{name}": topic for name, topic in cluster.topics.items()}
    candidate = make_cluster(configuration=path, settings=topics)
    candidate.topics = cluster.topics
    return candidate


def write_configuration(candidate, path, change=None):
    """The configuration in effect as one file, for `ctl promote --to`; `change` may alter it."""
    content = yaml.safe_load(candidate.command("config", "print").stdout)
    if change:
        change(content)
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def promote(cluster, *options, replicas=("serve",), seconds=120):
    words = [word for name in replicas for word in ("--replica", f"127.0.0.1:{cluster.port(name)}")]
    return cluster.run("ctl", "promote", *options, *words, seconds=seconds)


def answers(cluster, name="serve"):
    """What a replica says to the requests of the load, by their kind."""
    with cluster.client(name) as client:
        resp = client.execute_command(*SCORE)
        best = client.execute_command(*RECOMMEND)
    reply = http_client.post(cluster.http_ports[name], "/v2/models/movielens/infer", INFER)
    assert reply.status == 200, reply
    return {"score": resp, "recommend": best, "infer": reply.json["outputs"][0]["data"]}


class Load:
    """Asks a replica over RESP and HTTP, on several connections, until it is stopped."""

    def __init__(self, cluster, name, connections=2):
        self.cluster, self.name = cluster, name
        self.replies = []
        self.errors = []
        self._stops = threading.Event()
        bodies = [self._score, self._recommend, self._infer]
        self._threads = [threading.Thread(target=self._run, args=(body,)) for body in bodies * connections]
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._stops.set()
        for thread in self._threads:
            thread.join(20)

    def _run(self, body):
        try:
            body()
        except Exception as error:  # pylint: disable=broad-except
            self.errors.append(repr(error))

    def _note(self, kind, began, reply, version=None):
        self.replies.append((began, time.monotonic(), kind, reply, version))

    def _score(self):
        with self.cluster.client(self.name) as client:
            while not self._stops.is_set():
                began = time.monotonic()
                self._note("score", began, client.execute_command(*SCORE))

    def _recommend(self):
        with self.cluster.client(self.name) as client:
            while not self._stops.is_set():
                began = time.monotonic()
                self._note("recommend", began, client.execute_command(*RECOMMEND))

    def _infer(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.cluster.http_ports[self.name], timeout=20)
        while not self._stops.is_set():
            began = time.monotonic()
            reply = http_client.send(connection, "POST", "/v2/models/movielens/infer", INFER)
            assert reply.status == 200, reply
            self._note("infer", began, reply.json["outputs"][0]["data"], reply.json["model_version"])
        connection.close()

    def check(self, old, new):
        """No error; every reply is wholly one model's; none is the old one's that was asked for after a new one had come."""
        assert not self.errors
        first_new_end = min((end for _, end, kind, reply, _ in self.replies if reply == new[kind]), default=None)
        counts = {"old": 0, "new": 0}
        for began, _, kind, reply, version in self.replies:
            assert reply in (old[kind], new[kind]), f"{kind}: {reply} is neither {old[kind]} nor {new[kind]}"
            which = "new" if reply == new[kind] else "old"
            counts[which] += 1
            if which == "old" and first_new_end is not None:
                assert began < first_new_end, f"{kind}: the old model answered after the new one"
            if version is not None:
                assert version == {"old": "1", "new": "2"}[which]
        return counts
