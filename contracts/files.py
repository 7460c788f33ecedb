"""Files on their way: apps of the store down to devices, files that devices send up.

Downwards a file is public to whoever knows its SHA-256, which stands in a sealed order; the device
checks what it gets against that. Upwards a device encrypts each part with a key of its own
(AES-256-GCM, RFC 5116) that only its sealed report carries: the relay holds nothing it can read.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import Field

from contracts.types import Instant, Sha256
from runtime.errors import UnauthenticatedError

PART_BYTES = 2 * 1024 * 1024
"""One request carries so much of a file."""
SEALED_PART_BYTES = PART_BYTES + 16
LARGEST_FILE_BYTES = 512 * 1024 * 1024
MOST_PARTS = LARGEST_FILE_BYTES // PART_BYTES

FileSize = Annotated[int, Field(ge=1, le=LARGEST_FILE_BYTES)]
PartNumber = Annotated[int, Field(ge=0, lt=MOST_PARTS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldFile:
    """A file that a relay holds, or the beginning of one."""

    sha256: Sha256
    received_bytes: int
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldFiles:
    """Answer of ``GET /link/v1/files``."""

    v: int = 1
    files: Annotated[tuple[HeldFile, ...], Field(max_length=10_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedUpload:
    """Body of ``PUT /link/v1/uploads/<upload>``: this device may leave so many parts."""

    v: int = 1
    device_id: UUID
    most_parts: Annotated[int, Field(ge=1, le=MOST_PARTS)]
    until: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingUpload:
    """What a relay holds of an expected upload: the numbers of its parts."""

    upload_id: UUID
    parts: tuple[PartNumber, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingUploads:
    """Answer of ``GET /link/v1/uploads``."""

    v: int = 1
    uploads: Annotated[tuple[WaitingUpload, ...], Field(max_length=10_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldParts:
    """Answer of ``GET /agent/v1/uploads?upload=``: a device goes on with what is missing."""

    v: int = 1
    parts: tuple[PartNumber, ...]


def part_count(size_bytes: int) -> int:
    """Return in how many parts a file travels."""
    return -(-size_bytes // PART_BYTES)


def seal_part(key: bytes, upload_id: UUID, number: int, body: bytes) -> bytes:
    """Return part *number* encrypted; *key* is for this one upload, so a number is a nonce."""
    return AESGCM(key).encrypt(_nonce(number), body, upload_id.bytes)


def open_part(key: bytes, upload_id: UUID, number: int, sealed: bytes) -> bytes:
    """Return what `seal_part` was given; UnauthenticatedError for anything else."""
    try:
        return AESGCM(key).decrypt(_nonce(number), sealed, upload_id.bytes)
    except InvalidTag:
        raise UnauthenticatedError(f"Part {number} is not what the device sent.") from None


def write_key(key: bytes) -> str:
    """Return a key as text."""
    return urlsafe_b64encode(key).decode().rstrip("=")


def read_key(text: str) -> bytes:
    """Return the key in *text* (43 characters, as `write_key` gives)."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")
