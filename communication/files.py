"""Files that lie here for devices, and parts of files that devices left for management.

Everything is named by its content or by management, bounded, and durable before it is confirmed.
"""

import hashlib
import os
import re
import threading
from datetime import datetime
from pathlib import Path
from uuid import UUID

from communication.limits import FullError
from contracts import codec
from contracts.files import (
    MOST_PARTS,
    SEALED_PART_BYTES,
    ExpectedUpload,
    HeldFile,
    WaitingUpload,
)
from runtime.errors import ForbiddenError, MalformedMessageError, NotFoundError, RefusedError

_NAME = re.compile(r"[0-9a-f]{64}")


class Files:
    """Apps of the store: each under its SHA-256, unfinished ones with ``.part``."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder, self._most_bytes = folder, most_bytes
        self._lock = threading.Lock()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def held(self) -> tuple[HeldFile, ...]:
        """Return what is here."""
        return tuple(
            HeldFile(
                sha256=path.name[:64],
                received_bytes=path.stat().st_size,
                whole=path.suffix != ".part",
            )
            for path in sorted(self._folder.iterdir())
        )

    def append(self, sha256: str, offset: int, size_bytes: int, body: bytes) -> HeldFile:
        """Keep the next piece of a file of *size_bytes*; the last one completes it.

        RefusedError when *offset* is not where the file ends, FullError when there is no room,
        MalformedMessageError when the whole is not what its name says: then it is gone.
        """
        part, whole = self._part(sha256), self._whole(sha256)
        with self._lock:
            if whole.exists():
                return HeldFile(sha256=sha256, received_bytes=size_bytes, whole=True)
            received = part.stat().st_size if part.exists() else 0
            if offset != received or received + len(body) > size_bytes or not body:
                raise RefusedError(f"The file goes on at {received} of {size_bytes} bytes.")
            self._make_sure_of_room(len(body))
            _append(part, body)
            received += len(body)
            if received < size_bytes:
                return HeldFile(sha256=sha256, received_bytes=received, whole=False)
            self._complete(sha256)
            return HeldFile(sha256=sha256, received_bytes=received, whole=True)

    def read(self, sha256: str, offset: int, length: int) -> tuple[bytes, int]:
        """Return a piece of a whole file, and its size; NotFoundError when it is not here."""
        try:
            with self._whole(sha256).open("rb") as file:
                file.seek(offset)
                return file.read(length), os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            raise NotFoundError("This file does not lie here (yet). Ask again later.") from None

    def find(self, sha256: str) -> Path | None:
        """Return where a whole file lies; None when it is not here."""
        path = self._whole(sha256)
        return path if path.exists() else None

    def forget(self, sha256: str) -> None:
        """Delete the file, whole or not."""
        self._whole(sha256).unlink(missing_ok=True)
        self._part(sha256).unlink(missing_ok=True)

    def _complete(self, sha256: str) -> None:
        part = self._part(sha256)
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != sha256:
            part.unlink()
            raise MalformedMessageError(f"The file is {digest}, not {sha256}; send it again.")
        part.replace(self._whole(sha256))

    def _make_sure_of_room(self, size: int) -> None:
        taken = sum(path.stat().st_size for path in self._folder.iterdir())
        if taken + size > self._most_bytes:
            raise FullError(
                f"The files of the app store take {taken // 1024**2} MiB, all that this server "
                "gives them (SEKISHO_COMMUNICATION_FILES_BYTES)."
            )

    def _whole(self, sha256: str) -> Path:
        if not _NAME.fullmatch(sha256):
            raise NotFoundError("No file has this name.")
        return self._folder / sha256

    def _part(self, sha256: str) -> Path:
        return self._whole(sha256).with_suffix(".part")


class Uploads:
    """Files on their way up: a folder for each that management expects, a file for each part."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder, self._most_bytes = folder, most_bytes
        self._lock = threading.Lock()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def expect(self, upload_id: UUID, expected: ExpectedUpload) -> None:
        """Let one device leave the parts of one upload; safe to repeat."""
        folder = self._of(upload_id)
        with self._lock:
            folder.mkdir(mode=0o700, exist_ok=True)
            _write(folder / "expected.json", codec.write(expected))

    def put_part(
        self, upload_id: UUID, device: UUID, number: int, body: bytes, now: datetime
    ) -> None:
        """Keep a part; the same number again replaces it.

        NotFoundError when management does not expect it, ForbiddenError when it is another device's
        or more than expected, FullError when there is no room.
        """
        with self._lock:  # management may forget the upload at the same moment
            expected = self._expected(upload_id, device, now)
            if not 0 <= number < expected.most_parts or not 0 < len(body) <= SEALED_PART_BYTES:
                raise ForbiddenError("Management expects no part of this number or size.")
            taken = sum(path.stat().st_size for path in self._folder.glob("*/*"))
            if taken + len(body) > self._most_bytes:
                raise FullError("Files of devices take too much room here; try again later.")
            _write(self._of(upload_id) / f"{number:05}", body)

    def parts(self, upload_id: UUID, device: UUID, now: datetime) -> tuple[int, ...]:
        """Return which parts of a device's upload are here; errors as `put_part`."""
        self._expected(upload_id, device, now)
        return _numbers(self._of(upload_id))

    def waiting(self) -> tuple[WaitingUpload, ...]:
        """Return what lies here for management."""
        return tuple(
            WaitingUpload(upload_id=UUID(folder.name), parts=_numbers(folder))
            for folder in sorted(self._folder.iterdir())
        )

    def read(self, upload_id: UUID, number: int) -> bytes:
        """Return a part; NotFoundError when it is not here."""
        try:
            return (self._of(upload_id) / f"{number:05}").read_bytes()
        except OSError:
            raise NotFoundError("This part does not lie here.") from None

    def forget(self, upload_id: UUID) -> None:
        """Delete an upload and expect it no longer."""
        folder = self._of(upload_id)
        with self._lock:
            for path in folder.glob("*"):
                path.unlink(missing_ok=True)
            if folder.exists():
                folder.rmdir()

    def _expected(self, upload_id: UUID, device: UUID, now: datetime) -> ExpectedUpload:
        try:
            body = (self._of(upload_id) / "expected.json").read_bytes()
        except OSError:
            raise NotFoundError("Management expects no such upload here (yet).") from None
        expected = codec.read(ExpectedUpload, body)
        if expected.device_id != device or now >= expected.until:
            raise ForbiddenError("Management does not expect this upload from this device now.")
        return expected

    def _of(self, upload_id: UUID) -> Path:
        return self._folder / str(upload_id)


def _numbers(folder: Path) -> tuple[int, ...]:
    found = sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())
    return tuple(found[:MOST_PARTS])


def _append(path: Path, body: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())


def _write(path: Path, body: bytes) -> None:
    """Replace the file in one step, durably."""
    draft = path.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
