"""A value of our own inside a signed APK, without signing it again.

The APK Signing Block holds pairs of id and value in front of the ZIP's central directory; signature
schemes v2 and later cover everything but the block itself, and verifiers skip ids that they do not
know: https://source.android.com/docs/security/features/apksigning/v2#apk-signing-block. The block
keeps its size a multiple of 4096 by a padding pair, as Android's own tools do for fs-verity.

Pure: nothing here reads a file. Only the end of the file is looked at, within bounds; what is in
the archive is the scanner's business.
"""

import struct
from dataclasses import dataclass

from runtime.errors import MalformedMessageError, TooLargeError

OURS = 0x53454B49
"""``SEKI``."""
PADDING = 0x42726577
PAGE = 4096
MAGIC = b"APK Sig Block 42"
FOOTER_BYTES = 24
MOST_BLOCK_BYTES = 16 * 1024 * 1024
MOST_DIRECTORY_BYTES = 64 * 1024 * 1024
MOST_VALUE_BYTES = 64 * 1024
END_BYTES = 22 + 0xFFFF
"""So much of the end of a file is enough to find the end of its central directory."""
_END = struct.Struct("<4s4H2IH")
_END_MAGIC = b"PK\x05\x06"
_PAIR = struct.Struct("<QI")


@dataclass(frozen=True, slots=True)
class End:
    """Where the parts at the end of an APK lie."""

    directory_offset: int
    end_offset: int
    """Of the end-of-central-directory record; it reaches to the end of the file."""


def find_end(tail: bytes, file_bytes: int) -> End:
    """Return where the central directory lies, by the last bytes of a file of *file_bytes*."""
    for place in range(len(tail) - _END.size, max(-1, len(tail) - END_BYTES - 1), -1):
        if tail[place : place + 4] != _END_MAGIC:
            continue
        fields = _END.unpack_from(tail, place)
        directory_bytes, directory_offset, comment_bytes = fields[5], fields[6], fields[7]
        at = file_bytes - len(tail) + place
        if place + _END.size + comment_bytes != len(tail):
            continue
        if directory_offset + directory_bytes != at or directory_bytes > MOST_DIRECTORY_BYTES:
            raise MalformedMessageError("The file's central directory is not where it should be.")
        return End(directory_offset, at)
    raise MalformedMessageError("The file is no ZIP archive: its end is missing.")


def block_bytes(footer: bytes) -> int:
    """Return the size of the whole signing block, by the 24 bytes before the central directory."""
    if len(footer) != FOOTER_BYTES or footer[8:] != MAGIC:
        raise MalformedMessageError("The package has no signature of scheme v2 or later.")
    size = int.from_bytes(footer[:8], "little") + 8
    if not FOOTER_BYTES + 8 <= size <= MOST_BLOCK_BYTES:
        raise TooLargeError("The package's signing block has an impossible size.")
    return size


def read_pairs(block: bytes) -> list[tuple[int, bytes]]:
    """Return (id, value) of each pair; MalformedMessageError when the block does not add up."""
    inside, found, place = len(block) - FOOTER_BYTES, list[tuple[int, bytes]](), 8
    if block_bytes(block[inside:]) != len(block) or int.from_bytes(block[:8], "little") + 8 != len(
        block
    ):
        raise MalformedMessageError("The package's signing block does not add up.")
    while place < inside:
        if inside - place < _PAIR.size:
            raise MalformedMessageError("The package's signing block ends within a pair.")
        length, pair_id = _PAIR.unpack_from(block, place)
        if not 4 <= length <= inside - place - 8:
            raise MalformedMessageError("A pair of the package's signing block is too long.")
        found.append((pair_id, block[place + _PAIR.size : place + 8 + length]))
        place += 8 + length
    return found


def read_value(block: bytes) -> bytes | None:
    """Return our value; None when there is none. Two of them are none of ours."""
    values = [value for pair_id, value in read_pairs(block) if pair_id == OURS]
    return values[0] if len(values) == 1 else None


def with_value(block: bytes, value: bytes) -> bytes:
    """Return the block with *value* as ours in place of another; all other pairs stay."""
    if len(value) > MOST_VALUE_BYTES:
        raise TooLargeError(f"At most {MOST_VALUE_BYTES} bytes go into a package.")
    kept = [pair for pair in read_pairs(block) if pair[0] not in (OURS, PADDING)]
    pairs = b"".join(_pair(*pair) for pair in (*kept, (OURS, value)))
    pairs += _padding(8 + len(pairs) + FOOTER_BYTES)
    size = (len(pairs) + FOOTER_BYTES).to_bytes(8, "little")
    return size + pairs + size + MAGIC


def moved_end(end: bytes, directory_offset: int) -> bytes:
    """Return the end record for a central directory that lies elsewhere now."""
    if not 0 <= directory_offset < 0xFFFFFFFF:
        raise TooLargeError("The package would be larger than a ZIP archive may be.")
    return end[:16] + directory_offset.to_bytes(4, "little") + end[20:]


def _pair(pair_id: int, value: bytes) -> bytes:
    return _PAIR.pack(len(value) + 4, pair_id) + value


def _padding(size: int) -> bytes:
    """Return what brings a block of *size* bytes to the end of a page."""
    missing = -size % PAGE
    if missing == 0:
        return b""
    if missing < _PAIR.size:
        missing += PAGE
    return _pair(PADDING, bytes(missing - _PAIR.size))
