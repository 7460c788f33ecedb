"""Look values up in a resources.arsc: what the manifest refers to, and labels in every language.

Nothing is read before something is asked. Which value a device takes depends on its settings, so
all of them are returned, the one for a new Android without other qualifiers first (AOSP,
`ResTable_config`; a sparse type is searched as in LoadedArsc.cpp).

A package may say that its types begin later (`typeIdOffset`): LoadedArsc, so Android 8 and later,
adds that to the ids of the types, ResourceTypes.cpp before it used it for their names only. Such a
type is found under both.
"""

import bisect
import contextlib
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from scanner.binary_xml import TYPE_DYNAMIC_REFERENCE, TYPE_REFERENCE, TYPE_STRING
from scanner.chunks import (
    STRING_POOL,
    TABLE,
    TABLE_PACKAGE,
    TABLE_TYPE,
    BrokenChunkError,
    Chunk,
    StringPool,
    chunk_at,
)
from scanner.resource_numbers import Numbers

MAXIMUM_CHUNKS = 40_000
MAXIMUM_STEPS = 20
"""References that lead to references, as many as Android follows."""
MAXIMUM_PROBES = 200_000
"""Places of the table that are looked at, for all questions together."""
MAXIMUM_VALUES = 500
"""Of one resource."""
MAXIMUM_TEXT = 4_000_000
"""Characters of all texts that are looked up together."""
REFERENCES = (TYPE_REFERENCE, TYPE_DYNAMIC_REFERENCE)
_WITH_TYPE_OFFSET = 288
"""Bytes of a package's header that says where its types begin."""
_NEWEST = 99
"""No Android has a greater number: a value for one is for no device."""
_NO_ENTRY = 0xFFFFFFFF
_SPARSE, _SHORT_OFFSETS = 0x01, 0x02
_COMPLEX, _COMPACT = 0x0001, 0x0008
_SDK = slice(20, 22)
"""Of a configuration, behind its size: the Android version that it is for."""
_DAMAGE = (BrokenChunkError, struct.error, IndexError)


class Value(NamedTuple):
    """A resource in one configuration."""

    kind: int
    """A reference: it leads to nothing that is one value."""
    number: int
    text: str | None


class _Type(NamedTuple):
    """The values of one type in one configuration."""

    chunk: Chunk
    is_early: bool
    """Whether only Androids before 8 find it there."""


class Resources:
    """The resource table of one app; *read* returns it when it is wanted first."""

    def __init__(self, read: Callable[[], bytes | None]) -> None:
        self._read = read
        self._is_given = False
        self._data: bytes | None = None
        self._pool: StringPool | None = None
        self._types: dict[int, list[_Type]] = {}
        self._numbers = Numbers()
        self._known: dict[int, tuple[Value, ...]] = {}
        self._probes = 0
        self._room = MAXIMUM_TEXT
        self._is_cut = False
        self._beside: list[Resources] = []

    @property
    def is_cut(self) -> bool:
        """Whether something was not looked up, or not as a whole, because of the limits."""
        has_long_text = self._pool is not None and self._pool.is_cut
        return self._is_cut or self._numbers.is_cut or has_long_text

    def join(self, others: Iterable["Resources"]) -> None:
        """Look values up in *others*, too: packages of one app are loaded together."""
        self._beside = [other for other in others if other is not self]
        for other in self._beside:
            other._open()
        self._known.clear()

    def give(self, data: bytes) -> None:
        """Take the table that came by, unless it was read before."""
        if self._data is None and not self._is_given:
            self._is_given, self._read = True, lambda: data

    def values(self, resource_id: int) -> tuple[Value, ...]:
        """Return the different values of a resource, the likeliest first."""
        if resource_id not in self._known:
            self._open()
            found = dict.fromkeys(self._followed((resource_id,), {resource_id}))
            self._known[resource_id] = tuple(found)[:MAXIMUM_VALUES]
            self._is_cut |= len(found) > MAXIMUM_VALUES
        return self._known[resource_id]

    def texts(self, resource_id: int) -> list[str]:
        """Return the different texts of a resource, the likeliest first."""
        found = (value.text for value in self.values(resource_id))
        return [*dict.fromkeys(text for text in found if text)]

    def meant(self, resource_id: int) -> int:
        """Return the number that stands behind one of another package (`Numbers.meant`)."""
        self._open()
        return self._numbers.meant(resource_id)

    def _open(self) -> None:
        if self._data is not None:
            return
        self._data = self._read() or b""
        if not self._data:  # an app may do without a table: nothing is cut then
            return
        packages: list[Chunk] = []
        try:
            for chunk in self._tables():
                if chunk.kind == STRING_POOL and self._pool is None:
                    self._pool = StringPool(self._data, chunk)
                elif chunk.kind == TABLE_PACKAGE:
                    packages.append(chunk)
        except _DAMAGE:
            self._is_cut = True  # what was found before is asked, and what was not is told
        for package in packages:
            self._open_package(package)

    def _tables(self) -> Iterator[Chunk]:
        """Yield what is inside: Android passes over chunks around a table, and reads several."""
        data = self._data or b""
        first = chunk_at(data, 0, len(data))
        if first.kind == TABLE:
            yield from self._inside(first)
        with contextlib.suppress(*_DAMAGE):
            if first.kind != TABLE:  # Androids before 8 ask no kind
                yield from self._inside(first)
        with contextlib.suppress(*_DAMAGE):
            for chunk in self._inside(Chunk(TABLE, 0, first.end, len(data))):
                if chunk.kind == TABLE:
                    yield from self._inside(chunk)

    def _open_package(self, package: Chunk) -> None:
        data = self._data or b""
        try:
            (told,) = struct.unpack_from("<I", data, package.at + 8)
            number = self._numbers.package(told, data[package.at + 12 : package.at + 268])
            later = 0
            if package.body - package.at >= _WITH_TYPE_OFFSET:
                (later,) = struct.unpack_from("<I", data, package.at + 284)
            for chunk in self._inside(package):
                if chunk.kind == TABLE_TYPE and chunk.body <= len(data):
                    self._take_type(number, later, chunk)
                else:
                    self._numbers.take(data, chunk)
        except _DAMAGE:
            self._is_cut = True

    def _take_type(self, number: int, later: int, chunk: Chunk) -> None:
        told = (self._data or b"")[chunk.at + 8]
        for type_id in {told, told + later}:
            if type_id <= 0xFF:
                place = self._types.setdefault(number << 8 | type_id, [])
                place.append(_Type(chunk, type_id != told + later))

    def _inside(self, outer: Chunk) -> Iterator[Chunk]:
        at = outer.body
        while at + 8 <= outer.end:
            self._probes += 1
            if self._probes > MAXIMUM_CHUNKS:
                self._is_cut = True
                return
            chunk = chunk_at(self._data or b"", at, outer.end)
            yield chunk
            at = chunk.end

    def _followed(self, way: tuple[int, ...], seen: set[int]) -> Iterator[Value]:
        """Yield the values at the end of *way*; *seen* are all resources that were asked."""
        found = [
            value
            for number in dict.fromkeys((way[-1], self._numbers.meant(way[-1])))
            for value in self._loaded(number)
        ]
        for value in found or [Value(TYPE_REFERENCE, way[-1], None)]:
            is_far = len(way) > MAXIMUM_STEPS
            if value.kind not in REFERENCES or is_far or value.number in way:
                self._is_cut |= is_far and value.kind in REFERENCES  # a shorter way may be left out
                yield value
            elif value.number not in seen:
                seen.add(value.number)
                yield from self._followed((*way, value.number), seen)

    def _loaded(self, resource_id: int) -> list[Value]:
        """Return the values of all packages that are loaded together."""
        found = self._direct(resource_id)
        for other in self._beside:
            self._probes += 1
            if self._probes > MAXIMUM_PROBES:
                self._is_cut = True
                break
            found += other._direct(resource_id)
            self._is_cut |= other.is_cut
        return found

    def _direct(self, resource_id: int) -> list[Value]:
        found: list[tuple[tuple[bool, bool, int], Value]] = []
        for one in self._types.get(resource_id >> 16, ()):
            self._probes += 1
            if self._probes > MAXIMUM_PROBES:
                self._is_cut = True
                break
            try:
                entry = self._entry(one.chunk, resource_id)
                if entry is not None:
                    found.append(((one.is_early, *self._rank(one.chunk)), self._value(*entry)))
            except _DAMAGE:
                continue
        return [value for _, value in sorted(found, key=lambda one: one[0])]

    def _value(self, kind: int, number: int) -> Value:
        if kind != TYPE_STRING or self._pool is None:
            return Value(kind, number, None)
        text = self._pool.get(number) if self._room > 0 else ""
        self._room -= len(text)
        self._is_cut |= self._room <= 0
        return Value(kind, 0, text)

    def _entry(self, chunk: Chunk, resource_id: int) -> tuple[int, int] | None:
        """Return type and number, if *chunk* has the resource; several values are none."""
        data = self._data or b""
        offset = self._offset(chunk, resource_id & 0xFFFF)
        if offset is None:
            return None
        (start,) = struct.unpack_from("<I", data, chunk.at + 16)
        at = chunk.at + start + offset
        size, flags, compact = struct.unpack_from("<HHI", data, at)
        if flags & _COMPACT:
            return flags >> 8, compact
        if flags & _COMPLEX:
            return TYPE_REFERENCE, resource_id
        kind, number = struct.unpack_from("<3xBI", data, at + size)
        return kind, number

    def _offset(self, chunk: Chunk, index: int) -> int | None:
        data = self._data or b""
        flags = data[chunk.at + 9]
        (count,) = struct.unpack_from("<I", data, chunk.at + 12)
        if flags & _SPARSE:
            return self._sparse_offset(chunk, index, count)
        if index >= count:
            return None
        if flags & _SHORT_OFFSETS:
            (offset,) = struct.unpack_from("<H", data, chunk.body + 2 * index)
            return None if offset == 0xFFFF else offset * 4
        (offset,) = struct.unpack_from("<I", data, chunk.body + 4 * index)
        return None if offset == _NO_ENTRY else offset

    def _sparse_offset(self, chunk: Chunk, index: int, count: int) -> int | None:
        data = self._data or b""

        def number(row: int) -> int:
            return int.from_bytes(data[chunk.body + 4 * row : chunk.body + 4 * row + 2], "little")

        rows = range(min(count, (chunk.end - chunk.body) // 4))
        row = bisect.bisect_left(rows, index, key=number)
        if row == len(rows) or number(row) != index:
            return None
        (offset,) = struct.unpack_from("<H", data, chunk.body + 4 * row + 2)
        return int(offset) * 4

    def _rank(self, chunk: Chunk) -> tuple[bool, int]:
        """Return an order: for some Android version or none, the newest first; then others."""
        data = self._data or b""
        (size,) = struct.unpack_from("<I", data, chunk.at + 20)
        asked = data[chunk.at + 24 : min(chunk.at + 20 + size, chunk.body)]
        others = asked[: _SDK.start] + asked[_SDK.stop :]
        version = int.from_bytes(asked[_SDK], "little")
        return any(others) or version > _NEWEST, -version
