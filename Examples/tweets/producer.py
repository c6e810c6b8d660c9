"""Writes the stream of tweets to a topic, each tweet once, however often this program is killed: it goes on where the topic ends.

There is no file that says how far it is, which could be ahead of the topic or behind it. The topic is read: a tweet is written if
its id is above that of the last record of its partition. Two things make that enough. A tweet's partition is a function of its
author, and the producer is idempotent, so that a partition has its tweets in order and without a gap, whatever was retried.
"""

import argparse
import json
import os
import sys
import time
import zlib

from confluent_kafka import Consumer, Producer, TopicPartition

from world import World

BURST = 50


def partition_of(tweet, partitions):
    return zlib.crc32(tweet["data"]["author_id"].encode()) % partitions


def positions(bootstrap_servers, topic, partitions):
    """The id of each partition's last tweet; 0 where there is none."""
    consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": "positions", "enable.auto.commit": False})
    try:
        last = []
        for number in range(partitions):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=20)
            if low == high > 0:
                # Retention has taken what would have said where to go on.
                sys.exit(f"producer: {topic}[{number}] is empty, and was not always: where it ended cannot be told")
            last.append(last_id(consumer, TopicPartition(topic, number, high - 1)) if high else 0)
        return last
    finally:
        consumer.close()


def last_id(consumer, position):
    consumer.assign([position])
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        record = consumer.poll(1)
        if record is not None and record.error() is None:
            return int(json.loads(record.value())["data"]["id"])
    sys.exit(f"producer: the record at {position} could not be read within 20 s")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--topic", required=True)
    parser.add_argument("--partitions", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--tweets", type=int, required=True)
    parser.add_argument("--start-ms", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, help="tweets a second, about")
    arguments = parser.parse_args()
    servers = os.environ["FRESHET_KAFKA_BOOTSTRAP_SERVERS"]
    last = positions(servers, arguments.topic, arguments.partitions)
    world = World(arguments.seed, arguments.tweets, arguments.start_ms)
    producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True, "linger.ms": 5, "compression.type": "lz4"})
    failures = []
    written = 0
    for index in range(arguments.tweets):
        tweet = world.tweet(index)
        partition = partition_of(tweet, arguments.partitions)
        if int(tweet["data"]["id"]) <= last[partition]:
            continue
        # librdkafka holds 100,000 records, more than a stream of this pace leaves behind.
        producer.produce(
            arguments.topic, key=tweet["data"]["author_id"], value=json.dumps(tweet, separators=(",", ":"), ensure_ascii=False),
            partition=partition, on_delivery=lambda error, _: failures.append(error) if error else None)
        written += 1
        if written % BURST == 0:
            producer.poll(0)
            time.sleep(BURST / arguments.rate)
        if failures:
            break
    left = producer.flush(60)
    if failures or left:
        sys.exit(f"producer: the broker did not take a tweet: {failures[0] if failures else f'{left} were left after a minute'}")
    print(f"{written} of {arguments.tweets} tweets written, the others were there", flush=True)


if __name__ == "__main__":
    main()
