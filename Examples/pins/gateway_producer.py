"""Records to Kafka by HTTP, through `freshet gateway`, with nothing but the standard library."""

import http.client
import json
import time
from random import Random

BATCH = 200
RETRIES = 40


class GatewayProducer:
    """Does for an example what `PacedProducer` does, by HTTP. Impressions and actions are checked by the gateway, the rest goes as it is."""

    def __init__(self, host, port, topics, seed, mean_pause_ms):
        self.connection = http.client.HTTPConnection(host, port, timeout=30)
        self.checked = {topics["features"]: "/v1/impressions", topics["actions"]: "/v1/actions"}
        self.random = Random(seed)
        self.mean_pause_ms = mean_pause_ms
        self.waiting = {}
        self.sent = 0
        self.requests = 0
        # Topic → partition → the offset behind the last record that was acknowledged.
        self.ends = {}

    def send(self, topic, key, record, partition=-1):
        """Takes a record; `flush` posts it, at the latest. With a partition it is posted at once."""
        self.sent += 1
        if partition >= 0:
            self.flush()
            self.post(topic, f"/topics/{topic}/partitions/{partition}", {"records": [{"key": key, "value": record}]})
            return
        waiting = self.waiting.setdefault(topic, [])
        waiting.append((key, record))
        if len(waiting) >= BATCH:
            self.flush()

    def flush(self):
        """Posts what waits and returns when all of it is acknowledged: what impressions are about first, then them, then actions."""
        waiting, self.waiting = self.waiting, {}
        order = list(self.checked)
        for topic in sorted(waiting, key=lambda topic: order.index(topic) if topic in order else -1):
            records = waiting[topic]
            if topic in self.checked:
                self.post(topic, self.checked[topic], [record for _, record in records])
            else:
                self.post(topic, f"/topics/{topic}", {"records": [{"key": key, "value": record} for key, record in records]})

    def pause(self, mean_ms=None):
        self.flush()
        time.sleep(self.random.expovariate(1) * (self.mean_pause_ms if mean_ms is None else mean_ms) / 1000)

    def post(self, topic, path, body):
        kind = "application/json" if path.startswith("/v1/") else "application/vnd.kafka.json.v2+json"
        for _ in range(RETRIES):
            self.connection.request("POST", path, json.dumps(body), {"Content-Type": kind})
            reply = self.connection.getresponse()
            answer = json.load(reply)
            self.requests += 1
            # Refused whole: too much is in flight, or there is no broker. What was sent and not acknowledged is another matter: sent again,
            # it might be there twice.
            if reply.status in (429, 503) and "offsets" not in answer:
                time.sleep(float(reply.headers.get("Retry-After", 1)))
                continue
            failed = [offset for offset in answer.get("offsets", []) if offset["offset"] is None]
            if reply.status != 200 or failed:
                raise RuntimeError(f"POST {path}: {reply.status} {str(answer)[:500]}")
            ends = self.ends.setdefault(topic, {})
            for offset in answer["offsets"]:
                ends[offset["partition"]] = max(ends.get(offset["partition"], 0), offset["offset"] + 1)
            return
        raise RuntimeError(f"POST {path}: the gateway has no room after {RETRIES} attempts")
