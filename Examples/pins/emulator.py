"""Pins, users, places and clicks that nobody made: drawn from a seed, the same each time.

There is no data of any service behind it. A click's probability is known (`click_probability`), so that the figures of a model can be
compared with the best that there could be. Records are as untidy as posted ones tend to be, so that there is something to clean up:
counts like "12k", empty titles, errors in the place of values, the same thing posted again.
"""

import math
from datetime import datetime, timedelta, timezone
from random import Random

CATEGORIES = ["art", "beauty", "christmas", "diy", "education", "finance", "mens-fashion", "quotes", "tattoos", "travel", "vehicles"]
COUNTRIES = ["Albania", "Bolivia", "Cambodia", "Denmark", "Ecuador", "France", "Ghana", "Hungary"]
FIRST_NAMES = ["Ada", "Ben", "Cleo", "Dev", "Eva", "Finn", "Gia", "Hugo", "Ines", "Juri"]
LAST_NAMES = ["Abbott", "Baker", "Carver", "Draper", "Fisher", "Glover", "Hunter", "Mason"]
# Of a page, and on it the chance of a click from the first place to the last.
PLACES = 5
PLACE_BIAS = [0.5, 0.2, 0.0, -0.2, -0.4]


class Emulator:
    """Records of `pin`, `user` and `geo`, and who clicks on what."""

    def __init__(self, seed, users, pins):
        draw = Random(seed)
        self.draw = Random(seed + 1)
        # What users of a country like, what one user likes, and how good a pin is.
        country_taste = {name: {category: draw.gauss(0, 0.8) for category in CATEGORIES} for name in COUNTRIES}
        self.users = {user: self.make_user(draw, user) for user in range(1, users + 1)}
        self.places = {user: self.make_place(draw, user) for user in self.users}
        self.taste = {
            user: {category: country_taste[self.places[user]["country"]][category] + draw.gauss(0, 1.0) for category in CATEGORIES}
            for user in self.users}
        self.pins = {pin: self.make_pin(draw, pin) for pin in range(1, pins + 1)}
        self.quality = {pin: draw.gauss(0, 0.6) for pin in self.pins}

    # MARK: - Records

    def make_user(self, draw, user):
        joined = datetime(2015, 1, 1, tzinfo=timezone.utc) + timedelta(minutes=draw.randrange(3 * 365 * 24 * 60))
        return {
            "user_id": user, "first_name": draw.choice(FIRST_NAMES), "last_name": draw.choice(LAST_NAMES),
            # Some do not say how old they are.
            "age": None if draw.random() < 0.1 else 13 + int(50 * draw.random() ** 2),
            "date_joined": joined.strftime("%Y-%m-%d %H:%M:%S")}

    def make_place(self, draw, user):
        return {
            "user_id": user, "country": draw.choice(COUNTRIES), "latitude": round(draw.uniform(-60, 70), 4),
            "longitude": round(draw.uniform(-180, 180), 4)}

    def make_pin(self, draw, pin):
        category = draw.choice(CATEGORIES)
        followers = int(10 ** draw.uniform(1, 7))
        return {
            "pin_id": pin, "category": category,
            "title": draw.choice([f"{category} idea {pin}", f"{category} idea {pin}", "", "No Title Data Available"]),
            "description": draw.choice([f"All about {category}.", None, "No description available Story format"]),
            "poster_name": f"poster-{draw.randrange(40)}",
            "follower_count": "User Info Error" if draw.random() < 0.05 else self.short(followers),
            "tag_list": f"{category},idea", "is_image_or_video": draw.choice(["image", "image", "video"]),
            "save_location": f"Local save in /data/{category}"}

    @staticmethod
    def short(number):
        return f"{number // 1_000_000}M" if number >= 1_000_000 else f"{number // 1_000}k" if number >= 1_000 else str(number)

    def update(self, pin):
        """The same pin, posted again with another number of followers."""
        record = dict(self.pins[pin], follower_count=self.short(int(10 ** self.draw.uniform(1, 7))))
        self.pins[pin] = record
        return record

    # MARK: - Clicks

    def click_probability(self, user, pin, place):
        odds = -1.7 + self.taste[user][self.pins[pin]["category"]] + self.quality[pin] + PLACE_BIAS[place]
        return 1 / (1 + math.exp(-odds))

    def page(self, users, pins):
        """A user, the pins of a page, and for each of them the probability of a click and whether there is one."""
        user = self.draw.choice(users)
        shown = self.draw.sample(pins, min(PLACES, len(pins)))
        chances = [self.click_probability(user, pin, place) for place, pin in enumerate(shown)]
        return user, shown, chances, [self.draw.random() < chance for chance in chances]
