"""Files that are made while they are asked for: piece by piece to disk, from there to the reader.

Memory stays small however long the file is, and no thread waits for a slow reader: granian sends it
(what it is given as a stream it holds in memory until it is read). Nobody can take all places, and
none for ever. The length is known before the first byte: a file that could not be made is an error,
and one that breaks off on its way is noticed, which a stream of unknown length would hide.

Granian opens the file by a name that no other file ever gets: by the number of a descriptor, which
the next file may get, one that opens late would send somebody another one's file.
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

MOST_MADE, MOST_MADE_EACH = 8, 2
"""At the same time, in all and for one administrator: each reads the database."""
MOST_SENT, MOST_SENT_EACH = 64, 8
"""The same; each holds disk until it is sent."""
SENT_SECONDS = 3600.0
"""Whoever reads longer is cut off."""
SMALL_BYTES = 256 * 1024
"""Files up to this size are sent from memory, as pages are."""
HELD_SECONDS = 5.0
"""So soon the server has opened the file."""
PREFIX = "sending-"
OPEN_FILES = "/proc/self/fd"
TOO_MANY = (
    f"Too many files are being made or sent: for one administrator {MOST_MADE_EACH} are made and "
    f"{MOST_SENT_EACH} sent at a time. Try again in a minute."
)

Work = Callable[..., Awaitable[Any]]
"""Runs a function in a thread, however long it waits for one: what was begun is not refused."""


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
        self._making: list[object] = []
        self._sent: dict[asyncio.Task[None], object] = {}
        for left_over in folder.glob(f"{PREFIX}*"):  # of a process that was killed
            left_over.unlink(missing_ok=True)

    async def send(self, protocol: Any, begun: Begun, who: object) -> None:
        """Make the file and let the server send it; BodyError when too many are under way."""
        if not self._has_room(who):
            begun.close()
            raise BodyError(503, TOO_MANY)
        self._making.append(who)
        gone = asyncio.ensure_future(protocol.client_disconnect())
        try:
            with ExitStack() as stack:
                file = stack.enter_context(
                    tempfile.NamedTemporaryFile(dir=self._folder, prefix=PREFIX)
                )
                size = await self._make(begun, file, gone)
                if gone.done():
                    return
                headers = [*begun.headers, ("Content-Length", str(size))]
                if size <= SMALL_BYTES:
                    file.seek(0)
                    protocol.response_bytes(begun.status, headers, file.read())
                    return
                protocol.response_file(begun.status, headers, file.name)
                self._keep(file, stack.pop_all(), who)
        finally:
            self._making.remove(who)
            gone.cancel()

    def _has_room(self, who: object) -> bool:
        making, sent = self._making, list(self._sent.values())
        for_all = len(making) < MOST_MADE and len(sent) < MOST_SENT
        return for_all and making.count(who) < MOST_MADE_EACH and sent.count(who) < MOST_SENT_EACH

    def _keep(self, file: IO[bytes], stack: ExitStack, who: object) -> None:
        """Hold the file, and its disk, until it is sent."""
        task = asyncio.create_task(_until_sent(file))
        self._sent[task] = who
        task.add_done_callback(self._sent.pop)
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
    """Wait until nobody else has the file open, or for as long as anybody may read."""
    clock = asyncio.get_running_loop().time
    end = clock() + SENT_SECONDS
    await asyncio.sleep(HELD_SECONDS)
    while _is_open_elsewhere(file):
        if clock() >= end:
            os.ftruncate(file.fileno(), 0)  # the disk is free; less comes than the length said
            return
        await asyncio.sleep(HELD_SECONDS)


def _is_open_elsewhere(file: IO[bytes]) -> bool:
    mine, others = os.fstat(file.fileno()), 0
    for number in Path(OPEN_FILES).iterdir():
        with suppress(OSError):
            others += os.path.samestat(mine, os.fstat(int(number.name)))
    return others > 1
