"""Android's binary XML (AXML), read as tolerantly as the system reads it, within bounds."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from scanner.chunks import (
    HEADER_BYTES,
    STRING_POOL,
    XML_END_ELEMENT,
    XML_RESOURCE_MAP,
    XML_START_ELEMENT,
    BrokenChunkError,
    Chunk,
    StringPool,
    chunk_at,
)

MAXIMUM_ELEMENTS = 60_000
MAXIMUM_ATTRIBUTES = 100
TYPE_REFERENCE = 0x01
TYPE_STRING = 0x03
TYPE_BOOLEAN = 0x12


class Attribute(NamedTuple):
    """One attribute: text, or the kind and number of another value."""

    text: str | None
    kind: int
    number: int


class Element(NamedTuple):
    """A tag that opens (*attributes* by resource id, or by name where there is none) or closes."""

    opens: bool
    name: str
    attributes: dict[int | str, Attribute]


class BinaryXml:
    """The elements of one document, and what is odd about it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._pool: StringPool | None = None
        self._ids: list[int] = []
        self.oddities: list[str] = []
        self.is_cut = False
        """Whether the document has more elements than are read."""

    def elements(self) -> Iterator[Element]:
        """Yield what opens and closes; raises BrokenChunkError when no element can be reached."""
        seen = 0
        for chunk in self._chunks():
            if chunk.kind == STRING_POOL and self._pool is None:
                self._pool = StringPool(self._data, chunk)
                if self._pool.lies:
                    self._odd("the string pool claims more than it holds")
            elif chunk.kind == STRING_POOL:
                self._odd("a second string pool")
            elif chunk.kind == XML_RESOURCE_MAP:
                self._read_map(chunk)
            elif chunk.kind in (XML_START_ELEMENT, XML_END_ELEMENT):
                seen += 1
                if seen > 2 * MAXIMUM_ELEMENTS:
                    self.is_cut = True
                    return
                yield self._element(chunk)
            elif not 0x0100 <= chunk.kind <= 0x017F:
                self._odd(f"a chunk of unknown type {chunk.kind:#06x}")

    def _chunks(self) -> Iterator[Chunk]:
        data = self._data
        if len(data) < HEADER_BYTES:
            raise BrokenChunkError("it is too short")
        kind, header, size = struct.unpack_from("<HHI", data, 0)
        if kind != 3:
            self._odd(f"the document has type {kind:#06x}")
        if header != HEADER_BYTES:
            self._odd(f"its header claims {header} bytes")
        if size != len(data):
            self._odd(f"it claims {size} bytes and has {len(data)}")
        at = header if HEADER_BYTES <= header < min(len(data), 4096) else HEADER_BYTES
        while at + HEADER_BYTES <= len(data):
            try:
                chunk = chunk_at(data, at, len(data))
            except BrokenChunkError as error:
                if self._pool is None:
                    raise
                self._odd(str(error))
                return
            yield chunk
            at = chunk.end

    def _read_map(self, chunk: Chunk) -> None:
        count = min((chunk.end - chunk.body) // 4, 10_000)
        self._ids = list(struct.unpack_from(f"<{max(0, count)}I", self._data, chunk.body))

    def _element(self, chunk: Chunk) -> Element:
        data, at = self._data, chunk.body
        if self._pool is None or at + 8 > chunk.end:
            raise BrokenChunkError("an element stands before the strings, or is cut off")
        name = self._pool.get(struct.unpack_from("<I", data, at + 4)[0])
        if chunk.kind == XML_END_ELEMENT:
            return Element(False, name, {})
        if at + 20 > chunk.end:
            raise BrokenChunkError("an element is cut off")
        start, size, count = struct.unpack_from("<HHH", data, at + 8)
        if size != 20 or start != 20:
            self._odd("attributes of an unusual size")
        return Element(True, name, self._attributes(chunk, at + start, max(size, 20), count))

    def _attributes(
        self, chunk: Chunk, at: int, size: int, count: int
    ) -> dict[int | str, Attribute]:
        found: dict[int | str, Attribute] = {}
        if count > MAXIMUM_ATTRIBUTES:
            self._odd(f"an element claims {count} attributes")
        for _ in range(min(count, MAXIMUM_ATTRIBUTES)):
            if at + 20 > chunk.end:
                self._odd("an element claims more attributes than it holds")
                break
            name, raw, kind, number = struct.unpack_from("<4xIIxxxBI", self._data, at)
            key = self._key(name)
            if key in found:
                self._odd("an element has one attribute twice")
            found.setdefault(key, self._value(raw, kind, number))
            at += size
        return found

    def _key(self, name: int) -> int | str:
        if name < len(self._ids) and self._ids[name]:
            return self._ids[name]
        return self._pool.get(name) if self._pool else ""

    def _value(self, raw: int, kind: int, number: int) -> Attribute:
        text = None
        if self._pool and kind == TYPE_STRING:
            text = self._pool.get(number)
        elif self._pool and raw != 0xFFFFFFFF:
            text = self._pool.get(raw)
        return Attribute(text, kind, number)

    def _odd(self, what: str) -> None:
        if what not in self.oddities and len(self.oddities) < 10:
            self.oddities.append(what)
