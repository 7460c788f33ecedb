"""Who may pass now, and what is under way: lives in the event loop, forgets at its end.

A changed decision and the end of what it forbids are one step of the loop: no byte of an answer
goes out after it.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from exchange_connector.gate.identity import Key
from runtime.errors import UnavailableError

DefaultAccess = Literal["allow", "block"]


class TooBusyError(UnavailableError):
    """More requests are under way than may be."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What holds for one phone of one user."""

    allowed: bool
    certificate: str = ""
    """Serial number that its certificate must have, where certificates are asked for."""


@dataclass(frozen=True, slots=True)
class Guards:
    """What makes somebody suspicious about whom nothing was decided.

    User and DeviceId are claims: a server may know a user by several names, and a phone may say
    another DeviceId than yesterday.
    """

    blocked_phones: frozenset[str] = frozenset()
    """DeviceIds, in small letters, that are blocked for at least one user."""
    certificates: frozenset[str] = frozenset()
    """Serial numbers of certificates that belong to phones about which something was decided."""

    @classmethod
    def of(cls, decided: "Mapping[Key, Decided]") -> "Guards":
        """Return what follows from these decisions."""
        return cls(
            frozenset(device for (_, device), one in decided.items() if not one.allowed),
            frozenset(one.certificate for one in decided.values() if one.certificate),
        )


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the phone, and the serial number of the certificate it showed."""

    key: Key
    certificate: str | None = None


@dataclass(slots=True, eq=False)
class Visit:
    """One request under way."""

    caller: Caller
    task: "asyncio.Task[object]"
    cut: bool = False
    """A changed decision ended it."""


@dataclass(slots=True)
class Keeper:
    """Decides, and knows every request under way."""

    default: DefaultAccess = "allow"
    """For phones about which nothing was decided."""
    asks_certificates: bool = False
    most_open: int = 20_000
    most_open_per_phone: int = 16
    decided: Mapping[Key, Decided] = field(default_factory=dict)
    guards: Guards = field(default_factory=Guards)
    changes: int = 0
    """How often decisions were replaced."""
    cut: int = 0
    stopping: bool = False
    _open: dict[Key, set[Visit]] = field(default_factory=dict)
    _count: int = 0

    @property
    def open_requests(self) -> int:
        """How many requests are under way."""
        return self._count

    def may_pass(self, caller: Caller) -> bool:
        """Tell whether this caller may reach the mail server now."""
        found = self.decided.get(caller.key)
        if self.asks_certificates and not _fits(caller.certificate, found):
            return False
        if found is None:
            return self.default == "allow" and not self._is_disguised(caller)
        return found.allowed

    def is_undecided(self, caller: Caller) -> bool:
        """Tell whether this caller is refused only for want of a decision, if it is refused."""
        shows_enough = caller.certificate is not None or not self.asks_certificates
        return caller.key not in self.decided and shows_enough

    def _is_disguised(self, caller: Caller) -> bool:
        """Tell whether an unknown caller looks like a known phone under another name."""
        _, device = caller.key
        return (
            device in self.guards.blocked_phones or caller.certificate in self.guards.certificates
        )

    def replace(
        self,
        decided: Mapping[Key, Decided],
        default: DefaultAccess,
        guards: Guards | None = None,
    ) -> int:
        """Decide anew, and end what may pass no longer; return how many requests that were.

        *guards* are those of these decisions where nothing else is said.
        """
        self.decided, self.default = decided, default
        self.guards = Guards.of(decided) if guards is None else guards
        self.changes += 1
        ended = [
            visit
            for visits in self._open.values()
            for visit in visits
            if not visit.cut and not self.may_pass(visit.caller)
        ]
        for visit in ended:
            visit.cut = True
            visit.task.cancel()
        self.cut += len(ended)
        return len(ended)

    def stop(self) -> None:
        """End every request under way: the process ends, and phones come again."""
        self.stopping = True
        for visit in [one for visits in self._open.values() for one in visits if not one.cut]:
            visit.cut = True
            visit.task.cancel()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count a request under way of nobody in particular; TooBusyError above the limit."""
        if self._count >= self.most_open:
            raise TooBusyError("Too many requests are under way.")
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1

    @contextmanager
    def passing(self, caller: Caller) -> Iterator[Visit]:
        """Count the present task as a request under way; TooBusyError above the limits."""
        if len(self._open.get(caller.key, ())) >= self.most_open_per_phone:
            raise TooBusyError("Too many requests of this phone are under way.")
        task = asyncio.current_task()
        assert task is not None
        visit = Visit(caller, task)
        with self.counted():
            visits = self._open.setdefault(caller.key, set())
            visits.add(visit)
            try:
                yield visit
            finally:
                visits.discard(visit)
                if not visits:
                    self._open.pop(caller.key, None)


def _fits(shown: str | None, found: Decided | None) -> bool:
    """Tell whether the certificate that was shown is one, and the right one where one is known."""
    if shown is None:
        return False
    expected = found.certificate if found else ""
    return not expected or shown == expected
