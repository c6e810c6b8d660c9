"""Streams made-up tweets through a cluster that learns who engages, kills what writes and what archives, and counts afterwards."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from random import Random

import duckdb
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

import ngrams  # noqa: E402
import quality  # noqa: E402
from archiving import TopicArchive  # noqa: E402
from example import Example, launch, options, say, settings_for  # noqa: E402
from world import RULES, TWEET_MS, World, index_of  # noqa: E402

HERE = Path(__file__).parent
CONFIGURATION = str(HERE / "cluster.yaml")
# Between a tweet and the first engagement, event time.
LONGEST_THOUGHT_MS = 25_000
PAGE = 100
# Tweets beyond those whose window is open that may wait to be learned, so that scores are those of a live system.
MAXIMUM_LAG = 400
LONGEST_WAIT_SECONDS = 120
FLIPPED = next(iter(RULES))


class Tweets:
    def __init__(self, arguments):
        self.arguments = arguments
        # The stream ends an hour ago, so that the records that close its last windows are not ahead of the clock.
        self.world = World(arguments.seed, arguments.tweets, int(time.time()) * 1000 - 3_600_000 - arguments.tweets * TWEET_MS)
        settings = settings_for(arguments, "tweets")
        self.topic = settings["kafka.topics.items"].removesuffix("items") + "tweets" if settings else "tweets"
        self.example = Example("tweets", arguments, CONFIGURATION, settings, mean_pause_ms=0)
        self.cluster = self.example.cluster
        self.store = os.path.join(arguments.output, "archive")
        shutil.rmtree(self.store, ignore_errors=True)
        self.producer, self.killed = None, []
        # By number: what actually came of it, what the live model said before it was sent on, and what the frozen one said.
        self.outcomes, self.online, self.frozen = {}, {}, {}

    def run(self):
        configuration = self.cluster.configuration
        self.partitions = configuration["kafka"]["partitions"]
        # Tweets whose windows are open, and a few.
        self.waiting = (configuration["joiner"]["window_ms"] + configuration["joiner"]["grace_ms"]) // TWEET_MS + MAXIMUM_LAG
        self.make_topic()
        self.archive = TopicArchive(
            self.example, [self.topic, self.example.topics["actions"]], self.store, f"{self.topic}-archive", configuration["archive"]["port"])
        self.consumer = Consumer({
            "bootstrap.servers": self.example.bootstrap_servers, "group.id": "tweets-reader", "enable.auto.commit": False})
        try:
            self.consumer.assign([TopicPartition(self.topic, number, 0) for number in range(self.partitions)])
            for rule in RULES:
                self.example.producer.send(self.example.topics["items"], rule, {"rule": rule})
            self.archive.start()
            # The first life would take half a minute at least: it is killed in its middle, also where reading is slow.
            self.start_producer(min(self.arguments.rate, self.world.number / 30))
            self.stream()
            task, _ = self.example.wait_until_learned()
            self.report(task, *self.count())
        finally:
            self.consumer.close()
            self.archive.stop()
            if self.producer is not None:
                self.producer.kill()
                self.producer.wait()

    def make_topic(self):
        """With the cluster's number of partitions: a broker that makes topics by itself may choose another."""
        admin = AdminClient({"bootstrap.servers": self.example.bootstrap_servers})
        topic = NewTopic(
            self.topic, num_partitions=self.partitions, replication_factor=self.cluster.configuration["kafka"]["replication_factor"])
        admin.create_topics([topic])[self.topic].result(30)

    # MARK: - Killing

    def start_producer(self, rate):
        with open(os.path.join(self.arguments.output, "producer.log"), "ab") as log:
            self.producer = subprocess.Popen(
                list(map(str, [
                    sys.executable, HERE / "producer.py", "--topic", self.topic, "--partitions", self.partitions,
                    "--seed", self.arguments.seed, "--tweets", self.world.number, "--start-ms", self.world.start_ms,
                    "--rate", rate])),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def kill_producer(self):
        if self.producer.poll() is not None:
            self.cluster.fail(f"the producer ended with code {self.producer.returncode} before it could be killed; see producer.log")
        self.producer.kill()
        self.producer.wait()
        self.note_kill("producer")
        self.start_producer(self.arguments.rate)

    def kill_archive(self):
        self.archive.kill()
        self.note_kill("archive")
        self.archive.start()

    def note_kill(self, what):
        self.killed.append({"what": what, "tweets_in_topic": self.tweets_in_topic()})
        say(f"  {what} killed (kill -9) with {self.killed[-1]['tweets_in_topic']:,} tweets in the topic, and started again")

    # MARK: - The stream

    def tweets_in_topic(self):
        return sum(high - low for low, high in self.archive.offsets(self.topic).values())

    def arrived(self):
        """(number, tweet) of the topic's tweets, by their ids: a partition has them in order, and the partitions are merged."""
        heads = [deque() for _ in range(self.partitions)]
        read = yielded = 0
        deadline = time.monotonic() + LONGEST_WAIT_SECONDS
        while yielded < self.world.number:
            for record in self.consumer.consume(500, 0.2):
                if record.error() is None:
                    tweet = json.loads(record.value())
                    heads[record.partition()].append((index_of(tweet["data"]["id"], self.world.start_ms), tweet))
                    read += 1
                    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
            self.cluster.check()
            if time.monotonic() > deadline:
                self.cluster.fail(f"{read:,} of {self.world.number:,} tweets came, and no more within {LONGEST_WAIT_SECONDS} s; see producer.log")
            while all(heads) or (read >= self.world.number and any(heads)):
                head = min((head for head in heads if head), key=lambda head: head[0][0])
                yielded += 1
                yield head.popleft()

    def stream(self):
        draw = Random(self.arguments.seed)
        page = []
        kills = {self.world.number // 5: self.kill_producer, self.world.number // 3: self.kill_archive}
        for done, (number, tweet) in enumerate(self.arrived(), 1):
            if number == self.world.flip:
                self.pass_on(page, draw)
                page = []
                self.freeze()
            page.append((number, tweet))
            if len(page) == PAGE:
                self.pass_on(page, draw)
                page = []
                self.example.progress(self.world.number)
            if done in kills:
                kills[done]()
        self.pass_on(page, draw)
        self.example.close_windows(self.world.time_ms(self.world.number) + LONGEST_THOUGHT_MS, {"author": "closing", "rule": "closing"})

    def pass_on(self, page, draw):
        """Asks for the scores of a page of tweets, in the second half, and only then sends them on, and what comes of them."""
        if page and page[0][0] >= self.world.flip:
            self.example.wait_until_recent(self.waiting)
            self.online.update(zip((number for number, _ in page), self.score([tweet for _, tweet in page])))
        for number, tweet in page:
            _, probability, reactions = self.world.draw(number)
            self.outcomes[number] = (tweet["matching_rules"][0]["tag"], probability, int(reactions > 0))
            request = {"request_id": tweet["data"]["id"], "author": tweet["data"]["author_id"]}
            at_ms = self.world.time_ms(number)
            self.example.send_impression(request["author"], {**request, "event_time": at_ms, **fields(tweet)})
            if reactions:
                engaged_ms = at_ms + 1 + int(draw.random() * LONGEST_THOUGHT_MS)
                self.example.plan_action(
                    request["author"], {**request, "event_time": engaged_ms, "action": "engaged", "value": reactions})
        self.example.producer.flush()

    def freeze(self):
        """What a model that stops learning here says of everything that comes: the scores of this moment."""
        self.example.wait_until_recent(self.waiting)
        self.example.wait_until_served()
        later = range(self.world.flip, self.world.number)
        for start in range(0, len(later), 2 * PAGE):
            numbers = later[start:start + 2 * PAGE]
            self.frozen.update(zip(numbers, self.score([self.world.tweet(number) for number in numbers])))
        say(f"  {len(self.frozen):,} later tweets scored by the model of now; from here on the meaning of #{FLIPPED} is the opposite")

    def score(self, tweets):
        body = {"instances": [{"author": tweet["data"]["author_id"], **fields(tweet)} for tweet in tweets]}
        return self.example.post("/v1/models/{model}:predict", body)["predictions"]

    # MARK: - Counting

    def count(self):
        """Each tweet once in the topic, each record once in the archive. Returns the archive's records and files."""
        if self.producer.wait(60) != 0:
            self.cluster.fail(f"the producer ended with code {self.producer.returncode}; see producer.log")
        ids = [identity for number, (_, end) in self.archive.offsets(self.topic).items() for identity in self.ids_of(number, end)]
        if sorted(index_of(identity, self.world.start_ms) for identity in ids) != list(range(self.world.number)):
            self.cluster.fail(f"the topic has {len(ids):,} tweets, {len(set(ids)):,} different ones, of {self.world.number:,}")
        records, files = self.archive.wait_until_complete(LONGEST_WAIT_SECONDS)
        say(f"\n{self.world.number:,} tweets, each once in the topic; {records:,} records of {len(self.archive.topics)} topics in "
            f"{files} files, as many as there are offsets")
        return records, files

    def ids_of(self, number, end):
        self.consumer.assign([TopicPartition(self.topic, number, 0)])
        ids, position, deadline = [], 0, time.monotonic() + LONGEST_WAIT_SECONDS
        while position < end and time.monotonic() < deadline:
            for record in self.consumer.consume(1_000, 1):
                if record.error() is None:
                    ids.append(json.loads(record.value())["data"]["id"])
                    position = record.offset() + 1
        return ids

    def query(self):
        """report.sql over the archive's files, where they lie; each statement's rows."""
        text = (HERE / "report.sql").read_text()
        with duckdb.connect() as connection:
            for name, topic in zip(("tweets", "actions"), self.archive.topics):
                connection.execute(f"SET VARIABLE {name} = $1", [f"{self.store}/topics/{topic}/*/*.jsonl.zst"])
            tables = []
            for statement in connection.extract_statements(text):
                if statement.type != duckdb.StatementType.SELECT:
                    connection.execute(statement)
                    continue
                relation = connection.sql(statement.query)
                say("\n".join(line for line in statement.query.splitlines() if line.startswith("--")))
                say(str(relation))
                tables.append(relation.fetchall())
        return tables

    def report(self, task, records, files):
        rows = [(self.outcomes[number], self.online[number], self.frozen[number])
                for number in range(self.world.flip, self.world.number)]
        late = rows[len(rows) // 2:]
        figures = {}
        for name, source, wanted in (
                ("all", rows, lambda rule: True), ("flipped", rows, lambda rule: rule == FLIPPED),
                ("flipped_late", late, lambda rule: rule == FLIPPED), ("others", rows, lambda rule: rule != FLIPPED)):
            chosen = [row for row in source if wanted(row[0][0])]
            labels = [outcome[2] for outcome, _, _ in chosen]
            figures[name] = {
                "tweets": len(chosen), "online": quality.auc(labels, [online for _, online, _ in chosen]),
                "frozen": quality.auc(labels, [frozen for _, _, frozen in chosen]),
                "limit": quality.auc(labels, [outcome[1] for outcome, _, _ in chosen])}
        offsets, minutes, hashtags = self.query()
        seconds = time.monotonic() - self.example.started
        say(f"{task['examples']:,} examples, each learned once, in {seconds:.1f} s; progressive AUC {task['auc']:.4f}\n"
            f"AUC of tweets after the flip                    all     #{FLIPPED}  later half  others")
        for name, what in (("online", "learning goes on, scored before sent"), ("frozen", "frozen at the flip"),
                           ("limit", "Bayes limit: the generator's own odds")):
            say(f"  {what:<46}" + "   ".join(f"{figures[group][name]:.3f}" for group in figures))
        self.example.write_summary({
            "tweets": self.world.number, "examples": task["examples"], "auc": task["auc"], "killed": self.killed,
            "records_archived": records, "files": files, "seconds": round(seconds, 1), "after_the_flip": figures,
            "offsets": offsets, "minutes": len(minutes), "tweets_by_minute": sum(row[2] for row in minutes), "hashtags": hashtags})

    @property
    def summary(self):
        return f"{self.world.number:,} made-up tweets (seed {self.arguments.seed}), the meaning of #{FLIPPED} flips in the middle"


def fields(tweet):
    data = tweet["data"]
    return {"rule": tweet["matching_rules"][0]["tag"], "lang": data["lang"], **ngrams.fields(data["text"])}


def main():
    parser = options(__doc__)
    parser.add_argument("--tweets", type=int, default=30_000, help="default 30,000")
    parser.add_argument("--rate", type=float, default=1_500, help="tweets a second that the producer writes in its second life, about (default 1,500)")
    launch("tweets", Tweets, parser)


if __name__ == "__main__":
    main()
