"""What each kind of instruction does to the registers of a `scanner.frames.Frame`.

An instruction is taken apart once, however often it is walked: into what it does and what with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from scanner.instructions import LENGTHS, STATIC, branch_targets, signed
from scanner.values import ARRAY, EMPTY, Value, mixed, put_into

if TYPE_CHECKING:
    from scanner.flow import Walk
    from scanner.frames import Body, Frame
    from scanner.program import Program

Do = Callable[["Walk", "Frame", Any, Any], None]
Effect = tuple[Do, Any, Any]
"""What an instruction does, and the two operands of that."""
Instruction = tuple[Do, Any, Any, int, tuple[int, list[int]] | None]
"""Its effect, the instruction behind it (-1: it does not go on there), and what it may jump to:
how many places, and those of them that are inside the method."""
_DISPATCHED = (0x6E, 0x72, 0x74, 0x78)
_RANGES = (0x25, 0x74, 0x75, 0x76, 0x77, 0x78, 0xFB, 0xFD)


class Site:
    """A call, as it stands in the code."""

    __slots__ = ("at", "is_dispatched", "is_static", "registers", "row")

    def __init__(self, units: Sequence[int], at: int) -> None:
        code = units[at] & 0xFF
        self.at, self.row, self.registers = at, units[at + 1], listed(units, at)
        self.is_static = code in STATIC
        self.is_dispatched = code in _DISPATCHED
        """Whether the method that runs depends on the object."""


def taken_apart(program: Program, body: Body, at: int) -> Instruction:
    """Return the instruction at *at*; one that is cut off does nothing, and nothing follows it."""
    units, size = body.units, len(body.units)
    code = units[at] & 0xFF
    after = at + LENGTHS[code]
    if after > size:
        return nothing, None, None, -1, None
    effect = _READERS[code](program, body, at)
    targets, goes_on = branch_targets(units, at)
    jumps = (len(targets), [to for to in targets if 0 <= to < size]) if targets else None
    return *effect, after if goes_on else -1, jumps


def listed(units: Sequence[int], at: int) -> Sequence[int]:
    """Return the registers that the call at *at* passes on."""
    unit, word = units[at], units[at + 2]
    if unit & 0xFF in _RANGES:
        return range(word, word + (unit >> 8))
    five = (word & 15, word >> 4 & 15, word >> 8 & 15, word >> 12, unit >> 8 & 15)
    return five[: unit >> 12]


# --- what is done; `scanner.flow` does the first four itself, as they are most of all code ---


def nothing(walk: Walk, frame: Frame, _: Any, __: Any) -> None:
    """Change no register that matters."""


def keep(walk: Walk, frame: Frame, to: int, value: Value) -> None:
    """Put *value* into a register."""
    frame.registers[to] = value


def copy(walk: Walk, frame: Frame, to: int, source: int) -> None:
    """Put what one register holds into another."""
    frame.registers[to] = frame.registers[source]


def call(walk: Walk, frame: Frame, _: Any, site: Site) -> None:
    """Call a method."""
    walk.call(frame, site)


def _take_result(walk: Walk, frame: Frame, to: int, _: Any) -> None:
    frame.registers[to] = frame.result


def _return(walk: Walk, frame: Frame, source: int, _: Any) -> None:
    frame.returned.append(frame.registers[source])


def _make(walk: Walk, frame: Frame, to: int, holds: frozenset[str]) -> None:
    frame.registers[to] = Value(None, EMPTY.origins, holds, True)


def _make_array(walk: Walk, frame: Frame, to: int, _: Any) -> None:
    frame.registers[to] = Value(ARRAY, is_new=True)


def _fill_array(walk: Walk, frame: Frame, _: Any, sources: Sequence[int]) -> None:
    made = mixed([frame.registers[number] for number in sources])
    frame.result = Value(ARRAY, made.origins, made.holds, True)


def _mix(walk: Walk, frame: Frame, to: int, sources: Sequence[int]) -> None:
    frame.registers[to] = mixed([frame.registers[number] for number in sources])


def _mix_result(walk: Walk, frame: Frame, _: Any, sources: Sequence[int]) -> None:
    frame.result = mixed([frame.registers[number] for number in sources])


def _put_into_array(walk: Walk, frame: Frame, array: int, source: int) -> None:
    value = frame.registers[array]
    if value.is_new:
        put_into(value, (frame.registers[source],))


def _get_field(walk: Walk, frame: Frame, to: int, given: tuple[int, int, str, int]) -> None:
    at, row, key, holder = given
    value = walk.get_field(frame, at, row, key)
    this = frame.registers[holder]
    if this.origins and this.origins - value.origins:
        value = Value(None, value.origins | this.origins, value.holds)
    frame.registers[to] = value


def _get_static(walk: Walk, frame: Frame, to: int, given: tuple[int, int, str]) -> None:
    frame.registers[to] = walk.get_field(frame, *given)


def _put_field(walk: Walk, frame: Frame, source: int, key: str) -> None:
    walk.put_field(key, frame.registers[source])


# --- how it is written ---


def _nothing_of(program: Program, body: Body, at: int) -> Effect:
    return nothing, None, None


def _move_of(program: Program, body: Body, at: int) -> Effect:
    unit = body.units[at]
    form = ((unit & 0xFF) - 1) % 3
    if form == 0:
        return copy, unit >> 8 & 15, unit >> 12
    if form == 1:
        return copy, unit >> 8, body.units[at + 1]
    return copy, body.units[at + 1], body.units[at + 2]


def _result_of(program: Program, body: Body, at: int) -> Effect:
    return _take_result, body.units[at] >> 8, None


def _clear_of(program: Program, body: Body, at: int) -> Effect:
    return keep, body.units[at] >> 8, EMPTY


def _short_clear_of(program: Program, body: Body, at: int) -> Effect:
    return keep, body.units[at] >> 8 & 15, EMPTY


def _return_of(program: Program, body: Body, at: int) -> Effect:
    return _return, body.units[at] >> 8, None


def _const4_of(program: Program, body: Body, at: int) -> Effect:
    unit = body.units[at]
    return keep, unit >> 8 & 15, Value(program.told(signed(unit >> 12, 4)))


def _const_of(program: Program, body: Body, at: int) -> Effect:
    code = body.units[at] & 0xFF
    words = body.units[at + 1 : at + LENGTHS[code]]
    number = signed(sum(word << 16 * n for n, word in enumerate(words)), 16 * len(words))
    if code == 0x15:
        number <<= 16
    elif code == 0x19:
        number <<= 48
    return keep, body.units[at] >> 8, Value(program.told(number))


def _const_string_of(program: Program, body: Body, at: int) -> Effect:
    index = body.units[at + 1]
    if body.units[at] & 0xFF == 0x1B:
        index |= body.units[at + 2] << 16
    return keep, body.units[at] >> 8, Value(program.told(body.file.text(index)))


def _const_class_of(program: Program, body: Body, at: int) -> Effect:
    name = body.file.type_name(body.units[at + 1])
    return keep, body.units[at] >> 8, Value(program.told(name), EMPTY.origins, program.own(name))


def _new_of(program: Program, body: Body, at: int) -> Effect:
    return _make, body.units[at] >> 8, program.own(body.file.type_name(body.units[at + 1]))


def _new_array_of(program: Program, body: Body, at: int) -> Effect:
    return _make_array, body.units[at] >> 8 & 15, None


def _filled_array_of(program: Program, body: Body, at: int) -> Effect:
    return _fill_array, None, listed(body.units, at)


def _array_get_of(program: Program, body: Body, at: int) -> Effect:
    return _mix, body.units[at] >> 8, (body.units[at + 1] & 0xFF,)


def _array_put_of(program: Program, body: Body, at: int) -> Effect:
    return _put_into_array, body.units[at + 1] & 0xFF, body.units[at] >> 8


def _field_get_of(program: Program, body: Body, at: int) -> Effect:
    unit, row = body.units[at : at + 2]
    return _get_field, unit >> 8 & 15, (at, row, body.file.field_name(row), unit >> 12)


def _field_put_of(program: Program, body: Body, at: int) -> Effect:
    return _put_field, body.units[at] >> 8 & 15, body.file.field_name(body.units[at + 1])


def _static_get_of(program: Program, body: Body, at: int) -> Effect:
    row = body.units[at + 1]
    return _get_static, body.units[at] >> 8, (at, row, body.file.field_name(row))


def _static_put_of(program: Program, body: Body, at: int) -> Effect:
    return _put_field, body.units[at] >> 8, body.file.field_name(body.units[at + 1])


def _invoke_of(program: Program, body: Body, at: int) -> Effect:
    return call, None, Site(body.units, at)


def _other_invoke_of(program: Program, body: Body, at: int) -> Effect:
    return _mix_result, None, listed(body.units, at)


def _short_arithmetic_of(program: Program, body: Body, at: int) -> Effect:
    unit = body.units[at]
    to, other = unit >> 8 & 15, unit >> 12
    return _mix, to, (to, other) if unit & 0xFF >= 0xB0 else (other,)


def _arithmetic_of(program: Program, body: Body, at: int) -> Effect:
    word = body.units[at + 1]
    return _mix, body.units[at] >> 8, (word & 0xFF, word >> 8)


def _literal_arithmetic_of(program: Program, body: Body, at: int) -> Effect:
    unit = body.units[at]
    if unit & 0xFF < 0xD8:
        return _mix, unit >> 8 & 15, (unit >> 12,)
    return _mix, unit >> 8, (body.units[at + 1] & 0xFF,)


_READERS: list[Callable[[Program, Body, int], Effect]] = [_nothing_of] * 256
for _codes, _reader in (
    (range(0x01, 0x0A), _move_of),
    (range(0x0A, 0x0D), _result_of),
    ((0x0D,), _clear_of),
    (range(0x0F, 0x12), _return_of),
    ((0x12,), _const4_of),
    (range(0x13, 0x1A), _const_of),
    ((0x1A, 0x1B), _const_string_of),
    ((0x1C,), _const_class_of),
    ((0x20, 0x21), _short_clear_of),
    ((0x22,), _new_of),
    ((0x23,), _new_array_of),
    ((0x24, 0x25), _filled_array_of),
    (range(0x2D, 0x32), _arithmetic_of),
    (range(0x44, 0x4B), _array_get_of),
    (range(0x4B, 0x52), _array_put_of),
    (range(0x52, 0x59), _field_get_of),
    (range(0x59, 0x60), _field_put_of),
    (range(0x60, 0x67), _static_get_of),
    (range(0x67, 0x6E), _static_put_of),
    ((*range(0x6E, 0x73), *range(0x74, 0x79)), _invoke_of),
    (range(0x7B, 0x90), _short_arithmetic_of),
    (range(0x90, 0xB0), _arithmetic_of),
    (range(0xB0, 0xD0), _short_arithmetic_of),
    (range(0xD0, 0xE3), _literal_arithmetic_of),
    ((0xFA, 0xFB, 0xFC, 0xFD), _other_invoke_of),
    ((0xFE, 0xFF), _clear_of),
):
    for _code in _codes:
        _READERS[_code] = _reader
