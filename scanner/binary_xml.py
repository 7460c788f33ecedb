"""Android's binary XML (AXML), read as tolerantly as the system reads it, within bounds.

What Android does stands in AOSP, libs/androidfw: `ResXMLTree::setTo` (of the string pools and
resource maps before the first node the last ones count, later ones are passed over),
`RetrieveAttributes` (attributes are looked for in rising order of their resource ids, so one behind
a greater id is never found), `getAttributeNameResID` (the app's own resources may give such an id
another meaning) and `ResXMLParser::indexOfAttribute` (namespace and name as texts).
"""

import struct
from collections.abc import Callable, Iterator
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
NAME_LENGTH = 100
"""Of elements and attributes; Android knows none that is longer."""
COMMON_ATTRIBUTES = 100
"""Of one element; no tool writes more."""
MAXIMUM_ATTRIBUTES = 300_000
"""Of all elements together."""
TYPE_REFERENCE = 0x01
TYPE_STRING = 0x03
TYPE_DYNAMIC_REFERENCE = 0x07
FIRST_NUMBER, LAST_NUMBER = 0x10, 0x1F
"""Types of booleans, integers and colours."""
ANDROID = "http://schemas.android.com/apk/res/android"
MAXIMUM_IDS = 300_000
"""In the map of attributes."""
_NODES = range(0x0100, 0x0180)
_NONE = range(0x80000000, 0x100000000)
"""Indexes that stand for no text: Android takes them as negative."""
_PUBLIC = range(0x01010000, 0x01010800)
"""Ids of Android's own attributes."""
_ROW = struct.Struct("<IIIxxxBI")
_Row = tuple[int, int, int, int, int]
"""Indexes of namespace and name in the pool, index of the raw text, type and number."""


class Attribute(NamedTuple):
    """One attribute: what it was compiled to, and the raw text that stands beside it."""

    text: str | None
    """None: it was compiled to another type than text."""
    raw: str | None
    kind: int
    number: int


class Element:
    """A tag that opens or closes; attributes are decoded when asked for."""

    __slots__ = ("_by_id", "_document", "_rows", "name", "opens")

    def __init__(
        self,
        opens: bool,
        name: str,
        document: "BinaryXml",
        rows: list[_Row],
        by_id: dict[int, _Row],
    ) -> None:
        self.opens, self.name = opens, name
        self._document, self._rows, self._by_id = document, rows, by_id

    def __len__(self) -> int:
        return len(self._rows)

    def given(self, resource_id: int) -> Attribute | None:
        """Return the attribute that Android finds for a resource id."""
        row = self._by_id.get(resource_id)
        return None if row is None else self._document.attribute(row)

    def named(self, name: str, namespace: str = "") -> Attribute | None:
        """Return the attribute that Android finds by its name as text."""
        text = self._document.text
        found = [row for row in self._rows if text(row[1]) == name and text(row[0]) == namespace]
        if not namespace:  # an empty text is a namespace, too
            found.sort(key=lambda row: self._document.has(row[0]))
        return self._document.attribute(found[0]) if found else None


class BinaryXml:
    """The elements of one document, and what is odd about it.

    *meant* gives the id that stands behind an attribute's (`scanner.resources.Resources.meant`).
    """

    def __init__(self, data: bytes, meant: Callable[[int], int] | None = None) -> None:
        self._data, self._meant = data, meant
        self._attributes = 0
        self._pool: StringPool | None = None
        self._known: dict[int, str] = {}
        self._ids: tuple[int, ...] = ()
        self._has_begun = False
        self._oddities: dict[str, None] = {}
        self.unusual: dict[str, None] = {}
        """What no tool writes, and what misleads nobody."""
        self._is_cut = False

    @property
    def is_cut(self) -> bool:
        """Whether the document has more elements, or longer texts, than are read."""
        return self._is_cut or (self._pool is not None and self._pool.is_cut)

    @property
    def oddities(self) -> list[str]:
        """What is built to mislead."""
        return [*self._oddities, *(self._pool.oddities if self._pool else ())][:10]

    def elements(self) -> Iterator[Element]:
        """Yield what opens and closes; raises BrokenChunkError when no element can be reached."""
        seen = 0
        for chunk in self._chunks():
            if chunk.kind in (XML_START_ELEMENT, XML_END_ELEMENT):
                self._has_begun = True
                seen += 1
                if seen > 2 * MAXIMUM_ELEMENTS:
                    self._is_cut = True
                    return
                yield self._element(chunk)
            elif chunk.kind == STRING_POOL:
                self._take_pool(chunk)
            elif chunk.kind == XML_RESOURCE_MAP:
                self._take_map(chunk)
            elif chunk.kind in _NODES:
                self._has_begun = True
            else:
                self._odd(f"a chunk of unknown type {chunk.kind:#06x}")

    def text(self, index: int) -> str:
        """Return a text of the pool; empty: there is none."""
        text = self._known.get(index)
        if text is None:
            return self._pool.get(index) if self._pool else ""
        return text

    def has(self, index: int) -> bool:
        """Return whether the pool has a text of that index."""
        return self._pool is not None and index < self._pool.told and index not in _NONE

    def attribute(self, row: _Row) -> Attribute:
        """Return what stands in a row of an element."""
        _, _, raw, kind, number = row
        text = self.text(number) if kind == TYPE_STRING else None
        if raw == number and text is not None:
            return Attribute(text, text, kind, number)
        return Attribute(text, None if raw in _NONE else self.text(raw), kind, number)

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

    def _take_pool(self, chunk: Chunk) -> None:
        if self._pool is not None:
            self._odd("a second string pool")
        if self._has_begun and self._pool is not None:
            return
        self._pool = StringPool(self._data, chunk)
        self._known = self._pool.known
        if self._pool.lies:
            self._odd("the string pool claims more than it holds")

    def _take_map(self, chunk: Chunk) -> None:
        if self._has_begun:
            self._odd("a resource map behind the first element")
            return
        if self._ids:
            self._odd("a second resource map")
        count = (chunk.end - chunk.body) // 4
        self._is_cut |= count > MAXIMUM_IDS
        count = min(count, MAXIMUM_IDS)
        self._ids = struct.unpack_from(f"<{count}I", self._data, chunk.body)
        if self._meant and not all(one in _PUBLIC for one in self._ids):
            self._ids = tuple(map(self._meant, self._ids))

    def _element(self, chunk: Chunk) -> Element:
        data, at = self._data, chunk.body
        if self._pool is None or at + 8 > chunk.end:
            raise BrokenChunkError("an element stands before the strings, or is cut off")
        if chunk.kind == XML_END_ELEMENT:  # Android counts them and asks no name
            return Element(False, "", self, [], {})
        name = self.text(struct.unpack_from("<I", data, at + 4)[0])[:NAME_LENGTH]
        if at + 20 > chunk.end:
            raise BrokenChunkError("an element is cut off")
        start, size, count = struct.unpack_from("<HHH", data, at + 8)
        if size != 20 or start != 20:
            self._odd("attributes of an unusual size")
        rows = self._rows(chunk, at + start, size, count)
        return Element(True, name, self, rows, self._by_id(rows))

    def _rows(self, chunk: Chunk, at: int, size: int, count: int) -> list[_Row]:
        if count > COMMON_ATTRIBUTES:
            self._odd(f"an element claims {count} attributes")
        room = count
        if at + 20 > chunk.end:
            room = 0
        elif size:
            room = 1 + (chunk.end - at - 20) // size
        if count > room:
            self._odd("an element claims more attributes than it holds")
            count = room
        if self._attributes + count > MAXIMUM_ATTRIBUTES:
            self._is_cut = True
            count = MAXIMUM_ATTRIBUTES - self._attributes
        self._attributes += count
        unpack, data = _ROW.unpack_from, self._data
        return [unpack(data, at + number * size) for number in range(count)]

    def _by_id(self, rows: list[_Row]) -> dict[int, _Row]:
        """Return the attributes that Android finds by resource id."""
        found: dict[int, _Row] = {}
        nameless: set[tuple[str, str]] = set()
        ids, highest = self._ids, 0
        for row in rows:
            given = ids[row[1]] if row[1] < len(ids) else 0
            if given > highest:
                found[given] = row
                highest = given
            elif given in found:
                self._odd("an element has one attribute twice")
            elif given:
                self.unusual[
                    "Android overlooks an attribute, for one of a greater id is before it"
                ] = None
            else:
                key = self.text(row[0])[:NAME_LENGTH], self.text(row[1])[:NAME_LENGTH]
                if key in nameless:
                    self._odd("an element has one attribute twice")
                nameless.add(key)
        return found

    def _odd(self, what: str) -> None:
        if len(self._oddities) < 10:
            self._oddities[what] = None
