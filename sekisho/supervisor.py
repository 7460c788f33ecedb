"""Starts the processes of the basic model, restarts what dies, and stops all together."""

import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import IO

from runtime.process import HELD, SUPERVISED

CONFIGURATION_ERROR = 78  # EX_CONFIG: restarting does not help
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
LIVED_LONG = 5.0
"""After so many seconds of life a process that dies waits only the first pause again."""
LARGEST_LOG_BYTES = 20 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    """One process of the product."""

    name: str
    words: tuple[str, ...]
    """What follows ``sekisho`` on its command line."""
    health: str
    """Address of its /healthz."""
    wanted: Callable[[], bool] = lambda: True
    """Whether it should run now (the connector only once it is paired)."""
    ahead: bool = False
    """Whether it may load its code while the data folder is still being prepared; it then waits
    with `runtime.process.wait_for_start`."""


@dataclass(slots=True)
class Child:
    """A part and the process that runs it now."""

    part: Part
    process: subprocess.Popen[bytes] | None = None
    log: IO[bytes] | None = None
    started_at: float = 0.0
    pause: float = FIRST_PAUSE
    restart_at: float = 0.0
    restarts: int = 0
    failed: str = field(default="")


class Supervisor:
    """Runs *parts* in their order; the last one started is the first one stopped."""

    def __init__(self, parts: tuple[Part, ...], logs: Path, say: Callable[[str], None]) -> None:
        self.children = [Child(part) for part in parts]
        self.logs = logs
        self.say = say
        self.stopping = Event()

    def start_ahead(self) -> None:
        """Let parts that take long to load begin with that; `run` lets them go on."""
        self.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        for child in self.children:
            if child.part.ahead:
                self._start(child, held=True)

    def run(self, ready: Callable[[], None]) -> int:
        """Run until SIGTERM or SIGINT; *ready* is called once all answer. Returns a status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stopping.set())
        self.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._release()
        announced = False
        status = 0
        while not self.stopping.is_set():
            for child in self.children:
                self._look_after(child)
            if any(child.failed for child in self.children):
                status = CONFIGURATION_ERROR
                break
            if not announced and all(self._answers(child) for child in self.children):
                announced = True
                ready()
            self.stopping.wait(0.2)
        self.stop()
        return status

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is None:
            if child.part.wanted() and now >= child.restart_at:
                self._start(child)
            return
        code = child.process.poll()
        if code is None:
            return
        child.process = None
        if code == CONFIGURATION_ERROR:
            child.failed = self._last_words(child)
            self.say(f"{child.part.name} refuses to start: {child.failed}")
            return
        lived = now - child.started_at
        child.pause = FIRST_PAUSE if lived > LIVED_LONG else min(child.pause * 2, LONGEST_PAUSE)
        child.restart_at = now + child.pause
        child.restarts += 1
        why = f"signal {-code}" if code < 0 else f"exit status {code}"
        self.say(f"{child.part.name} ended ({why}); it starts again in {child.pause:g} s.")

    def _release(self) -> None:
        for child in self.children:
            if child.process is not None and child.process.stdin is not None:
                child.process.stdin.close()

    def _start(self, child: Child, held: bool = False) -> None:
        path = self._log_path(child)
        if path.exists() and path.stat().st_size > LARGEST_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        if child.log is not None:
            child.log.close()
        child.log = path.open("ab")
        child.process = subprocess.Popen(
            [sys.executable, "-m", "sekisho", *child.part.words],
            stdin=subprocess.PIPE if held else subprocess.DEVNULL,
            stdout=child.log,
            stderr=subprocess.STDOUT,
            env={**os.environ, SUPERVISED: str(os.getpid())} | ({HELD: "1"} if held else {}),
            start_new_session=True,  # Ctrl-C reaches us alone; we stop them in order
        )
        child.started_at = time.monotonic()

    def _log_path(self, child: Child) -> Path:
        return self.logs / f"{child.part.name}.log"

    def _last_words(self, child: Child) -> str:
        lines = self._log_path(child).read_text(encoding="utf-8", errors="replace").splitlines()
        told = [line for line in lines if line.startswith("error: ")]
        return told[-1].removeprefix("error: ") if told else f"see {self._log_path(child)}"

    def _answers(self, child: Child) -> bool:
        if not child.part.wanted():
            return True
        if child.process is None:
            return False
        # Loopback only, and nothing is believed but the status: the certificate is our own.
        context = ssl._create_unverified_context()  # noqa: S323
        try:
            with urllib.request.urlopen(child.part.health, timeout=1, context=context) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False

    def stop(self) -> None:
        """End every process that runs, the last one started first."""
        for child in reversed(self.children):
            if child.process is not None:
                child.process.terminate()
        give_up = time.monotonic() + 15
        for child in reversed(self.children):
            if child.process is None:
                continue
            try:
                child.process.wait(max(0.1, give_up - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.say(f"{child.part.name} did not stop by itself and was killed.")
                child.process.kill()
                child.process.wait()
