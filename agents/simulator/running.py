"""Runs a simulated fleet: few threads, and each device when its turn comes."""

import heapq
import threading
import time
from collections.abc import Callable, Sequence

from agents.simulator.member import Member

TELL_SECONDS = 1.0


class Fleet:
    """Steps each member when it is due; one thread at a time for each."""

    def __init__(self, members: Sequence[Member], threads: int) -> None:
        self.members, self._threads = members, threads
        self._due = [(0.0, member.place) for member in members]
        heapq.heapify(self._due)
        self._changed = threading.Condition()
        self._ending = self._ended = False
        self._working = 0

    def run(
        self, seconds: float, patience: float, stop: threading.Event, told: Callable[[], None]
    ) -> None:
        """Enrol all, run for *seconds* from then on, and let what is open come to its end.

        *patience*: the most seconds for enrolling, and once more for what is open. *told* is
        called now and then. *stop* ends it at once.
        """
        workers = [threading.Thread(target=self._work) for _ in range(self._threads)]
        for worker in workers:
            worker.start()
        try:
            self._until(lambda: all(one.enrolled or one.silent for one in self.members), *(
                patience, stop, told))  # fmt: skip
            self._until(lambda: all(one.silent for one in self.members), seconds, stop, told)
            self._ending = True
            self._until(lambda: not any(one.open for one in self.members), patience, stop, told)
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
            for worker in workers:
                worker.join()
            told()

    def _until(
        self,
        done: Callable[[], bool],
        seconds: float,
        stop: threading.Event,
        told: Callable[[], None],
    ) -> None:
        end = time.monotonic() + seconds
        while not done() and (left := end - time.monotonic()) > 0:
            if stop.wait(min(left, TELL_SECONDS)):
                return
            told()

    def _work(self) -> None:
        while (member := self._next()) is not None:
            wait = member.step()
            if member.silent:
                continue
            with self._changed:
                heapq.heappush(self._due, (time.monotonic() + wait, member.place))
                self._changed.notify()

    def _next(self) -> Member | None:
        """Return whose turn it is, as soon as it is; None at the end."""
        with self._changed:
            while not self._ended:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is None or wait > 0:
                    self._changed.wait(wait)
                    continue
                member = self.members[heapq.heappop(self._due)[1]]
                if not self._ending or member.open:
                    return member
        return None
