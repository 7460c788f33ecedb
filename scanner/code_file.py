"""The code of one DEX file of an app: its classes, their methods, and who uses what."""

import struct
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

from scanner.code_sites import ALL, INVOKES, READS, TYPES, CodeSites
from scanner.code_tables import CodeTables
from scanner.dex import BrokenDexError
from scanner.instructions import signed
from scanner.numbers import uleb_run

MOST_MEMBERS = 65_536
"""Of one kind in one class: byte code cannot name more."""
MOST_CATCHES = 20_000
"""In one method."""


class Method(NamedTuple):
    """A method with code of the app."""

    file: int
    owner: str
    name: str
    proto: str
    code_at: int


class Called(NamedTuple):
    """A row of the method table, in words."""

    owner: str
    name: str
    proto: str
    proto_row: int


class CodeFile(CodeTables):
    """One DEX file."""

    @cached_property
    def _called(self) -> dict[int, Called]:
        return {}

    def called(self, row: int) -> Called:
        """Return what *row* of the method table names."""
        found = self._called.get(row)
        if found is None:
            owner, proto, name = self.method(row)
            found = Called(self.type_name(owner), self.text(name), self.proto(proto), proto)
            self._called[row] = found
        return found

    @cached_property
    def class_rows(self) -> dict[int, int]:
        """Type index -> row of the class table."""
        table = self.dex.classes
        body = self.data[table.at : table.at + 32 * table.rows]
        return {row[0]: n for n, row in enumerate(struct.iter_unpack("<I28x", body))}

    def class_names(self) -> list[bytes]:
        """Return the descriptor of each class, as fast as may be."""
        data, places = self.data, self.string_places
        types = struct.unpack_from(f"<{self.dex.types.rows}I", data, self.dex.types.at)
        starts = [places[types[kind]] for kind, _, _ in self.parents]
        return [
            data[at + 1 : data.index(0, at + 1)] if data[at] < 0x80 else self._long_name(at)
            for at in starts
        ]

    def _long_name(self, at: int) -> bytes:
        while self.data[at] & 0x80:  # the length in characters, ULEB128
            at += 1
        return self.data[at + 1 : self.data.index(0, at + 1)]

    @cached_property
    def parents(self) -> list[tuple[int, int, int]]:
        """(class, parent, offset of interfaces) of each row of the class table."""
        table = self.dex.classes
        body = self.data[table.at : table.at + 32 * table.rows]
        return [*struct.iter_unpack("<I4xII16x", body)]

    def methods_of(self, row: int, owner: str) -> dict[tuple[str, str], Method]:
        """Return the methods with code of the class in *row*."""
        found: dict[tuple[str, str], Method] = {}
        for index, code in self.coded(row):
            method = self._method_with(index, owner, code)
            found[method.name, method.proto] = method
        return found

    def _method_with(self, index: int, owner: str, code: int) -> Method:
        _, proto, name = self.method(index)
        return Method(0, owner, self.text(name), self.proto(proto), code)

    def registers(self, at: int) -> tuple[int, int]:
        """Return how many registers the method with its code at *at* has, and for its arguments."""
        count, ins = struct.unpack_from("<HH", self.data, at)
        return count, ins

    def code(self, at: int) -> bytes:
        """Return the instructions of the method with its code at *at*."""
        size = min(self._number(at + 12), (len(self.data) - at - 16) // 2)
        return self.data[at + 16 : at + 16 + 2 * max(0, size)]

    def coded(self, row: int) -> list[tuple[int, int]]:
        """Return method index and offset of the code of each method of the class in *row*."""
        if row not in self._coded:
            self._coded[row] = [*self._read_coded(row)]
        return self._coded[row]

    @cached_property
    def _coded(self) -> dict[int, list[tuple[int, int]]]:
        return {}

    def _read_coded(self, row: int) -> Iterator[tuple[int, int]]:
        at = self._number(self.dex.classes.at + 32 * row + 24)
        if not at:
            return
        counts = []
        for _ in range(4):
            number, at = self.uleb(at)
            if number > MOST_MEMBERS:
                raise BrokenDexError("a class has more members than code can name")
            counts.append(number)
        start = 2 * (counts[0] + counts[1])
        numbers = uleb_run(self.data, at, start + 3 * (counts[2] + counts[3]))
        for count in counts[2:]:
            end = start + 3 * count
            pairs = zip(
                accumulate(numbers[start:end:3]), numbers[start + 2 : end : 3], strict=False
            )
            yield from (pair for pair in pairs if pair[1])
            start = end

    @cached_property
    def _sites(self) -> CodeSites:
        return CodeSites(self.data, self.dex.classes, self.coded)

    def users(
        self,
        methods: Iterable[int],
        fields: Iterable[int],
        types: Iterable[int] = (),
        most: int = ALL,
    ) -> list[Method]:
        """Return the methods that use one of the rows of these tables; above *most* only some."""
        asked = ((INVOKES, methods), (READS, fields), (TYPES, types))
        found = {one for kind, rows in asked for one in self._sites.users(kind, rows, most)}
        return [
            self._method_with(index, self.type_name(self.parents[row][0]), code)
            for code, row, index in sorted(found)
        ]

    def count_users(self, methods: Iterable[int], fields: Iterable[int], most: int) -> int:
        """Return how many methods `users` would return, or some number above *most*."""
        asked = ((INVOKES, methods), (READS, fields))
        return len({one for kind, rows in asked for one in self._sites.users(kind, rows, most)})


def catch_places(file: CodeFile, at: int, units: int) -> list[int]:
    """Return where the method with its code at *at*, of that many units, goes on after a throw."""
    (tries,) = struct.unpack_from("<H", file.data, at + 6)
    if not tries:
        return []
    start = at + 16 + 2 * (units + units % 2)
    handlers = {*struct.iter_unpack("<6xH", file.data[start : start + 8 * tries])}
    found: set[int] = set()
    left = MOST_CATCHES
    for (handler,) in handlers:
        places = _catches(file, start + 8 * tries + handler, left)
        left -= len(places)
        found.update(places)
    return sorted(found, reverse=True)


def _catches(file: CodeFile, at: int, most: int) -> list[int]:
    size, at = file.uleb(at)
    count = -signed(size, 7) if size & 0x40 else size
    if abs(count) >= most:
        raise BrokenDexError("a method catches more than is looked at")
    places = []
    for _ in range(abs(count)):
        _, at = file.uleb(at)
        place, at = file.uleb(at)
        places.append(place)
    if size & 0x40 or not size:
        places.append(file.uleb(at)[0])
    return places
