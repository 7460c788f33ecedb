"""What the benchmarks of the communication server share: requests as bytes, and what they cost.

A real server process over TLS; a figure is CPU time of that process alone, so that the load, which
is made by this process, does not count.
"""

import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from tests.communication.relay import ROOT, Relay, context, free_ports

CONNECTIONS = 8
UNLIMITED = {"requests_per_minute": "1000000", "device_messages": "1000000"}
BARE = """
import sys, threading
from pathlib import Path
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from communication.listener import Listener
key, text, how = ec.generate_private_key(ec.SECP256R1()), b"x" * 300, ec.ECDSA(hashes.SHA256())
signature, public, verifies = key.sign(text, how), key.public_key(), len(sys.argv) > 4
async def serve(scope, protocol):
    if verifies:
        public.verify(signature, text, how)
    protocol.response_empty(204, [("Sekisho-Poll-After", "900")])
listener = Listener("127.0.0.1", int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
listener.begin(serve)
threading.Event().wait()
"""
NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/errors; worker_processes 1; user root;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl; keepalive_requests 1000000;
        ssl_certificate {certificate}; ssl_certificate_key {key};
        location / {{ return 204; }}
    }}
}}
"""
Load = Callable[[str, int, Sequence[bytes], bytes], None]


def kept_alive(pem: str, port: int, requests: Sequence[bytes], wanted: bytes = b"20") -> None:
    """Send on several connections at once, then read all answers, over and over."""
    connections = [connect(context(pem), port) for _ in range(CONNECTIONS)]
    for start in range(0, len(requests), CONNECTIONS):
        some = requests[start : start + CONNECTIONS]
        for connection, request in zip(connections, some, strict=False):
            connection.sendall(request)
        for connection, _ in zip(connections, some, strict=False):
            check(connection.recv(4096), wanted)
    for connection in connections:
        connection.close()


def newly_connected(pem: str, port: int, requests: Sequence[bytes], wanted: bytes = b"20") -> None:
    """Make a full TLS handshake for each request."""
    for request in requests:
        with connect(context(pem), port) as connection:
            connection.sendall(request)
            check(connection.recv(4096), wanted)


def check(answer: bytes, wanted: bytes = b"20") -> None:
    """See that the status is the *wanted* one, or begins with it."""
    assert answer.startswith(b"HTTP/1.1 " + wanted), answer


def connect(trust: ssl.SSLContext, port: int) -> ssl.SSLSocket:
    """Return a TLS connection."""
    plain = socket.create_connection(("127.0.0.1", port), 120)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return trust.wrap_socket(plain, server_hostname="127.0.0.1")


def poll(token: str) -> bytes:
    """Return a poll as bytes."""
    return (
        "GET /agent/v1/poll?epoch=1&after=0&every=900 HTTP/1.1\r\nHost: relay\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    ).encode()


def cost(
    process: psutil.Process,
    load: Load,
    pem: str,
    port: int,
    requests: Sequence[bytes],
    wanted: bytes = b"20",
) -> float:
    """Return the CPU microseconds of *process* and its children for each request, warmed up."""
    warm = len(requests) // 10
    load(pem, port, requests[:warm], wanted)
    before = cpu_nanoseconds(process)
    load(pem, port, requests[warm:], wanted)
    return (cpu_nanoseconds(process) - before) / (len(requests) - warm) / 1000


def cpu_nanoseconds(process: psutil.Process) -> int:
    """Return the time on a processor of all threads of *process* and its children."""
    return sum(cpu_of_threads(process).values())


def cpu_of_threads(process: psutil.Process) -> dict[str, int]:
    """Return the same of each thread; finer than the clock ticks of ``stat``."""
    pids = [process.pid, *(child.pid for child in process.children(recursive=True))]
    found = [path for pid in pids for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return {path.parent.name: int(path.read_text(encoding="ascii").split()[0]) for path in found}


@contextmanager
def bare(relay: Relay, verifies: bool = False) -> Iterator[tuple[psutil.Process, int]]:
    """Run the floor: the same listener and certificate, and a callable that only answers 204.

    *verifies*: it checks one ECDSA P-256 signature for each request.
    """
    (port,) = free_ports(1)
    certificate, key = relay.folder / "tls.pem", relay.folder / "tls.key"
    words = [sys.executable, "-c", BARE, str(port), str(certificate), str(key)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = subprocess.Popen([*words, *(["verify"] if verifies else [])], env=environment)
    with _ending(started, port):
        yield psutil.Process(started.pid), port


@contextmanager
def nginx(relay: Relay) -> Iterator[tuple[psutil.Process, int] | None]:
    """Run Debian's nginx answering 204 with the same certificate; None where it is missing."""
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if program is None:
        yield None
        return
    (port,) = free_ports(1)
    with TemporaryDirectory() as folder:
        own = {"folder": folder, "port": port}
        files = {"certificate": relay.folder / "tls.pem", "key": relay.folder / "tls.key"}
        configuration = Path(folder) / "nginx.conf"
        configuration.write_text(NGINX.format(**own, **files), encoding="utf-8")
        words = [program, "-c", str(configuration), "-e", f"{folder}/errors"]
        started = subprocess.Popen(words)
        with _ending(started, port):
            yield psutil.Process(started.pid), port


@contextmanager
def _ending(started: subprocess.Popen[bytes], port: int) -> Iterator[None]:
    try:
        give_up = time.monotonic() + 60
        while not _answers(port):
            if time.monotonic() > give_up or started.poll() is not None:
                raise RuntimeError("The bare server did not start.")
            time.sleep(0.05)
        yield
    finally:
        started.terminate()
        started.wait(60)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


def process_of(relay: Relay) -> psutil.Process:
    """Return the running relay's process."""
    assert relay.process is not None
    return psutil.Process(relay.process.pid)


def row(name: str, value: float, floor: float | None, unit: str, reach: str = "") -> dict[str, Any]:
    """Return a measurement."""
    ratio = value / floor if floor else None
    found = {"name": name, "value": value, "unit": unit, "floor": floor, "ratio": ratio}
    return found | {"reach": reach, "cores": os.cpu_count()}
