"""Writes ZIP archives field by field, honest unless told otherwise (PKWARE APPNOTE 4.3)."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry; None means: as it really is."""

    name: bytes
    body: bytes
    method: int = 8
    """How the data is really packed: 0 or 8."""
    told_method: int | None = None
    local_method: int | None = None
    flags: int = 0
    local_flags: int | None = None
    version: int = 20
    crc: int | None = None
    packed_bytes: int | None = None
    size_bytes: int | None = None
    local_packed: int | None = None
    local_size: int | None = None
    local_name: bytes | None = None
    extra: bytes = b""
    local_extra: bytes = b""
    extra_length: int | None = None
    comment: bytes = b""
    disk: int = 0
    after: bytes = b""
    """Bytes behind the data, as a data descriptor."""
    listed: bool = True
    at: int | None = None
    """Where the directory says the local header is."""

    def packed(self) -> bytes:
        """Return the data as it stands in the archive."""
        if self.method == 0:
            return self.body
        stream = zlib.compressobj(9, zlib.DEFLATED, -15)
        return stream.compress(self.body) + stream.flush()


@dataclass(frozen=True, kw_only=True)
class Zip:
    """One archive; None means: as it really is."""

    entries: Sequence[Entry]
    prefix: bytes = b""
    counts_prefix: bool = True
    """Whether the offsets are those of the whole file."""
    gap: bytes = b""
    """Bytes between the entries and the directory."""
    told: int | None = None
    start: int | None = None
    size: int | None = None
    disk: int = 0
    comment: bytes = b""
    comment_length: int | None = None
    wide: bool = False
    """Whether the end record refers to a ZIP64 one."""
    tail: bytes = b""

    def bytes(self) -> bytes:
        """Write the archive."""
        out = bytearray(self.prefix)
        base = 0 if self.counts_prefix else len(self.prefix)
        central = bytearray()
        for entry in self.entries:
            at = len(out) - base
            out += _local(entry) + entry.packed() + entry.after
            if entry.listed:
                central += _central(entry, at if entry.at is None else entry.at)
        out += self.gap
        start = len(out) - base if self.start is None else self.start
        size = len(central) if self.size is None else self.size
        told = sum(entry.listed for entry in self.entries) if self.told is None else self.told
        out += central
        if self.wide:
            at = len(out) - base
            out += b"PK\x06\x06" + struct.pack(
                "<QHHIIQQQQ", 44, 45, 45, 0, 0, told, told, size, start
            )
            out += b"PK\x06\x07" + struct.pack("<IQI", 0, at, 1)
            told, size, start = 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF
        length = len(self.comment) if self.comment_length is None else self.comment_length
        out += END + struct.pack("<HHHHIIH", self.disk, 0, told, told, size, start, length)
        return bytes(out + self.comment + self.tail)


def extra(kind: int, body: bytes) -> bytes:
    """Return one extra field."""
    return struct.pack("<HH", kind, len(body)) + body


def _or(told: int | None, real: int) -> int:
    return real if told is None else told


def _local(entry: Entry) -> bytes:
    packed = entry.packed()
    name = entry.name if entry.local_name is None else entry.local_name
    return (
        LOCAL
        + struct.pack(
            "<HHHIIIIHH",
            entry.version,
            _or(entry.local_flags, entry.flags),
            _or(entry.local_method, _or(entry.told_method, entry.method)),
            0,
            _or(entry.crc, zlib.crc32(entry.body)),
            _or(entry.local_packed, _or(entry.packed_bytes, len(packed))),
            _or(entry.local_size, _or(entry.size_bytes, len(entry.body))),
            len(name),
            _or(entry.extra_length, len(entry.local_extra)),
        )
        + name
        + entry.local_extra
    )


def _central(entry: Entry, at: int) -> bytes:
    return (
        CENTRAL
        + struct.pack(
            "<HHHHIIIIHHHHHII",
            20,
            entry.version,
            entry.flags,
            _or(entry.told_method, entry.method),
            0,
            _or(entry.crc, zlib.crc32(entry.body)),
            _or(entry.packed_bytes, len(entry.packed())),
            _or(entry.size_bytes, len(entry.body)),
            len(entry.name),
            len(entry.extra),
            len(entry.comment),
            entry.disk,
            0,
            0,
            at,
        )
        + entry.name
        + entry.extra
        + entry.comment
    )
