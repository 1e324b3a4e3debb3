"""A hang that is not silent: a rank that gets no further says where it is, and ends, so that all are started again.

Horovod waits for a missing rank without a word, with its stall check or without where a tensor's name is known already.
"""

import os
import sys
import threading
import time

from models.listening import Listener

STALLED = 4  # exit code
SAID = "stalled: "
GRACE = 30.0  # seconds that whoever waits for others gives them to say what they wait for


class Watchdog(Listener):
    """Watches this process from a thread of its own: `at` has to be called every `seconds`, none: it need not."""

    def __init__(self, rank: int, seconds: float | None):
        self.rank = rank
        self.at("starting")
        if seconds:
            threading.Thread(target=self._watch, args=[seconds], daemon=True).start()

    def at(self, doing: str, with_others: bool = False) -> None:
        self.now = (time.monotonic(), doing, GRACE if with_others else 0.0)

    def rest(self) -> None:
        """Until `at` is called next, it may take as long as it will."""
        self.now = (float("inf"), "at rest", 0.0)

    def _watch(self, seconds: float) -> None:
        while True:
            time.sleep(min(1.0, seconds / 4))
            since, doing, grace = self.now
            if (lasts := time.monotonic() - since) > seconds + grace:
                print(
                    f"{SAID}rank {self.rank} has been {doing} for {lasts:.0f} s", file=sys.stderr, flush=True
                )
                os._exit(STALLED)
