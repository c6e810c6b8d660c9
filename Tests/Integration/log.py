"""Kafka topics, written and read with Confluent's client: what a stranger's program would see."""

from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition


@dataclass(frozen=True)
class Record:
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None


def read_to_end(bootstrap_servers, topic, seconds=20.0):
    """Every committed record of a topic at the time of the call."""
    consumer = Consumer({
        "bootstrap.servers": bootstrap_servers,
        "group.id": "integration-tests",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        "receive.message.max.bytes": 1_000_000_000,
    })
    try:
        partitions = consumer.list_topics(topic, timeout=seconds).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        reading = set(partitions)
        records = []
        while reading:
            messages = consumer.consume(10_000, timeout=0.02 if records else 0.1)
            for message in messages:
                error = message.error()
                if error is None:
                    records.append(Record(message.partition(), message.offset(), message.key(), message.value()))
                elif error.code() == KafkaError._PARTITION_EOF:
                    reading.discard(message.partition())
                else:
                    raise AssertionError(f"reading {topic}: {error}")
        return records
    finally:
        consumer.close()


def produce(bootstrap_servers, topic, records, partition=0, timestamp_ms=0):
    """Writes (key, value) pairs to one partition, in order, and returns their offsets; timestamp 0 is now."""
    producer = Producer({"bootstrap.servers": bootstrap_servers, "message.max.bytes": 8_000_000, "linger.ms": 1})
    offsets = []

    def delivered(error, message):
        assert error is None, f"writing {topic}: {error}"
        offsets.append(message.offset())

    for key, value in records:
        producer.produce(topic, key=key, value=value, partition=partition, timestamp=timestamp_ms, on_delivery=delivered)
    assert producer.flush(20) == 0, f"{topic}: the broker did not take the records"
    return offsets


def request_hash(example):
    """The request id's hash in an example record (docs/example-format.md)."""
    return int.from_bytes(example[6:14], "little")
