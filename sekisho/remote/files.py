"""Files from and to the server: whole or not there, with progress on a terminal."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import click
import httpx

from runtime.errors import ConfigurationError
from sekisho.remote.client import FILE_SECONDS, Query, Remote, read_json

PIECE_BYTES = 256 * 1024
STDOUT = "-"


def download(remote: Remote, path: str, output: str, query: Query | None = None) -> None:
    """Store what GET answers as the file *output*; ``-`` writes it to standard output."""
    with remote.opened("GET", path, query, patience=FILE_SECONDS) as answer:
        save(answer, output)


def save(answer: httpx.Response, output: str) -> None:
    """Store an answer; what breaks off, or is broken off, leaves the old file as it was."""
    length = int(answer.headers.get("Content-Length") or 0)
    with _target(output) as file, _progress(length, "Receiving") as told:
        for piece in answer.iter_bytes(PIECE_BYTES):
            file.write(piece)
            told.update(len(piece))


def upload(remote: Remote, path: str, file: Path, query: Query | None = None) -> Any:
    """Send a file as it is and return what the server answers."""
    with _source(file) as opened:
        size = os.fstat(opened.fileno()).st_size
        return _upload(remote, path, opened, size, query)


def _upload(remote: Remote, path: str, opened: IO[bytes], size: int, query: Query | None) -> Any:
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    with _progress(size, "Sending") as told:
        pieces = _pieces(opened, told)
        with remote.opened("POST", path, query, pieces, headers, FILE_SECONDS) as answer:
            return read_json(answer)


def _source(file: Path) -> IO[bytes]:
    try:
        return file.open("rb")
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from None


def _pieces(file: IO[bytes], told: Any) -> Iterator[bytes]:
    while piece := file.read(PIECE_BYTES):
        yield piece
        told.update(len(piece))


@contextmanager
def _target(output: str) -> Iterator[IO[bytes]]:
    """Yield what takes the bytes."""
    if output == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    file = Path(output)
    try:
        is_other = file.exists() and not file.is_file()
        with file.open("wb") if is_other else _replacing(file) as opened:
            yield opened  # a pipe or /dev/null stays what it is
    except OSError as error:
        raise ConfigurationError(f"{output} cannot be written: {error.strerror}") from None


@contextmanager
def _replacing(file: Path) -> Iterator[IO[bytes]]:
    """Yield a draft (0600) that gets the file's name when it is whole; links stay."""
    file = Path(os.path.realpath(file))
    descriptor, draft = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "wb") as opened:
            yield opened
        Path(draft).replace(file)
    finally:
        Path(draft).unlink(missing_ok=True)


def _progress(length: int, label: str) -> Any:
    """Return a bar on standard error; where that is no terminal, or no length is known, nothing."""
    hidden = not length or not sys.stderr.isatty()
    return click.progressbar(length=length, label=label, file=sys.stderr, hidden=hidden)
