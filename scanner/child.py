"""The processes that read strange files: a warm one, and for each file a copy of it.

    python -I -m scanner.child PATTERN_FOLDER        with a socket as standard input

The warm process imports and opens what a scan needs, once, and reads no strange file itself. For
each request (limits as JSON; descriptors: file, answer, status) it forks; the copy gives up its
rights, scans, writes one JSON object and ends. The warm process tells on *status* how it ended, and
kills it when *status* is closed. It ends itself with its parent, or after some idle time.
"""

import codecs
import contextlib
import gc
import json
import mmap
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

from patterns.opened import OpenSet, open_set
from scanner import constant_rules
from scanner.confinement import confine, hide
from scanner.limits import Limits
from scanner.scan import scan
from scanner.screen import screen_of

IDLE_SECONDS = 120
REQUEST_BYTES = 4096
READY = b"ready"
GARBAGE = 1_000_000
"""Objects made between two garbage collections of a copy, which makes few circles of them.

One collection costs 10 ms; a scan of 18 MB keeps less than 100,000 objects.
"""
FAILED = 70
"""Exit status of a copy that could not even answer."""
_CODECS = ("ascii", "latin-1", "utf-8", "utf-16-be", "utf-16-le")
_ARCHIVE = b"PK\x05\x06" + b"\0" * 18
Work = Callable[[Limits], dict[str, Any]]


def main(arguments: list[str]) -> None:
    """Serve the requests that come through standard input with the set in folder *arguments[0]*."""
    patterns = open_set(arguments[0])
    warm_up(patterns)
    Server(socket.socket(fileno=0), lambda limits: scan_input(patterns, limits)).run()


def warm_up(patterns: OpenSet) -> None:
    """Load what Python loads only when used: a copy may open no files."""
    for name in _CODECS:
        codecs.lookup(name)
    scan(_ARCHIVE, patterns, Limits())
    screen_of(patterns.behaviours)
    constant_rules.prepare(clause for rule in patterns.behaviours for clause in rule["code"])
    from cryptography.hazmat.backends import default_backend

    from scanner.signing_keys import describe

    describe(b"")
    default_backend()  # what checks signatures; nobody before us may have asked for it


def scan_input(patterns: OpenSet, limits: Limits) -> dict[str, Any]:
    """Give up all rights and scan standard input."""
    granted = confine(limits)
    with mmap.mmap(0, 0, access=mmap.ACCESS_READ) as data:
        answer = scan(data, patterns, limits)
    answer["features"]["confinement"] = granted
    return answer


class Server:
    """Forks once for each request; single-threaded, so that forking is safe."""

    def __init__(self, control: socket.socket, work: Work) -> None:
        self._control, self._work = control, work
        self._copies: dict[int, socket.socket] = {}
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()

    def run(self) -> None:
        """Serve until the parent is gone or nothing was asked for a while."""
        hide()
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        self._poll.register(self._control, select.POLLIN)
        self._poll.register(self._woken, select.POLLIN)
        gc.collect()
        gc.freeze()  # so that a copy's garbage collection touches no shared memory
        gc.set_threshold(GARBAGE)
        self._control.send(READY)
        is_asked = True
        while is_asked or self._copies:
            events = dict(self._poll.poll(IDLE_SECONDS * 1000))
            if not events and not self._copies:
                return
            if is_asked and self._control.fileno() in events and not self._request():
                is_asked = False
                self._poll.unregister(self._control)
            self._abandon(events)
            if self._woken in events:
                self._reap()

    def _request(self) -> bool:
        """Start a copy for the next request; False: there will be none any more."""
        body, files, _, _ = socket.recv_fds(self._control, REQUEST_BYTES, 3)
        if not body or len(files) != 3:
            return False
        file, answer, status = files
        child = os.fork()
        if child == 0:
            try:
                _become(file, answer)
                _perform(self._work, Limits(**json.loads(body)))
            finally:
                os._exit(FAILED)  # a copy never goes on as if it were the warm process
        os.close(file)
        os.close(answer)
        self._copies[child] = socket.socket(fileno=status)
        self._poll.register(status, select.POLLIN)
        return True

    def _abandon(self, events: dict[int, int]) -> None:
        """Kill the copies whose asker has gone."""
        for child, status in self._copies.items():
            if status.fileno() in events:
                os.kill(child, signal.SIGKILL)
                self._poll.modify(status, 0)

    def _reap(self) -> None:
        os.read(self._woken, 65_536)
        for child in [*self._copies]:
            ended, status, used = os.wait4(child, os.WNOHANG)
            if ended:
                told = self._copies.pop(child)
                self._poll.unregister(told)
                cost = {
                    "exit": os.waitstatus_to_exitcode(status),
                    "cpu_ms": round((used.ru_utime + used.ru_stime) * 1000),
                    "peak_mb": round(used.ru_maxrss / 1024),
                }
                with told, contextlib.suppress(OSError):  # the asker may have gone
                    told.send(json.dumps(cost).encode())


def _become(file: int, answer: int) -> None:
    """Keep nothing of the warm process but the file as standard input, the answer as output."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.dup2(file, 0)
    os.dup2(answer, 1)
    os.closerange(3, 1 << 16)


def _perform(work: Work, limits: Limits) -> None:
    try:
        body = _told(work(limits), limits.answer_bytes)
    except MemoryError:
        body = _encoded({"failed": "it needs more memory than the limit"})
    except Exception as error:  # noqa: BLE001  (whatever a hostile file brought about is told)
        why = f"the scanner gave up: {type(error).__name__}: {error}"[:500]
        body = _encoded({"failed": why})
    _write(body)
    os._exit(0)


def _told(answer: dict[str, Any], most: int) -> bytes:
    """Return *answer* as it is written: if it is too large for that, what was found at least."""
    if "findings" not in answer:
        return _encoded(answer)
    try:
        body = _encoded(answer)
        # Whoever reads it writes letters beyond ASCII in up to three times as many bytes.
        if 3 * len(body) <= most or len(json.dumps(answer)) <= most:
            return body
    except (MemoryError, ValueError):  # ValueError: a text that cannot be written
        pass
    return _encoded(_shortened(answer))


def _encoded(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace")


def _shortened(answer: dict[str, Any]) -> dict[str, Any]:
    """Return *answer* without what is kept for new rules: what was found must not get lost."""
    kept = {"v": 0, "confinement": answer["features"]["confinement"]}
    reason = "The app says more than is kept of it: new rules need the file."
    return {**answer, "features": kept, "skipped": [reason, *answer["skipped"]]}


def _write(answer: bytes) -> None:
    body = memoryview(answer)
    while body:
        body = body[os.write(1, body) :]


if __name__ == "__main__":
    main(sys.argv[1:])
