"""100,000 devices that come back at once after an outage: is the relay knocked over?

Each sends a 2 kB report that it signed; so many connections always have one under way that most
find the queue full and are sent away with a Retry-After. Meanwhile somebody polls. The load is
made by this process on the same two cores and delays what it measures, so the times are upper
bounds.
"""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import _relay_load as load
from benchmarks._relay_load import cpu_nanoseconds, process_of, row
from tests.communication import comeback, crowd
from tests.communication.comeback import Wave
from tests.communication.relay import Management, Relay

DEVICES, CONNECTIONS, PART = 100_000, 1_000, 10_000


def run() -> Iterator[dict[str, Any]]:
    """Yield how fast who is stored, sent away and polls is answered, memory, and spread."""
    comeback.allow_sockets(CONNECTIONS)
    with TemporaryDirectory() as home:
        relay = Relay(Path(home), load.UNLIMITED).start()
        try:
            yield from _measured(relay)
        finally:
            relay.hang_up()
            relay.stop()


def _measured(relay: Relay) -> Iterator[dict[str, Any]]:
    management = Management(relay)
    members, process = crowd.gather(management, DEVICES), process_of(relay)
    (token,) = crowd.tokens(relay, members[:1])
    before, wave, spent, elapsed = process.memory_info().rss, Wave(), 0, 0.0
    with comeback.watching_memory(relay) as memory, comeback.polling(relay, token) as polls:
        for start in range(0, DEVICES, PART):
            made = list(comeback.reports(members[start : start + PART]))
            connections = crowd.connect(relay, CONNECTIONS)
            began, cpu = time.perf_counter(), cpu_nanoseconds(process)
            comeback.roll(connections, made, wave)
            elapsed += time.perf_counter() - began
            spent += cpu_nanoseconds(process) - cpu
            for connection in connections:
                connection.close()
    came = comeback.collect(management)
    assert sorted(came) == sorted(wave.stored), "something acknowledged was lost or doubled"
    name = f"{DEVICES:,} come back at once"
    yield row(f"{name}: answered a second", DEVICES / elapsed, None, "/s")
    yield row(f"{name}: CPU each", spent / DEVICES / 1000, None, "us CPU")
    yield row(f"{name}: stored at once", len(wave.stored) / DEVICES * 100, None, "%")
    for status, what in ((202, "stored"), (503, "sent away")):
        yield from _times(f"{name}: {what}", wave.seconds[status])
    yield from _times(f"{name}: polls meanwhile", polls)
    yield row(f"{name}: most in one second again", wave.most_at_once(), None, "", "value<=400")
    grown = (max(memory) - before) / 1e6
    yield row(f"{name}: memory", max(memory) / 1e6, None, "MB RSS", "value<=300")
    yield row(f"{name}: memory grown by", grown, None, "MB")


def _times(name: str, seconds: list[float]) -> Iterator[dict[str, Any]]:
    if len(seconds) > 1:
        p95 = statistics.quantiles(seconds, n=20)[-1]
        yield row(f"{name}, p50", statistics.median(seconds) * 1000, None, "ms")
        yield row(f"{name}, p95", p95 * 1000, None, "ms")
