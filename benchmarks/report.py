"""What a report costs the communication server until it is on disk, and the rate.

A 2 kB report, signed and made before, on connections that are open already (a new one has its own
figure: `poll`); SQLite in WAL mode with synchronous=FULL as in production, many reports to a
commit. The floor is verifying one signature and one durable insert, with nothing around. The data
folder is where TMPDIR is; a commit's wait for that disk is measured beside it. The sender shares
the cores with the server, so its CPU is said too. One thread of the server runs all Python that
answers devices: what it takes for a report is what bounds the rate, however many cores there are.
"""

import os
import sqlite3
import ssl
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks import _relay_load as load
from benchmarks._relay_load import connect, cpu_of_threads, process_of, row
from tests.communication.crowd import Member, gather
from tests.communication.relay import Management, Relay, context

DEVICES, ROUNDS, AT_ONCE = 2000, 3, 64
REPORTS, COMMITS = 2000, 200
SEALED = "A" * 2000


def run() -> Iterator[dict[str, Any]]:
    """Yield CPU microseconds of a report, reports a second, what bounds them, and the disk."""
    with TemporaryDirectory() as home:
        relay = Relay(Path(home), load.UNLIMITED).start()
        try:
            members = gather(Management(relay), DEVICES)
            connections = _connected(relay)
            _post(connections, _made(members, 1))  # the first of a device reads its key
            rounds = range(2, 2 + ROUNDS)
            found = [_measured(relay, connections, _made(members, seq)) for seq in rounds]
            for connection in connections:
                connection.close()
        finally:
            relay.hang_up()
            relay.stop()
    spent, busiest, sender, rate = map(statistics.median, zip(*found, strict=True))
    yield row("report.accepted", spent, _floor(), "us CPU", "value<=350")
    yield row("report.accepted: of it in one thread", busiest, None, "us CPU")
    yield row("report.accepted: what sending costs", sender, None, "us CPU")
    yield row("report.accepted: a second", rate, None, "/s", "value>=3000")
    yield row("report.accepted: a commit's wait for the disk", _commit_wait(), None, "us")


def _made(members: Sequence[Member], seq: int) -> list[bytes]:
    return [member.report(seq, SEALED) for member in members]


def _connected(relay: Relay) -> list[ssl.SSLSocket]:
    trust = context(relay.tls)
    return [connect(trust, relay.devices_port) for _ in range(AT_ONCE)]


def _measured(
    relay: Relay, connections: Sequence[ssl.SSLSocket], reports: Sequence[bytes]
) -> tuple[float, float, float, float]:
    """Return CPU microseconds of the server, of its busiest thread and of the sender for a report,
    and reports a second.
    """
    process = process_of(relay)
    before, own, began = cpu_of_threads(process), time.process_time(), time.perf_counter()
    _post(connections, reports)
    elapsed, sent = time.perf_counter() - began, time.process_time() - own
    after = cpu_of_threads(process)
    spent = [(took - before.get(thread, 0)) / 1000 for thread, took in after.items()]
    count = len(reports)
    return sum(spent) / count, max(spent) / count, sent * 1e6 / count, count / elapsed


def _post(connections: Sequence[ssl.SSLSocket], reports: Sequence[bytes]) -> None:
    """Send on all connections, and on each the next one as soon as it is answered."""
    for start in range(0, len(reports) + AT_ONCE, AT_ONCE):
        for place, connection in enumerate(connections):
            if AT_ONCE <= start + place < len(reports) + AT_ONCE:
                load.check(connection.recv(4096), b"202")
            if start + place < len(reports):
                connection.sendall(reports[start + place])


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
