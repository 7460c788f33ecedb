"""The tables of one DEX file, read row by row as they are asked for, and searched.

They are the file's own words: every offset is checked by reading through `struct`, and
`BrokenDexError` says what does not fit.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from scanner.dex import BrokenDexError, Dex

MAXIMUM_NAMESAKES = 20_000
"""Methods of one name in one file."""
MAXIMUM_INTERFACES = 1_000
"""Of one class."""


class CodeTables:
    """One DEX file; *place* is its path in the archive."""

    def __init__(self, place: str, data: bytes) -> None:
        self.place = place
        self.data = data
        self.dex = Dex(data)
        numbers = struct.unpack_from("<4I", data, 0x48)
        self._proto_rows, self._protos = numbers[:2]
        self.field_rows, self._fields = numbers[2:]
        self._texts: dict[int, str] = {}
        self._type_names: dict[int, str] = {}
        self._proto_texts: dict[int, str] = {}
        self._field_names: dict[int, str] = {}
        self._rows_of_types: dict[str, int | None] = {}

    def text(self, index: int) -> str:
        """Return string *index*; undecodable bytes stay distinguishable."""
        found = self._texts.get(index)
        if found is None:
            found = self._texts[index] = self._read_text(index)
        return found

    def type_name(self, index: int) -> str:
        """Return the descriptor of type *index*."""
        found = self._type_names.get(index)
        if found is None:
            if index >= self.dex.types.rows:
                raise BrokenDexError("a type index is too large")
            found = self.text(self._number(self.dex.types.at + 4 * index))
            self._type_names[index] = found
        return found

    def method(self, index: int) -> tuple[int, int, int]:
        """Return class, prototype and name of method *index*, as indexes."""
        if index >= self.dex.methods.rows:
            raise BrokenDexError("a method index is too large")
        owner, proto, name = struct.unpack_from("<HHI", self.data, self.dex.methods.at + 8 * index)
        return owner, proto, name

    def field(self, index: int) -> tuple[int, int]:
        """Return class and name of field *index*, as indexes."""
        if index >= self.field_rows:
            raise BrokenDexError("a field index is too large")
        owner, name = struct.unpack_from("<H2xI", self.data, self._fields + 8 * index)
        return owner, name

    def field_name(self, index: int) -> str:
        """Return field *index* as ``Lpackage/Class;->name``."""
        found = self._field_names.get(index)
        if found is None:
            owner, name = self.field(index)
            found = self._field_names[index] = f"{self.type_name(owner)}->{self.text(name)}"
        return found

    def proto(self, index: int) -> str:
        """Return prototype *index* as ``(parameters)result``."""
        found = self._proto_texts.get(index)
        if found is None:
            found = self._proto_texts[index] = self._read_proto(index)
        return found

    def _read_proto(self, index: int) -> str:
        if index >= self._proto_rows:
            raise BrokenDexError("a prototype index is too large")
        _, result, at = struct.unpack_from("<3I", self.data, self._protos + 12 * index)
        count = min(self._number(at), 255) if at else 0
        kinds = struct.unpack_from(f"<{count}H", self.data, at + 4) if count else ()
        return f"({''.join(map(self.type_name, kinds))}){self.type_name(result)}"

    def parameters(self, index: int) -> str:
        """Return the short form of prototype *index*: the result first, then a letter each."""
        return self.text(self._number(self._protos + 12 * index))

    def interfaces(self, at: int) -> tuple[str, ...]:
        """Return the descriptors in the type list at *at*."""
        if not at:
            return ()
        count = self._number(at)
        if count > MAXIMUM_INTERFACES:
            raise BrokenDexError("a class implements more than is looked at")
        return tuple(map(self.type_name, struct.unpack_from(f"<{count}H", self.data, at + 4)))

    # --- search ---

    def find_strings(self, wanted: Iterable[str]) -> dict[str, int]:
        """Return those of *wanted* that are in the string table, with their index."""
        found: dict[str, int] = {}
        keys = sorted((text.encode("utf-8", "surrogateescape"), text) for text in set(wanted))
        self._search(keys, 0, self.dex.strings.rows, found)
        return found

    def _search(
        self, keys: list[tuple[bytes, str]], low: int, high: int, found: dict[str, int]
    ) -> None:
        """Search the middle key first: it halves the table for those beside it."""
        if not keys or low >= high:
            return
        middle = len(keys) // 2
        key, text = keys[middle]
        wanted, length, places, data = key + b"\0", len(key) + 2, self.string_places, self.data
        start, end = low, high
        while start < end:
            row = (start + end) // 2
            at = places[row]
            if at >= len(data):
                raise BrokenDexError("a string lies outside the file")
            while data[at] >= 0x80:  # the length in characters, ULEB128
                at += 1
            if data[at + 1 : at + length] < wanted:
                start = row + 1
            else:
                end = row
        if start < high and self._is_at(start, wanted):
            found[text] = start
        self._search(keys[:middle], low, start, found)
        self._search(keys[middle + 1 :], start, high, found)

    def _is_at(self, row: int, wanted: bytes) -> bool:
        at = self.string_places[row]
        while self.data[at] >= 0x80:
            at += 1
        return self.data.startswith(wanted, at + 1)

    @cached_property
    def string_places(self) -> tuple[int, ...]:
        """The offset of each string."""
        return struct.unpack_from(f"<{self.dex.strings.rows}I", self.data, self.dex.strings.at)

    def find_types(self, strings: Mapping[str, int]) -> dict[int, str]:
        """Return type index -> descriptor for those of *strings* that are types."""
        known = self._type_rows
        return {known[index]: text for text, index in strings.items() if index in known}

    def type_row(self, descriptor: str) -> int | None:
        """Return the index of that type, if it is in the table."""
        if descriptor not in self._rows_of_types:
            found = self.find_types(self.find_strings((descriptor,)))
            self._rows_of_types[descriptor] = next(iter(found), None)
        return self._rows_of_types[descriptor]

    @cached_property
    def _type_rows(self) -> dict[int, int]:
        """String index -> type index."""
        rows, at = self.dex.types
        table = struct.unpack_from(f"<{rows}I", self.data, at)
        return dict(zip(table, range(rows), strict=True))

    def rows_of(self, owner: int, name: int, is_field: bool) -> list[int]:
        """Return the rows of the method or field table with that class and name, both indexes."""
        read = self.field if is_field else lambda row: self.method(row)[::2]
        count = self.field_rows if is_field else self.dex.methods.rows
        low, high = 0, count
        while low < high:
            middle = (low + high) // 2
            if read(middle) < (owner, name):
                low = middle + 1
            else:
                high = middle
        rows = []
        while low < count and read(low) == (owner, name):
            rows.append(low)
            low += 1
        return rows

    def rows_with_name(self, name: int) -> Iterator[int]:
        """Yield the rows of the method table with the name of string index *name*."""
        start = self.dex.methods.at
        needle, at, end = struct.pack("<I", name), start, start + 8 * self.dex.methods.rows
        for _ in range(MAXIMUM_NAMESAKES):
            at = self.data.find(needle, at, end)
            if at < 0:
                return
            if (at - start) % 8 == 4:
                yield (at - start) // 8
            at += 1
        raise BrokenDexError("more methods have one name than are looked at")

    def _read_text(self, index: int) -> str:
        if index >= self.dex.strings.rows:
            raise BrokenDexError("a string index is too large")
        at, data = self.string_places[index], self.data
        at = at + 1 if data[at] < 0x80 else self.uleb(at)[1]
        end = data.find(0, at, at + 65_536)
        return data[at : at + 65_536 if end < 0 else end].decode("utf-8", "surrogateescape")

    def uleb(self, at: int) -> tuple[int, int]:
        """Return the number at *at* (ULEB128) and where it ends."""
        number = shift = 0
        for _ in range(5):
            byte = self.data[at]
            at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
        return number, at

    def _number(self, at: int) -> int:
        number: int = struct.unpack_from("<I", self.data, at)[0]
        return number
