"""Look values up in a resources.arsc: what the manifest refers to, and labels in every language.

Nothing is read before something is asked. Which value a device takes depends on its settings, so
all of them are returned, the one for a new Android without other qualifiers first (AOSP,
`ResTable_config`; a sparse type is searched as in LoadedArsc.cpp).
"""

import bisect
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from scanner.binary_xml import TYPE_DYNAMIC_REFERENCE, TYPE_REFERENCE, TYPE_STRING
from scanner.chunks import (
    STRING_POOL,
    TABLE_PACKAGE,
    TABLE_TYPE,
    BrokenChunkError,
    Chunk,
    StringPool,
    chunk_at,
)

MAXIMUM_CHUNKS = 40_000
MAXIMUM_STEPS = 5
"""References that lead to references."""
MAXIMUM_PROBES = 200_000
"""Places of the table that are looked at, for all questions together."""
MAXIMUM_VALUES = 500
"""Of one resource."""
_NO_ENTRY = 0xFFFFFFFF
_SPARSE, _SHORT_OFFSETS = 0x01, 0x02
_COMPLEX, _COMPACT = 0x0001, 0x0008
_SDK = slice(20, 22)
"""Of a configuration, behind its size: the Android version that it is for."""
_DAMAGE = (BrokenChunkError, struct.error, IndexError)


class Value(NamedTuple):
    """A resource in one configuration."""

    kind: int
    number: int
    text: str | None


class Resources:
    """The resource table of one app; *read* returns it when it is wanted first."""

    def __init__(self, read: Callable[[], bytes | None]) -> None:
        self._read = read
        self._is_given = False
        self._data: bytes | None = None
        self._pool: StringPool | None = None
        self._types: dict[int, list[Chunk]] = {}
        self._known: dict[int, tuple[Value, ...]] = {}
        self._probes = 0
        self.is_cut = False
        """Whether something was not looked up because of the limits."""

    def give(self, data: bytes) -> None:
        """Take the table that came by, unless it was read before."""
        if self._data is None and not self._is_given:
            self._is_given, self._read = True, lambda: data

    def values(self, resource_id: int) -> tuple[Value, ...]:
        """Return the different values of a resource, the likeliest first; empty: there is none."""
        if resource_id not in self._known:
            self._open()
            found = dict.fromkeys(self._followed(resource_id, {resource_id}, MAXIMUM_STEPS))
            self._known[resource_id] = tuple(found)[:MAXIMUM_VALUES]
            self.is_cut |= len(found) > MAXIMUM_VALUES
        return self._known[resource_id]

    def texts(self, resource_id: int) -> list[str]:
        """Return the different texts of a resource, the likeliest first."""
        found = (value.text for value in self.values(resource_id))
        return [*dict.fromkeys(text for text in found if text)]

    def _open(self) -> None:
        if self._data is not None:
            return
        self._data = self._read() or b""
        if not self._data:  # an app may do without a table: nothing is cut then
            return
        packages: list[Chunk] = []
        try:
            for chunk in self._inside(chunk_at(self._data, 0, len(self._data))):
                if chunk.kind == STRING_POOL and self._pool is None:
                    self._pool = StringPool(self._data, chunk)
                elif chunk.kind == TABLE_PACKAGE:
                    packages.append(chunk)
        except _DAMAGE:
            self.is_cut = True  # what was found before is asked, and what was not is told
        for package in packages:
            self._open_package(package)

    def _open_package(self, package: Chunk) -> None:
        data = self._data or b""
        try:
            (number,) = struct.unpack_from("<I", data, package.at + 8)
            for chunk in self._inside(package):
                if chunk.kind == TABLE_TYPE and chunk.body <= len(data):
                    place = (number & 0xFF) << 8 | data[chunk.at + 8]
                    self._types.setdefault(place, []).append(chunk)
        except _DAMAGE:
            pass

    def _inside(self, outer: Chunk) -> Iterator[Chunk]:
        at = outer.body
        while at + 8 <= outer.end:
            self._probes += 1
            if self._probes > MAXIMUM_CHUNKS:
                self.is_cut = True
                return
            chunk = chunk_at(self._data or b"", at, outer.end)
            yield chunk
            at = chunk.end

    def _followed(self, resource_id: int, seen: set[int], steps: int) -> Iterator[Value]:
        for value in self._direct(resource_id):
            if value.kind not in (TYPE_REFERENCE, TYPE_DYNAMIC_REFERENCE):
                yield value
            elif steps and value.number not in seen:
                seen.add(value.number)
                yield from self._followed(value.number, seen, steps - 1)

    def _direct(self, resource_id: int) -> list[Value]:
        found: list[tuple[tuple[bool, int], Value]] = []
        for chunk in self._types.get(resource_id >> 16, ()):
            self._probes += 1
            if self._probes > MAXIMUM_PROBES:
                self.is_cut = True
                break
            try:
                entry = self._entry(chunk, resource_id & 0xFFFF)
                if entry is not None:
                    found.append((self._rank(chunk), self._value(*entry)))
            except _DAMAGE:
                continue
        return [value for _, value in sorted(found, key=lambda one: one[0])]

    def _value(self, kind: int, number: int) -> Value:
        text = self._pool.get(number) if kind == TYPE_STRING and self._pool else None
        return Value(kind, number if text is None else 0, text)

    def _entry(self, chunk: Chunk, index: int) -> tuple[int, int] | None:
        """Return type and number of entry *index*, if *chunk* has it and it is one value."""
        data = self._data or b""
        offset = self._offset(chunk, index)
        if offset is None:
            return None
        (start,) = struct.unpack_from("<I", data, chunk.at + 16)
        at = chunk.at + start + offset
        size, flags, compact = struct.unpack_from("<HHI", data, at)
        if flags & _COMPACT:
            return flags >> 8, compact
        if flags & _COMPLEX:
            return None
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
        """Return an order: only for some Android version or none, the newest first; others."""
        data = self._data or b""
        (size,) = struct.unpack_from("<I", data, chunk.at + 20)
        asked = data[chunk.at + 24 : min(chunk.at + 20 + size, chunk.body)]
        others = asked[: _SDK.start] + asked[_SDK.stop :]
        return any(others), -int.from_bytes(asked[_SDK], "little")
