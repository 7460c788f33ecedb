"""HTTP calls that end in time as a whole: name, addresses, handshake, headers and body.

The timeouts of HTTP libraries begin anew with each piece that comes and each address that is tried,
so whoever sends one byte a second is waited for without end. Here one time is for all of a call,
looking the name up included. `updater.deadline` keeps httpcore's own network instead: sources are
reached through proxies, which may speak TLS inside TLS.
"""

import selectors
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import httpcore
import httpx

from runtime.connecting import connect, left

WHOLE = "whole_seconds"
"""Extension of a request that may take another time than its client's others."""
CONNECT_SECONDS = 10.0
"""For all addresses and the handshake, however long the call may take."""
MOST_CONNECTIONS = 100
IDLE_SECONDS = 5.0
"""A connection that was idle for longer may be dead without a word: a firewall forgot it."""


def client(seconds: float, verify: ssl.SSLContext, **options: Any) -> httpx.Client:
    """Return a client each of whose calls ends after *seconds*, without proxies of the environment.

    httpx.TimeoutException: time was over; httpx.TransportError: whatever else went wrong.
    """
    transport = _Transport(seconds, verify)
    return httpx.Client(transport=transport, timeout=seconds, trust_env=False, **options)


class _Deadline(threading.local):
    """When the call ends that this thread makes."""

    ends_at = 0.0
    connected_by = 0.0
    """When a connection must be there, with its handshake."""


class _Transport(httpx.BaseTransport):
    """Sends requests by connections that know the deadline."""

    def __init__(self, seconds: float, verify: ssl.SSLContext) -> None:
        self._seconds, self._deadline = seconds, _Deadline()
        backend = _Backend(self._deadline)
        self._pool = httpcore.ConnectionPool(
            ssl_context=verify,
            network_backend=backend,
            max_connections=MOST_CONNECTIONS,
            keepalive_expiry=IDLE_SECONDS,
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Begin the time, and send."""
        seconds = float(request.extensions.get(WHOLE, self._seconds))
        now = time.monotonic()
        self._deadline.ends_at = now + seconds
        self._deadline.connected_by = now + min(seconds, CONNECT_SECONDS)
        url = request.url
        wanted = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=request.headers.raw,
            content=cast("Iterable[bytes]", request.stream),
            extensions=request.extensions,
        )
        with _translated():
            answer = self._pool.handle_request(wanted)
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer, self._deadline),
            extensions=answer.extensions,
        )

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response, deadline: _Deadline) -> None:
        self._answer, self._deadline, self._ends_at = answer, deadline, deadline.ends_at

    def __iter__(self) -> Iterator[bytes]:
        pieces = self._answer.iter_stream()
        while True:
            self._deadline.ends_at = self._ends_at  # another call may have begun meanwhile
            with _translated():
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece

    def close(self) -> None:
        self._answer.close()


@contextmanager
def _translated() -> Iterator[None]:
    """Raise what users of httpx expect."""
    try:
        yield
    except httpcore.TimeoutException as error:
        raise httpx.ReadTimeout("it took too long") from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise httpx.TransportError(str(error)) from error
    except httpcore.UnsupportedProtocol as error:
        raise httpx.UnsupportedProtocol(str(error)) from error


class _Backend(httpcore.NetworkBackend):
    """Connects in time; the timeouts of the library are not used."""

    def __init__(self, deadline: _Deadline) -> None:
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        with _told(httpcore.ConnectTimeout, httpcore.ConnectError):
            connection = connect(host, port, self._deadline.connected_by)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _Stream(connection, self._deadline)


class _Stream(httpcore.NetworkStream):
    """One connection; each step gets what is left of the call's time.

    What a TLS socket waits for in one step is bounded as a whole, not record by record.
    """

    def __init__(self, connection: socket.socket, deadline: _Deadline) -> None:
        self._connection, self._deadline = connection, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _told(httpcore.ReadTimeout, httpcore.ReadError):
            self._connection.settimeout(left(self._deadline.ends_at))
            return self._connection.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        rest = memoryview(buffer)
        with _told(httpcore.WriteTimeout, httpcore.WriteError):
            while rest:
                self._connection.settimeout(left(self._deadline.ends_at))
                rest = rest[self._connection.send(rest) :]

    def close(self) -> None:
        self._connection.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        with _told(httpcore.ConnectTimeout, httpcore.ConnectError):
            try:
                self._connection.settimeout(left(self._deadline.connected_by))
                name = server_hostname
                secure = ssl_context.wrap_socket(self._connection, server_hostname=name)
            except BaseException:
                self.close()
                raise
        return _Stream(secure, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # of an idle connection: the other side closed it
            with selectors.DefaultSelector() as selector:
                selector.register(self._connection, selectors.EVENT_READ)
                return bool(selector.select(0))
        if info == "ssl_object":
            return self._connection if isinstance(self._connection, ssl.SSLSocket) else None
        return self._connection if info == "socket" else None


@contextmanager
def _told(
    in_time: type[httpcore.TimeoutException], otherwise: type[httpcore.NetworkError]
) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise in_time(str(error)) from error
    except OSError as error:
        raise otherwise(str(error)) from error
