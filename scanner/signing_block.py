"""The APK signing block in front of the central directory, and the words all schemes share.

https://source.android.com/docs/security/features/apksigning/v2#apk-signing-block defines it.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from scanner import der
from scanner.zip_records import Buffer, Directory

MAGIC = b"APK Sig Block 42"
V2, V3, V31 = 0x7109871A, 0xF05368C0, 0x1B93AD61
SCHEMES = {V2: "v2", V3: "v3", V31: "v3.1"}
FIRST_SDK = {"v1": 1, "v2": 24, "v3": 28, "v3.1": 33}
"""The API level from which Android reads a scheme."""
EVERY_LATER_SDK = 0x7FFFFFFF
MAXIMUM_PAIRS = 10_000


class BrokenSignatureError(Exception):
    """The signature does not hold; the text says why. Stays inside the scanner."""


class Signature(NamedTuple):
    """One signer's verified signature."""

    certificate: der.Certificate
    minimum_sdk: int = 1
    maximum_sdk: int = EVERY_LATER_SDK
    past: tuple[der.Certificate, ...] = ()
    """The signer's earlier certificates that led to this one, the oldest first."""
    rotation_sdk: int | None = None
    """Scheme v3: from this API level on, a v3.1 signature must be there."""
    digests: tuple[str, ...] = ()


class Scheme(NamedTuple):
    """One scheme's outcome; *problem* empty: every signer of it was verified."""

    name: str
    signatures: tuple[Signature, ...] = ()
    problem: str = ""


class Block(NamedTuple):
    """The signing block: where it starts, and its pairs, of each id the first, as Android reads."""

    start: int
    pairs: dict[int, bytes]
    oddities: tuple[str, ...] = ()


def find_block(data: Buffer, directory: Directory) -> Block:
    """Return the block before the central directory; one without pairs: Android would see none."""
    end = directory.start
    if end < 32 or data[end - 16 : end] != MAGIC:
        return Block(0, {})
    if directory.is_wide:
        return Block(0, {}, ("Android looks for none in a ZIP64 archive",))
    if end + directory.size != directory.end_at:
        return Block(0, {}, ("the directory does not end where the end record begins",))
    (size,) = struct.unpack_from("<Q", data, end - 24)
    start = end - size - 8
    if size < 24 or start < 0 or struct.unpack_from("<Q", data, start)[0] != size:
        return Block(0, {}, ("its two sizes differ",))
    return Block(start, *_pairs(data[start + 8 : end - 24]))


def _pairs(body: bytes) -> tuple[dict[int, bytes], tuple[str, ...]]:
    pairs: dict[int, bytes] = {}
    odd: dict[str, None] = {}
    at = 0
    for _ in range(MAXIMUM_PAIRS):
        if at + 12 > len(body):
            break
        size, number = struct.unpack_from("<QI", body, at)
        if size < 4 or at + 8 + size > len(body):
            odd[f"the pair at {at:#x} has an impossible size"] = None
            break
        if number in pairs:
            odd[f"the id {number:#010x} stands in it twice"] = None
        pairs.setdefault(number, body[at + 12 : at + 8 + size])
        at += 8 + size
    if at < len(body) and not odd:
        odd["bytes follow its last pair"] = None
    return pairs, tuple(odd)


def number_at(data: bytes, at: int = 0) -> int:
    """Return the 32-bit number at offset *at*; raises BrokenSignatureError when cut off."""
    if at + 4 > len(data):
        raise BrokenSignatureError("it is cut off")
    number: int = struct.unpack_from("<I", data, at)[0]
    return number


def prefixed(data: bytes) -> tuple[bytes, bytes]:
    """Return the length-prefixed value at the start, and what follows it."""
    size = number_at(data)
    if 4 + size > len(data):
        raise BrokenSignatureError("a length in it is too large")
    return data[4 : 4 + size], data[4 + size :]


def sequence(data: bytes) -> Iterator[bytes]:
    """Yield the length-prefixed values that follow one another."""
    view = memoryview(data)
    at = 0
    while at < len(data):
        size = number_at(data, at)
        if at + 4 + size > len(data):
            raise BrokenSignatureError("a length in it is too large")
        yield bytes(view[at + 4 : at + 4 + size])
        at += 4 + size
