"""Files that are made while they are asked for: piece by piece to disk, from there to the reader.

Memory stays small however long the file is, and no thread waits for a slow reader. The length is
known before the first byte: a file that could not be made is an error, and one that breaks off on
its way is noticed, which a stream of unknown length would hide.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import IO, Any

from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]

from runtime.bodies import PIECE_BYTES, PIECE_SECONDS, BodyError
from runtime.wsgi import Answer, Begun, Environ, whole

MOST = 8
"""At the same time: each reads the database first and holds disk until it is sent."""

Work = Callable[..., Awaitable[Any]]
"""Runs a function in a thread; BodyError when all of them are taken."""


def answered(begun: Begun, request: Environ) -> Answer | Begun:
    """Return the whole answer, unless it is a file whose length nobody knows yet."""
    is_file = begun.status == 200 and all(
        name.lower() != "content-length" for name, _ in begun.headers
    )
    return begun if is_file and request["REQUEST_METHOD"] == "GET" else whole(begun)


class Files:
    """The files that one server makes and sends now."""

    def __init__(self, folder: Path, work: Work) -> None:
        self._folder, self._work = folder, work
        self._open = 0

    async def send(self, protocol: Any, begun: Begun) -> None:
        """Make the file and send it; BodyError when too many are under way."""
        if self._open >= MOST:
            begun.close()
            raise BodyError(
                503, f"{MOST} files are being made already. Try again when one is sent."
            )
        self._open += 1
        gone = asyncio.ensure_future(protocol.client_disconnect())
        try:
            with tempfile.TemporaryFile(dir=self._folder) as file:  # has no name: never left over
                size = await self._make(begun, file, gone)
                headers = [*begun.headers, ("Content-Length", str(size))]
                if not gone.done():
                    await _send(protocol.response_stream(begun.status, headers), file)
        except (ProtocolClosed, TimeoutError):
            pass  # the reader went away, or reads too slowly: the length tells it
        finally:
            self._open -= 1
            gone.cancel()

    async def _make(self, begun: Begun, file: IO[bytes], gone: "asyncio.Future[None]") -> int:
        parts = iter(begun.parts)
        try:
            while not gone.done() and await self._work(_write_next, parts, file):
                pass
        finally:
            begun.close()
        size = file.tell()
        file.seek(0)
        return size


def _write_next(parts: Iterator[bytes], file: IO[bytes]) -> bool:
    """Write one part; false at the end."""
    part = next(parts, None)
    if part is not None:
        file.write(part)
    return part is not None


async def _send(transport: Any, file: IO[bytes]) -> None:
    while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
        async with asyncio.timeout(PIECE_SECONDS):
            await transport.send_bytes(piece)
