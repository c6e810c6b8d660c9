"""One replica with several serving threads answers as one with a single thread."""

from concurrent.futures import ThreadPoolExecutor

from waiting import wait_until

THREADS = 4
CLIENTS = 12
REQUESTS = 50
RATINGS = 5_000
REQUEST = ["SCORE", "movielens", "user_id=1", "CANDIDATES", "item_id", *map(str, range(1, 40))]


def test_all_threads_answer_alike_and_info_adds_them_up(make_cluster):
    cluster = make_cluster(settings={"serve.threads": THREADS})
    cluster.start_all()
    cluster.replay("--limit", RATINGS)
    cluster.expect_exactly(RATINGS)
    cluster.wait_until_ready()
    wait_until(lambda: is_up_to_date(cluster), "every example is in the scores", 30)
    before = cluster.info("serve")
    with cluster.client() as client:
        expected = client.execute_command(*REQUEST)

    def ask(_):
        with cluster.client() as client:
            return [client.execute_command(*REQUEST) for _ in range(REQUESTS)]

    with ThreadPoolExecutor(CLIENTS) as pool:
        for replies in pool.map(ask, range(CLIENTS)):
            assert all(reply == expected for reply in replies)
    after = cluster.info("serve")
    assert int(after["threads"]) == THREADS
    asked = 1 + CLIENTS * REQUESTS
    by_thread = [int(after[f"thread_{number}_requests"]) for number in range(THREADS)]
    assert int(after["requests"]) - int(before["requests"]) == asked
    assert sum(by_thread) == int(after["requests"])
    assert int(after["latency_count"]) - int(before["latency_count"]) == asked
    assert int(after["candidates"]) - int(before["candidates"]) == asked * (len(REQUEST) - 5)
    # Connections are dealt out in turn, so each thread had some.
    assert all(count >= REQUESTS for count in by_thread), by_thread
    assert cluster.stop() == {name: 0 for name in cluster.processes}


def is_up_to_date(cluster):
    served = cluster.info("serve")
    marks = cluster.watermarks()
    return all(served.get(f"partition_{partition}") == offset for (_, partition), offset in marks.items())
