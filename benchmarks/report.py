"""What a report costs the communication server until it is on disk, and the rate.

A 2 kB report, signed and made before; SQLite in WAL mode with synchronous=FULL as in production,
many reports to a commit. The floor is verifying one signature and one durable insert, with nothing
around. The data folder is where TMPDIR is; a commit's wait for that disk is measured beside it.
"""

import os
import sqlite3
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks import _relay_load as load
from benchmarks._relay_load import connect, cpu_nanoseconds, process_of, row
from tests.communication.crowd import Member, gather
from tests.communication.relay import Management, Relay, context

DEVICES, ROUNDS, AT_ONCE = 2000, 3, 64
REPORTS, COMMITS = 2000, 200
SEALED = "A" * 2000


def run() -> Iterator[dict[str, Any]]:
    """Yield CPU microseconds of a report, reports a second, and what the disk costs."""
    with TemporaryDirectory() as home:
        relay = Relay(Path(home), load.UNLIMITED).start()
        try:
            members = gather(Management(relay), DEVICES)
            _post(relay, _made(members, 1))  # the first of a device reads its key
            found = [_measured(relay, _made(members, seq)) for seq in range(2, 2 + ROUNDS)]
        finally:
            relay.hang_up()
            relay.stop()
    spent, rates = (statistics.median(side) for side in zip(*found, strict=True))
    yield row("report.accepted", spent, _floor(), "us CPU", "value<=350")
    yield row("report.accepted: a second", rates, None, "/s", "value>=3000")
    yield row("report.accepted: a commit's wait for the disk", _commit_wait(), None, "us")


def _made(members: Sequence[Member], seq: int) -> list[bytes]:
    return [member.report(seq, SEALED) for member in members]


def _measured(relay: Relay, reports: Sequence[bytes]) -> tuple[float, float]:
    process = process_of(relay)
    before, began = cpu_nanoseconds(process), time.perf_counter()
    _post(relay, reports)
    elapsed = time.perf_counter() - began
    return (cpu_nanoseconds(process) - before) / len(reports) / 1000, len(reports) / elapsed


def _post(relay: Relay, reports: Sequence[bytes]) -> None:
    """Send on many connections, and on each the next one as soon as it is answered."""
    trust = context(relay.tls)
    connections = [connect(trust, relay.devices_port) for _ in range(AT_ONCE)]
    for start in range(0, len(reports) + AT_ONCE, AT_ONCE):
        for place, connection in enumerate(connections):
            if AT_ONCE <= start + place < len(reports) + AT_ONCE:
                load.check(connection.recv(4096), b"202")
            if start + place < len(reports):
                connection.sendall(reports[start + place])
    for connection in connections:
        connection.close()


def _floor() -> float:
    key = ec.generate_private_key(ec.SECP256R1())
    signature, how = key.sign(SEALED.encode(), ec.ECDSA(hashes.SHA256())), ec.ECDSA(hashes.SHA256())
    with TemporaryDirectory() as folder:
        store = sqlite3.connect(Path(folder) / "floor.db", isolation_level=None)
        store.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (x);")
        began = time.process_time()
        for _ in range(REPORTS):
            key.public_key().verify(signature, SEALED.encode(), how)
            store.execute("INSERT INTO t VALUES (?)", (SEALED,))
        spent = time.process_time() - began
        store.close()
    return spent / REPORTS * 1e6


def _commit_wait() -> float:
    """Return how long a write of 64 kB and its fsync take here, in the middle."""
    with TemporaryDirectory() as folder, (Path(folder) / "x").open("wb") as file:
        waits = []
        for _ in range(COMMITS):
            began = time.perf_counter()
            file.write(b"x" * 65_536)
            file.flush()
            os.fsync(file.fileno())
            waits.append(time.perf_counter() - began)
    return statistics.median(waits) * 1e6
