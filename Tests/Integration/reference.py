"""Scores computed from scratch: only the rows of the tables come from Freshet, by `ROW`."""

import csv
import re

import numpy
import xxhash
import yaml

from processes import CONFIGURATION, FIXTURE

MASK = (1 << 64) - 1
CHUNK_WIDTH = 256


def fid(slot, value):
    return xxhash.xxh3_64_intdigest(f"{slot}\0{value}".encode())


def mix(value):
    """The finaliser of MurmurHash3."""
    value ^= value >> 33
    value = value * 0xFF51AFD7ED558CCD & MASK
    value ^= value >> 33
    value = value * 0xC4CEB9FE1A85EC53 & MASK
    return value ^ value >> 33


def shard_of(fid_, shards):
    return mix(fid_) * shards >> 64


def read_movies(directory=FIXTURE):
    """Item id → its fields as the item topic has them."""
    movies = {}
    with open(directory / "movies.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            year = re.match(r"(\d{4})", row["title"].rpartition("(")[2]) if "(" in row["title"] else None
            genres = [] if row["genres"] == "(no genres listed)" else row["genres"].split("|")
            movies[int(row["movieId"])] = {"year": [int(year[1])] if year else [], "genres": genres}
    return movies


class Reference:
    """DeepFM in numpy with the rows that a port serves."""

    def __init__(self, client, configuration=CONFIGURATION):
        self.client = client
        model = yaml.safe_load(configuration.read_text())["model"]
        assert model["network"]["kind"] == "deepfm"
        self.slots = model["slots"]
        self.hidden = model["network"]["hidden"]
        self.tables = {slot: keys.get("table", next(iter(model["tables"]))) for slot, keys in self.slots.items()}
        self.factors = {slot: model["tables"][table]["dimension"] for slot, table in self.tables.items()}
        self.multiplied = model["network"].get("fm_slots", list(self.slots))
        self.movies = read_movies()
        self.rows = {}
        self.dense = self.read_dense()

    def row(self, table, fid_):
        """(exists, weights)"""
        if (table, fid_) not in self.rows:
            reply = self.client.execute_command("ROW", table, str(fid_))
            self.rows[table, fid_] = int(reply[0]), numpy.array([float(x) for x in reply[1:]])
        return self.rows[table, fid_]

    def read_dense(self):
        """Weights and biases of each layer, the heads' last."""
        widths = [sum(self.factors.values()), *self.hidden, 1]
        count = sum(inputs * outputs + outputs for inputs, outputs in zip(widths, widths[1:]))
        chunks = [self.row("dense", mix(chunk))[1] for chunk in range(-(-count // CHUNK_WIDTH))]
        assert all(len(chunk) == CHUNK_WIDTH for chunk in chunks)
        flat = numpy.concatenate(chunks)
        layers = []
        for inputs, outputs in zip(widths, widths[1:]):
            weights, flat = flat[:inputs * outputs].reshape(inputs, outputs), flat[inputs * outputs:]
            biases, flat = flat[:outputs], flat[outputs:]
            layers.append((weights, biases))
        assert not flat.any(), "the padding is zeros"
        return layers

    def fids(self, user, item):
        """Slot → fids. The data set says nothing of its users but who they are."""
        values = {"user_id": [user], "item_id": [item], **self.movies.get(item, {})}
        return {
            slot: [fid(slot, value) for value in values.get(slot, [])][:keys.get("max_length")]
            for slot, keys in self.slots.items()
        }

    def score(self, user, item):
        pooled = {slot: numpy.zeros(factors) for slot, factors in self.factors.items()}
        linear = 0.0
        for slot, fids in self.fids(user, item).items():
            if not fids:
                continue
            rows = numpy.array([self.row(self.tables[slot], fid_)[1] for fid_ in fids])
            assert rows.shape[1] == self.factors[slot] + 1
            # Lists are averaged unless the slot says otherwise, and a list of one value is that value.
            divisor = {"sum": 1, "mean": len(fids), "sqrtn": len(fids) ** 0.5}[self.slots[slot].get("pooling", "mean")]
            pooled[slot] = rows[:, :-1].sum(axis=0) / divisor
            linear += rows[:, -1].sum() / divisor
        multiplied = numpy.array([pooled[slot] for slot in self.multiplied])
        interactions = 0.5 * ((multiplied.sum(axis=0) ** 2).sum() - (multiplied ** 2).sum())
        activation = numpy.concatenate(list(pooled.values()))
        for weights, biases in self.dense[:-1]:
            activation = numpy.maximum(activation @ weights + biases, 0)
        heads, bias = self.dense[-1]
        logit = (activation @ heads)[0] + bias[0] + linear + interactions
        return 1 / (1 + numpy.exp(-logit))
