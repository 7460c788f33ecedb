"""granian's server as threads of this process.

granian normally starts a process for each worker and another that watches them. One worker is
enough for more than a million devices, and one process is less memory and leaves nothing behind
when it is killed; so the thread worker that granian has for Python without the interpreter lock is
used here with it. granian is pinned, and `tests/communication/test_server.py` fails when this no
longer holds. ADR: docs/adr/relay-one-process.md.
"""

import ctypes
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from granian.constants import HTTPModes, Interfaces, Loops, RuntimeModes, SSLProtocols
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.net import SocketHolder  # type: ignore[attr-defined]
from granian.server.mt import MTServer

from runtime.errors import ConfigurationError

STOP_SECONDS = 10
BACKLOG = 2048
SO_ATTACH_REUSEPORT_CBPF = 51
"""linux/include/uapi/asm-generic/socket.h; Python has no name for it."""
BPF_RET_K = 0x06
"""``BPF_RET | BPF_K``: a program of one step that returns a number (linux/bpf_common.h)."""


class Listener(MTServer):
    """One port; `begin` returns at once."""

    def __init__(
        self, host: str, port: int, certificate: Path | None = None, key: Path | None = None
    ) -> None:
        self.leaving = False
        """Whether each answer asks the client to close its connection."""
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
            backlog=BACKLOG,
            backpressure=8192,
            log_level=LogLevels.warning,
            ssl_cert=certificate,
            ssl_key=key,
            ssl_protocol_min=SSLProtocols.tls12,
        )

    def begin(self, serve: Callable[[Any, Any], Awaitable[None]]) -> None:
        """Listen and answer with *serve*."""

        async def answer(scope: Any, protocol: Any) -> None:
            await serve(scope, _Last(protocol) if self.leaving else protocol)

        granian: Any = self  # untyped there
        self._socket = _listening(self.bind_addr, self.bind_port)
        granian._ssp = None
        make: Any = SocketHolder  # its types know no arguments
        granian._shd = make(os.dup(self._socket.fileno()), False, BACKLOG)
        worker = granian._spawn_worker(0, granian._spawn_rsgi_worker, answer)
        worker.start()
        self.wrks.append(worker)

    def take_all(self, place: int) -> None:
        """Get all new connections of the port, as the socket at *place* of those that share it.

        Where the kernel does not know how, they go on sharing: then one that arrives while the
        other listener ends may have to be made again.
        """
        step = ctypes.create_string_buffer(struct.pack("HBBI", BPF_RET_K, 0, 0, place))
        program = struct.pack("HP", 1, ctypes.addressof(step))
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, program)

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
        self._socket.close()


class _Last:
    """Tells the client to close the connection after this answer."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol, name)

    def __call__(self) -> Any:
        return self._protocol()

    def __aiter__(self) -> Any:
        return self._protocol.__aiter__()

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self._protocol.response_bytes(status, [*headers, ("connection", "close")], body)

    def response_empty(self, status: int, headers: list[tuple[str, str]]) -> None:
        self._protocol.response_empty(status, [*headers, ("connection", "close")])


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket that shares its port with others of this user that ask for it too."""
    opened = socket.socket(_family(host), socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    opened.bind((host, port))
    opened.listen(BACKLOG)
    opened.setblocking(False)
    return opened


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def check_free(host: str, port: int) -> None:
    """Raise ConfigurationError when another program listens there: ours share (SO_REUSEPORT)."""
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError(
                f"Cannot listen on {host} port {port}: {error.strerror}. "
                "End the program that uses it, or set another port."
            ) from None
