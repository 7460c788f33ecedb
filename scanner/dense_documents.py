"""How far fonts, models and documents are what they say. Pure."""

import re
import struct
import zlib

from scanner.dense_build import Told, not_covered, number

_STREAM = re.compile(rb"\bstream\r?\n")
_OBJECT = re.compile(rb"\d+ \d+ obj")
_XREF = re.compile(rb"startxref\s+(\d+)\s+%%EOF")
_BUFFERS = 4
"""The field of a model of TensorFlow Lite, version 3, that lists what is dense in it."""
_MOST_BUFFERS = 100_000


def woff(data: bytes, at: int, told: Told) -> int:
    """Return the end that the tables give; those that are compressed must unpack."""
    size, count = struct.unpack_from(">IH", data, at + 8)
    end = at + 44 + 20 * count
    for row in range(count):
        start, packed, whole = struct.unpack_from(">III", data, at + 48 + 20 * row)
        start += at
        if packed < whole and not _inflates(data[start : start + min(packed, 4096)]):
            return at
        if packed >= whole:
            told.hole(start, min(start + packed, len(data)))
        end = max(end, start + packed)
    more, extra = (struct.unpack_from(">II", data, at + place) for place in (24, 36))
    told.hole(at + extra[0], min(at + sum(extra), len(data)))
    end = max(end, at + more[0] + more[1], at + sum(extra))
    return int(max(end, at + size) if 0 <= at + size - end < 4 else end)


def _inflates(beginning: bytes) -> bool:
    try:
        zlib.decompressobj().decompress(beginning, 1 << 20)
    except zlib.error:
        return False
    return True


def woff_2(data: bytes, at: int, told: Told) -> int:
    """Return the end that header and table directory give (WOFF 2.0, section 4)."""
    _, _, count, reserved, whole, packed = struct.unpack_from(">4sIHHII", data, at + 4)
    more, extra = (struct.unpack_from(">II", data, at + place) for place in (28, 40))
    if reserved or not 0 < count < 256 or packed > whole:
        return at
    end, place = at + 48, at + 48
    for _ in range(count):
        place = _table(data, place)
    end = place + packed
    told.hole(at + extra[0], min(at + sum(extra), len(data)))
    end = max(end, at + sum(more), at + sum(extra))
    size = number(">I", data, at + 8)
    return int(max(end, at + size) if 0 <= at + size - end < 4 else end)


def _table(data: bytes, at: int) -> int:
    """Return where an entry of the table directory ends."""
    flags = data[at]
    kind, form = flags & 0x3F, flags >> 6
    at += 5 if kind == 0x3F else 1
    for _ in range(2 if (form == 0) == (kind in (10, 11)) else 1):
        while data[at] & 0x80:
            at += 1
        at += 1
    return at


def gltf(data: bytes, at: int, told: Told) -> int:
    """Walk the chunks of a binary glTF: the description, then what it describes."""
    end = at + number("<I", data, at + 8)
    size, kind = struct.unpack_from("<I4s", data, at + 12)
    head = data[at + 20 : at + 20 + size]
    if kind != b"JSON" or not head.startswith(b"{") or b'"asset"' not in head:
        return at
    place = at + 20 + size
    while place + 8 <= min(end, len(data)):
        size, kind = struct.unpack_from("<I4s", data, place)
        if kind != b"BIN\0" or b'"bufferViews"' not in head:
            told.hole(place + 8, min(place + 8 + size, end))
        place += 8 + size
    return end


def pdf(data: bytes, at: int, told: Told) -> int:
    """Return the end of the document; what stands in none of its streams is not explained."""
    last = [*_XREF.finditer(data, max(at, len(data) - 2048))]
    if not last or not _OBJECT.search(data, at, at + 4096):
        return at
    place = at + int(last[-1][1])
    if data[place : place + 4] != b"xref" and not _OBJECT.match(data, place, place + 32):
        return at
    pieces: list[tuple[int, int]] = []
    for found in _STREAM.finditer(data, at):
        if pieces and found.start() < pieces[-1][1]:
            continue
        end = data.find(b"endstream", found.end())
        pieces.append((found.end(), end if end >= 0 else len(data)))
    for start, end in not_covered(pieces, at, last[-1].end()):
        told.hole(start, end)
    return last[-1].end()


def tflite(data: bytes, at: int, told: Told) -> int:
    """Follow a model to its buffers; dense is what they hold, and nothing else is."""
    root = at + number("<I", data, at)
    buffers = _field(data, root, _BUFFERS)
    version = _field(data, root, 0, is_value=True)
    if not buffers or not version or number("<I", data, version) != 3:
        return at
    count = number("<I", data, buffers)
    pieces = [(at, at + 8)]
    for row in range(min(count, _MOST_BUFFERS)):
        place = buffers + 4 + 4 * row
        buffer = place + number("<I", data, place)
        if held := _field(data, buffer, 0):
            pieces.append((held, held + 4 + number("<I", data, held)))
        elif _field(data, buffer, 1, is_value=True):
            start, size = (
                number("<Q", data, _field(data, buffer, name, is_value=True)) for name in (1, 2)
            )
            pieces.append((at + start, at + start + size))
    if max(end for _, end in pieces) > len(data):
        return at
    for start, end in not_covered(pieces, at, len(data)):
        told.hole(start, end)
    return len(data)


def _field(data: bytes, table: int, name: int, is_value: bool = False) -> int:
    """Return where what a field of a table leads to stands (FlatBuffers); 0: there is none."""
    rows = table - number("<i", data, table)
    size = number("<H", data, rows) if rows >= 0 else 0
    if not 4 <= size <= 256 or size % 2 or 4 + 2 * name >= size:
        return 0
    offset = number("<H", data, rows + 4 + 2 * name)
    if not offset:
        return 0
    place = table + offset
    return place if is_value else place + number("<I", data, place)
