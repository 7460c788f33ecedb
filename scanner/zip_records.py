"""The records of a ZIP archive as they stand in the file (PKWARE APPNOTE 4.3), nothing believed.

Every function bounds-checks, returns None for what is not there, and raises nothing.
"""

import mmap
import struct
from collections.abc import Iterator
from typing import NamedTuple

Buffer = bytes | mmap.mmap

LOCAL = b"PK\x03\x04"
CENTRAL = b"PK\x01\x02"
END = b"PK\x05\x06"
END_64 = b"PK\x06\x06"
LOCATOR_64 = b"PK\x06\x07"
END_BYTES = 22
LOCAL_BYTES = 30
CENTRAL_BYTES = 46
ENDS_TRIED = 8
_FULL = 0xFFFFFFFF

STORED = 0
DEFLATED = 8
ENCRYPTION_FLAGS = 0x2041
"""Encrypted, strongly encrypted, directory encrypted; Android looks at none of them."""
DESCRIPTOR_FLAG = 0x8


class Record(NamedTuple):
    """One entry, as the central directory or its local header describes it."""

    name: bytes
    flags: int
    method: int
    crc: int
    packed_bytes: int
    size_bytes: int
    at: int
    """Offset of the local header."""
    data_at: int
    """Offset of the data; 0 in a central record, which does not say."""
    version: int = 0
    """What a reader needs to know, by the record's own word."""
    disk: int = 0
    extra: bytes = b""


class Directory(NamedTuple):
    """One central directory and the end record that points to it."""

    end_at: int
    start: int
    """Offset of the first central record."""
    shift: int
    """How many bytes stand before the archive, by its own offsets."""
    records: list[Record]
    told: int
    """How many entries the end record tells of."""
    is_cut: bool
    """Whether there were more records than asked for."""
    size: int = 0
    """Bytes of the directory, as the end record tells."""
    is_last: bool = True
    """Whether the file ends with the end record's comment; Android takes no other."""
    is_wide: bool = False
    """Whether a ZIP64 locator stands before the end record."""
    disk: int = 0
    """The number of the disk that the end record tells of."""


def directories(data: Buffer, most: int) -> Iterator[Directory]:
    """Yield the directory of each end record near the end of *data*, the last record first."""
    floor = max(0, len(data) - END_BYTES - 0xFFFF)
    at, tried = len(data), 0
    while tried < ENDS_TRIED and (at := data.rfind(END, floor, at)) >= 0:
        tried += 1
        if at + END_BYTES <= len(data):
            found = (_directory(data, at, most, one) for one in _readings(data, at))
            yield from (directory for directory in found if directory is not None)


def _readings(data: Buffer, end_at: int) -> list[tuple[int, int, int]]:
    """Return (count, size, place) as the ZIP64 record says, then as the end record does.

    Android's native reader asks for the first only if size or place is full, its Java reader also
    if the count is.
    """
    told = struct.unpack_from("<HII", data, end_at + 10)
    wide = _end_64(data, end_at) if _FULL in told[1:] or told[0] == 0xFFFF else None
    if wide is None or wide[2] == told[2]:
        return [wide or told]
    return [wide, told]


def _directory(
    data: Buffer, end_at: int, most: int, reading: tuple[int, int, int]
) -> Directory | None:
    told, size, start = reading
    disk, comment = struct.unpack_from("<H14xH", data, end_at + 4)
    is_wide = end_at >= 20 and data[end_at - 20 : end_at - 16] == LOCATOR_64
    for candidate in (start, end_at - size):
        if 0 <= candidate <= len(data) - 4 and data[candidate : candidate + 4] == CENTRAL:
            records = _central_records(data, candidate, most)
            return Directory(
                end_at,
                candidate,
                candidate - start,
                records,
                told,
                is_cut=len(records) >= most,
                size=size,
                is_last=end_at + END_BYTES + comment == len(data),
                is_wide=is_wide,
                disk=disk,
            )
    return None


def _end_64(data: Buffer, end_at: int) -> tuple[int, int, int] | None:
    if end_at < 20 or data[end_at - 20 : end_at - 16] != LOCATOR_64:
        return None
    (at,) = struct.unpack_from("<Q", data, end_at - 12)
    if at + 56 > len(data) or data[at : at + 4] != END_64:
        return None
    told, size, start = struct.unpack_from("<QQQ", data, at + 32)
    return told, size, start


def _central_records(data: Buffer, at: int, most: int) -> list[Record]:
    records: list[Record] = []
    while len(records) < most and at + CENTRAL_BYTES <= len(data) and data[at : at + 4] == CENTRAL:
        version, flags, method, crc, packed, size = struct.unpack_from("<HHH4xIII", data, at + 6)
        name_bytes, extra_bytes, comment_bytes, disk, local_at = struct.unpack_from(
            "<HHHH6xI", data, at + 28
        )
        name_at = at + CENTRAL_BYTES
        name = data[name_at : name_at + name_bytes]
        extra = data[name_at + name_bytes : name_at + name_bytes + extra_bytes]
        if _FULL in (packed, size, local_at):
            size, packed, local_at = _wide(extra, size, packed, local_at)
        records.append(
            Record(name, flags, method, crc, packed, size, local_at, 0, version, disk, extra)
        )
        at = name_at + name_bytes + extra_bytes + comment_bytes
    return records


def _wide(extra: bytes, *narrow: int) -> tuple[int, ...]:
    """Replace the full 32-bit values by those of the ZIP64 extra field (APPNOTE 4.5.3)."""
    wide = list(narrow)
    body = next((body for kind, body in extra_fields(extra) if kind == 1), b"")
    at = 0
    for index, value in enumerate(narrow):
        if value == _FULL and at + 8 <= len(body):
            (wide[index],) = struct.unpack_from("<Q", body, at)
            at += 8
    return tuple(wide)


def extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (kind, body) of each extra field; a last one that is cut off is left out."""
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        if at + 4 + size > len(extra):
            return
        yield kind, extra[at + 4 : at + 4 + size]
        at += 4 + size


def local_record(data: Buffer, at: int) -> Record | None:
    """Return the local header at offset *at*, or None."""
    if at < 0 or at + LOCAL_BYTES > len(data) or data[at : at + 4] != LOCAL:
        return None
    version, flags, method, crc, packed, size, name_bytes, extra_bytes = struct.unpack_from(
        "<HHH4xIIIHH", data, at + 4
    )
    name_end = at + LOCAL_BYTES + name_bytes
    name, extra = data[at + LOCAL_BYTES : name_end], data[name_end : name_end + extra_bytes]
    data_at = name_end + extra_bytes
    if _FULL in (packed, size):
        size, packed = _wide(extra, size, packed)
    return Record(name, flags, method, crc, packed, size, at, data_at, version, 0, extra)


def looks_like_archive(data: Buffer) -> bool:
    """Whether *data* is an archive or carries one, perhaps behind other bytes."""
    if data[:4] == LOCAL:
        return True
    if data.find(END, max(0, len(data) - END_BYTES - 0xFFFF)) < 0:
        return False
    return any(
        local_record(data, record.at) or local_record(data, record.at + directory.shift)
        for directory in directories(data, 1)
        for record in directory.records
    )
