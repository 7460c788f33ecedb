"""Notes who looked at data of people and their devices (ADR 0050).

A look is written before the answer leaves: into the trail, or on the disk for it while the
database is busy (`management.audit.waiting`). Within an hour the same look is noted once, so most
pages cost no write; what was noted is remembered in memory only, after the commit: whoever can
write to the database cannot hide a look there, and a process that was killed notes once more.
"""

import os
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from threading import Lock
from typing import Any

from flask import g
from sqlalchemy.exc import SQLAlchemyError

from management.access import signed_in_name
from management.audit import waiting
from management.context import Context
from management.personal import Look
from management.web import visitor_address
from runtime.clock import utc_now
from runtime.process import account_name

WINDOW_SECONDS = 3600.0
STRIPES = 64
MOST_KEPT = 20_000
MOST_PAGES = 10_000
"""Of one list in one hour; those that follow are taken for new ones."""
COMMAND_LINE = "command line"


@dataclass(slots=True)
class _Window:
    """What one administrator saw of one subject since it was noted."""

    ends: float
    noted: int = 0
    """How many the newest entry says."""
    seen: int = 0
    pages: dict[int, int] = field(default_factory=dict)

    def add(self, look: Look) -> None:
        page, number = hash(look.page), look.number or 0
        self.seen += max(number - self.pages.get(page, 0), 0)
        if page in self.pages or len(self.pages) < MOST_PAGES:
            self.pages[page] = max(number, self.pages.get(page, 0))


class Looks:
    """What this process noted in the last hour, and how it notes more."""

    def __init__(self, context: Context, clock: Callable[[], float] = time.monotonic) -> None:
        self._context = context
        self._clock = clock
        self._windows: OrderedDict[bytes, _Window] = OrderedDict()
        self._writing = tuple(Lock() for _ in range(STRIPES))
        self._counting = Lock()

    def note(self, look: Look) -> None:
        """Have *look* in the audit trail; UnavailableError: it is not, and nothing may be shown.

        One who pages through a list is noted again each time that the number doubled.
        """
        if look.shown.each_time:
            self._write(look, look.number)
            return
        key = _key(look)
        if self._is_noted(key, look):
            return
        with self._writing[key[0] % STRIPES]:  # the same page twice at once: one writes
            if not self._is_noted(key, look):
                self._write_and_remember(key, look)

    def _is_noted(self, key: bytes, look: Look) -> bool:
        with self._counting:
            window = self._open(key)
            if window is None:
                return False
            window.add(look)
            return window.seen <= 2 * window.noted

    def _open(self, key: bytes) -> _Window | None:
        window = self._windows.get(key)
        return window if window is not None and window.ends > self._clock() else None

    def _write_and_remember(self, key: bytes, look: Look) -> None:
        window = self._open(key)
        if window is None:
            window = _Window(self._clock() + WINDOW_SECONDS)
            window.add(look)
        self._write(look, None if look.number is None else window.seen)
        with self._counting:
            window.noted = window.seen
            self._windows[key] = window
            self._windows.move_to_end(key)
            while len(self._windows) > MOST_KEPT:
                self._windows.popitem(last=False)

    def _write(self, look: Look, number: int | None) -> None:
        who, where, details = signed_in_name(), visitor_address(), _details(look, number)
        entry = _entry(who, look.shown.action, look.subject, where, details)
        waiting.append(self._context, entry)


def note_from_command_line(context: Context, action: str, subject: object, **details: Any) -> None:
    """Append that somebody looks at or does *subject* with a command on the server itself.

    Where the database is away, or not of this release, it waits on the disk. UnavailableError: it
    is not noted, and nothing may be shown or done.
    """
    told = {"by": "command", "account": account_name(os.getuid()), **details}
    entry = _entry(COMMAND_LINE, action, str(subject), "", told)
    try:
        waiting.append(context, entry)
    except SQLAlchemyError:
        waiting.keep(context, entry)


def _entry(
    who: str, action: str, subject: str, where: str, details: dict[str, Any]
) -> waiting.Entry:
    told = {"actor": who, "action": action, "subject": subject, "address": where}
    return {**told, "details": details, "now": utc_now().isoformat()}


def _means() -> str:
    return "API token" if "token_hash" in g else "console"


def _details(look: Look, number: int | None) -> dict[str, Any]:
    told: dict[str, Any] = {"by": _means()}
    if token := g.get("token_label"):
        told["token"] = token
    if look.filter:
        told["filter"] = look.filter
    if number is not None:
        told["shown"] = number
    return told


def _key(look: Look) -> bytes:
    words = (
        signed_in_name(), visitor_address(), _means(), g.get("token_label", ""),
        look.shown.action, look.subject,
        *(f"{name}={value}" for name, value in look.filter.items()),
    )  # fmt: skip
    said = "\0".join(words).encode("utf-8", "surrogatepass") + b"\0" + look.asked
    return blake2b(said, digest_size=16).digest()
