"""granian's server as threads of this process.

granian normally starts a process for each worker and another that watches them. One worker is
enough for more than a million devices, and one process is less memory and leaves nothing behind
when it is killed; so the thread worker that granian has for Python without the interpreter lock is
used here with it. granian is pinned, and `tests/communication/test_server.py` fails when this no
longer holds. ADR: docs/adr/relay-one-process.md.
"""

import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mt import MTServer

from runtime.errors import ConfigurationError

STOP_SECONDS = 10


class Listener(MTServer):
    """One port; `begin` returns at once."""

    def __init__(
        self, host: str, port: int, certificate: Path | None = None, key: Path | None = None
    ) -> None:
        super().__init__(
            "sekisho",
            address=host,
            port=port,
            interface=Interfaces.RSGI,
            runtime_mode=RuntimeModes.st,
            loop=Loops.asyncio,
            http=HTTPModes.http1,
            http1_settings=HTTP1Settings(header_read_timeout=15_000, max_buffer_size=64 * 1024),
            websockets=False,
            backlog=2048,
            backpressure=8192,
            log_level=LogLevels.warning,
            ssl_cert=certificate,
            ssl_key=key,
            ssl_protocol_min=SSLProtocols.tls12,
        )

    def begin(self, serve: Callable[[Any, Any], Awaitable[None]]) -> None:
        """Listen and answer with *serve*; ConfigurationError when the port is taken."""
        _check_free(self.bind_addr, self.bind_port)
        granian: Any = self  # untyped there
        granian._init_shared_socket()
        worker = granian._spawn_worker(0, granian._spawn_rsgi_worker, serve)
        worker.start()
        self.wrks.append(worker)

    def alive(self) -> bool:
        """Return whether the port is still served."""
        workers: list[Any] = self.wrks
        return all(worker.is_alive() for worker in workers)

    def end(self) -> None:
        """Take no more requests, finish those that run, and return."""
        workers: list[Any] = self.wrks
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join(STOP_SECONDS)


def _check_free(host: str, port: int) -> None:
    """Listening here alone: the sockets themselves share their port (SO_REUSEPORT)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError(
                f"Cannot listen on {host} port {port}: {error.strerror}. "
                "End the program that uses it, or set another port."
            ) from None
