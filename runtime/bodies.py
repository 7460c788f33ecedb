"""Reads the bodies of requests in the event loop, within limits of size, time and memory.

A slow sender then holds a socket and never a thread.
"""

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import IO, Any

from runtime.errors import SekishoError
from runtime.wsgi import Scope

BODIES_BYTES = 64 * 1024 * 1024
"""Memory for bodies that are being read or worked on, in all."""
NEIGHBOUR_BYTES = 16 * 1024 * 1024
"""The same for one address."""
SMALL_BYTES = 64 * 1024
PIECE_BYTES = 512 * 1024
"""A body that goes to a file is written in pieces of this size."""
PIECE_SECONDS = 30
"""Each such piece has to arrive within this time."""


class BodyError(SekishoError):
    """A body is too large (413), too slow (408), or one too many (503)."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Bodies:
    """The bodies of one port."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._held: dict[str, int] = {}
        self._bytes = 0

    @asynccontextmanager
    async def reading(self, scope: Scope, protocol: Any, limit: int) -> AsyncIterator[bytes]:
        """Yield the whole body, which counts as memory until the end; BodyError."""
        length = check_length(scope, limit)
        who, held = neighbourhood(scope.client.rpartition(":")[0].strip("[]")), [0]
        try:
            if 0 < length <= SMALL_BYTES:
                yield await self._read_at_once(protocol, who, length, held)
            else:
                yield await self._read(protocol, who, limit, held)
        finally:
            self._let_go(who, held[0])

    async def _read(self, protocol: Any, who: str, limit: int, held: list[int]) -> bytes:
        chunks = []
        try:
            async with asyncio.timeout(self._seconds):
                async for chunk in protocol:
                    self._hold(who, len(chunk), held)
                    if held[0] > limit:
                        raise _too_large(limit)
                    chunks.append(chunk)
        except TimeoutError:
            raise _too_slow(self._seconds) from None
        return b"".join(chunks)

    async def _read_at_once(self, protocol: Any, who: str, length: int, held: list[int]) -> bytes:
        """Read a small body in one go: half the cost, and memory is held for it from the start."""
        self._hold(who, length, held)
        try:
            async with asyncio.timeout(self._seconds):
                body: bytes = await protocol()
        except TimeoutError:
            raise _too_slow(self._seconds) from None
        return body

    def _hold(self, who: str, size: int, held: list[int]) -> None:
        mine = self._held[who] = self._held.get(who, 0) + size
        held[0] += size
        self._bytes += size
        if mine > NEIGHBOUR_BYTES or self._bytes > BODIES_BYTES:
            raise BodyError(503, "Too much is being sent to this server at once.")

    def _let_go(self, who: str, size: int) -> None:
        if size:
            self._bytes -= size
            left = self._held[who] = self._held[who] - size
            if not left:
                del self._held[who]


async def spool(protocol: Any, file: IO[bytes], limit: int, seconds: float) -> int:
    """Write a body to *file*, piece by piece; return its size. BodyError also below the rate."""
    loop = asyncio.get_running_loop()
    end, size, piece = loop.time() + seconds, 0, bytearray()
    try:
        async with asyncio.timeout(min(PIECE_SECONDS, seconds)) as deadline:
            async for chunk in protocol:
                size += len(chunk)
                if size > limit:
                    raise _too_large(limit)
                piece += chunk
                if len(piece) >= PIECE_BYTES:
                    await asyncio.to_thread(file.write, bytes(piece))
                    piece.clear()
                    deadline.reschedule(min(loop.time() + PIECE_SECONDS, end))
    except TimeoutError:
        raise _too_slow(min(PIECE_SECONDS, seconds)) from None
    await asyncio.to_thread(file.write, bytes(piece))
    file.seek(0)
    return size


def check_length(scope: Scope, limit: int) -> int:
    """Return the length that the request itself says, 0 when it says none.

    Raises BodyError when that is more than *limit*.
    """
    given = scope.headers.get("content-length")
    length = int(given[:20]) if given is not None and given.isdecimal() else 0
    if length > limit:
        raise _too_large(limit)
    return length


@lru_cache(4096)
def neighbourhood(address: str) -> str:
    """Return what counts as one asker: the IPv4 address, or the /64 of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def _too_large(limit: int) -> BodyError:
    return BodyError(413, f"The body is larger than the {limit} bytes allowed here.")


def _too_slow(seconds: float) -> BodyError:
    return BodyError(408, f"The body did not arrive within {seconds:g} seconds.")
