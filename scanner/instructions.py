"""The instructions of Dalvik byte code: how long each is, and where it may go on.

Source: "Dalvik executable instruction formats" and "Dalvik bytecode" of the Android documentation.
Lengths are in units of two bytes.
"""

from collections.abc import Sequence

MAXIMUM_CASES = 4_000
_BY_LENGTH = {
    2: (
        0x02, 0x05, 0x08, 0x13, 0x15, 0x16, 0x19, 0x1A, 0x1C, 0x1F, 0x20, 0x22, 0x23, 0x29,
        *range(0x2D, 0x3E), *range(0x44, 0x6E), *range(0x90, 0xB0), *range(0xD0, 0xE3), 0xFE, 0xFF,
    ),
    3: (
        0x03, 0x06, 0x09, 0x14, 0x17, 0x1B, 0x24, 0x25, 0x26, 0x2A, 0x2B, 0x2C,
        *range(0x6E, 0x73), *range(0x74, 0x79), 0xFC, 0xFD,
    ),
    4: (0xFA, 0xFB),
    5: (0x18,),
}  # fmt: skip
LENGTHS = bytearray([1] * 256)
for _length, _codes in _BY_LENGTH.items():
    for _code in _codes:
        LENGTHS[_code] = _length
STATIC = (0x71, 0x77)
"""Calls without an object."""
FIRST_BRANCH, LAST_BRANCH = 0x0E, 0x3D
"""All others go on with the next instruction."""
_ENDS = frozenset((0x0E, 0x0F, 0x10, 0x11, 0x27))
_NOWHERE: tuple[Sequence[int], bool] = ((), False)
_ONWARDS: tuple[Sequence[int], bool] = ((), True)


def signed(number: int, bits: int) -> int:
    """Return *number* read as two's complement of that many bits."""
    return number - (1 << bits) if number >> (bits - 1) & 1 else number


def branch_targets(units: Sequence[int], at: int) -> tuple[Sequence[int], bool]:
    """Return where the instruction at *at* may jump to, and whether the next one may follow."""
    code = units[at] & 0xFF
    if not (FIRST_BRANCH <= code <= LAST_BRANCH):
        return _ONWARDS
    if 0x32 <= code <= 0x3D:
        return (at + signed(units[at + 1], 16),), True
    if code == 0x28:
        return (at + signed(units[at] >> 8, 8),), False
    if code == 0x29:
        return (at + signed(units[at + 1], 16),), False
    if code == 0x2A:
        return (at + _long(units, at + 1),), False
    if code in (0x2B, 0x2C):
        return _cases(units, at, at + _long(units, at + 1)), True
    return _NOWHERE if code in _ENDS else _ONWARDS


def payload_length(units: Sequence[int], at: int) -> int:
    """Return how long the table of a switch or array at *at* is; 1: there is none.

    As ART counts it, in 32 bits (SizeInCodeUnitsComplexOpcode).
    """
    kind, size = units[at], units[at + 1]
    if kind == 0x0100:
        return 2 * size + 4
    if kind == 0x0200:
        return 4 * size + 2
    if kind == 0x0300 and at + 3 < len(units):
        length = size * (units[at + 2] | units[at + 3] << 16) + 1
        return (length & 0xFFFFFFFF) // 2 + 4
    return 1


def _cases(units: Sequence[int], at: int, table: int) -> list[int]:
    """Return the targets of a switch with its table at *table*; none when it is damaged."""
    if not 0 <= table < len(units) - 2:
        return []
    count = min(units[table + 1], MAXIMUM_CASES)
    first = table + (4 if units[table] == 0x0100 else 2 + 2 * count)
    if first + 2 * count > len(units):
        return []
    return [at + _long(units, first + 2 * number) for number in range(count)]


def _long(units: Sequence[int], at: int) -> int:
    return signed(units[at] | units[at + 1] << 16, 32)
