"""Could a method give a call the number that a rule asks for? Cheap, and never wrongly no.

Only what the method itself puts into the register counts: where anything but a constant gets
there, the answer is yes. All that may run is looked at, in no order.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from scanner.code_file import CodeFile, Method
from scanner.effects import listed
from scanner.frames import Body
from scanner.instructions import LENGTHS, STATIC, branch_targets, signed

_CALLS = frozenset((*range(0x6E, 0x73), *range(0x74, 0x79)))
_CONSTANTS = (0x12, 0x13, 0x14, 0x15)
_MOVES = (0x01, 0x02, 0x03)
_TO_NIBBLE = frozenset(
    (
        *(0x01, 0x04, 0x07, 0x12, 0x20, 0x21, 0x23),
        *(*range(0x52, 0x59), *range(0x7B, 0x90), *range(0xB0, 0xD8)),
    )
)
_TO_BYTE = frozenset(
    (
        *(0x02, 0x05, 0x08, *range(0x0A, 0x0E), *range(0x13, 0x1D), 0x22, *range(0x2D, 0x32)),
        *(*range(0x44, 0x4B), *range(0x60, 0x67), *range(0x90, 0xB0), *range(0xD8, 0xE3)),
        *(0xFE, 0xFF),
    )
)
_WIDE = frozenset(
    (*range(0x04, 0x07), 0x0B, *range(0x16, 0x1A), 0x45, 0x53, 0x61, *range(0x7B, 256))
)
"""Results that take, or may take, two registers."""
_TO_WORD = (0x03, 0x06, 0x09)


Asked = Mapping[int, Collection[int]]


def asked_of(step: Mapping[str, Any]) -> dict[int, Collection[int]]:
    """Return place of an argument -> the numbers of which *step* wants one there."""
    return {
        int(place): asked["equals"]
        for place, asked in step["arguments"].items()
        if place != "this" and asked["equals"] and all(type(n) is int for n in asked["equals"])
    }


def may_fit(method: Method, file: CodeFile, rows: Collection[int], asked: Asked) -> bool:
    """Whether *method* may call one of *rows* (of its file's method table) with such numbers."""
    code = _Code(file, method)
    return any(
        all(
            code.may_hold(at, code.register(at, place), numbers) for place, numbers in asked.items()
        )
        for at in code.calls(rows)
    )


class _Code:
    """What may run in one method, and what runs before what."""

    def __init__(self, file: CodeFile, method: Method) -> None:
        body = Body(file, method.code_at)
        self._file, self._units = file, body.units
        self._entries = {0, *body.catches}
        self._before: dict[int, list[int]] = defaultdict(list)
        self._places = [*self._all_places()]

    def calls(self, rows: Collection[int]) -> list[int]:
        """Return where one of *rows* is called."""
        units = self._units
        return [at for at in self._places if units[at] & 0xFF in _CALLS and units[at + 1] in rows]

    def register(self, at: int, place: int) -> int:
        """Return the register that holds argument *place* of the call at *at*; -1: none does."""
        _, proto, _ = self._file.method(self._units[at + 1])
        shorty = self._file.parameters(proto)[1:]
        slot = int(self._units[at] & 0xFF not in STATIC)
        slot += sum(2 if letter in "JD" else 1 for letter in shorty[:place])
        registers = listed(self._units, at)
        return registers[slot] if slot < len(registers) else -1

    def may_hold(self, at: int, register: int, numbers: Collection[int]) -> bool:
        """Whether *register* may hold one of *numbers* at *at*, or something that is not known."""
        waiting = [(at, register)]
        seen = {*waiting}
        while waiting:
            at, register = waiting.pop()
            if at in self._entries:
                return True
            for before in self._before[at]:
                found = self._left_by(before, register)
                if found is None or (isinstance(found, int) and found in numbers):
                    return True
                if not isinstance(found, int) and (before, *found) not in seen:
                    seen.add((before, *found))
                    waiting.append((before, *found))
        return False

    def _all_places(self) -> Iterator[int]:
        """Yield where the instructions begin that may run."""
        units, size = self._units, len(self._units)
        seen = bytearray(size)
        waiting = [*self._entries]
        while waiting:
            at = waiting.pop()
            while 0 <= at < size and not seen[at] and at + LENGTHS[units[at] & 0xFF] <= size:
                seen[at] = 1
                yield at
                targets, goes_on = branch_targets(units, at)
                after = at + LENGTHS[units[at] & 0xFF]
                for to in (*targets, *((after,) if goes_on else ())):
                    self._before[to].append(at)
                waiting += targets
                at = after if goes_on else size

    def _left_by(self, at: int, register: int) -> int | tuple[int] | None:
        """Return what is in *register* after *at*: a number, (the register it was in before)."""
        unit = self._units[at]
        code = unit & 0xFF
        if code in _TO_NIBBLE:
            to = unit >> 8 & 15
        elif code in _TO_BYTE:
            to = unit >> 8
        elif code in _TO_WORD:
            to = self._units[at + 1]
        else:
            return (register,)
        if to == register and code in _CONSTANTS:
            return _constant(self._units, at)
        if to == register and code in _MOVES:
            return (unit >> 12 if code == 0x01 else self._units[at + code - 1],)
        return None if register == to or (register == to + 1 and code in _WIDE) else (register,)


def _constant(units: Sequence[int], at: int) -> int:
    code = units[at] & 0xFF
    if code == 0x12:
        return signed(units[at] >> 12, 4)
    if code == 0x14:
        return signed(units[at + 1] | units[at + 2] << 16, 32)
    return signed(units[at + 1], 16) << (16 if code == 0x15 else 0)
