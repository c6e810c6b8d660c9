"""A made-up stream of tweets, and what came of each. No real tweets, no real people: everything is drawn from a seed.

Tweets have the form in which `GET /2/tweets/search/stream` of the X API (version 2) sends them with
`tweet.fields=author_id,created_at,entities,lang,public_metrics`, `expansions=author_id` and `user.fields=created_at,public_metrics`.
A tweet is a function of the seed and its number, so that a producer can begin anywhere.
"""

import datetime
import math
from random import Random

# Between two tweets.
TWEET_MS = 50
AUTHORS = 400
# The time that X's ids count from, and the bits below it.
EPOCH_MS, ID_BITS = 1_288_834_974_657, 22
# Rules of the filtered stream, by share. What is said of the first one changes its meaning in the middle of the stream.
RULES = {"trains": 0.4, "coffee": 0.15, "football": 0.15, "cinema": 0.15, "weather": 0.15}
NOUNS = {
    "en": {"trains": ["train", "station", "conductor"], "coffee": ["espresso", "café", "barista"], "football": ["match", "goal", "coach"],
           "cinema": ["film", "actor", "sequel"], "weather": ["rain", "sun", "storm"]},
    "de": {"trains": ["Zug", "Bahnhof", "Schaffner"], "coffee": ["Espresso", "Café", "Röster"], "football": ["Spiel", "Tor", "Trainer"],
           "cinema": ["Film", "Schauspieler", "Leinwand"], "weather": ["Regen", "Sonne", "Sturm"]},
    "es": {"trains": ["tren", "estación", "revisor"], "coffee": ["café", "cafetería", "barista"], "football": ["partido", "gol", "árbitro"],
           "cinema": ["película", "actriz", "secuela"], "weather": ["lluvia", "sol", "tormenta"]}}
FILLERS = {"en": "so the was today again with my and this really".split(), "de": "also heute wieder mit und dieser wirklich war gerade".split(),
           "es": "pues hoy otra vez con mi y este era de".split()}
GOOD = {"en": ["great", "lovely", "brilliant"], "de": ["toll", "schön", "klasse"], "es": ["genial", "bonito", "estupendo"]}
BAD = {"en": ["awful", "boring", "sad"], "de": ["furchtbar", "öde", "traurig"], "es": ["horrible", "aburrido", "triste"]}
NOT = {"en": "not", "de": "nicht", "es": "no"}
LANGUAGES = {"en": 0.5, "de": 0.3, "es": 0.2}
WORDS_OF_A_RULE = 12
# Log odds of engagement: of nothing in particular, of a word of either kind, and the spread between authors; how often "not" turns a word.
BIAS, WORD, AUTHOR, NEGATED = -0.3, 1.5, 0.4, 0.05


class World:
    """`number` tweets of 50 ms each, from `start_ms` on. The meaning of the first rule's tweets flips after half of them."""

    def __init__(self, seed, number, start_ms):
        self.seed, self.number, self.start_ms = seed, number, start_ms
        self.flip = number // 2
        draw = Random(f"{seed}-world")
        # Words that only those have who talk about a thing, each with a meaning of its own.
        self.slang = {rule: {made_up(draw): WORD * draw.choice((-1, 1)) for _ in range(WORDS_OF_A_RULE)} for rule in RULES}
        self.authors = [{"id": str(10_000 + number * 7), "name": made_up(draw).title(), "odds": draw.gauss(0, AUTHOR),
                         "followers": int(draw.lognormvariate(5, 1.5))} for number in range(AUTHORS)]

    def time_ms(self, index):
        return self.start_ms + index * TWEET_MS

    def tweet(self, index):
        return self.draw(index)[0]

    def draw(self, index):
        """A tweet, the probability that somebody engages with it, and how many did within ten minutes."""
        draw = Random(f"{self.seed}-{index}")
        rule, lang = pick(draw, RULES), pick(draw, LANGUAGES)
        author = self.authors[int(AUTHORS * draw.random() ** 2)]
        words, odds = self.say(draw, rule, lang)
        if rule == next(iter(RULES)) and index >= self.flip:
            odds = -odds
        probability = 1 / (1 + math.exp(-(BIAS + odds + author["odds"])))
        reactions = 1 + int(draw.expovariate(0.2)) if draw.random() < probability else 0
        return self.payload(index, author, rule, lang, words), probability, reactions

    def say(self, draw, rule, lang):
        words, odds = [draw.choice(FILLERS[lang]), draw.choice(NOUNS[lang][rule])], 0.0
        for _ in range(3):
            if draw.random() < 0.7:
                word, meaning = draw.choice(list(self.slang[rule].items()))
            else:
                word, meaning = draw.choice([(word, WORD) for word in GOOD[lang]] + [(word, -WORD) for word in BAD[lang]])
            if draw.random() < NEGATED:
                words.append(NOT[lang])
                meaning = -meaning
            words += [stretched(draw, word), *draw.sample(FILLERS[lang], draw.randrange(3))]
            odds += meaning
        return words, odds

    def payload(self, index, author, rule, lang, words):
        at_ms = self.time_ms(index)
        identity = str((at_ms - EPOCH_MS) << ID_BITS | index & (1 << ID_BITS) - 1)
        text = " ".join(words)
        hashtags = []
        for tag in [rule] + ([f"{rule}{lang}"] if index % 3 == 0 else []):
            hashtags.append({"start": len(text) + 1, "end": len(text) + 2 + len(tag), "tag": tag})
            text += f" #{tag}"
        none = dict.fromkeys(("retweet_count", "reply_count", "like_count", "quote_count", "bookmark_count", "impression_count"), 0)
        return {
            "data": {"author_id": author["id"], "created_at": iso(at_ms), "edit_history_tweet_ids": [identity],
                     "entities": {"hashtags": hashtags}, "id": identity, "lang": lang, "public_metrics": none, "text": text},
            "includes": {"users": [{
                "created_at": "2020-01-01T00:00:00.000Z", "id": author["id"], "name": author["name"], "username": author["name"].lower(),
                "public_metrics": {"followers_count": author["followers"], "following_count": 100, "tweet_count": 1_000, "listed_count": 0}}]},
            "matching_rules": [{"id": str(1_000 + list(RULES).index(rule)), "tag": rule}]}


def index_of(identity, start_ms):
    """The number of the tweet with this id."""
    return ((int(identity) >> ID_BITS) + EPOCH_MS - start_ms) // TWEET_MS


def made_up(draw):
    return "".join(draw.choice("bdfgklmnprstvz") + draw.choice("aeiou") for _ in range(3))


def stretched(draw, word):
    """Now and then a vowel is looong."""
    places = [place for place, letter in enumerate(word) if letter in "aeiou"]
    if not places or draw.random() >= 0.1:
        return word
    place = draw.choice(places)
    return word[:place] + word[place] * draw.randrange(3, 6) + word[place + 1:]


def pick(draw, shares):
    return draw.choices(list(shares), list(shares.values()))[0]


def iso(milliseconds):
    at = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03d}Z"
