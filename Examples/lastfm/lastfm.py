"""Streams listens of Last.fm users through a cluster, then asks it for artists that they were not known to play."""

import sys
import time
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

import listens  # noqa: E402
from example import Example, launch, options, say, settings_for  # noqa: E402
from windows import CountWindow, LastDistinct, TimeWindow  # noqa: E402

CONFIGURATION = str(Path(__file__).with_name("cluster.yaml"))
DAYS = 30
RECENT = 20
TOP = 10
# Between a page and the play on it, event time.
LONGEST_THOUGHT_MS = 60_000
BURST = 100
MAXIMUM_LEAD = 50_000
LAST_PLAYS, LAST_HOURS = 5_000, 24
# In the field `recent_artists` of a user who has played nothing yet: an empty list would be looked up.
NOBODY = 0


class Users:
    """What each user did lately."""

    def __init__(self):
        self.recent, self.day = {}, {}
        self.changed = set()

    def state(self, user, now_ms):
        recent = self.recent[user].list() if user in self.recent else [NOBODY]
        return {"recent_artists": recent, "plays_day": self.day[user].total(now_ms) if user in self.day else 0}

    def played(self, user, artist, at_ms):
        self.recent.setdefault(user, LastDistinct(RECENT)).add(artist)
        self.day.setdefault(user, TimeWindow(listens.DAY_MS)).add(at_ms, artist)
        self.changed.add(user)


class LastFM:
    def __init__(self, arguments):
        self.arguments = arguments
        self.library = listens.read(arguments.data, arguments.seed, arguments.users)
        # The stream ends an hour ago, so that the records that close its last windows are not ahead of the clock.
        self.end_ms = int(time.time() * 1000) - 3_600_000
        self.stream = listens.stream(self.library, arguments.seed, DAYS, self.end_ms)
        settings = settings_for(arguments, "lastfm")
        self.users_topic = "users"
        if settings:
            self.users_topic = settings["kafka.topics.items"] + "-users"
            settings["model.enrichments.users.topic"] = self.users_topic
        self.example = Example("lastfm", arguments, CONFIGURATION, settings, arguments.pause_ms)
        self.users = Users()
        self.last_plays, self.last_hours = CountWindow(LAST_PLAYS), TimeWindow(LAST_HOURS * 3_600_000)

    def run(self):
        self.send_artists()
        self.send_listens()
        task, counts = self.example.wait_until_learned()
        self.show_trends()
        figures = self.evaluate()
        self.show_recommendations()
        seconds = time.monotonic() - self.example.started
        say(f"\n{self.example.impressions:,} impressions and {len(self.stream):,} plays in {seconds:.1f} s; "
            f"{task['examples']:,} examples learned, {counts['negatives_dropped']:,} negatives left out\n"
            f"AUC {task['auc']:.4f}, last half {task['auc_last_half']:.4f}, calibration {task['calibration']:.3f}\n"
            f"held-back artists, {figures['users']:,} users with {listens.HELD_BACK} each, top {TOP} of {len(self.library.names):,} artists:\n"
            f"  hit rate  {figures['hit_rate']:.3f}   popularity {figures['popularity_hit_rate']:.3f}\n"
            f"  recall    {figures['recall']:.3f}   popularity {figures['popularity_recall']:.3f}")
        self.example.write_summary({
            "impressions": self.example.impressions, "plays": len(self.stream), "examples": task["examples"],
            "negatives_dropped": counts["negatives_dropped"], "auc": task["auc"], "auc_last_half": task["auc_last_half"],
            "calibration": task["calibration"], "seconds": round(seconds, 1), **figures})

    # MARK: - Sending

    def send_artists(self):
        topic = self.example.topics["items"]
        for artist, name in self.library.names.items():
            record = {"artist_id": artist, "name": name, "tags": self.library.tags.get(artist, [])}
            self.example.producer.send(topic, artist, record)
        self.example.producer.flush()

    def send_listens(self):
        random = Random(self.arguments.seed)
        artists = list(self.library.names)
        for number, (at_ms, user, artist) in enumerate(self.stream):
            self.send_page(number, at_ms, user, artist, listens.shown_beside(
                random, artists, self.library.plays[user], self.arguments.beside), random)
            if (number + 1) % BURST == 0:
                self.send_users(at_ms)
                self.example.producer.pause()
                self.example.progress(MAXIMUM_LEAD, more=self.trend)
        self.send_users(self.end_ms)
        self.example.close_windows(self.end_ms + LONGEST_THOUGHT_MS, {"user_id": 0, "artist_id": 0})

    def send_page(self, number, at_ms, user, played, beside, random):
        """One impression for each artist of the page, and the play of one of them."""
        state = self.users.state(user, at_ms)
        for place, artist in enumerate((played, *beside)):
            self.example.send_impression(
                user, {"request_id": f"{number}-{place}", "event_time": at_ms, "user_id": user, "artist_id": artist, **state})
        play_ms = at_ms + 1 + int(random.random() * LONGEST_THOUGHT_MS)
        self.example.plan_action(
            user, {"request_id": f"{number}-0", "event_time": play_ms, "user_id": user, "action": "play"})
        self.users.played(user, played, at_ms)
        self.last_plays.add(played)
        self.last_hours.add(at_ms, played)

    def send_users(self, now_ms):
        """What requests are answered with. Impressions do not wait for it: they say it themselves."""
        for user in self.users.changed:
            self.example.producer.send(self.users_topic, user, {"user_id": user, **self.users.state(user, now_ms)})
        self.users.changed.clear()

    # MARK: - Asking

    def trend(self):
        top = self.last_hours.counts.most_common(1)
        return f"   most played in {LAST_HOURS} h: {self.library.names[top[0][0]]} ({top[0][1]})" if top else ""

    def show_trends(self):
        for what, window in ((f"the last {LAST_PLAYS:,} plays", self.last_plays), (f"the last {LAST_HOURS} hours", self.last_hours)):
            top = ", ".join(f"{self.library.names[artist]} {n}" for artist, n in window.counts.most_common(5))
            say(f"most played in {what}: {top}")

    def recommend(self, user):
        """(artist, score), best first, without what the user is known to play."""
        reply = self.example.post("/v1/recommend/{model}", {
            "context": {"user_id": user}, "topk": TOP, "exclude": sorted(self.library.plays[user])})
        return [(int(item["id"]), item["score"]) for item in reply["items"]]

    def evaluate(self):
        ranking = listens.most_popular(self.library)
        hits, popular_hits = [], []
        for user, held_back in self.library.held_back.items():
            popular = (artist for artist in ranking if artist not in self.library.plays[user])
            popular_hits.append(len(held_back & {next(popular) for _ in range(min(TOP, len(ranking)))}))
            hits.append(len(held_back & {artist for artist, _ in self.recommend(user)}))
        users = len(hits)
        return {
            "users": users, "hit_rate": sum(map(bool, hits)) / users, "recall": sum(hits) / (users * listens.HELD_BACK),
            "popularity_hit_rate": sum(map(bool, popular_hits)) / users,
            "popularity_recall": sum(popular_hits) / (users * listens.HELD_BACK)}

    def show_recommendations(self):
        for user in list(self.library.held_back)[:2]:
            loved = sorted(self.library.plays[user].items(), key=lambda item: -item[1])[:5]
            say(f"\nuser {user} plays most: {', '.join(self.library.names[artist] for artist, _ in loved)}")
            say(f'POST /v1/recommend/lastfm {{"context": {{"user_id": {user}}}, "topk": {TOP}, "exclude": [what is known]}}')
            for artist, score in self.recommend(user):
                mark = "  <- held back" if artist in self.library.held_back[user] else ""
                say(f"  {score:.4f}  {self.library.names[artist]}{mark}")

    @property
    def summary(self):
        return (f"{len(self.stream):,} plays of {len(self.library.plays):,} users, "
                f"1 of {self.arguments.beside + 1} artists of a page")


def main():
    parser = options(__doc__)
    parser.add_argument("--data", required=True, help="directory with the files of hetrec2011-lastfm-2k")
    parser.add_argument("--users", type=int, help="only the first so many users")
    parser.add_argument("--beside", type=int, default=8, help="artists on a page that are not played (default 8)")
    parser.add_argument("--pause-ms", type=float, default=3, help="mean pause after 100 pages (default 3)")
    launch("lastfm", LastFM, parser)


if __name__ == "__main__":
    main()
