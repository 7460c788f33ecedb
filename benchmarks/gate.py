"""What the inline gate adds to a request, what waiting phones cost, how fast a decision arrives.

Management answers over TLS from this process; the gate and the mail server are processes of their
own. The floor of a request is the same request to the same server without the gate, alternating in
one run. ``SEKISHO_BENCH_WAITING`` sets another number of waiting phones.
"""

import asyncio
import base64
import http.client
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.mail_pass import _management
from exchange_connector.gate import pairing
from exchange_connector.gate.pairing import PATH
from management.app import create_app
from management.mail_access import by_hand, queries
from management.mail_access.models import Connector
from runtime.clock import utc_now
from tests.exchange_connector.bed import BY, Bed, Console, wait_until
from tests.servers.exchange import Exchange

WAITING = int(os.environ.get("SEKISHO_BENCH_WAITING", "10000"))
REQUESTS = 2_000
DECISIONS = 20
FILES = 4 * 10_000
BASIC = "Basic " + base64.b64encode(b"ada:lovelace").decode()


@dataclass
class Bench:
    """The parts under measurement."""

    bed: Bed
    server_port: int
    gate_port: int
    gate: "subprocess.Popen[bytes]"


def run() -> Iterator[dict[str, Any]]:
    """Yield milliseconds added to a request, MiB with waiting phones, seconds to a block."""
    _allow_files()
    with _bench() as bench:
        yield _added(bench)
        yield _decision(bench)
        yield from asyncio.run(_waiting(bench))


def _added(bench: Bench) -> dict[str, Any]:
    ports = (bench.server_port, bench.gate_port)
    connections = [http.client.HTTPConnection("127.0.0.1", port) for port in ports]
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(REQUESTS):
        for connection, seconds in zip(connections, taken, strict=True):
            begun = time.perf_counter()
            _ask(connection, "FolderSync", "PHONE1")
            seconds.append(time.perf_counter() - begun)
    floor, through = (statistics.median(one) * 1000 for one in taken)
    return {
        "name": "gate.request",
        "value": round(through, 3),
        "unit": "ms",
        "floor": round(floor, 3),
        "ratio": round(through / floor, 2),
        "reach": f"adds {through - floor:.2f} ms (median of {REQUESTS}); 3 agreed",
    }


def _ask(connection: http.client.HTTPConnection, command: str, device_id: str) -> bytes:
    target = f"{PATH}?Cmd={command}&User=ada&DeviceId={device_id}&DeviceType=iPhone"
    connection.request("POST", target, b"x" * 200, _headers())
    return connection.getresponse().read()


def _headers() -> dict[str, str]:
    return {"Authorization": BASIC, "MS-ASProtocolVersion": "14.1", "User-Agent": "iPhone"}


def _decision(bench: Bench) -> dict[str, Any]:
    """Measure from the stored decision to its answer to a phone that waits."""
    connection = http.client.HTTPConnection("127.0.0.1", bench.gate_port, timeout=60)
    _ask(connection, "FolderSync", "DECIDED")
    wait_until(lambda: _find(bench.bed, "DECIDED") is not None, 60)
    row = _find(bench.bed, "DECIDED")
    taken = []
    for number in range(DECISIONS):
        time.sleep(0.037 * number)  # at any moment between two questions
        target = f"{PATH}?Cmd=Ping&User=ada&DeviceId=DECIDED&DeviceType=iPhone"
        connection.request("POST", target, b"", _headers())
        time.sleep(0.3)
        _say(bench.bed, row.id, "block")
        begun = time.perf_counter()
        assert b"129" in connection.getresponse().read()
        taken.append(time.perf_counter() - begun)
        _say(bench.bed, row.id, "allow")
        while b"129" in _ask(connection, "FolderSync", "DECIDED"):
            time.sleep(0.05)
    return {
        "name": "gate.decision",
        "value": round(statistics.median(taken), 3),
        "unit": "seconds",
        "reach": f"longest of {DECISIONS}: {max(taken):.2f} s; under 1 agreed",
    }


def _find(bed: Bed, device_id: str) -> Any:
    with bed.context.database.reading() as session:
        connector = session.query(Connector).one()
        found = queries.list_known(session, connector.id, [device_id])
        return next(iter(found.values()), None)


def _say(bed: Bed, row_id: int, access: Any) -> None:
    with bed.context.database.transaction("bench") as session:
        word = by_hand.Word(access, "a trial", utc_now() + timedelta(days=1))
        by_hand.make_exceptions(session, bed.context.keys, [row_id], word, BY, utc_now())


async def _waiting(bench: Bench) -> list[dict[str, Any]]:
    before = _resident_mib(bench.gate)
    writers = []
    for start in range(0, WAITING, 200):
        numbers = range(start, min(start + 200, WAITING))
        writers += await asyncio.gather(*(_hang(bench.gate_port, one) for one in numbers))
    while await asyncio.to_thread(_open_requests, bench) < WAITING:
        await asyncio.sleep(0.5)
    after = _resident_mib(bench.gate)
    cpu = _cpu_seconds(bench.gate)
    await asyncio.sleep(10)
    idle = (_cpu_seconds(bench.gate) - cpu) / 10
    for writer in writers:
        writer.close()
    return [
        {
            "name": "gate.memory",
            "value": round(after, 1),
            "unit": "MiB",
            "floor": round(before, 1),
            "ratio": round(after / before, 2),
            "reach": f"{WAITING} waiting requests; 1 GB agreed",
        },
        {
            "name": "gate.waiting_cpu",
            "value": round(idle * 100, 2),
            "unit": "% of a core",
            "reach": f"while {WAITING} requests wait",
        },
    ]


async def _hang(port: int, number: int) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    target = f"{PATH}?Cmd=Ping&User=ada&DeviceId=PHONE{number}&DeviceType=iPhone"
    lines = [f"POST {target} HTTP/1.1", "Host: mail", "Content-Length: 0"]
    lines += [f"{name}: {value}" for name, value in _headers().items()]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    await writer.drain()
    return writer


def _open_requests(bench: Bench) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", bench.gate_port + 1)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return next(
        float(line.split()[1]) for line in lines if line.startswith("sekisho_gate_open_requests ")
    )


def _resident_mib(process: "subprocess.Popen[bytes]") -> float:
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def _cpu_seconds(process: "subprocess.Popen[bytes]") -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _allow_files() -> None:
    """Let this process and its children open files for all phones, where that is allowed."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(most, FILES), max(most, FILES)))
    except (OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@contextmanager
def _bench() -> Iterator[Bench]:
    with TemporaryDirectory() as home, _management(Path(home)) as context:
        console = Console(create_app(context), context, context.settings.home)
        console.start()
        bed = Bed(context, console, Exchange(), "", context.settings.home)
        bed.settings(block_limit=1_000_000)
        try:
            with _server() as server_port, _gate(bed, server_port) as (port, gate):
                yield Bench(bed, server_port, port, gate)
        finally:
            console.stop()


@contextmanager
def _server() -> Iterator[int]:
    words = [sys.executable, "-m", "benchmarks._gate_server"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            yield int(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGTERM)


@contextmanager
def _gate(bed: Bed, server_port: int) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    server = f"http://127.0.0.1:{server_port}"
    wish = pairing.Wish(management=bed.console.url, code=bed.code(), name="gate", server=server)
    pairing.pair(bed.home / "gate", wish)
    port = _two_free_ports()
    environment = {
        **os.environ,
        "SEKISHO_HOME": str(bed.home),
        "SEKISHO_GATE_PORT": str(port),
        "SEKISHO_GATE_HEALTH_PORT": str(port + 1),
        "SEKISHO_GATE_LOG_LEVEL": "WARNING",
    }
    words = [sys.executable, "-m", "sekisho", "exchange-connector", "gate", "run"]
    with subprocess.Popen(words, env=environment) as process:
        try:
            wait_until(lambda: _listens(port + 1), 60)
            yield port, process
        finally:
            process.send_signal(signal.SIGTERM)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _two_free_ports() -> int:
    """Return a free port whose successor is free too."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as one:
            port = int(one.getsockname()[1])
            if not _listens(port + 1):
                return port
