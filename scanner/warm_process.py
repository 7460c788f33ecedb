"""The parent's side of `scanner.child`: keeps a warm process for each pattern set, and asks it."""

import atexit
import contextlib
import json
import os
import selectors
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from scanner.limits import Limits

START_SECONDS = 120
END_SECONDS = 5
MOST = 2
"""Warm processes at a time; each holds about 40 MB that nobody else uses."""
_MESSAGE_BYTES = 4096
_LIBRARIES = ("LD_LIBRARY_PATH",)


class WarmProcessError(Exception):
    """There is no answer; the text says why."""


class _GoneError(Exception):
    """The warm process ended before it answered: its idle time was over, or it was killed."""


class Reply:
    """The answer of one copy, while it is being written."""

    def __init__(self, answer: int, status: socket.socket) -> None:
        self._answer, self._status = answer, status
        self._began = time.monotonic()

    def read(self, limits: Limits) -> bytes:
        """Return all that the copy writes until it ends, within time and size."""
        answer = bytearray()
        while True:
            self._wait(self._answer, limits)
            piece = os.read(self._answer, 65_536)
            if not piece:
                return bytes(answer)
            answer += piece
            if len(answer) > limits.answer_bytes:
                raise WarmProcessError("the scanner said more than the limit")

    def cost(self, limits: Limits) -> dict[str, Any]:
        """Return how the copy ended, and what it used: ``exit``, ``cpu_ms``, ``peak_mb``."""
        self._wait(self._status.fileno(), limits)
        told = self._status.recv(_MESSAGE_BYTES)
        if not told:
            raise _GoneError
        cost: dict[str, Any] = json.loads(told)
        return cost

    def _wait(self, file: int, limits: Limits) -> None:
        left = self._began + limits.seconds - time.monotonic()
        if left <= 0 or not _is_readable(file, left):
            raise WarmProcessError(f"it took more than {limits.seconds:g} s")


class _WarmProcess:
    """A running warm process."""

    def __init__(self, command: list[str]) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                command,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _LIBRARIES if name in os.environ},
                cwd="/",
            )
        if not _is_readable(self._control.fileno(), START_SECONDS):
            self.process.kill()
        if not self._control.recv(_MESSAGE_BYTES):
            self.close()
            status = self.process.wait()
            raise WarmProcessError(f"the scanner ended with status {status}")

    @contextlib.contextmanager
    def asked(self, file: BufferedReader, limits: Limits) -> Iterator[Reply]:
        """Let a copy read *file*; leaving the block before it answered kills it."""
        answer, theirs = os.pipe()
        status, their_status = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with status:
            try:
                request = json.dumps(limits._asdict()).encode()
                given = [file.fileno(), theirs, their_status.fileno()]
                try:
                    socket.send_fds(self._control, [request], given)
                except OSError:
                    raise _GoneError from None
                finally:
                    os.close(theirs)
                    their_status.close()
                yield Reply(answer, status)
            finally:
                os.close(answer)

    def close(self) -> None:
        """Ask nothing any more; the process ends when it has answered what it was asked."""
        self._control.close()


class _Pool:
    """The warm processes of this process, the last used last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._warm: dict[tuple[Any, ...], _WarmProcess] = {}
        self._ending: list[_WarmProcess] = []

    def get(self, key: tuple[Any, ...], command: list[str]) -> _WarmProcess:
        with self._lock:
            self._ending = [one for one in self._ending if one.process.poll() is None]
            known = self._warm.pop(key, None) or _WarmProcess(command)
            self._warm[key] = known
            while len(self._warm) > MOST:
                self._end(next(iter(self._warm)))
            return known

    def drop(self, key: tuple[Any, ...]) -> None:
        with self._lock:
            if key in self._warm:
                self._end(key)

    def running(self) -> list[int]:
        with self._lock:
            return [one.process.pid for one in self._warm.values()]

    def close(self) -> None:
        """End all and wait for it."""
        with self._lock:
            for key in [*self._warm]:
                self._end(key)
            for one in self._ending:
                try:
                    one.process.wait(END_SECONDS)
                except subprocess.TimeoutExpired:
                    one.process.kill()
                    one.process.wait()
            self._ending.clear()

    def forget(self) -> None:
        """Leave the warm processes to the process that this one was forked from."""
        for one in self._warm.values():
            one.close()

    def _end(self, key: tuple[Any, ...]) -> None:
        one = self._warm.pop(key)
        one.close()
        self._ending.append(one)


_pool = _Pool()
_inherited: list[_Pool] = []
atexit.register(lambda: _pool.close())


def _forget() -> None:
    global _pool
    _pool.forget()
    _inherited.append(_pool)
    _pool = _Pool()


os.register_at_fork(after_in_child=_forget)


def ask(
    command: list[str], folder: Path | None, file: BufferedReader, limits: Limits
) -> tuple[bytes, dict[str, Any]]:
    """Return what a copy of the warm process that *command* starts says of *file*, and its cost.

    When the set in *folder* has changed since, another warm process is started.

    Raises WarmProcessError when there is no answer within *limits*.
    """
    key = (*command, _changed_at(folder) if folder else 0)
    for _ in range(2):
        try:
            with _pool.get(key, command).asked(file, limits) as reply:
                return reply.read(limits), reply.cost(limits)
        except _GoneError:
            _pool.drop(key)
    raise WarmProcessError("the scanner was ended from outside, twice")


def running() -> list[int]:
    """Return the ids of the warm processes."""
    return _pool.running()


def close() -> None:
    """End the warm processes."""
    _pool.close()


def _changed_at(folder: Path) -> int:
    try:
        return (folder / "manifest.json").stat().st_mtime_ns
    except OSError:
        return 0


def _is_readable(file: int, seconds: float) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(file, selectors.EVENT_READ)
        return bool(selector.select(seconds))
