"""The data set's files, what is held back of them, and a stream of pages and plays that could have led to them."""

import math
import os
from collections import Counter, defaultdict
from dataclasses import dataclass
from random import Random

DAY_MS = 86_400_000
HELD_BACK = 5
# Users with fewer artists hold nothing back.
FEWEST_ARTISTS = 10
TAGS = 5


@dataclass
class Library:
    names: dict  # artist → name, the whole catalog
    plays: dict  # user → {artist: number of plays}, without what is held back
    held_back: dict  # user → set of artists
    tags: dict  # artist → its most given tags, without those that users gave to what they hold back


def rows(directory, name, encoding):
    path = os.path.join(directory, name)
    with open(path, encoding=encoding, newline="") as file:
        next(file)
        for number, line in enumerate(file, 2):
            parts = line.rstrip("\r\n").split("\t")
            if len(parts) < 2:
                raise ValueError(f"{path}:{number}: no tab-separated row: {line[:80]!r}")
            yield parts


def read(directory, seed, users=None):
    """The library of a directory in the form of hetrec2011-lastfm-2k; `users`: only the first so many."""
    plays = defaultdict(dict)
    for user, artist, weight in rows(directory, "user_artists.dat", "ascii"):
        plays[int(user)][int(artist)] = int(weight)
    if users is not None:
        plays = {user: plays[user] for user in sorted(plays)[:users]}
    random = Random(seed)
    held_back = {}
    for user in sorted(plays):
        if len(plays[user]) >= FEWEST_ARTISTS:
            held_back[user] = set(random.sample(sorted(plays[user]), HELD_BACK))
            plays[user] = {artist: n for artist, n in plays[user].items() if artist not in held_back[user]}
    names = {int(parts[0]): parts[1] for parts in rows(directory, "artists.dat", "utf-8")}
    return Library(names, plays, held_back, read_tags(directory, held_back))


def read_tags(directory, held_back):
    texts = {parts[0]: parts[1] for parts in rows(directory, "tags.dat", "latin-1")}
    given = defaultdict(Counter)
    for user, artist, tag, *_ in rows(directory, "user_taggedartists.dat", "latin-1"):
        if int(artist) not in held_back.get(int(user), ()):
            given[int(artist)][texts[tag]] += 1
    return {artist: [tag for tag, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TAGS]]
            for artist, counts in given.items()}


def stream(library, seed, days, end_ms):
    """(event time, user, artist) of each listen, in order.

    The data set has numbers of plays and no times. A pair of 10ⁿ plays becomes n + 1 listens, at random times in `days`.
    """
    random = Random(seed)
    start_ms = end_ms - days * DAY_MS
    listens = [
        (random.randrange(start_ms, end_ms), user, artist)
        for user in sorted(library.plays) for artist, plays in sorted(library.plays[user].items())
        for _ in range(1 + int(math.log10(plays)))]
    listens.sort()
    return listens


def shown_beside(random, artists, played, number):
    """The artists of a page that were not played: any of the catalog, those that this user holds back among them."""
    beside = set()
    while len(beside) < number:
        artist = artists[int(random.random() * len(artists))]
        if artist not in played:
            beside.add(artist)
    return beside


def most_popular(library):
    """All artists by their listeners in the stream, then by their plays there."""
    listeners, plays = Counter(), Counter()
    for artists in library.plays.values():
        listeners.update(artists.keys())
        for artist, number in artists.items():
            plays[artist] += number
    return sorted(library.names, key=lambda artist: (-listeners[artist], -plays[artist], artist))
