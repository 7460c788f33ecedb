"""Starts the connector with the newest release that works, and goes back when one does not.

``sekisho exchange-connector run`` is this small process. It starts the connector proper (``work``)
with the code of the release that `release_book` names, or with the installed program. A release on
trial must confirm within a set time that it works; else this ends it, notes why, and starts the
former one. It never touches the network, and Python's standard library and a few files of ours are
all it holds in memory.
"""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

import click

from exchange_connector import release_book as books
from exchange_connector import settings
from runtime.clock import utc_now
from runtime.process import SUPERVISED, crash_point

GRACE_SECONDS = 60.0
"""So long a process may take to end a pass after it was told to stop."""


@click.command()
def run() -> None:
    """Work until SIGTERM; newer releases are taken and tried as the console says."""
    loaded = settings.load()
    if not (loaded.folder / "connector.toml").exists():
        from exchange_connector.configuration import load

        load(loaded.folder)  # says that it is not paired, and what to do
    sys.exit(Launcher(loaded.folder, loaded.release_trial_seconds).run())


@dataclass(slots=True)
class Launcher:
    """Runs one connector process after the other."""

    folder: Path
    trial_seconds: float
    stopping: Event = field(default_factory=Event)

    def run(self) -> int:
        """Run until told to stop, or until the connector ends by itself; return its status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stopping.set())
        while True:
            book = books.choose(self.folder, _now)
            status = self._try(book) if book.trial else self._run(book)
            if status is not None:
                return _passed_on(status)

    def _run(self, book: books.Book) -> int | None:
        """Run the release that works; None when it ended to make room for a newer one."""
        return self._unless_in_order(self._wait(self._start(book.current), None))

    def _try(self, book: books.Book) -> int | None:
        """Run the release on trial; None when something else must be started."""
        books.write(self.folder, replace(book, beginnings=book.beginnings + 1))
        crash_point("before effect try a release")
        process = self._start(book.trial)
        deadline = time.monotonic() + self.trial_seconds
        status = self._wait(process, deadline)
        late = time.monotonic() > deadline
        said = self._said()
        if said is None:
            return None if not self.stopping.is_set() else status
        if said.current == book.trial and not said.trial:  # confirmed; may have ended long after
            return self._unless_in_order(status)
        if self.stopping.is_set():
            books.write(self.folder, replace(said, beginnings=book.beginnings))
            return status
        if status == -signal.SIGKILL and not late:
            return None  # by somebody or by the system; `release_book` counts how often
        why = self._why(book, said, status)
        if late and said.unanswered and said.beginnings < books.MOST_BEGINNINGS:
            books.write(self.folder, books.put_off(said, why, _now()))
        else:
            books.write(self.folder, books.refuse(said, book.trial, why, _now()))
        crash_point("after effect refuse a release")
        return None

    def _unless_in_order(self, status: int) -> int | None:
        return None if status == 0 and not self.stopping.is_set() else status

    def _start(self, version: str) -> "subprocess.Popen[bytes]":
        environment = dict(os.environ)
        if sys.platform == "linux":  # elsewhere the kernel ends no process with its parent
            environment[SUPERVISED] = str(os.getpid())
        if version:
            code = str(books.folder_of(self.folder, version))
            before = environment.get("PYTHONPATH")
            environment["PYTHONPATH"] = os.pathsep.join((code, before) if before else (code,))
        words = [
            "-P",
            "-m",
            "sekisho",
            "exchange-connector",
            "work",
        ]  # -P: no code from where we are
        return subprocess.Popen([sys.executable, *words], env=environment)

    def _wait(self, process: "subprocess.Popen[bytes]", deadline: float | None) -> int:
        """Wait until it ends, and end it when we are told to stop or a trial takes too long."""
        while process.poll() is None:
            late = deadline is not None and time.monotonic() > deadline
            if late and (said := self._said()) and not said.trial:
                deadline, late = None, False
            if late or self.stopping.is_set():
                return _end(process)
            self.stopping.wait(0.2)
        return process.returncode

    def _said(self) -> books.Book | None:
        """Return the book, None when it cannot be read now: then nothing is confirmed."""
        try:
            return books.read(self.folder)
        except OSError:
            return None

    def _why(self, book: books.Book, said: books.Book, status: int) -> str:
        late = "it did not reach management and finish a pass within"
        how = (
            f"{late} {self.trial_seconds:g} s"
            if status in (0, -signal.SIGTERM)
            else (f"it ended with status {status} before it worked; the log says more")
        )
        trouble = f" It said: {said.trouble}" if said.trouble else ""
        former = book.current or "the installed program"
        return f"Release {book.trial} was given up: {how}.{trouble} Running again: {former}."


def _end(process: "subprocess.Popen[bytes]") -> int:
    process.terminate()
    try:
        return process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _passed_on(status: int) -> int:
    """Return *status*; when a signal ended the connector, end by the same one."""
    if status < 0:
        signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
        os.kill(os.getpid(), -status)
    return status


def _now() -> str:
    return utc_now().isoformat()
