"""Where the code of a DEX file names a row of the method, field or type table.

Found by the bytes of the instructions, without disassembling: what merely looks like an instruction
brings a place too many, which whoever walks through the code then finds out.
"""

import sys
from array import array
from bisect import bisect
from collections.abc import Iterable, Sequence
from itertools import compress

INVOKES, READS, TYPES = 1, 2, 3
_KIND = bytearray(256)
for _kind, _codes in (
    (INVOKES, (*range(0x6E, 0x73), *range(0x74, 0x79))),
    (READS, (*range(0x52, 0x59), *range(0x60, 0x67))),
    (TYPES, (0x1C, 0x22)),  # a class as a value, a new object of it
):
    for _code in _codes:
        _KIND[_code] = _kind
KINDS = bytes(_KIND)


class CodeIndex:
    """The instructions of *data* from *start* to *end* that name a row."""

    def __init__(self, data: bytes, start: int, end: int, places: Sequence[int]) -> None:
        """*places* are the offsets at which methods begin, sorted."""
        body = data[start : start + (end - start) // 2 * 2]
        units = array("H", body)
        if sys.byteorder == "big":
            units.byteswap()
        kinds = body[::2].translate(KINDS)[:-1]
        self._start, self._places = start, places
        self._found: dict[tuple[int, int | None], list[int]] = {}
        rows = zip(compress(kinds, kinds), compress(units[1:], kinds), strict=True)
        for key, unit in zip(rows, compress(range(len(kinds)), kinds), strict=True):
            self._found.setdefault(key, []).append(unit)

    def users(self, kind: int, rows: Iterable[int | None]) -> set[int]:
        """Return the positions in *places* of the methods that name one of *rows*."""
        return {
            bisect(self._places, self._start + 2 * unit) - 1
            for row in rows
            for unit in self._found.get((kind, row), ())
        }
