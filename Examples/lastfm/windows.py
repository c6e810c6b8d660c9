"""Counts over windows of a stream: of the last N events, or of the last T milliseconds of event time."""

from collections import Counter, deque


class CountWindow:
    """How often each value occurs among the last `size` ones."""

    def __init__(self, size):
        self.values = deque()
        self.size = size
        self.counts = Counter()

    def add(self, value):
        self.values.append(value)
        self.counts[value] += 1
        if len(self.values) > self.size:
            forget(self.counts, self.values.popleft())


class TimeWindow:
    """How often each value occurs in (now − `milliseconds`, now]. Times come in order; it slides with every call."""

    def __init__(self, milliseconds):
        self.events = deque()
        self.milliseconds = milliseconds
        self.counts = Counter()

    def add(self, at_ms, value):
        self.slide(at_ms)
        self.events.append((at_ms, value))
        self.counts[value] += 1

    def slide(self, now_ms):
        while self.events and self.events[0][0] <= now_ms - self.milliseconds:
            forget(self.counts, self.events.popleft()[1])

    def total(self, now_ms):
        self.slide(now_ms)
        return len(self.events)


class LastDistinct:
    """The last `size` distinct values, newest first."""

    def __init__(self, size):
        self.values = {}
        self.size = size

    def add(self, value):
        self.values.pop(value, None)
        self.values[value] = None
        if len(self.values) > self.size:
            del self.values[next(iter(self.values))]

    def list(self):
        return list(reversed(self.values))


def forget(counts, value):
    counts[value] -= 1
    if not counts[value]:
        del counts[value]
