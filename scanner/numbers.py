"""Runs of ULEB128 numbers, as DEX files write their tables of members."""

import re
from functools import cache

MOST_BYTES = 5
_ONE = re.compile(rb"[\x80-\xff]{0,4}[\x00-\xff]")


def uleb_run(data: bytes, at: int, count: int) -> list[int]:
    """Return *count* numbers from *at* on; fewer when the file ends."""
    numbers: list[int] = []
    while len(numbers) < count:
        wanted = count - len(numbers)
        found = _ONE.findall(data[at : at + 2 * wanted + 8])[:wanted]
        if found and _is_cut(found[-1]):  # the rest of it is in the next piece
            found.pop()
        if not found:
            break
        numbers += map(_value, found)
        at += sum(map(len, found))
    return numbers


def _is_cut(body: bytes) -> bool:
    return body[-1] >= 0x80 and len(body) < MOST_BYTES


@cache
def _value(body: bytes) -> int:
    number = 0
    for byte in reversed(body):
        number = number << 7 | byte & 0x7F
    return number
