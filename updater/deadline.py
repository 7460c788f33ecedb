"""Network connections that end at a deadline, however slowly the other side drips.

A time-out between two pieces is not enough: one byte every few seconds keeps it away for ever, in
the headers as in the body. So each read waits at most for what is left of the whole update.
"""

import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore


class Deadline:
    """The moment when an update must be over, on the monotonic clock."""

    def __init__(self, total_seconds: float, gap_seconds: float) -> None:
        """Start now; a single wait is *gap_seconds* at most."""
        self._end = time.monotonic() + total_seconds
        self._gap = gap_seconds

    def left(self) -> float:
        """Return how many seconds one wait may take; TimeoutError when there are none left."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the update took too long")
        return min(left, self._gap)


class DeadlineNetwork(httpcore.NetworkBackend):
    """httpcore's own network, with every wait cut to the deadline."""

    def __init__(self, deadline: Deadline) -> None:
        """Cut every wait to *deadline*."""
        self._deadline = deadline
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect; see httpcore."""
        stream = self._network.connect_tcp(
            host, port, self._deadline.left(), local_address, socket_options
        )
        return _DeadlineStream(stream, self._deadline)


class _DeadlineStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._deadline.left())
        return _DeadlineStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
