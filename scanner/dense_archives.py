"""How far compressed data and archives are what they say. Pure."""

import bz2
import lzma
import struct
import zlib

from scanner.dense_build import MOST_PIECES, Told, number

STEP = 64 * 1024
MOST_OUT = 16 << 20
"""Bytes that are unpacked to find an end; what is larger is believed, and told."""
_RAR_END = {4: 0x7B, 5: 5}


def inflated(data: bytes, at: int, told: Told) -> int:
    """Unpack gzip."""
    return _unpacked(zlib.decompressobj(16 + zlib.MAX_WBITS), data, at, told, zlib.error)


def bzip2(data: bytes, at: int, told: Told) -> int:
    """Unpack bzip2."""
    is_one = data[at + 4 : at + 10] == b"1AY&SY"
    return _unpacked(bz2.BZ2Decompressor(), data, at, told, OSError) if is_one else at


def xz(data: bytes, at: int, told: Told) -> int:
    """Unpack xz."""
    reader = lzma.LZMADecompressor(memlimit=256 << 20)
    return _unpacked(reader, data, at, told, lzma.LZMAError)


def _unpacked(reader: object, data: bytes, at: int, told: Told, error: type[Exception]) -> int:
    """Return where the stream ends, or where it is damaged."""
    first, out = at, 0
    try:
        while at < len(data) and not reader.eof:  # type: ignore[attr-defined]
            piece = data[at : at + STEP]
            at += len(piece)
            while True:
                made = len(reader.decompress(piece, STEP))  # type: ignore[attr-defined]
                out += made
                piece = getattr(reader, "unconsumed_tail", b"")
                if reader.eof or out > MOST_OUT or not _has_more(reader, piece, made):  # type: ignore[attr-defined]
                    break
            if out > MOST_OUT:
                told.is_unsure = True
                return len(data)
    except error:
        return first if at <= first + STEP else at - STEP
    return at - len(reader.unused_data)  # type: ignore[attr-defined]


def _has_more(reader: object, tail: bytes, made: int) -> bool:
    """Whether *reader* can give more without being fed."""
    return bool(tail) or (made > 0 and not getattr(reader, "needs_input", True))


def zstandard(data: bytes, at: int, told: Told) -> int:
    """Walk the blocks (RFC 8878); those that are stored as they are are not explained."""
    mark = data[at + 4]
    is_single = mark >> 5 & 1
    if mark & 8:
        return at
    at += 5 + (1 - is_single) + (0, 1, 2, 4)[mark & 3] + (is_single, 2, 4, 8)[mark >> 6]
    for _ in range(MOST_PIECES):
        word = int.from_bytes(data[at : at + 3], "little")
        kind, size = word >> 1 & 3, word >> 3
        if kind == 3 or size > 1 << 17 or at + 3 > len(data):
            return at
        if kind == 0:
            told.hole(at + 3, at + 3 + size)
        at += 3 + (1 if kind == 1 else size)
        if word & 1:
            return at + 4 * (mark >> 2 & 1)
    return at


def lz4(data: bytes, at: int, told: Told) -> int:
    """Walk the blocks of a frame; those that are stored as they are are not explained."""
    mark = data[at + 4]
    if mark >> 6 != 1:
        return at
    at += 7 + (mark & 8) + 4 * (mark & 1)
    for _ in range(MOST_PIECES):
        word = number("<I", data, at)
        size = word & 0x7FFFFFFF
        if size > 4 << 20:
            return at
        if word >> 31:
            told.hole(at + 4, at + 4 + size)
        at += 4 + size + (mark >> 2 & 4 if word else mark & 4)
        if not word:
            return at
    return at


def seven_zip(data: bytes, at: int, told: Told) -> int:
    """Return the end that the header gives, if both headers have their checksums."""
    crc, offset, size, other = struct.unpack_from("<IQQI", data, at + 8)
    end = at + 32 + offset + size
    is_whole = zlib.crc32(data[at + 12 : at + 32]) == crc and end <= len(data)
    return end if is_whole and zlib.crc32(data[at + 32 + offset : end]) == other else at


def rar(data: bytes, at: int, told: Told) -> int:
    """Walk the blocks of RAR, each with a checksum."""
    version = 5 if data[at + 6 : at + 8] == b"\x01\0" else 4
    first, at = at, at + (8 if version == 5 else 7)
    for _ in range(MOST_PIECES):
        kind, end = (_rar_5 if version == 5 else _rar_4)(data, at)
        if not end:
            return at if at > first + 8 else first
        at = end
        if kind == _RAR_END[version]:
            return at
    return at


def _rar_4(data: bytes, at: int) -> tuple[int, int]:
    """Return (kind, end) of a block; no end: it is none."""
    crc, kind, flags, size = struct.unpack_from("<HBHH", data, at)
    if size < 7 or zlib.crc32(data[at + 2 : at + size]) & 0xFFFF != crc:
        return kind, 0
    return kind, at + size + (number("<I", data, at + 7) if flags & 0x8000 else 0)


def _rar_5(data: bytes, at: int) -> tuple[int, int]:
    crc = number("<I", data, at)
    size, start = _growing(data, at + 4)
    end = start + size
    if not size or zlib.crc32(data[at + 4 : end]) != crc:
        return 0, 0
    kind, place = _growing(data, start)
    flags, place = _growing(data, place)
    if flags & 1:
        _, place = _growing(data, place)
    return kind, end + (_growing(data, place)[0] if flags & 2 else 0)


def _growing(data: bytes, at: int) -> tuple[int, int]:
    """Return (number, where it ends) of a number with seven bits in each byte."""
    value = 0
    for place in range(10):
        value |= (data[at + place] & 0x7F) << 7 * place
        if not data[at + place] & 0x80:
            return value, at + place + 1
    return 0, at + 10


def empty_zip(data: bytes, at: int, told: Told) -> int:
    """Return the end of an archive without entries; its comment is not explained."""
    end = at + 22 + number("<H", data, at + 20)
    told.hole(at + 22, min(end, len(data)))
    return end if data[at + 4 : at + 20] == bytes(16) else at


def unity(data: bytes, at: int, told: Told) -> int:
    """Return the end that a bundle of Unity tells; what it holds is believed, and told."""
    versions = data[at + 12 : at + 76].split(b"\0", 2)
    end_at = at + 12 + sum(map(len, versions[:2])) + 2
    size, packed, whole, _ = struct.unpack_from(">QIII", data, end_at)
    is_one = number(">I", data, at + 8) in range(3, 10) and 0 < packed <= whole < size
    if not is_one or len(versions) < 3 or b"." not in versions[1]:
        return at
    told.is_unsure = True
    return int(at + size)
