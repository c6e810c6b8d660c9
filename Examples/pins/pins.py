"""Posts pins, users, places and clicks through the gateway at random intervals, learns who clicks on what, and counts in the archive."""

import json
import sys
import time
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

import quality  # noqa: E402
import warehouse  # noqa: E402
from emulator import PLACES, Emulator  # noqa: E402
from example import Example, launch, options, say, settings_for  # noqa: E402
from gateway_producer import GatewayProducer  # noqa: E402

CONFIGURATION = str(Path(__file__).with_name("cluster.yaml"))
# Event time from a page to the next, and at most from a page to a click on it.
PAGE_MS, LONGEST_THOUGHT_MS = 1_000, 30_000
# Of users and pins, what is there before the first page; the others come later.
EARLY = 0.3
BURST = 20
MAXIMUM_LEAD = 20_000


class Popularity:
    """What a site without a model would go by: the share of clicks on each pin so far, told of each click at once."""

    def __init__(self):
        self.shown, self.clicked = {}, {}

    def score(self, pin):
        return (self.clicked.get(pin, 0) + 1) / (self.shown.get(pin, 0) + 5)

    def note(self, pin, is_clicked):
        self.shown[pin] = self.shown.get(pin, 0) + 1
        self.clicked[pin] = self.clicked.get(pin, 0) + is_clicked


class Pins:
    def __init__(self, arguments):
        self.arguments = arguments
        self.emulator = Emulator(arguments.seed, arguments.users, arguments.pins)
        # The stream ends an hour ago, so that the records that close its last windows are not ahead of the clock.
        self.start_ms = int(time.time() * 1000) - 3_600_000 - arguments.pages * PAGE_MS
        self.archive = Path(arguments.output).resolve() / "archive"
        settings = settings_for(arguments, "pins") | {"archive.store": self.archive}
        if "kafka.topics.items" in settings:
            own = settings["kafka.topics.items"].removesuffix("items")
            settings |= {
                "kafka.topics.items": f"{own}pin", "model.enrichments.user.topic": f"{own}user",
                "model.enrichments.geo.topic": f"{own}geo", "archive.group": f"{own}archive",
                "archive.topics": ",".join(own + name for name in ("pin", "geo", "user", "features", "actions"))}
        # Files of an earlier run are of topics that are gone.
        warehouse.remove(self.archive)
        self.example = Example("pins", arguments, CONFIGURATION, settings, arguments.pause_ms)
        self.popularity = Popularity()
        self.labels, self.popular, self.chances = [], [], []

    def run(self):
        self.open_gateway()
        self.post_all()
        task, _ = self.example.wait_until_learned()
        figures = self.figures(task)
        counts = self.wait_until_archived()
        summary = self.query(counts)
        seconds = time.monotonic() - self.example.started
        say(f"\n{self.example.impressions:,} pins shown, {sum(self.labels):,} clicks, {self.example.producer.requests:,} requests to the gateway "
            f"in {seconds:.1f} s; {task['examples']:,} examples learned\n"
            f"AUC, predicted before it was learned:  all     last half\n"
            f"  model                                {figures['auc']:.4f}  {figures['auc_last_half']:.4f}\n"
            f"  popularity                           {figures['popularity_auc']:.4f}  {figures['popularity_auc_last_half']:.4f}\n"
            f"  the emulator's own probabilities     {figures['best_auc']:.4f}  {figures['best_auc_last_half']:.4f}")
        self.example.write_summary({
            "impressions": self.example.impressions, "clicks": sum(self.labels), "examples": task["examples"],
            "requests": self.example.producer.requests, "seconds": round(seconds, 1), **figures, **summary})

    # MARK: - Posting

    def open_gateway(self):
        """Waits until the gateway takes records; from here on everything goes through it."""
        configuration = self.example.cluster.configuration
        topics, enrichments = configuration["kafka"]["topics"], configuration["model"]["enrichments"]
        self.topics = {
            "pin": topics["items"], "user": enrichments["user"]["topic"], "geo": enrichments["geo"]["topic"],
            "features": topics["features"], "actions": topics["actions"]}
        port = configuration["gateway"]["port"]
        self.example.cluster.wait_until(lambda: warehouse.is_ready(port), "the gateway is ready")
        self.example.producer = GatewayProducer(
            "127.0.0.1", port, topics, self.arguments.seed, self.arguments.pause_ms)

    def post(self, name, key, record):
        self.example.producer.send(self.topics[name], key, record)

    def post_user(self, user, at_ms):
        self.post("user", user, self.emulator.users[user])
        self.post("geo", user, dict(self.emulator.places[user], timestamp=at_ms))

    def post_all(self):
        draw = Random(self.arguments.seed + 2)
        users, pins = list(self.emulator.users), list(self.emulator.pins)
        known = {"users": max(1, int(EARLY * len(users))), "pins": max(PLACES, int(EARLY * len(pins)))}
        for user in users[:known["users"]]:
            self.post_user(user, self.start_ms)
        for pin in pins[:known["pins"]]:
            self.post("pin", pin, self.emulator.pins[pin])
        at_ms = self.start_ms
        for page in range(self.arguments.pages):
            at_ms = self.start_ms + page * PAGE_MS
            # Others come at random intervals, so that all are there when three quarters of the stream are over.
            share = min(1.0, EARLY + (1 - EARLY) * page / (0.75 * self.arguments.pages))
            while known["users"] < share * len(users) and draw.random() < 0.5:
                self.post_user(users[known["users"]], at_ms)
                known["users"] += 1
            while known["pins"] < share * len(pins) and draw.random() < 0.5:
                self.post("pin", pins[known["pins"]], self.emulator.pins[pins[known["pins"]]])
                known["pins"] += 1
            if draw.random() < 0.05:
                pin = draw.choice(pins[:known["pins"]])
                self.post("pin", pin, self.emulator.update(pin))
            self.show_page(page, at_ms, users[:known["users"]], pins[:known["pins"]], draw)
            if (page + 1) % BURST == 0:
                self.example.producer.pause()
                self.example.progress(MAXIMUM_LEAD)
        self.example.close_windows(at_ms + LONGEST_THOUGHT_MS, {"user_id": 0, "pin_id": 0})

    def show_page(self, page, at_ms, users, pins, draw):
        user, shown, chances, clicks = self.emulator.page(users, pins)
        for place, (pin, chance, is_clicked) in enumerate(zip(shown, chances, clicks)):
            request = f"{page}-{place}"
            self.example.send_impression(
                user, {"request_id": request, "event_time": at_ms, "user_id": user, "pin_id": pin, "place": place})
            if is_clicked:
                click_ms = at_ms + 1 + int(draw.random() * LONGEST_THOUGHT_MS)
                self.example.plan_action(
                    user, {"request_id": request, "event_time": click_ms, "user_id": user, "action": "click"})
            self.labels.append(int(is_clicked))
            self.chances.append(chance)
            self.popular.append(self.popularity.score(pin))
            self.popularity.note(pin, is_clicked)

    # MARK: - Comparing

    def figures(self, task):
        half = len(self.labels) // 2
        return {
            "auc": task["auc"], "auc_last_half": task["auc_last_half"], "calibration": task["calibration"],
            "popularity_auc": quality.auc(self.labels, self.popular),
            "popularity_auc_last_half": quality.auc(self.labels[half:], self.popular[half:]),
            "best_auc": quality.auc(self.labels, self.chances),
            "best_auc_last_half": quality.auc(self.labels[half:], self.chances[half:])}

    # MARK: - Counting in the archive

    def wait_until_archived(self):
        """Until the archive has every record that the gateway was acknowledged. Returns the records of each topic."""
        ends = {name: sum(self.example.producer.ends[topic].values()) for name, topic in self.topics.items()}

        def archived():
            done = self.example.cluster.freshet("archive", "check", "--json")
            if done.returncode != 0:
                return None
            records = dict.fromkeys(self.topics.values(), 0)
            for partition in json.loads(done.stdout)["partitions"]:
                records[partition["topic"]] += partition["records"]
            found = {name: records[topic] for name, topic in self.topics.items()}
            return found if all(found[name] >= ends[name] for name in ends) else None
        found = self.example.cluster.wait_until(archived, "everything is archived", 60)
        if found != ends:
            self.example.cluster.fail(f"the topics end at {ends}, the archive has {found} records")
        return found

    def query(self, counts):
        """Cleans up and asks, in DuckDB, and compares the number of rows with the topics' offsets."""
        with warehouse.connect(self.archive, self.topics) as connection:
            rows = warehouse.raw_counts(connection)
            if rows != counts:
                self.example.cluster.fail(f"the archive has {counts} records, DuckDB {rows}")
            say("\nrows in DuckDB, as many as the topics' offsets: "
                + ", ".join(f"{name} {count:,}" for name, count in rows.items()))
            for title, answer in warehouse.report(connection):
                say(f"\n{title}\n{answer}")
            return {"rows": rows, "clean_rows": warehouse.clean_counts(connection)}

    @property
    def summary(self):
        arguments = self.arguments
        return (f"{arguments.users:,} users and {arguments.pins:,} pins out of seed {arguments.seed}, "
                f"{arguments.pages:,} pages of {PLACES} pins (no real data)")


def main():
    parser = options(__doc__)
    parser.add_argument("--users", type=int, default=500, help="default 500")
    parser.add_argument("--pins", type=int, default=800, help="default 800")
    parser.add_argument("--pages", type=int, default=20_000, help="pages of five pins (default 20,000)")
    parser.add_argument("--pause-ms", type=float, default=5, help="mean pause after 20 pages (default 5)")
    launch("pins", Pins, parser)


if __name__ == "__main__":
    main()
