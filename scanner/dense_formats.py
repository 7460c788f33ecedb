"""How far data is what its first bytes say: a picture, a sound, a font, compressed data. Pure.

Such data is as dense as encrypted data, so it must be told from that by its build. What only begins
like it, and what stands behind its end, is not spared.
"""

import bz2
import lzma
import re
import struct
import zlib
from collections.abc import Callable

MOST_PIECES = 10_000
"""Chunks, pages and blocks that are counted through; a file with more is believed."""
MOST_IN_A_ROW = 20
"""Files behind each other in one."""
SAMPLE = 64 * 1024
_NOT_ZERO = re.compile(rb"[^\0]")
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_KILOBITS = (
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
)
"""A second in a frame of MPEG-2 and MPEG-1, layer III."""
_HERTZ = (44_100, 48_000, 32_000)
_FRAMES = 5
Measure = Callable[[bytes, int], int]
"""(data, beginning) -> end; the beginning itself: it is not what it says."""


def end_of(data: bytes) -> int:
    """Return where what *data* begins with ends, other such files behind it included; 0: nothing.

    The length of *data* means: all of it is what it says.
    """
    at = 0
    for _ in range(MOST_IN_A_ROW):
        if at == len(data):
            return at
        try:
            end = max((measure(data, at) for measure in _measures(data, at)), default=at)
        except (struct.error, IndexError):  # it ends before its header does
            return at
        if end <= at or end > len(data) + 1:  # some forget the last byte, of padding
            return at
        at = min(end, len(data))
    return at


def _measures(data: bytes, at: int) -> list[Measure]:
    if data[at + 4 : at + 8] == b"TFL3":
        return [_all]
    if data[at + 4 : at + 8] in _BOXES:
        return [_boxes]
    if data[at : at + 2] not in _BEGINNINGS:  # most entries
        return []
    return [measure for head, measure in _MEASURES if data.startswith(head, at)]


def _all(data: bytes, at: int) -> int:
    return len(data)


def _png(data: bytes, at: int) -> int:
    first, at = at, at + 8
    for _ in range(MOST_PIECES):
        size, kind = struct.unpack_from(">I4s", data, at)
        if not kind.isalpha():
            return first
        at += 12 + size
        if kind == b"IEND":
            return at
    return len(data)


def _jpeg(data: bytes, at: int) -> int:
    first, at = at, at + 2
    for _ in range(MOST_PIECES):
        found = _MARKER.search(data, at)
        if found is None or (data[found.start() + 1] != 0xD9 and found.start() + 4 > len(data)):
            return first if at == first + 2 else len(data)  # cut off
        if data[found.start() + 1] == 0xD9:
            return found.end()
        if data[found.start() + 1] < 0xC0:
            return first
        (size,) = struct.unpack_from(">H", data, found.end())
        at = found.end() + size
    return len(data)


def _riff(data: bytes, at: int) -> int:
    (size,) = struct.unpack_from("<I", data, at + 4)
    known = data[at + 8 : at + 12] in (b"WAVE", b"WEBP", b"AVI ", b"RMID")
    return at + 8 + size + size % 2 if known else at


def _ogg(data: bytes, at: int) -> int:
    for _ in range(MOST_PIECES):
        if not data.startswith(b"OggS\0", at):
            return at
        segments = data[at + 26]
        at += 27 + segments + sum(data[at + 27 : at + 27 + segments])
    return len(data)


def _mp3(data: bytes, at: int) -> int:
    first = at
    if data.startswith(b"ID3", at):
        at += 10 + sum(
            (byte & 0x7F) << 7 * (3 - n) for n, byte in enumerate(data[at + 6 : at + 10])
        )
        found = _NOT_ZERO.search(data, at)
        at = found.start() if found else len(data)
    for _ in range(_FRAMES):
        size = _frame(data, at)
        if not size:
            return first
        at += size
    return len(data)


def _frame(data: bytes, at: int) -> int:
    """Return the length of one frame of sound; 0: there is none."""
    head: int = struct.unpack_from(">I", data, at)[0]
    version, layer, rate, tone = head >> 19 & 3, head >> 17 & 3, head >> 12 & 15, head >> 10 & 3
    if head >> 21 != 0x7FF or version == 1 or layer != 1 or not 0 < rate < 15 or tone == 3:
        return 0
    hertz = _HERTZ[tone] // {3: 1, 2: 2, 0: 4}[version]
    samples = 144_000 if version == 3 else 72_000
    return samples * _KILOBITS[version == 3][rate - 1] // hertz + (head >> 9 & 1)


def _boxes(data: bytes, at: int) -> int:
    """Measure the boxes of MPEG-4."""
    for _ in range(MOST_PIECES):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
        if size == 0:
            return len(data)
        if size < 8 or not kind.isascii() or at + size >= len(data):
            return at if size < 8 or not kind.isascii() else at + size
        at += size
    return len(data)


def _inflated(data: bytes, at: int) -> int:
    return _unpacked(zlib.decompressobj(16 + zlib.MAX_WBITS), data, at, zlib.error)


def _bzip2(data: bytes, at: int) -> int:
    return len(data) if data[at + 4 : at + 10] == b"1AY&SY" and _bz(data, at) else at


def _bz(data: bytes, at: int) -> int:
    return _unpacked(bz2.BZ2Decompressor(), data, at, OSError)


def _xz(data: bytes, at: int) -> int:
    return _unpacked(lzma.LZMADecompressor(memlimit=256 << 20), data, at, lzma.LZMAError)


def _unpacked(reader: object, data: bytes, at: int, error: type[Exception]) -> int:
    """Return all, when the beginning unpacks without an error."""
    try:
        reader.decompress(data[at : at + SAMPLE], 4 * SAMPLE)  # type: ignore[attr-defined]
    except error:
        return at
    return len(data)


def _zstandard(data: bytes, at: int) -> int:
    mark = data[at + 4]
    is_single = mark >> 5 & 1
    at += 5 + (1 - is_single) + (0, 1, 2, 4)[mark & 3] + (is_single, 2, 4, 8)[mark >> 6]
    for _ in range(MOST_PIECES):
        (word,) = struct.unpack_from("<I", data[at : at + 3] + b"\0")
        at += 3 + (1 if word >> 1 & 3 == 1 else word >> 3)
        if word & 1:
            return at + 4 * (mark >> 2 & 1)
    return len(data)


def _lz4(data: bytes, at: int) -> int:
    mark = data[at + 4]
    at += 7 + (mark & 8) + 4 * (mark & 1)
    for _ in range(MOST_PIECES):
        (word,) = struct.unpack_from("<I", data, at)
        at += 4 + (word & 0x7FFFFFFF) + (mark >> 2 & 4 if word else mark & 4)
        if not word:
            return at
    return len(data)


def _seven_zip(data: bytes, at: int) -> int:
    crc, offset, size = struct.unpack_from("<IQQ", data, at + 8)
    return at + 32 + offset + size if zlib.crc32(data[at + 12 : at + 32]) == crc else at


def _icon(data: bytes, at: int) -> int:
    (count,) = struct.unpack_from("<H", data, at + 4)
    rows = [struct.unpack_from("<II", data, at + 14 + 16 * n) for n in range(count)]
    return at + max((size + place for size, place in rows), default=0)


def _empty_archive(data: bytes, at: int) -> int:
    return at + 22 + int(struct.unpack_from("<H", data, at + 20)[0])


def _told(shape: str, place: int) -> Measure:
    """Return what measures a file that says its length at *place*."""
    return lambda data, at: at + int(struct.unpack_from(shape, data, at + place)[0])


def _goes_on(text: bytes, place: int) -> Measure:
    """Return what believes a file that goes on like this: its build tells no more."""
    return lambda data, at: len(data) if data.startswith(text, at + place) else at


def _holds(text: bytes, first: int, last: int) -> Measure:
    """Return what believes a file with *text* among its first or last bytes."""

    def measure(data: bytes, at: int) -> int:
        begins, ends = data[at : at + first], data[max(at, len(data) - last) :]
        return len(data) if text in begins or (last and text in ends) else at

    return measure


_BOXES = (b"ftyp", b"moov", b"mdat")
_MEASURES: tuple[tuple[bytes, Measure], ...] = (
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"\xff\xd8\xff", _jpeg),
    (b"GIF8", _holds(b"\x3b", 0, 1)),
    (b"RIFF", _riff),
    (b"OggS", _ogg),
    (b"ID3", _mp3),
    (b"\xff\xfb", _mp3),
    (b"\xff\xf3", _mp3),
    (b"fLaC", _goes_on(b"\x00\x00\x22", 5)),
    (b"PK\x05\x06", _empty_archive),
    (b"\x1f\x8b", _inflated),
    (b"BZh", _bzip2),
    (b"\xfd7zXZ", _xz),
    (b"\x28\xb5\x2f\xfd", _zstandard),
    (b"7z\xbc\xaf\x27\x1c", _seven_zip),
    (b"Rar!", _goes_on(b"\x1a\x07", 4)),
    (b"\x04\x22\x4d\x18", _lz4),
    (b"wOFF", _told(">I", 8)),
    (b"wOF2", _told(">I", 8)),
    (b"glTF", _told("<I", 8)),
    (b"%PDF", _holds(b"%%EOF", 0, 2048)),
    (b"\x00\x00\x01\x00", _icon),
    (b"\x1aE\xdf\xa3", _holds(b"matroska", 64, 0)),
    (b"\x1aE\xdf\xa3", _holds(b"webm", 64, 0)),
    (b"\xabKTX", _goes_on(b"\xbb\r\n\x1a\n", 7)),
    (b"PVR\x03", _goes_on(b"", 4)),
    (b"DDS ", _goes_on(b"\x7c\x00\x00\x00", 4)),
    (b"\x13\xab\xa1\x5c", _goes_on(b"", 4)),
    (b"UnityFS", _goes_on(b"\x00", 7)),
)
_BEGINNINGS = frozenset(head[:2] for head, _ in _MEASURES)
