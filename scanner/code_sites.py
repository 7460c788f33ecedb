"""Where the code of a DEX file names a few rows, found without reading the rest of the file.

`scanner.code_index` answers any number of questions, but reads all code first; this searches the
bytes of each row, and reads the classes of what it finds. It gives up (`TooMuchError`) where
the index is cheaper, or where the file does not look as Android demands.
"""

import struct
import sys
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator

from scanner.code_index import KINDS

LEAST_BYTES = 65_536
"""Of code: in less, the index is as cheap."""
MAXIMUM_ROWS = 48
"""Searched in one file."""
MAXIMUM_HITS = 4_000
MAXIMUM_WORDS = 200_000
"""Looked at for the beginnings of methods."""
ALL = sys.maxsize
_WINDOW = 2048
_CODE, _CLASS_DATA = 0x2001, 0x2000
Found = tuple[int, int, int]
"""Offset of the code, row of the class, index of the method."""


class TooMuchError(Exception):
    """The index is cheaper. Stays inside the scanner."""


class CodeSites:
    """The code of *data*; *codes_of* gives method index -> offset of the code of a class row."""

    def __init__(
        self, data: bytes, class_rows: tuple[int, int], codes_of: Callable[[int], dict[int, int]]
    ) -> None:
        self._data, self._codes_of = data, codes_of
        self._start, self._end = _section(data, _CODE)
        self._classes_start, self._classes_end = _section(data, _CLASS_DATA)
        rows, at = class_rows
        table = struct.iter_unpack("<24xI4x", data[at : at + 32 * rows])
        self._classes = sorted(zip((place for (place,) in table), range(rows), strict=True))
        self._known: dict[int, Found | None] = {}
        self._rows, self._hits, self._words = MAXIMUM_ROWS, MAXIMUM_HITS, MAXIMUM_WORDS

    def users(self, kind: int, rows: Iterable[int | None], most: int = ALL) -> set[Found]:
        """Return the methods whose code names one of *rows*, as `CodeIndex.users` would find.

        It stops when there are more than *most*.
        """
        wanted = [row for row in rows if row is not None and row < 65_536]
        self._rows -= len(wanted)
        if self._rows < 0 or self._end - self._start < LEAST_BYTES:
            raise TooMuchError
        found: set[Found] = set()
        for row in wanted:
            for at in self._sites(kind, row):
                found.add(self._method_around(at))
                if len(found) > most:
                    return found
        return found

    def _sites(self, kind: int, row: int) -> Iterator[int]:
        """Yield the offsets of instructions of that kind with that row."""
        data, needle = self._data, struct.pack("<H", row)
        at = data.find(needle, self._start + 18, self._end)
        while at >= 0:
            if at % 2 == 0 and KINDS[data[at - 2]] == kind:
                yield at - 2
            self._hits -= 1
            if self._hits < 0:
                raise TooMuchError
            at = data.find(needle, at + 1, self._end)

    def _method_around(self, site: int) -> Found:
        """Return the method with the instruction at *site*; Android aligns methods to four."""
        high = (site - 16) & ~3
        while high >= self._start:
            low = max(high - _WINDOW, self._start + -self._start % 4)
            words = struct.unpack_from(f"<{(high - low) // 4 + 4}I", self._data, low)
            for number in range(len(words) - 4, -1, -1):
                at = low + 4 * number
                if site < at + 16 + 2 * words[number + 3] <= self._end:
                    found = self._method_at(at, words[number], words[number + 1] & 0xFFFF)
                    if found is not None:
                        return found
            self._words -= len(words)
            if self._words < 0:
                break
            high = low - 4
        raise TooMuchError

    def _method_at(self, at: int, registers: int, outs: int) -> Found | None:
        """Return the method whose code is at *at*, if that is the beginning of one."""
        if registers >> 16 > registers & 0xFFFF or outs > max(5, registers & 0xFFFF):
            return None
        if at not in self._known:
            self._known[at] = max(self._naming(at), default=None)
        return self._known[at]

    def _naming(self, code: int) -> Iterator[Found]:
        """Yield the methods that the table of classes gives code at *code*."""
        if code < 1 << 14:
            raise TooMuchError  # too short a number to search for
        needle = bytes((code & 0x7F | 0x80, code >> 7 & 0x7F | 0x80))
        at = self._data.find(needle, self._classes_start, self._classes_end)
        while at >= 0:
            place = bisect(self._classes, (at, len(self._data))) - 1
            if place >= 0 and self._data[at + 2] & 0x7F == code >> 14 & 0x7F:
                row = self._classes[place][1]
                for index, given in self._codes_of(row).items():
                    if given == code:
                        yield code, row, index
            at = self._data.find(needle, at + 1, self._classes_end)


def _section(data: bytes, kind: int) -> tuple[int, int]:
    """Return where a section starts and ends. Android refuses a file with such items elsewhere."""
    (at,) = struct.unpack_from("<I", data, 0x34)
    whole = 0x70, len(data)
    if not 0x70 <= at <= len(data) - 4:
        return whole
    (count,) = struct.unpack_from("<I", data, at)
    body = data[at + 4 : at + 4 + 12 * min(count, 100)]
    starts = [*struct.iter_unpack("<H6xI", body[: len(body) // 12 * 12])]
    first = [place for item, place in starts if item == kind]
    if len(first) != 1 or not 0x70 <= first[0] < len(data):
        return whole
    return first[0], min((p for _, p in starts if p > first[0]), default=len(data))
