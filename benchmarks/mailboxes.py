"""A communication server that knows a million devices, one in 100 with an order: cost and memory.

The same polls with 1,000 and with 1,000,000 mailboxes, each poll by another device. Filled straight
into its SQLite file; about 600 MB of disk where TMPDIR is, removed afterwards.
"""

import json
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from benchmarks import _relay_load as load
from benchmarks._relay_load import cost, kept_alive, poll, process_of, row
from communication import mailbox_schema, pairing, poll_token
from contracts import keys
from tests.communication.relay import Relay

MANY, FEW, POLLS, ROUNDS = 1_000_000, 1_000, 9_000, 3
WITH_ORDER = 100
"""One in so many."""


def run() -> Iterator[dict[str, Any]]:
    """Yield CPU microseconds of a poll among many mailboxes beside few, memory, start."""
    few, _, _ = _measured(FEW)
    many, memory, seconds = _measured(MANY)
    name = f"poll among {MANY:,} mailboxes"
    yield row(name, many, few, "us CPU", "ratio<=1.2")
    yield row(f"{name}: memory", memory, None, "MB RSS", "value<=600")
    yield row(f"{name}: start", seconds, None, "s")


def _measured(count: int) -> tuple[float, float, float]:
    with TemporaryDirectory() as home:
        relay = Relay(Path(home), load.UNLIMITED)
        _fill(relay.folder, count)
        began = time.monotonic()
        relay.start()
        seconds = time.monotonic() - began
        try:
            key = (relay.folder / pairing.TOKEN_KEY).read_bytes()
            chance, expires = random.Random(1), int(time.time()) + 3600
            process = process_of(relay)
            costs = []
            for _ in range(ROUNDS):
                slots = [chance.randrange(1, count + 1) for _ in range(POLLS)]
                requests = [poll(poll_token.issue(key, slot, expires)) for slot in slots]
                found = cost(process, kept_alive, relay.tls, relay.devices_port, requests)
                costs.append(found)
            return sorted(costs)[ROUNDS // 2], process.memory_info().rss / 1e6, seconds
        finally:
            relay.stop()


def _fill(folder: Path, count: int) -> None:
    """Write devices and orders as the server would have."""
    store = mailbox_schema.connect(folder / "mailbox.db")
    mailbox_schema.prepare(store)
    key = json.dumps(keys.public_jwk(keys.new_key()), sort_keys=True)
    now = int(datetime.now(UTC).timestamp() * 1e6)
    ids = [UUID(int=number << 64 | 7).bytes for number in range(1, count + 1)]
    store.execute("BEGIN")
    store.executemany(
        "INSERT INTO device (device_id, signing_key, active, as_of) VALUES (?, ?, 1, ?)",
        ((device, key, now) for device in ids),
    )
    store.executemany(
        "INSERT INTO outbound (recipient, kind, epoch, seq, size, sealed)"
        " VALUES (?, 'order', 1, 1, 2000, ?)",
        ((device, "A" * 2000) for device in ids[::WITH_ORDER]),
    )
    store.execute("COMMIT")
    store.close()
