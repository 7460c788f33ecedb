"""Kills processes of a running product: at named points, at random, and all at once."""

import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread

import psutil

KINDS = {
    "management signer": "signer",
    "management web": "web",
    "management jobs": "jobs",
    "communication": "communication",
    "exchange-connector run": "connector",
}
BELOW = {"web": "web worker", "jobs": "worker child", "connector": "connector at work"}
MOST_IN_A_STEP = 3
APART_SECONDS = 7.0
"""Between two deaths of one process, so that the supervisor's pause stays short."""
GIVE_WAY_SECONDS = 2.0
"""After so long a point that nobody comes by gives way to the next of its step."""


def family(supervisor: int) -> dict[int, str]:
    """Return process id -> kind of everything below the supervisor."""
    found: dict[int, str] = {}
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(supervisor).children():
            with suppress(psutil.NoSuchProcess):
                kind = _kind(child)
                found[child.pid] = kind
                for below in child.children(recursive=True):
                    helper = "resource_tracker" in " ".join(below.cmdline())
                    found[below.pid] = f"{kind}'s helper" if helper else BELOW.get(kind, kind)
    return found


def _kind(process: psutil.Process) -> str:
    words = " ".join(process.cmdline()[3:])
    return KINDS.get(words, words)


def is_gone(pid: int) -> bool:
    """Tell whether the process runs no more (a zombie does not run)."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Orders:
    """The files through which `runtime.process.crash_point` takes orders."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.at, self.mark, self.trace = (folder / name for name in ("at", "mark", "trace"))
        self.mark.touch()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "SEKISHO_CRASH_AT": f"@{self.at}",
            "SEKISHO_CRASH_MARK": str(self.mark),
            "SEKISHO_CRASH_TRACE": str(self.trace),
        }

    def arm(self, point: str) -> None:
        """Let the next process that comes to *point* die; nobody dies twice."""
        self.mark.touch()
        self.at.write_text(point, encoding="utf-8")
        self.mark.unlink()

    def disarm(self) -> None:
        self.mark.touch()

    def victim(self) -> int | None:
        """Return the id of the process that died at the point, once it did."""
        with suppress(FileNotFoundError, ValueError):
            return int(self.mark.read_text(encoding="ascii"))
        return None

    def passed(self, start: int) -> tuple[list[tuple[int, str]], int]:
        """Return (process id, point) of all points since offset *start*, and the next offset."""
        if not self.trace.exists():
            return [], 0
        lines = self.trace.read_text(encoding="utf-8")[start:]
        whole = lines[: lines.rfind("\n") + 1]
        pairs = [line.partition("\t") for line in whole.splitlines()]
        return [(int(pid), point) for pid, _, point in pairs], start + len(whole)


@dataclass
class Death:
    """A process that was killed."""

    where: str
    kind: str
    at: float


@dataclass
class Points:
    """What a first walk came by: for each step its points in their order, and whose they are."""

    steps: dict[str, list[str]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)

    def all(self) -> set[str]:
        return set(self.kinds)

    def keep(self, again: "Points") -> None:
        """Forget what did not come *again*: the clock brought it, not the walk."""
        self.kinds = {point: kind for point, kind in self.kinds.items() if point in again.kinds}
        self.steps = {
            step: [point for point in points if point in self.kinds]
            for step, points in self.steps.items()
        }


class Reaper(Thread):
    """Arms the points of the step under way, one after the other, until each had its death."""

    def __init__(self, orders: Orders, supervisor: int, points: Points) -> None:
        super().__init__(name="reaper", daemon=True)
        self.orders, self.supervisor, self.points = orders, supervisor, points
        self.remaining = points.all()
        self.deaths: list[Death] = []
        self.tries: Counter[str] = Counter()
        self.seen = family(supervisor)
        self.waiting: list[str] = []
        self.armed, self.armed_at = "", 0.0
        self.lock, self.ended = Lock(), Event()

    def begin(self, step: str) -> None:
        """A step of the walk begins."""
        with self.lock:
            self._look()
            here = [one for one in self.points.steps.get(step, []) if one in self.remaining]
            self.waiting = sorted(here, key=self.tries.__getitem__)
            self.left = MOST_IN_A_STEP
            self._next()

    def wait_for(self, point: str) -> None:
        """Arm one point that comes by the clock, whatever is done."""
        with self.lock:
            self._look()
            self.waiting, self.left = [point], 1
            self._next()

    def end(self) -> None:
        with self.lock:
            self.orders.disarm()
            self.ended.set()
        self.join()

    def run(self) -> None:
        while not self.ended.wait(0.05):
            with self.lock:
                self._look()
                waited = time.monotonic() - self.armed_at
                if self.armed and self.waiting and waited > GIVE_WAY_SECONDS:
                    self.waiting.append(self.armed)
                    self._next()
                elif not self.armed:
                    self._next()

    def _look(self) -> None:
        """Note a death, if there was one."""
        self.seen |= family(self.supervisor)
        pid = self.orders.victim() if self.armed else None
        if pid is None:
            return
        self.deaths.append(Death(self.armed, self.seen.get(pid, "?"), time.monotonic()))
        self.remaining.discard(self.armed)
        self.armed = ""
        self.left -= 1

    def _next(self) -> None:
        """Arm a point whose process has lived for a while."""
        self.orders.disarm()
        self.armed = ""
        now = time.monotonic()
        young = {death.kind for death in self.deaths if now - death.at < APART_SECONDS}
        for place, point in enumerate(self.waiting if self.left > 0 else []):
            if self.points.kinds[point] not in young:
                self.armed, self.armed_at = point, now
                self.waiting = self.waiting[:place] + self.waiting[place + 1 :]
                self.tries[point] += 1
                self.orders.arm(point)
                return


class RandomKiller(Thread):
    """Kills any process below the supervisor at random moments.

    Not faster than the console can start again: else it would never be there.
    """

    def __init__(self, supervisor: int, seed: int, pause: tuple[float, float] = (1.0, 4.0)) -> None:
        super().__init__(name="random killer", daemon=True)
        self.supervisor, self.pause = supervisor, pause
        self.random = random.Random(seed)
        self.deaths: list[Death] = []
        self.ended = Event()

    def run(self) -> None:
        while not self.ended.wait(self.random.uniform(*self.pause)):
            found = sorted(family(self.supervisor).items())
            if found:
                pid, kind = self.random.choice(found)
                with suppress(psutil.NoSuchProcess):
                    psutil.Process(pid).kill()
                    self.deaths.append(Death("random", kind, time.monotonic()))

    def end(self) -> None:
        self.ended.set()
        self.join()


def counted(deaths: Sequence[Death]) -> str:
    """Say how often which process died."""
    return ", ".join(f"{kind} {count}" for kind, count in Counter(d.kind for d in deaths).items())
