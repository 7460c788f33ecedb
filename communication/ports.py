"""The ports of this server: which numbers they have, and which certificate they show, may change
while it serves.

A new certificate gets listeners of its own beside the old ones (SO_REUSEPORT). The kernel is told
to give them all new connections; what is open at the old ones is answered, told to close, and only
then they end. So no request fails when a certificate is replaced.
"""

import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from communication.listener import Listener, check_free

Serve = Callable[[Any, Any], Awaitable[None]]
DRAIN_SECONDS = 75.0
"""Longer than any poll waits."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What answers at ports of one kind, and with which certificate and key (both or none)."""

    serve: Serve
    certificate: Path | None = None
    key: Path | None = None

    def is_ready(self) -> bool:
        """Tell whether the files are there; without them the port stays closed."""
        return all(file is None or file.exists() for file in (self.certificate, self.key))


class Port:
    """One open port."""

    def __init__(self, host: str, number: int, kind: Kind) -> None:
        """Listen; ConfigurationError when another program uses the port."""
        check_free(host, number)
        self._host, self._number, self._kind = host, number, kind
        self._listeners: list[Listener] = []
        """In the order in which the kernel numbers them."""
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._add()

    def _add(self) -> None:
        kind = self._kind
        listener = Listener(self._host, self._number, kind.certificate, kind.key)
        listener.begin(kind.serve)
        self._listeners.append(listener)

    def renew(self, drain_seconds: float) -> None:
        """Show every new connection the certificate that lies on disk now."""
        with self._lock:
            old = [one for one in self._listeners if not one.leaving]
            self._add()
            self._steer()
            for one in old:
                one.leaving = True
        self._later(drain_seconds, lambda: self._drop(old))

    def close(self, drain_seconds: float) -> None:
        """Take no more connections after *drain_seconds*; requests until then are answered."""
        for one in self._listeners:
            one.leaving = True
        self._later(drain_seconds, self.end)

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        def wait() -> None:
            if not self._ended.wait(seconds):
                do()

        threading.Thread(target=wait, name=f"port {self._number}", daemon=True).start()

    def _drop(self, old: Iterable[Listener]) -> None:
        with self._lock:
            for one in old:
                if one in self._listeners:
                    one.end()
                    self._forget(one)
            self._steer()

    def _forget(self, gone: Listener) -> None:
        """Follow the kernel: the last socket of the group takes the place of one that closes."""
        place = self._listeners.index(gone)
        last = self._listeners.pop()
        if last is not gone:
            self._listeners[place] = last

    def _steer(self) -> None:
        for place, one in enumerate(self._listeners):
            if not one.leaving:
                one.take_all(place)

    def alive(self) -> bool:
        """Return whether the port is still served."""
        return all(one.alive() for one in self._listeners)

    def end(self) -> None:
        """Take no more requests, finish those that run, and return."""
        self._ended.set()
        with self._lock:
            for one in self._listeners:
                one.end()
            self._listeners = []


class Ports:
    """All ports of the server."""

    def __init__(
        self, host: str, kinds: dict[str, Kind], drain_seconds: float = DRAIN_SECONDS
    ) -> None:
        self._host, self._kinds, self._drain = host, kinds, drain_seconds
        self._wanted: dict[str, tuple[int, ...]] = dict.fromkeys(kinds, ())
        self._open: dict[tuple[str, int], Port] = {}
        self._lock = threading.Lock()

    def set(self, wanted: dict[str, tuple[int, ...]]) -> None:
        """Open what is *wanted* of each kind, then close the rest of these kinds.

        ConfigurationError when one cannot be opened; then everything stays as it was.
        """
        with self._lock:
            new = self._try_open(wanted)
            self._open |= new
            self._wanted |= wanted
            for (kind, number), port in list(self._open.items()):
                if kind in wanted and number not in wanted[kind]:
                    del self._open[kind, number]
                    port.close(self._drain)

    def _try_open(self, wanted: dict[str, tuple[int, ...]]) -> dict[tuple[str, int], Port]:
        new: dict[tuple[str, int], Port] = {}
        try:
            for kind, numbers in wanted.items():
                for number in numbers if self._kinds[kind].is_ready() else ():
                    if (kind, number) not in self._open:
                        new[kind, number] = Port(self._host, number, self._kinds[kind])
        except BaseException:
            for port in new.values():
                port.end()
            raise
        return new

    def renew(self, kind: str) -> None:
        """Let ports of *kind* show the certificate that lies on disk now; open the first time."""
        with self._lock:
            for (of, _), port in self._open.items():
                if of == kind:
                    port.renew(self._drain)
        self.set({kind: self._wanted[kind]})

    def numbers(self, kind: str) -> tuple[int, ...]:
        """Return which ports of *kind* are wanted, the first one first."""
        return self._wanted[kind]

    def alive(self) -> bool:
        """Return whether every open port is still served."""
        return all(port.alive() for port in list(self._open.values()))

    def end(self) -> None:
        """Close everything, finishing what runs."""
        with self._lock:
            for port in self._open.values():
                port.end()
