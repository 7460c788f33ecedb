"""What polls and garbage cost the communication server, beside the floors agreed on.

The floors: the same listener with a callable that answers 204 without looking at the request (what
HTTP and TLS cost before our first line), the same that verifies one signature, and nginx.
"""

import statistics
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import _relay_load as load
from benchmarks._relay_load import cost, kept_alive, newly_connected, poll, process_of, row
from tests.communication.crowd import request
from tests.communication.relay import Management, Phone, Relay

POLLS, SIGNED, HANDSHAKES, GARBAGE = 8000, 4000, 500, 4000
ROUNDS = 3
"""Each figure is the median of so many."""


def run() -> Iterator[dict[str, Any]]:
    """Yield CPU microseconds of polls (kept alive, signed, newly connected) and of garbage."""
    with TemporaryDirectory() as home:
        relay = Relay(Path(home), load.UNLIMITED).start()
        try:
            phone = Phone(relay, Management(relay))
            memory = process_of(relay).memory_full_info().pss / 1e6
            yield row("poll.idle_memory", memory, None, "MB PSS", "value<=80")
            yield from _polls(relay, poll(phone.token()))
            yield from _signed(relay, phone)
            yield from _garbage(relay, poll(phone.token()))
        finally:
            relay.hang_up()
            relay.stop()


def _polls(relay: Relay, asked: bytes) -> Iterator[dict[str, Any]]:
    with load.bare(relay) as (bare, port), load.nginx(relay) as other:
        for name, how, count, reach in (
            ("kept_alive", kept_alive, POLLS, "value<=130 ratio<=2.5"),
            ("new_connection", newly_connected, HANDSHAKES, "value-floor<=60"),
        ):
            many = [asked] * count
            pairs = [
                (
                    cost(process_of(relay), how, relay.tls, relay.devices_port, many),
                    cost(bare, how, relay.tls, port, many),
                )
                for _ in range(ROUNDS)
            ]
            value, floor = (statistics.median(side) for side in zip(*pairs, strict=True))
            yield row(f"poll.{name}", value, floor, "us CPU", reach)
            if other is not None:
                found = cost(other[0], how, relay.tls, other[1], many)
                yield row(f"poll.{name} (nginx answering 204)", found, None, "us CPU")


def _signed(relay: Relay, phone: Phone) -> Iterator[dict[str, Any]]:
    """Every signed request works once, so each is made before."""
    path = "/agent/v1/poll?epoch=1&after=0&every=900"
    with load.bare(relay, verifies=True) as (bare, port):
        pairs = []
        for _ in range(ROUNDS):
            many = [request("GET", path, headers=phone.headers("GET", path)) for _ in range(SIGNED)]
            value = cost(process_of(relay), kept_alive, relay.tls, relay.devices_port, many)
            pairs.append((value, cost(bare, kept_alive, relay.tls, port, many)))
    value, floor = (statistics.median(side) for side in zip(*pairs, strict=True))
    yield row("poll.signed", value, floor, "us CPU", "ratio<=1.3")


def _garbage(relay: Relay, asked: bytes) -> Iterator[dict[str, Any]]:
    """Garbage beside a real poll in the same run: it has to be cheaper."""
    process, port = process_of(relay), relay.devices_port
    real = cost(process, kept_alive, relay.tls, port, [asked] * GARBAGE)
    for name, one in (
        ("unknown address", request("GET", "/wp-login.php?x=1")),
        ("wrong token", poll("a" * 96)),
        ("unsigned report", request("POST", "/agent/v1/reports", b'{"v":1}')),
        ("unsigned orders", request("GET", "/agent/v1/orders")),
    ):
        value = cost(process, kept_alive, relay.tls, port, [one] * GARBAGE, b"4")
        yield row(f"poll.garbage ({name})", value, real, "us CPU", "ratio<=1")
