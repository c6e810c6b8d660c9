"""Text as values of slots: words, pairs of words, and pieces of words. Freshet hashes each value, with its slot's name, to a fid of 64 bits."""

import re

# What a field may have at most (docs/configuration.md).
MOST = 255
PIECE = 4


def fields(text):
    words = re.findall(r"#?\w+", text.lower())
    pieces = [piece for word in words for piece in pieces_of(word)]
    return {"words": distinct(words), "bigrams": distinct(map(" ".join, zip(words, words[1:]))), "pieces": distinct(pieces)}


def pieces_of(word):
    """Four characters in a row of ` word `; the spaces tell beginnings and ends."""
    padded = f" {word} "
    return [padded[start:start + PIECE] for start in range(max(1, len(padded) - PIECE + 1))]


def distinct(values):
    return list(dict.fromkeys(values))[:MOST]
