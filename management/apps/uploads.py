"""Uploaded files in the data folder: named by their SHA-256, readable by this user only."""

import hashlib
import os
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from management.apps.rules import LARGEST_APP_BYTES
from runtime.errors import MalformedMessageError, TooLargeError

PIECE_BYTES = 1024 * 1024
KEPT_SECONDS = 8 * 24 * 3600
"""An unfinished file stays so long; devices have seven days to send one."""


class Stream(Protocol):
    """What can be read piece by piece."""

    def read(self, size: int, /) -> bytes:
        """Return at most *size* bytes; nothing at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Received:
    """A file that arrived whole."""

    sha256: str
    size_bytes: int


def file_of(home: Path, sha256: str) -> Path:
    """Return where the file with this hash lies below the data folder *home*."""
    return home / "uploads" / f"{sha256}.apk"


def receive(home: Path, stream: Stream, most: int = LARGEST_APP_BYTES) -> Received:
    """Write *stream* to its place below *home*, wholly or not at all; the same file is kept once.

    Raises TooLargeError above *most* bytes, MalformedMessageError for an empty file.
    """
    folder = home / "uploads"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _sweep(folder)
    handle, name = tempfile.mkstemp(prefix=".receiving-", dir=folder)  # mode 0600
    unfinished = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            received = _copy(stream, file, most)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(file_of(home, received.sha256))
    finally:
        unfinished.unlink(missing_ok=True)
    return received


def _sweep(folder: Path) -> None:
    """Delete what broke off so long ago that nobody goes on with it: a kill leaves such files."""
    for path in folder.glob(".*"):
        with suppress(FileNotFoundError):  # another upload may sweep too
            if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                path.unlink()


def _copy(stream: Stream, file: BinaryIO, most: int) -> Received:
    digest, size = hashlib.sha256(), 0
    while piece := stream.read(PIECE_BYTES):
        size += len(piece)
        if size > most:
            raise TooLargeError(f"The file is larger than {most // 1024**2} MiB, the limit.")
        digest.update(piece)
        file.write(piece)
    if not size:
        raise MalformedMessageError("The file is empty. Choose the app's file again.")
    return Received(digest.hexdigest(), size)


def forget(home: Path, sha256: str) -> None:
    """Delete the file, if it is there."""
    file_of(home, sha256).unlink(missing_ok=True)
