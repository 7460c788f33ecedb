"""How far textures are what they say: their headers give sizes and formats. Pure."""

import struct
from collections.abc import Iterator
from math import ceil

from scanner.dense_build import Told, number

ASTC = (
    (4, 4), (5, 4), (5, 5), (6, 5), (6, 6), (8, 5), (8, 6), (8, 8), (10, 5), (10, 6), (10, 8),
    (10, 10), (12, 10), (12, 12),
)  # fmt: skip
_SIXTEEN = 16
_TRIED = 16 * 1024
_MOST_LEVELS = 16
_PVR_BITS = {
    **dict.fromkeys((0, 1, 4), 2), **dict.fromkeys((2, 3, 5, 6, 7, 12, 22, 24, 25), 4),
    **dict.fromkeys((8, 9, 10, 11, 13, 14, 15, 23, 26), 8), 16: 16, 17: 16, 18: 1,
    19: 32, 20: 32, 21: 32,
}  # fmt: skip
"""Bits a pixel of the numbered formats of PVR, version 3."""
_PVR_ASTC = 27
_DDS_BITS = {
    b"DXT1": 4, b"ATI1": 4, b"BC4U": 4, b"BC4S": 4, b"ETC1": 4, b"ETC2": 4, b"ATC ": 4,
    b"DXT2": 8, b"DXT3": 8, b"DXT4": 8, b"DXT5": 8, b"ATI2": 8, b"BC5U": 8, b"BC5S": 8,
    b"ATCA": 8, b"ATCI": 8, b"\x24\0\0\0": 64, b"\x6e\0\0\0": 64, b"\x6f\0\0\0": 16,
    b"\x70\0\0\0": 32, b"\x71\0\0\0": 64, b"\x72\0\0\0": 32, b"\x73\0\0\0": 64, b"\x74\0\0\0": 128,
}  # fmt: skip
_DXGI_BITS = (
    (1, 4, 128), (5, 8, 96), (9, 22, 64), (23, 47, 32), (48, 59, 16), (60, 65, 8), (66, 66, 1),
    (67, 69, 32), (70, 72, 4), (73, 78, 8), (79, 81, 4), (82, 84, 8), (85, 86, 16), (87, 93, 32),
    (94, 99, 8), (115, 115, 16),
)  # fmt: skip
"""(first, last, bits a pixel) of DXGI_FORMAT."""
_CUBE, _VOLUME = 0x200, 0x200000


def _levels(width: int, height: int, depth: int, count: int) -> Iterator[tuple[int, int, int]]:
    for level in range(max(1, min(count, _MOST_LEVELS))):
        yield max(1, width >> level), max(1, height >> level), max(1, depth >> level)


def _in_blocks(width: int, height: int, block: tuple[int, int]) -> int:
    return ceil(width / block[0]) * ceil(height / block[1]) * 16


def _in_bits(width: int, height: int, bits: int, is_packed: bool, least: int = 0) -> int:
    """Return the bytes of a picture, in blocks of 4 times 4 if *is_packed*."""
    if is_packed:
        return max(least, ceil(width / 4) * ceil(height / 4) * 2 * bits)
    return ceil(width * bits / 8) * height


def astc(data: bytes, at: int, told: Told) -> int:
    """Return the end that blocks and dimensions give."""
    x, y, z = data[at + 4 : at + 7]
    width, height, depth = (
        int.from_bytes(data[at + place : at + place + 3], "little") for place in (7, 10, 13)
    )
    if any(not data[place] & 15 for place in range(at + 16, min(len(data), at + _TRIED), 16)):
        return at  # no encoder makes such a block
    if z == 1 and (x, y) in ASTC:
        return at + 16 + _in_blocks(width, height, (x, y)) * depth
    if min(x, y, z) >= 3 and max(x, y, z) <= 6:
        return at + 16 + ceil(width / x) * ceil(height / y) * ceil(depth / z) * 16
    return at


def pvr(data: bytes, at: int, told: Told) -> int:
    """Return the end that the header of PVR, version 3, gives."""
    kind, channels, _, _, height, width, depth, surfaces, faces, levels, more = struct.unpack_from(
        "<11I", data, at + 8
    )
    start = at + 52
    told.hole(start, min(start + more, len(data)))
    pixels = 0
    for wide, high, deep in _levels(width, height, depth, levels):
        one = _pvr_level(kind, channels, wide, high)
        if one is None:
            return at
        pixels += one * deep
    return int(start + more + pixels * max(1, surfaces) * max(1, faces))


def _pvr_level(kind: int, channels: int, width: int, height: int) -> int | None:
    if channels:  # the bits of each of four channels
        return _in_bits(width, height, sum(channels.to_bytes(4, "little")), False)
    if _PVR_ASTC <= kind < _PVR_ASTC + len(ASTC):
        return _in_blocks(width, height, ASTC[kind - _PVR_ASTC])
    bits = _PVR_BITS.get(kind)
    if bits is None:
        return None
    return _in_bits(width, height, bits, bits <= 8 and kind != 18, 32 if kind <= 5 else 0)


def dds(data: bytes, at: int, told: Told) -> int:
    """Return the end that the header of DirectDraw gives."""
    if number("<I", data, at + 4) != 124 or number("<I", data, at + 76) != 32:
        return at
    height, width, _, depth, levels = struct.unpack_from("<5I", data, at + 12)
    flags, name, bits = struct.unpack_from("<I4sI", data, at + 80)
    capabilities = number("<I", data, at + 112)
    start, copies = at + 128, 1
    if flags & 4:
        bits = _DDS_BITS.get(name, 0)
    if name == b"DX10" and flags & 4:
        kind, _, misc, copies = struct.unpack_from("<4I", data, start)
        start += 20
        copies *= 6 if misc & 4 else 1
        bits = next((bits for first, last, bits in _DXGI_BITS if first <= kind <= last), 0)
        is_packed = 70 <= kind <= 84 or 94 <= kind <= 99
    else:
        is_packed = bool(flags & 4) and name[:1].isalpha()
    if not bits:
        return at
    if capabilities & _CUBE and copies == 1:
        copies = (capabilities >> 10 & 0x3F).bit_count() or 6
    deep = depth if capabilities & _VOLUME else 1
    sizes = (
        _in_bits(wide, high, bits, is_packed) * layers
        for wide, high, layers in _levels(width, height, deep, levels)
    )
    return start + sum(sizes) * max(1, copies)


def ktx(data: bytes, at: int, told: Told) -> int:
    """Walk the levels of KTX; each is at most 16 bytes a pixel large."""
    if data[at + 7 : at + 12] != b"\xbb\r\n\x1a\n":
        return at
    if data[at + 4 : at + 7] == b" 20":
        return _ktx_2(data, at, told)
    if data[at + 4 : at + 7] != b" 11" or number("<I", data, at + 12) != 0x04030201:
        return at
    width, height, depth, layers, faces, levels, more = struct.unpack_from("<7I", data, at + 36)
    first, at = at, at + 64
    told.hole(at, at + more)
    at += more
    copies = 1 if layers or faces != 6 else 6
    for wide, high, deep in _levels(width, height, depth, levels):
        size = number("<I", data, at)
        if size > _most(wide, high, deep, max(1, layers) * (max(1, faces) if copies == 1 else 1)):
            return first
        at += 4 + ceil(size / 4) * 4 * copies
    return at


def _ktx_2(data: bytes, at: int, told: Told) -> int:
    width, height, depth, layers, faces, levels = struct.unpack_from("<6I", data, at + 20)
    most = [
        _most(*level, max(1, layers) * max(1, faces))
        for level in _levels(width, height, depth, levels)
    ]
    pieces = [(at, at + 80 + 24 * len(most))]
    for place, shape in ((48, "<II"), (56, "<II"), (64, "<QQ")):  # format, keys, dictionaries
        start, size = struct.unpack_from(shape, data, at + place)
        told.hole(at + start, min(at + start + size, len(data)))
        pieces.append((at + start, at + start + size))
    for level, room in enumerate(most):
        start, size, whole = struct.unpack_from("<QQQ", data, at + 80 + 24 * level)
        if size > room + 1024 or (whole and whole > room):
            return at
        pieces.append((at + start, at + start + size))
    return max(end for _, end in pieces)


def _most(width: int, height: int, depth: int, copies: int) -> int:
    return max(_SIXTEEN * _SIXTEEN, _SIXTEEN * width * height * depth * copies)
