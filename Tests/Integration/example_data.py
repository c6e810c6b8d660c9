"""Made-up data in the form of the examples' data sets, which have terms of their own and are not part of this project.

Seeded: the same files each time. Users have a taste, and categories a click rate, so that there is something to learn; no figure
of these files says anything about the real ones.
"""

import random

GENRES = 6
ARTISTS_OF_A_GENRE = 60


def write_listens(directory, users, seed):
    """artists.dat, tags.dat, user_artists.dat and user_taggedartists.dat as hetrec2011-lastfm-2k has them."""
    draw = random.Random(seed)
    artists = {genre: [1 + genre + GENRES * number for number in range(ARTISTS_OF_A_GENRE)] for genre in range(GENRES)}
    plays, tagged = [], []
    for user in range(2, users + 2):
        genre = draw.randrange(GENRES)
        own = set()
        while len(own) < 25:
            # Mostly of the user's genre; the first ones of a genre are known to more people.
            of = genre if draw.random() < 0.9 else draw.randrange(GENRES)
            own.add(artists[of][int(ARTISTS_OF_A_GENRE * draw.random() ** 1.5)])
        for artist in sorted(own):
            plays.append(f"{user}\t{artist}\t{int(10 ** (1 + 3 * draw.random()))}")
            if draw.random() < 0.2:
                tagged.append(f"{user}\t{artist}\t{1 + (artist - 1) % GENRES}\t1\t4\t2009")
    names = [f"{artist}\tArtist {artist} é\thttp://example.org/{artist}\t" for artist in sorted(sum(artists.values(), []))]
    tags = [f"{1 + genre}\tgenre {genre}" for genre in range(GENRES)]
    write(directory, "artists.dat", "id\tname\turl\tpictureURL", names, "\n")
    write(directory, "tags.dat", "tagID\ttagValue", tags, "\r\n")
    write(directory, "user_artists.dat", "userID\tartistID\tweight", plays, "\r\n")
    write(directory, "user_taggedartists.dat", "userID\tartistID\ttagID\tday\tmonth\tyear", tagged, "\r\n")


def write_clicks(directory, rows, held_back, seed):
    """train.csv and test.csv as Criteo's display advertising challenge has them: label, 13 integers, 26 categories."""
    draw = random.Random(seed)
    for name, number in (("train.csv", rows), ("test.csv", held_back)):
        write(directory, name, None, [click_row(draw) for _ in range(number)], "\n")


def click_row(draw):
    odds = -1.5
    integers = []
    for column in range(13):
        value = int(draw.lognormvariate(1 + column / 4, 1.5)) - (column == 1)
        missing = column != 1 and draw.random() < 0.15
        # The third count speaks for a click.
        odds += 0.4 * (value.bit_length() - 3) if column == 2 and not missing else 0
        integers.append("" if missing else str(value))
    categories = []
    for column in range(26):
        value = int(40 * draw.random() ** 2)
        missing = column != 16 and draw.random() < 0.1
        # Two categories do, each value in its own way.
        odds += 1.5 * (value * 7 % 5 - 2) if column in (3, 8) and not missing else 0
        categories.append("" if missing else f"{(column << 24) + value * 2654435761 % (1 << 24):08x}")
    label = int(draw.random() < 1 / (1 + 2.718281828 ** -odds))
    return "\t".join([str(label), *integers, *categories])


def write(directory, name, header, lines, end):
    lines = lines if header is None else [header, *lines]
    (directory / name).write_text("".join(line + end for line in lines), encoding="utf-8", newline="")
