"""Android's binary chunks (ResourceTypes.h): headers and string pools, read within bounds."""

import struct
from typing import NamedTuple

STRING_POOL = 0x0001
TABLE = 0x0002
XML = 0x0003
TABLE_PACKAGE = 0x0200
TABLE_TYPE = 0x0201
XML_START_ELEMENT = 0x0102
XML_END_ELEMENT = 0x0103
XML_RESOURCE_MAP = 0x0180
HEADER_BYTES = 8
STRING_LENGTH = 2000
"""Characters of one string that are read at most."""
_UTF8_FLAG = 0x100


class BrokenChunkError(Exception):
    """The chunk cannot be read; the text says why. Stays inside the scanner."""


class Chunk(NamedTuple):
    """A chunk's place: its header ends at *body*, the next chunk starts at *end*."""

    kind: int
    at: int
    body: int
    end: int


def chunk_at(data: bytes, at: int, limit: int) -> Chunk:
    """Return the chunk at offset *at*; its end is brought within *limit*."""
    if at < 0 or at + HEADER_BYTES > limit:
        raise BrokenChunkError(f"no chunk fits at {at:#x}")
    kind, header, size = struct.unpack_from("<HHI", data, at)
    if header < HEADER_BYTES or header > size or at + header > limit:
        raise BrokenChunkError(f"the chunk at {at:#x} has impossible sizes")
    return Chunk(kind, at, at + header, min(at + size, limit))


class StringPool:
    """Strings are decoded when asked for, so a pool of millions costs nothing."""

    def __init__(self, data: bytes, chunk: Chunk) -> None:
        if chunk.at + 28 > chunk.end:
            raise BrokenChunkError("the string pool is cut off")
        self._data, self._end = data, chunk.end
        self.told, styles, flags, start, _ = struct.unpack_from("<IIIII", data, chunk.at + 8)
        self._table = chunk.body
        self._strings = chunk.at + start
        self._utf8 = bool(flags & _UTF8_FLAG)
        room = (chunk.end - chunk.body) // 4
        self.lies = self.told > room or styles > room or self._strings > chunk.end
        """Whether it claims more than it can hold."""

    def get(self, index: int) -> str:
        """Return string *index*, cut to `STRING_LENGTH`; empty when there is none."""
        place = self._table + 4 * index
        if not 0 <= index < self.told or place + 4 > self._end:
            return ""
        (offset,) = struct.unpack_from("<I", self._data, place)
        at = self._strings + offset
        if at + 2 > self._end:
            return ""
        return self._narrow(at) if self._utf8 else self._broad(at)

    def _narrow(self, at: int) -> str:
        at += 2 if self._data[at] & 0x80 else 1  # the length in characters
        if at + 2 > self._end:
            return ""
        length = self._data[at]
        at += 1
        if length & 0x80:
            length = (length & 0x7F) << 8 | self._data[at]
            at += 1
        body = self._data[at : min(at + length, self._end, at + 4 * STRING_LENGTH)]
        return body.decode("utf-8", "replace")[:STRING_LENGTH]

    def _broad(self, at: int) -> str:
        (length,) = struct.unpack_from("<H", self._data, at)
        at += 2
        if length & 0x8000:
            if at + 2 > self._end:
                return ""
            length = (length & 0x7FFF) << 16 | struct.unpack_from("<H", self._data, at)[0]
            at += 2
        body = self._data[at : min(at + 2 * length, self._end, at + 2 * STRING_LENGTH)]
        return body.decode("utf-16-le", "replace")
