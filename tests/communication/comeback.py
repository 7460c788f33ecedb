"""A crowd that comes back at once after an outage: the load, and what each was answered."""

import resource
import select
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from uuid import UUID

import psutil

from tests.communication import crowd
from tests.communication.crowd import Member
from tests.communication.relay import Management, Relay

SEALED = "A" * 2000
Asked = tuple[Member, bytes]


@dataclass
class Wave:
    """What one wave of reports was answered."""

    stored: set[UUID] = field(default_factory=set)
    sent_away: dict[UUID, int] = field(default_factory=dict)
    """Device -> after how many seconds it may come again."""
    seconds: dict[int, list[float]] = field(default_factory=lambda: {202: [], 503: []})
    """Status -> until it was answered."""

    def note(self, member: Member, status: int, headers: dict[str, str], seconds: float) -> None:
        """Keep an answer; anything but 202 and 503 with a time is a failure."""
        self.seconds[status].append(seconds)
        if status == 202:
            self.stored.add(member.id)
            return
        wait = int(headers["retry-after"])
        assert 10 <= wait <= 900, wait
        self.sent_away[member.id] = wait

    def most_at_once(self) -> int:
        """Return how many of those who were sent away come again in the same second at most."""
        return max(Counter(self.sent_away.values()).values(), default=0)


def reports(members: Sequence[Member], seq: int = 1) -> Iterator[Asked]:
    """Yield a signed report of each, made when it is asked for."""
    return ((member, member.report(seq, SEALED)) for member in members)


def roll(connections: Sequence[ssl.SSLSocket], requests: Iterable[Asked], wave: Wave) -> None:
    """Keep one request under way on every connection until none is left."""
    left, under_way = iter(requests), dict[int, tuple[ssl.SSLSocket, Member, float]]()
    poller = select.poll()

    def send(connection: ssl.SSLSocket) -> None:
        asked = next(left, None)
        if asked is None:
            with suppress(KeyError):
                poller.unregister(connection.fileno())
            return
        connection.sendall(asked[1])
        under_way[connection.fileno()] = (connection, asked[0], time.perf_counter())

    for connection in connections:
        poller.register(connection.fileno(), select.POLLIN)
        send(connection)
    while under_way:
        for number, _ in poller.poll(60_000):
            connection, member, began = under_way.pop(number)
            status, _, headers = crowd.read(connection)
            wave.note(member, status, headers, time.perf_counter() - began)
            send(connection)


@contextmanager
def polling(relay: Relay, token: str) -> Iterator[list[float]]:
    """Poll all the while on a connection of its own; yield the seconds each poll took."""
    stop, took = threading.Event(), list[float]()
    (connection,) = crowd.connect(relay, 1)

    def poll() -> None:
        while not stop.wait(0.05):
            began = time.perf_counter()
            assert crowd.ask(connection, crowd.poll(token))[0] == 204
            took.append(time.perf_counter() - began)

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        yield took
    finally:
        stop.set()
        thread.join()
        connection.close()


@contextmanager
def watching_memory(relay: Relay) -> Iterator[list[int]]:
    """Yield the resident bytes of the relay, one figure every 0.2 seconds."""
    assert relay.process is not None
    process, stop = psutil.Process(relay.process.pid), threading.Event()
    found = [process.memory_info().rss]

    def watch() -> None:
        while not stop.wait(0.2):
            found.append(process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def collect(management: Management) -> list[UUID]:
    """Take everything that waits; return who sent it, each as often as it lay there."""
    came: list[UUID] = []
    while found := management.inbound():
        came += [item.sender for item in found]
        management.take(*(item.id for item in found)).raise_for_status()
    return came


def allow_sockets(count: int) -> None:
    """Let this process hold so many connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count + 200:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(count + 200, hard), hard))
