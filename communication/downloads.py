"""The agent package as the download page hands it out: with management's values inside.

Only the end of the file is made anew: signing block, central directory, end record; that happens
once for each package and values. All before it is streamed from the disk as it is.
"""

import asyncio
import hashlib
import logging
import os
import re
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from communication.answer import Answer, from_error, later
from communication.files import Files
from contracts import codec, signing_block
from contracts.download import Download
from runtime.errors import MalformedMessageError, NotFoundError, SekishoError
from runtime.wsgi import Header, Scope

log = logging.getLogger(__name__)
PATH = "/mobile/agent.apk"
PIECE_BYTES = 512 * 1024
MOST_AT_ONCE = 200
PIECE_SECONDS = 60
"""A client that takes longer for one piece is given up."""
_RANGE = re.compile(r"bytes=(\d{1,12})-")
TYPE = "application/vnd.android.package-archive"


@dataclass(frozen=True, slots=True)
class Package:
    """A file to be streamed: so much of *path* from its beginning, then *tail*."""

    path: Path
    head_bytes: int
    tail: bytes
    tag: str

    @property
    def size(self) -> int:
        """Bytes in all."""
        return self.head_bytes + len(self.tail)


class Downloads:
    """See the module."""

    def __init__(self, folder: Path, files: Files) -> None:
        self._place, self._files = folder / "download.json", files
        self._lock = threading.Lock()
        self._current = self._read()
        self._packages: dict[bool, Package] = {}
        self._running = 0

    @property
    def current(self) -> Download | None:
        """What management said last."""
        return self._current

    def put(self, download: Download) -> None:
        """Keep what the page offers from now on, durably."""
        draft = self._place.with_suffix(".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(codec.write(download))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._place)
        with self._lock:
            self._current, self._packages = download, {}

    def package(self, plain: bool) -> Package:
        """Return the package, with the values inside unless *plain*; NotFoundError without one."""
        with self._lock:
            known = self._packages.get(plain)
            if known is None:
                known = self._packages[plain] = self._make(plain)
            return known

    async def stream(self, scope: Scope, protocol: Any, plain: bool) -> int:
        """Answer a request for the package and return the status."""
        try:
            package = await asyncio.to_thread(self.package, plain)
        except SekishoError as error:
            return _whole(protocol, from_error(error))
        if self._running >= MOST_AT_ONCE:
            return _whole(protocol, later("Too many devices download at the moment."))
        status, start, headers = _how(package, scope.headers.get("range") or "")
        if scope.method == "HEAD" or status == 416:
            protocol.response_empty(status, headers)
            return status
        self._running += 1
        try:
            transport = protocol.response_stream(status, headers)
            async for piece in _pieces(package, start):
                async with asyncio.timeout(PIECE_SECONDS):
                    await transport.send_bytes(piece)
        except (TimeoutError, OSError, RuntimeError) as error:  # the client went away
            log.info("A download broke off", extra={"because": type(error).__name__})
        finally:
            self._running -= 1
        return status

    def _make(self, plain: bool) -> Package:
        offered = self._current
        path = self._files.find(offered.sha256) if offered and offered.sha256 else None
        if offered is None or path is None:
            raise NotFoundError("This server has no agent package to hand out yet.")
        if plain or offered.values is None:
            return Package(path, path.stat().st_size, b"", f"{offered.sha256}")
        return with_values(path, offered.values.encode("ascii"))

    def _read(self) -> Download | None:
        try:
            return codec.read(Download, self._place.read_bytes())
        except (FileNotFoundError, MalformedMessageError):
            return None  # management brings it again


def with_values(path: Path, values: bytes) -> Package:
    """Return how to send the package at *path* with *values* inside; its signatures stay valid."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - signing_block.END_BYTES))
        end = signing_block.find_end(file.read(), size)
        file.seek(max(0, end.directory_offset - signing_block.FOOTER_BYTES))
        length = signing_block.block_bytes(file.read(signing_block.FOOTER_BYTES))
        begin = end.directory_offset - length
        if begin < 0:
            raise MalformedMessageError("The package's signing block begins before the file.")
        file.seek(begin)
        block = signing_block.with_value(file.read(length), values)
        directory = file.read(end.end_offset - end.directory_offset)
        moved = signing_block.moved_end(file.read(), begin + len(block))
    tail = block + directory + moved
    return Package(path, begin, tail, hashlib.sha256(tail).hexdigest())


def _how(package: Package, asked: str) -> tuple[int, int, list[Header]]:
    """Return status, first byte and headers; a download that broke off goes on where it ended."""
    found = _RANGE.fullmatch(asked)
    start = int(found[1]) if found else 0
    headers = [
        ("Content-Type", TYPE),
        ("Content-Disposition", 'attachment; filename="agent.apk"'),
        ("Accept-Ranges", "bytes"),
        ("ETag", f'"{package.tag[:32]}"'),
        ("Cache-Control", "no-cache"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    if start >= package.size:
        return 416, 0, [*headers, ("Content-Range", f"bytes */{package.size}")]
    headers.append(("Content-Length", str(package.size - start)))
    if not found:
        return 200, 0, headers
    span = f"bytes {start}-{package.size - 1}/{package.size}"
    return 206, start, [*headers, ("Content-Range", span)]


async def _pieces(package: Package, start: int) -> AsyncIterator[bytes]:
    with package.path.open("rb") as file:
        file.seek(start)
        while (left := package.head_bytes - file.tell()) > 0:
            piece = await asyncio.to_thread(file.read, min(PIECE_BYTES, left))
            if not piece:
                raise OSError("The package on disk became shorter.")
            yield piece
    skipped = max(0, start - package.head_bytes)
    for place in range(skipped, len(package.tail), PIECE_BYTES):
        yield package.tail[place : place + PIECE_BYTES]


def _whole(protocol: Any, answer: Answer) -> int:
    protocol.response_bytes(answer.status, answer.headers, answer.body)
    return answer.status
