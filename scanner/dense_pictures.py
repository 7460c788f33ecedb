"""How far PNG, JPEG, GIF, WebP and icons are what they say. Pure."""

import re
import struct
import zlib

from scanner.dense_build import MOST_PIECES, Told, number

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_PNG = b"\x89PNG\r\n\x1a\n"
_DRAWN = (b"IDAT", b"fdAT", b"PLTE", b"tRNS", b"IHDR", b"IEND", b"acTL", b"fcTL", b"npTc")
_TRIED = 4096
_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
"""Markers of JPEG that begin a frame (ITU-T T.81, table B.1)."""
_SCAN = 0xDA
_BITMAP = b"\x28\0\0\0"


def png(data: bytes, at: int, told: Told) -> int:
    """Walk the chunks; only those with the picture itself are explained."""
    first, at, is_drawn = at, at + 8, False
    for _ in range(MOST_PIECES):
        size, kind = struct.unpack_from(">I4s", data, at)
        if not kind.isalpha() or at + 12 + size > len(data) + 1:
            return at if is_drawn else first
        if kind not in _DRAWN:
            told.hole(at + 8, at + 8 + size)
        elif kind == b"IDAT" and not is_drawn:
            is_drawn = _inflates(data[at + 8 : at + 8 + min(size, _TRIED)])
            if not is_drawn:
                return first
        at += 12 + size
        if kind == b"IEND":
            return at if is_drawn else first
    return at


def _inflates(beginning: bytes) -> bool:
    try:
        zlib.decompressobj().decompress(beginning, 1 << 20)
    except zlib.error:
        return False
    return True


def jpeg(data: bytes, at: int, told: Told) -> int:
    """Walk the segments and scans; a scan must not be larger than its picture can need."""
    first, at, samples, scans = at, at + 2, 0, 0
    for _ in range(MOST_PIECES):
        found = _MARKER.search(data, at)
        ends = found.start() if found else len(data)
        if scans:
            samples -= ends - at
            if samples < 0:
                return first
        if found is None:  # cut off
            return ends if scans else first
        kind, at = data[found.start() + 1], found.end()
        if kind == 0xD9:
            return at if scans else first
        if kind < 0xC0 or (not scans and ends > at + _TRIED):
            return first
        size = number(">H", data, at)
        if kind in _FRAMES:
            height, width, parts = struct.unpack_from(">HHB", data, at + 3)
            samples = 2 * (height or 1 << 16) * width * parts + _TRIED
        elif kind == _SCAN:
            scans += 1
        elif kind >= 0xE0:
            told.hole(at + 2, at + size)
        at += size
    return first


def gif(data: bytes, at: int, told: Told) -> int:
    """Walk the blocks to the trailer (GIF89a, appendix A)."""
    if data[at + 3 : at + 6] not in (b"87a", b"89a"):
        return at
    first, flags = at, data[at + 10]
    at += 13 + _colours(flags)
    for _ in range(MOST_PIECES):
        kind = data[at]
        if kind == 0x3B:
            return at + 1
        if kind == 0x21:
            start, at = at + 2, _sub_blocks(data, at + 2)
            told.hole(start, at)
        elif kind == 0x2C:
            width, height, flags = struct.unpack_from("<HHB", data, at + 5)
            start = at + 10 + _colours(flags)
            at = _sub_blocks(data, start + 1)
            if data[start] > 11 or at - start > 2 * width * height + _TRIED:
                return first
        else:
            return first
    return at


def _colours(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _sub_blocks(data: bytes, at: int) -> int:
    while size := data[at]:
        at += 1 + size
    return at + 1


def webp(data: bytes, at: int, told: Told) -> int:
    """Walk the chunks of WebP, whose pictures have beginnings of their own (RFC 9649)."""
    first, end = at, at + 8 + number("<I", data, at + 4)
    if data[at + 8 : at + 12] != b"WEBP":
        return at
    at, is_drawn = at + 12, False
    for _ in range(MOST_PIECES):
        if at + 8 > min(end, len(data)):
            return end if is_drawn else first
        kind, size = struct.unpack_from("<4sI", data, at)
        if kind == b"VP8 ":
            is_drawn |= data[at + 11 : at + 14] == b"\x9d\x01\x2a"
        elif kind == b"VP8L":
            is_drawn |= data[at + 8] == 0x2F
        elif kind == b"ANMF":
            is_drawn |= data[at + 24 : at + 28] in (b"VP8 ", b"VP8L", b"ALPH")
        elif kind != b"ALPH":
            told.hole(at + 8, min(at + 8 + size, end))
        at += 8 + size + size % 2
    return first


def icon(data: bytes, at: int, told: Told) -> int:
    """Return the end of the last picture of an icon; each must be a PNG or a bitmap."""
    end = at
    for row in range(number("<H", data, at + 4)):
        size, place = struct.unpack_from("<II", data, at + 14 + 16 * row)
        start = at + place
        if data.startswith(_PNG, start):
            is_whole = png(data, start, told) == start + size
        else:
            is_whole = data.startswith(_BITMAP, start) and size <= _bitmap(data, start)
        if not is_whole:
            return at
        end = max(end, start + size)
    return end


def _bitmap(data: bytes, at: int) -> int:
    """Return how many bytes a bitmap of an icon may have, its colours and mask included."""
    width, height, _, bits = struct.unpack_from("<IIHH", data, at + 4)
    return int(40 + 1024 + height * (width * bits // 8 + width // 8 + 16))
