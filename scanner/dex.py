"""The tables of a DEX file, searched without disassembling or copying anything.

The format keeps its tables sorted, and Android refuses a file whose tables are not, so a look-up
is a binary search.
"""

import struct
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

MAGIC = b"dex\n"
HEADER_BYTES = 0x70
FIRST_CONTAINER = b"041"
"""From this version on, one file may hold several DEX files that share their data."""


class BrokenDexError(Exception):
    """The tables cannot be read; the text says why. Stays inside the scanner."""


DAMAGE = (BrokenDexError, struct.error, IndexError, OverflowError, RecursionError, ValueError)
"""What reading a damaged file raises."""


class Table(NamedTuple):
    rows: int
    at: int


class Dex:
    """One DEX file in *data*."""

    def __init__(self, data: bytes) -> None:
        """Read the header; raises BrokenDexError when a table does not fit into the file."""
        if len(data) < HEADER_BYTES or data[:4] != MAGIC:
            raise BrokenDexError("it has no DEX header")
        if data[4:7].isdigit() and data[4:7] >= FIRST_CONTAINER:
            raise BrokenDexError(f"version {data[4:7].decode()} may hold several DEX files in one")
        self._data = data
        numbers = struct.unpack_from("<14I", data, 0x38)
        self.strings = self._table("string", numbers[0:2], 4)
        self.types = self._table("type", numbers[2:4], 4)
        self.methods = self._table("method", numbers[8:10], 8)
        self.classes = self._table("class", numbers[10:12], 32)

    def calls(self, wanted: Iterable[str]) -> list[str]:
        """Return which of *wanted* (``Lpackage/Class;->method``) the code refers to."""
        return [call for call in wanted if self._refers_to(*call.split("->", 1))]

    def _table(self, name: str, numbers: tuple[int, ...], row_bytes: int) -> Table:
        count, at = numbers
        if count and at + count * row_bytes > len(self._data):
            raise BrokenDexError(f"the {name} table does not fit into the file")
        return Table(count, at)

    def _refers_to(self, class_name: str, method: str) -> bool:
        class_string = self._find_string(class_name.encode())
        method_string = self._find_string(method.encode())
        if class_string is None or method_string is None:
            return False
        number = _search(
            self.types.rows,
            lambda index: self._number(self.types.at + 4 * index),
            class_string,
        )
        if number is None:
            return False
        return self._has_method(number, method_string)

    def _has_method(self, class_number: int, name: int) -> bool:
        """Methods are sorted by class, then name, then prototype."""

        def key(index: int) -> tuple[int, int]:
            owner, _, string = struct.unpack_from("<HHI", self._data, self.methods.at + 8 * index)
            return owner, string

        return _search(self.methods.rows, key, (class_number, name)) is not None

    def _find_string(self, text: bytes) -> int | None:
        return _search(self.strings.rows, lambda index: self._string(index, len(text)), text)

    def _string(self, index: int, length: int) -> bytes:
        """Return the string as far as a comparison with *length* bytes needs it (MUTF-8)."""
        at = self._number(self.strings.at + 4 * index)
        for _ in range(5):  # the length in characters, ULEB128
            if at >= len(self._data):
                raise BrokenDexError("a string lies outside the file")
            at += 1
            if self._data[at - 1] < 0x80:
                break
        body = self._data[at : at + length + 1]
        end = body.find(0)
        return body if end < 0 else body[:end]

    def _number(self, at: int) -> int:
        number: int = struct.unpack_from("<I", self._data, at)[0]
        return number


def _search(count: int, key: Callable[[int], Any], wanted: Any) -> int | None:
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        found = key(middle)
        if found == wanted:
            return middle
        if found < wanted:
            low = middle + 1
        else:
            high = middle
    return None
