"""What each kind of instruction does to the registers of a `scanner.frames.Frame`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from scanner.instructions import LENGTHS, signed
from scanner.values import ARRAY, EMPTY, Value, mixed, put_into

if TYPE_CHECKING:
    from scanner.flow import Walk
    from scanner.frames import Frame


def _nothing(walk: Walk, frame: Frame, at: int) -> None:
    """It changes no register that matters."""


def _move(walk: Walk, frame: Frame, at: int) -> None:
    unit = frame.units[at]
    form = ((unit & 0xFF) - 1) % 3
    if form == 0:
        to, source = unit >> 8 & 15, unit >> 12
    elif form == 1:
        to, source = unit >> 8, frame.units[at + 1]
    else:
        to, source = frame.units[at + 1], frame.units[at + 2]
    frame.registers[to] = frame.registers[source]


def _move_result(walk: Walk, frame: Frame, at: int) -> None:
    frame.registers[frame.units[at] >> 8] = frame.result


def _clear(walk: Walk, frame: Frame, at: int) -> None:
    frame.registers[frame.units[at] >> 8] = EMPTY


def _clear_short(walk: Walk, frame: Frame, at: int) -> None:
    frame.registers[frame.units[at] >> 8 & 15] = EMPTY


def _return(walk: Walk, frame: Frame, at: int) -> None:
    frame.returned.append(frame.registers[frame.units[at] >> 8])


def _const4(walk: Walk, frame: Frame, at: int) -> None:
    unit = frame.units[at]
    frame.registers[unit >> 8 & 15] = Value(signed(unit >> 12, 4))


def _const(walk: Walk, frame: Frame, at: int) -> None:
    code = frame.units[at] & 0xFF
    words = frame.units[at + 1 : at + LENGTHS[code]]
    number = signed(sum(word << 16 * n for n, word in enumerate(words)), 16 * len(words))
    if code == 0x15:
        number <<= 16
    elif code == 0x19:
        number <<= 48
    frame.registers[frame.units[at] >> 8] = Value(number)


def _const_string(walk: Walk, frame: Frame, at: int) -> None:
    index = frame.units[at + 1]
    if frame.units[at] & 0xFF == 0x1B:
        index |= frame.units[at + 2] << 16
    frame.registers[frame.units[at] >> 8] = Value(frame.file.text(index))


def _const_class(walk: Walk, frame: Frame, at: int) -> None:
    name = frame.file.type_name(frame.units[at + 1])
    frame.registers[frame.units[at] >> 8] = Value(name, frozenset(), walk.own(name))


def _new(walk: Walk, frame: Frame, at: int) -> None:
    name = frame.file.type_name(frame.units[at + 1])
    value = Value(None, frozenset(), walk.own(name), True)
    frame.registers[frame.units[at] >> 8] = value


def _new_array(walk: Walk, frame: Frame, at: int) -> None:
    frame.registers[frame.units[at] >> 8 & 15] = Value(ARRAY, is_new=True)


def _filled_array(walk: Walk, frame: Frame, at: int) -> None:
    values = [frame.registers[number] for number in listed(frame, at)]
    made = mixed(values)
    frame.result = Value(ARRAY, made.origins, made.holds, True)


def _array_get(walk: Walk, frame: Frame, at: int) -> None:
    frame.registers[frame.units[at] >> 8] = mixed((frame.registers[frame.units[at + 1] & 0xFF],))


def _array_put(walk: Walk, frame: Frame, at: int) -> None:
    array = frame.registers[frame.units[at + 1] & 0xFF]
    if array.is_new:
        put_into(array, (frame.registers[frame.units[at] >> 8],))


def _field_get(walk: Walk, frame: Frame, at: int) -> None:
    value = walk.get_field(frame, at, frame.units[at + 1])
    this = frame.registers[frame.units[at] >> 12]
    if this.origins - value.origins:
        value = Value(None, value.origins | this.origins, value.holds)
    frame.registers[frame.units[at] >> 8 & 15] = value


def _field_put(walk: Walk, frame: Frame, at: int) -> None:
    unit = frame.units[at]
    walk.put_field(frame, frame.units[at + 1], frame.registers[unit >> 8 & 15])


def _static_get(walk: Walk, frame: Frame, at: int) -> None:
    frame.registers[frame.units[at] >> 8] = walk.get_field(frame, at, frame.units[at + 1])


def _static_put(walk: Walk, frame: Frame, at: int) -> None:
    walk.put_field(frame, frame.units[at + 1], frame.registers[frame.units[at] >> 8])


def _invoke(walk: Walk, frame: Frame, at: int) -> None:
    walk.call(frame, at, listed(frame, at))


def _invoke_other(walk: Walk, frame: Frame, at: int) -> None:
    frame.result = mixed([frame.registers[number] for number in listed(frame, at)])


def listed(frame: Frame, at: int) -> Sequence[int]:
    """Return the registers that the call at *at* passes on."""
    unit = frame.units[at]
    if unit & 0xFF in (0x25, 0x74, 0x75, 0x76, 0x77, 0x78, 0xFB, 0xFD):
        first = frame.units[at + 2]
        return range(first, first + (unit >> 8))
    word = frame.units[at + 2]
    five = (word & 15, word >> 4 & 15, word >> 8 & 15, word >> 12, unit >> 8 & 15)
    return five[: unit >> 12]


def _short_arithmetic(walk: Walk, frame: Frame, at: int) -> None:
    unit = frame.units[at]
    to, other = unit >> 8 & 15, unit >> 12
    if unit & 0xFF >= 0xB0:
        frame.registers[to] = mixed((frame.registers[to], frame.registers[other]))
    else:
        frame.registers[to] = mixed((frame.registers[other],))


def _arithmetic(walk: Walk, frame: Frame, at: int) -> None:
    word = frame.units[at + 1]
    values = (frame.registers[word & 0xFF], frame.registers[word >> 8])
    frame.registers[frame.units[at] >> 8] = mixed(values)


def _arithmetic_literal(walk: Walk, frame: Frame, at: int) -> None:
    unit = frame.units[at]
    if unit & 0xFF < 0xD8:
        frame.registers[unit >> 8 & 15] = mixed((frame.registers[unit >> 12],))
    else:
        frame.registers[unit >> 8] = mixed((frame.registers[frame.units[at + 1] & 0xFF],))


Handler = Callable[["Walk", "Frame", int], None]
HANDLERS: list[Handler] = [_nothing] * 256
for _codes, _handler in (
    (range(0x01, 0x0A), _move),
    (range(0x0A, 0x0D), _move_result),
    ((0x0D,), _clear),
    (range(0x0F, 0x12), _return),
    ((0x12,), _const4),
    (range(0x13, 0x1A), _const),
    ((0x1A, 0x1B), _const_string),
    ((0x1C,), _const_class),
    ((0x20, 0x21), _clear_short),
    ((0x22,), _new),
    ((0x23,), _new_array),
    ((0x24, 0x25), _filled_array),
    (range(0x2D, 0x32), _arithmetic),
    (range(0x44, 0x4B), _array_get),
    (range(0x4B, 0x52), _array_put),
    (range(0x52, 0x59), _field_get),
    (range(0x59, 0x60), _field_put),
    (range(0x60, 0x67), _static_get),
    (range(0x67, 0x6E), _static_put),
    ((*range(0x6E, 0x73), *range(0x74, 0x79)), _invoke),
    (range(0x7B, 0x90), _short_arithmetic),
    (range(0x90, 0xB0), _arithmetic),
    (range(0xB0, 0xD0), _short_arithmetic),
    (range(0xD0, 0xE3), _arithmetic_literal),
    ((0xFA, 0xFB, 0xFC, 0xFD), _invoke_other),
    ((0xFE, 0xFF), _clear),
):
    for _code in _codes:
        HANDLERS[_code] = _handler
