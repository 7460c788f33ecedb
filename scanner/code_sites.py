"""Where the code of a DEX file names a row of the method, field or type table, and in which method.

Found by the bytes of the instructions, without disassembling: what merely looks like an instruction
brings a place too many, which whoever walks through the code then finds out. A few rows are
searched for one by one; for more of them all instructions that name a row are copied out once.
"""

import re
import struct
import sys
from array import array
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import compress

from scanner.instructions import LENGTHS, payload_length

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
MAXIMUM_SEARCHES = 64
"""Of single rows in one file."""
MAXIMUM_HITS = 20_000
MAXIMUM_STEPS = 400_000
"""Taken to search for methods around instructions; then all methods are listed once."""
ALL = sys.maxsize
_WINDOW = 2048
_SHORTEST = 1 << 14
"""Smaller offsets are too short numbers to be searched for."""
_CODE, _CLASS_DATA, TEXTS = 0x2001, 0x2000, 0x2002
Found = tuple[int, int, int]
"""Offset of the code, row of the class, index of the method."""
CodesOf = Callable[[int], Sequence[tuple[int, int]]]
"""Row of a class -> index and offset of the code of each of its methods."""


class CodeSites:
    """The code of *data*, a DEX file with the table of classes *class_rows* (rows, offset)."""

    def __init__(self, data: bytes, class_rows: tuple[int, int], codes_of: CodesOf) -> None:
        self._data, self._codes_of = data, codes_of
        self._start, self._end = section(data, _CODE)
        self._start += self._start % 2
        self._classes_start, self._classes_end = section(data, _CLASS_DATA)
        rows, at = class_rows
        table = struct.iter_unpack("<24xI4x", data[at : at + 32 * rows])
        self._classes = sorted(zip((place for (place,) in table), range(rows), strict=True))
        self._known: dict[int, Found | None] = {}
        self._users: dict[tuple[int, int], set[Found]] = {}
        """Of rows that were searched for to the end: several rules ask for the same."""
        self._searches, self._hits = MAXIMUM_SEARCHES, MAXIMUM_HITS
        is_odd = self._start < _SHORTEST or self._classes_start >= self._classes_end
        self._steps = 0 if is_odd else MAXIMUM_STEPS
        self._last: Found | None = None

    def users(self, kind: int, rows: Iterable[int], most: int = ALL) -> set[Found]:
        """Return the methods whose code names one of *rows*; it stops when they are over *most*."""
        found: set[Found] = set()
        for row in rows:
            if (kind, row) not in self._users:
                here: set[Found] = set()
                for site in self._sites(kind, row) if row < 65_536 else ():
                    if method := self._method_around(site):
                        here.add(method)
                    if len(found) + len(here) > most and len(found | here) > most:
                        return found | here
                self._users[kind, row] = here
            found |= self._users[kind, row]
            if len(found) > most:
                return found
        return found

    def _sites(self, kind: int, row: int) -> Iterator[int]:
        """Yield the offsets of instructions of that kind with that row."""
        self._searches -= 1
        if self._searches < 0 or self._hits < 0:
            yield from self._copied.sites(kind, row)
            return
        data = self._data
        needle = _behind_each_other((row & 0xFF,), (row >> 8,))
        for found in needle.finditer(data, self._start + 2, self._end):
            at = found.start()
            self._hits -= 1
            if at % 2 == 0 and KINDS[data[at - 2]] == kind:
                yield at - 2

    @cached_property
    def _copied(self) -> "_Copied":
        return _Copied(self._data, self._start, self._end)

    # --- the method around an instruction ---

    def _method_around(self, site: int) -> Found | None:
        """Return the method with the instruction at *site*; None: no method has one there."""
        if self._last is None or self._if_inside(self._last, site) is None:
            self._last = self._search_before(site) if self._steps > 0 else None
            if self._steps <= 0:
                number = bisect(self._every, (site, sys.maxsize)) - 1
                self._last = self._every[number] if number >= 0 else None
        return self._last and self._if_inside(self._last, site)

    def _search_before(self, site: int) -> Found | None:
        """Return the method that begins last before *site*, if that takes not too many steps.

        What looks as if it reached to *site* is tried before what is nearer and does not: methods
        share no bytes, or Android refuses the file.
        """
        high = (site - 16) & ~3  # Android aligns methods to four
        while high >= self._start and self._steps > 0:
            low = max(high - _WINDOW, self._start + -self._start % 4)
            words = struct.unpack_from(f"<{(high - low) // 4 + 4}I", self._data, low)
            unlikely = []
            for number in range(len(words) - 4, -1, -1):
                at = low + 4 * number
                registers, outs, debug, units = words[number : number + 4]
                if self._may_begin(at, registers, outs, units):
                    if at + 16 + 2 * units <= site or debug >= len(self._data):
                        unlikely.append(at)
                    elif (found := self._method_at(at)) is not None:
                        return found
            if found := next(filter(None, map(self._method_at, unlikely)), None):
                return found
            self._steps -= len(words)
            high = low - 4
        return None

    def _may_begin(self, at: int, registers: int, outs: int, units: int) -> bool:
        return (
            registers >> 16 <= registers & 0xFFFF
            and outs & 0xFFFF <= max(5, registers & 0xFFFF)
            and 0 < units <= (self._end - at - 16) // 2
        )

    def _if_inside(self, found: Found, site: int) -> Found | None:
        (units,) = struct.unpack_from("<I", self._data, found[0] + 12)
        return found if found[0] + 16 <= site < found[0] + 16 + 2 * units else None

    @cached_property
    def _every(self) -> list[Found]:
        """All methods, sorted, for a file in which they cannot be searched for."""
        rows = range(len(self._classes))
        return sorted((code, row, index) for row in rows for index, code in self._codes_of(row))

    def _method_at(self, at: int) -> Found | None:
        """Return the method whose code is at *at*, if that is the beginning of one."""
        if at not in self._known:
            self._known[at] = max(self._naming(at), default=None)
        return self._known[at]

    def _naming(self, code: int) -> Iterator[Found]:
        """Yield the methods that the table of classes gives code at *code*."""
        first, second, third = (code >> shift & 0x7F for shift in (0, 7, 14))
        # The number may end there or go on: the highest bit of its third byte tells which.
        needle = _behind_each_other((first | 0x80,), (second | 0x80,), (third, third | 0x80))
        self._steps -= (self._classes_end - self._classes_start) // 256
        for found in needle.finditer(self._data, self._classes_start, self._classes_end):
            if self._steps <= 0:
                return
            self._steps -= 1
            place = bisect(self._classes, (found.start(), len(self._data))) - 1
            if place >= 0:
                row = self._classes[place][1]
                codes = self._codes_of(row)
                self._steps -= len(codes)
                yield from ((code, row, i) for i, given in codes if given == code)


def _behind_each_other(first: Sequence[int], *others: Sequence[int]) -> re.Pattern[bytes]:
    """Return an expression for bytes behind each other, one of each group.

    Looking for one byte and only then at the next takes half of what `bytes.find` does.
    """
    groups = [
        b"[%b]" % re.escape(bytes(one)) if len(one) > 1 else re.escape(bytes(one))
        for one in (first, *others)
    ]
    return re.compile(b"%b(?=%b)" % (groups[0], b"".join(groups[1:])), re.DOTALL)


class _Copied:
    """All instructions from *start* to *end* that name a row, side by side."""

    def __init__(self, data: bytes, start: int, end: int) -> None:
        body = data[start : start + (end - start) // 2 * 2]
        units = array("H", body)
        if sys.byteorder == "big":
            units.byteswap()
        kinds = body[::2].translate(KINDS)[:-1]
        self._start = start
        self._kinds = kinds.translate(None, b"\0")
        self._places = array("I", compress(range(len(kinds)), kinds))
        self._rows = struct.pack(f"<{len(self._kinds)}H", *compress(units[1:], kinds))

    def sites(self, kind: int, row: int) -> Iterator[int]:
        """Yield the offsets of instructions of that kind with that row."""
        needle = struct.pack("<H", row)
        at = self._rows.find(needle)
        while at >= 0:
            if at % 2 == 0 and self._kinds[at // 2] == kind:
                yield self._start + 2 * self._places[at // 2]
            at = self._rows.find(needle, at + 1)


def section(data: bytes, kind: int) -> tuple[int, int]:
    """Return where a section of the map starts and ends; all behind the header, if it is unclear.

    Android refuses a file with such items elsewhere.
    """
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


def named_rows(units: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield kind and row of each instruction that names one.

    One behind the other, as Android's verifier does: it lets no code jump between them. A table
    that does not fit, which it refuses, hides nothing all the same.
    """
    at, last = 0, len(units) - 1
    while at < last:
        unit = units[at]
        code = unit & 0xFF
        if kind := KINDS[code]:
            yield kind, units[at + 1]
        length = LENGTHS[code] if code or not unit else payload_length(units, at)
        at += length if at + length <= last + 1 else 1
