"""`freshet archive` of an example's topics as a child, and whether the files have what the topics have."""

import json
import os
import signal
import subprocess

from confluent_kafka import Consumer, TopicPartition


class TopicArchive:
    """Keeps topics as lines of JSON in `store`, beside whatever archive the cluster itself runs."""

    def __init__(self, example, topics, store, group, port):
        self.cluster = example.cluster
        self.topics, self.store = topics, store
        self.log_path = os.path.join(example.arguments.output, "archive.log")
        # With a port of its own a process that was killed is known to the group, and has its partitions back at once.
        self.words = ["--topics", ",".join(topics), "--port", str(port), "--metrics-port", "0"]
        self.settings = ["--set", f"archive.store={store}", "--set", f"archive.group={group}"]
        self.consumer = Consumer({
            "bootstrap.servers": example.bootstrap_servers, "group.id": "offsets", "enable.auto.commit": False})
        self.process = None

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [self.cluster.binary, "archive", *self.words, *self.cluster.configured, *self.settings],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def kill(self):
        """`kill -9`, of one that runs."""
        self.check()
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.consumer.close()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def check(self):
        if self.process.poll() is not None:
            self.cluster.fail(f"the archive ended with code {self.process.returncode}; its log is {self.log_path}")

    def offsets(self, topic):
        """Partition → its first offset, and the one behind its last."""
        partitions = self.consumer.list_topics(topic, timeout=20).topics[topic].partitions
        return {number: self.consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=20) for number in sorted(partitions)}

    def wait_until_complete(self, seconds=120):
        """Until the files reach the topics' ends. Fails if they have other numbers of records than the topics have offsets.

        So the topics must be of producers without transactions, and nothing may have been compacted away. Returns records and files.
        """
        wanted = {(topic, number): range(low, high) for topic in self.topics for number, (low, high) in self.offsets(topic).items() if high > low}

        def is_complete():
            self.check()
            done = self.cluster.freshet("archive", "check", "--json", "--topics", ",".join(self.topics), *self.settings)
            found = {(part["topic"], part["partition"]): part for part in json.loads(done.stdout)["partitions"]}
            return found if all(found.get(key, {}).get("end", 0) >= offsets.stop for key, offsets in wanted.items()) else None
        found = self.cluster.wait_until(is_complete, "everything is archived", seconds)
        done = self.cluster.freshet("archive", "check", "--json", "--topics", ",".join(self.topics), *self.settings)
        if problems := json.loads(done.stdout)["problems"]:
            self.cluster.fail(f"the archive: {problems}")
        wrong = {key: (found[key]["records"], offsets) for key, offsets in wanted.items() if found[key]["records"] != len(offsets)}
        if wrong:
            self.cluster.fail(f"the archive has other numbers of records than the topics have offsets: {wrong}")
        return sum(part["records"] for part in found.values()), sum(part["files"] for part in found.values())
