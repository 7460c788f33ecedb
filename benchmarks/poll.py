"""What an idle poll costs the communication server, beside the bare HMAC and the agreed floor.

A real server process over TLS; the figure is CPU time of that process alone, so the load that makes
the polls does not count. The floor is the same granian front answering 204 without looking at the
request: what HTTP and TLS cost before our first line.
"""

import os
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from contracts import codec
from contracts.agent import ReportPost
from tests.communication.relay import ROOT, Management, Phone, Relay, context, free_ports

CONNECTIONS = 8
POLLS = 12_000
HANDSHAKES = 600
REPORTING, ROUNDS, AT_ONCE = 128, 16, 32
"""Devices that report, how often, and how many of them at once."""
REPORTS = 2000
SEALED = "A" * 2000
UNLIMITED = {"requests_per_minute": "1000000", "device_messages": "1000000"}
BARE = """
import sys, threading
from pathlib import Path
from communication.listener import Listener
async def serve(scope, protocol):
    protocol.response_empty(204, [("Sekisho-Poll-After", "900")])
listener = Listener("127.0.0.1", int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
listener.begin(serve)
threading.Event().wait()
"""


def run() -> Iterator[dict[str, Any]]:
    """Yield CPU microseconds of a poll (kept alive, newly connected) and a report, and memory."""
    with TemporaryDirectory() as home:
        relay = Relay(Path(home), UNLIMITED).start()
        bare, bare_port = _start_bare(relay)
        try:
            management = Management(relay)
            phone = Phone(relay, management)
            request = _request(phone.token())
            process = _process(relay.process)
            yield _row("poll.idle_memory", process.memory_full_info().pss / 1e6, None, "MB PSS")
            for name, load, count in (
                ("poll.kept_alive", _kept_alive, POLLS),
                ("poll.new_connection", _newly_connected, HANDSHAKES),
            ):
                load(relay.tls, bare_port, request, count // 10)
                floor = _cost(_process(bare), load, relay.tls, bare_port, request, count)
                load(relay.tls, relay.devices_port, request, count // 10)
                value = _cost(process, load, relay.tls, relay.devices_port, request, count)
                yield _row(name, value, floor, "us CPU")
            yield _row(
                "report.accepted",
                _report_cost(process, relay, management),
                _report_floor(),
                "us CPU",
            )
        finally:
            bare.terminate()
            bare.wait()
            relay.stop()


Load = Callable[[str, int, bytes, int], None]


def _cost(
    process: psutil.Process, load: Load, pem: str, port: int, request: bytes, count: int
) -> float:
    before = _cpu_nanoseconds(process.pid)
    load(pem, port, request, count)
    return (_cpu_nanoseconds(process.pid) - before) / count / 1000


def _cpu_nanoseconds(pid: int) -> int:
    """Return the time on a processor of all threads; finer than the clock ticks of ``stat``."""
    found = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(path.read_text(encoding="ascii").split()[0]) for path in found)


def _report_cost(process: psutil.Process, relay: Relay, management: Management) -> float:
    """Return the cost of one of many reports that come at once, each made and signed before."""
    phones = [Phone(relay, management) for _ in range(REPORTING)]
    _post(relay, [_signed_report(phone, 1) for phone in phones])
    load = [_signed_report(phone, seq) for seq in range(2, 2 + ROUNDS) for phone in phones]
    before = _cpu_nanoseconds(process.pid)
    _post(relay, load)
    return (_cpu_nanoseconds(process.pid) - before) / len(load) / 1000


def _signed_report(phone: Phone, seq: int) -> bytes:
    body = codec.write(ReportPost(epoch=1, seq=seq, sealed=SEALED))
    path = "/agent/v1/reports"
    headers = {"Host": "relay", "Content-Length": str(len(body))}
    headers |= phone.headers("POST", path, body)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


def _post(relay: Relay, load: list[bytes]) -> None:
    """Send on many connections at once, then read all answers, over and over."""
    connections = [_connect(context(relay.tls), relay.devices_port) for _ in range(AT_ONCE)]
    for start in range(0, len(load), AT_ONCE):
        some = load[start : start + AT_ONCE]
        for connection, request in zip(connections, some, strict=False):
            connection.sendall(request)
        for connection, _ in zip(connections, some, strict=False):
            answer = connection.recv(4096)
            assert answer.startswith(b"HTTP/1.1 202"), answer
    for connection in connections:
        connection.close()


def _report_floor() -> float:
    """Return what verifying the signature and one durable insert cost without anything around."""
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


def _kept_alive(pem: str, port: int, request: bytes, count: int) -> None:
    """Send on several connections at once, then read all answers, over and over."""
    connections = [_connect(context(pem), port) for _ in range(CONNECTIONS)]
    for _ in range(count // CONNECTIONS):
        for connection in connections:
            connection.sendall(request)
        for connection in connections:
            _check(connection.recv(4096))
    for connection in connections:
        connection.close()


def _newly_connected(pem: str, port: int, request: bytes, count: int) -> None:
    """Make a full TLS handshake for each poll."""
    for _ in range(count):
        with _connect(context(pem), port) as connection:
            connection.sendall(request)
            _check(connection.recv(4096))


def _connect(trust: ssl.SSLContext, port: int) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", port))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return trust.wrap_socket(plain, server_hostname="127.0.0.1")


def _check(answer: bytes) -> None:
    assert answer.startswith(b"HTTP/1.1 204"), answer


def _request(token: str) -> bytes:
    return (
        "GET /agent/v1/poll?epoch=1&after=3 HTTP/1.1\r\nHost: relay\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    ).encode()


def _start_bare(relay: Relay) -> tuple[subprocess.Popen[bytes], int]:
    (port,) = free_ports(1)
    certificate, key = relay.folder / "tls.pem", relay.folder / "tls.key"
    words = [sys.executable, "-c", BARE, str(port), str(certificate), str(key)]
    process = subprocess.Popen(words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    give_up = time.monotonic() + 20
    while time.monotonic() < give_up:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return process, port
    raise RuntimeError("The bare server did not start.")


def _process(started: subprocess.Popen[bytes] | None) -> psutil.Process:
    assert started is not None
    return psutil.Process(started.pid)


def _row(name: str, value: float, floor: float | None, unit: str) -> dict[str, Any]:
    reach = {
        "poll.idle_memory": "value<=80",
        "poll.kept_alive": "value<=150",
        "report.accepted": "value<=350",
    }
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "floor": floor,
        "ratio": value / floor if floor else None,
        "reach": reach.get(name, "value<=1000"),
        "cores": os.cpu_count(),
    }
