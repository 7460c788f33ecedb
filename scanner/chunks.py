"""Android's binary chunks (ResourceTypes.h): headers and string pools, read within bounds."""

import codecs
import struct
from collections.abc import Iterator
from typing import NamedTuple

STRING_POOL = 0x0001
TABLE = 0x0002
XML = 0x0003
TABLE_PACKAGE = 0x0200
TABLE_TYPE = 0x0201
TABLE_LIBRARY = 0x0203
TABLE_STAGED_ALIAS = 0x0206
XML_START_ELEMENT = 0x0102
XML_END_ELEMENT = 0x0103
XML_RESOURCE_MAP = 0x0180
HEADER_BYTES = 8
STRING_LENGTH = 2000
"""Characters of one string that are read at most."""
KEPT_STRINGS = 4_000
"""Of one pool, not to be decoded again."""
ODD_BYTES = 1_000_000
"""Of unsound UTF-8 in one pool that are looked at one by one."""
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
    """Strings are decoded when asked for, so a pool of millions costs nothing.

    As Android does (ResStringPool in ResourceTypes.cpp; NewStringUTF, which ends at the first zero
    and takes longer forms than needed), but a string without its end is read nevertheless.
    """

    def __init__(self, data: bytes, chunk: Chunk) -> None:
        if chunk.at + 28 > chunk.end:
            raise BrokenChunkError("the string pool is cut off")
        self._data, self._end = data, chunk.end
        self.told, styles, flags, start, _ = struct.unpack_from("<IIIII", data, chunk.at + 8)
        self._table = chunk.body
        self._strings = chunk.at + start
        self._utf8 = bool(flags & _UTF8_FLAG)
        self.known: dict[int, str] = {}
        """Strings that were decoded, by index."""
        self._odd_bytes = 0
        room = (chunk.end - chunk.body) // 4
        self.lies = self.told > room or styles > room or self._strings > chunk.end
        """Whether it claims more than it can hold."""
        self.oddities: dict[str, None] = {}
        """What is odd about the strings that were asked for."""
        self.is_cut = False
        """Whether one of these was longer than what is read."""

    def get(self, index: int) -> str:
        """Return string *index*, cut to `STRING_LENGTH`; empty when there is none."""
        text = self.known.get(index)
        if text is None:
            text = self._read(index)
            if len(self.known) < KEPT_STRINGS:
                self.known[index] = text
        return text

    def _read(self, index: int) -> str:
        place = self._table + 4 * index
        if not 0 <= index < self.told or place + 4 > self._end:
            return ""
        (offset,) = struct.unpack_from("<I", self._data, place)
        if not self._utf8 and offset & 1:
            self.oddities["a string stands at an odd place"] = None
            offset -= 1  # Android counts in units of two bytes
        at = self._strings + offset
        if at + 2 > self._end:
            return ""
        text = self._narrow(at) if self._utf8 else self._broad(at)
        if len(text) > STRING_LENGTH:
            self.is_cut = True
        return text[:STRING_LENGTH]

    def _narrow(self, at: int) -> str:
        at += 2 if self._data[at] & 0x80 else 1  # the length in characters
        if at + 2 > self._end:
            return ""
        length = self._data[at]
        at += 1
        if length & 0x80:
            length = (length & 0x7F) << 8 | self._data[at]
            at += 1
        most = min(self._end, at + 4 * STRING_LENGTH + 1)
        zero = self._data.find(b"\0", at, most)
        if zero != at + length and not (zero < 0 and at + length >= most):
            self.oddities["a string ends elsewhere than it says"] = None
        body = self._data[at : most if zero < 0 else zero]
        try:
            return _joined(codecs.utf_8_decode(body, "surrogatepass", zero >= 0)[0])
        except UnicodeDecodeError:
            return self._lenient(body)

    def _lenient(self, body: bytes) -> str:
        self.oddities["a string is in no sound UTF-8"] = None
        self._odd_bytes += len(body)
        if self._odd_bytes > ODD_BYTES:
            self.is_cut = True
            return body.decode("utf-8", "replace")
        return _joined("".join(_units(body + b"\0\0\0", len(body))))

    def _broad(self, at: int) -> str:
        (length,) = struct.unpack_from("<H", self._data, at)
        at += 2
        if length & 0x8000:
            if at + 2 > self._end:
                return ""
            length = (length & 0x7FFF) << 16 | struct.unpack_from("<H", self._data, at)[0]
            at += 2
        end = at + 2 * length
        if self._data[end : end + 2] != b"\0\0" or end + 2 > self._end:
            self.oddities["a string ends elsewhere than it says"] = None
        body = self._data[at : min(end, self._end, at + 2 * STRING_LENGTH + 2)]
        return body.decode("utf-16-le", "replace")


def _units(body: bytes, size: int) -> Iterator[str]:
    """Yield the characters that Android makes of UTF-8 of any form: nothing is checked."""
    at = 0
    while at < size:
        one = body[at]
        if one < 0x80:
            yield chr(one)
            at += 1
        elif not one & 0x20:
            yield chr((one & 0x1F) << 6 | body[at + 1] & 0x3F)
            at += 2
        elif not one & 0x10:
            yield chr((one & 0x0F) << 12 | (body[at + 1] & 0x3F) << 6 | body[at + 2] & 0x3F)
            at += 3
        else:
            high = (one & 0x07) << 18 | (body[at + 1] & 0x3F) << 12
            yield chr(min(high | (body[at + 2] & 0x3F) << 6 | body[at + 3] & 0x3F, 0x10FFFF))
            at += 4


def _joined(text: str) -> str:
    """Return *text* with pairs of surrogates as one character: aapt2 writes them so."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
