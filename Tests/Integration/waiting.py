"""Waiting for conditions instead of sleeping."""

import time


def wait_until(condition, what, seconds=30.0, poll_seconds=0.05, check=None):
    """Returns the first true value of `condition()`; fails when it stays false for `seconds`.

    `check` is called between the attempts and may raise, for example because a process has died.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if check is not None:
            check()
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds:g} s still not: {what}")
        time.sleep(poll_seconds)
