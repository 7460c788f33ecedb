"""Files that are made while they are asked for: piece by piece to disk, from there to the reader.

Memory stays small however long the file is, and no thread waits for a slow reader: granian sends it
(what it is given as a stream it holds in memory until it is read). The length is
known before the first byte: a file that could not be made is an error, and one that breaks off on
its way is noticed, which a stream of unknown length would hide.
"""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

from runtime.bodies import BodyError
from runtime.wsgi import Answer, Begun, Environ, whole

MOST_MADE = 8
"""At the same time: each reads the database."""
MOST_SENT = 64
"""At the same time: each holds disk until it is sent."""
HELD_SECONDS = 5.0
"""So soon the server has opened the file by its number."""
OPEN_FILES = "/proc/self/fd"

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
        self._making = 0
        self._sent: set[asyncio.Task[None]] = set()

    async def send(self, protocol: Any, begun: Begun) -> None:
        """Make the file and let the server send it; BodyError when too many are under way."""
        if self._making >= MOST_MADE or len(self._sent) >= MOST_SENT:
            begun.close()
            raise BodyError(503, "Too many files are being made or sent. Try again in a minute.")
        self._making += 1
        gone = asyncio.ensure_future(protocol.client_disconnect())
        try:
            with ExitStack() as stack:
                file = stack.enter_context(tempfile.TemporaryFile(dir=self._folder))  # no name
                size = await self._make(begun, file, gone)
                if not gone.done():
                    headers = [*begun.headers, ("Content-Length", str(size))]
                    protocol.response_file(begun.status, headers, f"{OPEN_FILES}/{file.fileno()}")
                    self._keep(file, stack.pop_all())
        finally:
            self._making -= 1
            gone.cancel()

    def _keep(self, file: IO[bytes], stack: ExitStack) -> None:
        """Hold the file, and its disk, until it is sent."""
        task = asyncio.create_task(_until_sent(file))
        self._sent.add(task)
        task.add_done_callback(self._sent.discard)
        task.add_done_callback(lambda _done: stack.close())

    async def _make(self, begun: Begun, file: IO[bytes], gone: "asyncio.Future[None]") -> int:
        parts = iter(begun.parts)
        try:
            while not gone.done() and await self._work(_write_next, parts, file):
                pass
        finally:
            begun.close()
        file.flush()
        return file.tell()


def _write_next(parts: Iterator[bytes], file: IO[bytes]) -> bool:
    """Write one part; false at the end."""
    part = next(parts, None)
    if part is not None:
        file.write(part)
    return part is not None


async def _until_sent(file: IO[bytes]) -> None:
    """Wait until nobody else has the file open."""
    await asyncio.sleep(HELD_SECONDS)
    while _is_open_elsewhere(file):
        await asyncio.sleep(HELD_SECONDS)


def _is_open_elsewhere(file: IO[bytes]) -> bool:
    mine, others = os.fstat(file.fileno()), 0
    for number in Path(OPEN_FILES).iterdir():
        with suppress(OSError):
            others += os.path.samestat(mine, os.fstat(int(number.name)))
    return others > 1
