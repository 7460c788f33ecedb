"""Runs of ULEB128 numbers."""

from hypothesis import given
from hypothesis import strategies as st

from scanner.numbers import uleb_run


def written(number: int) -> bytes:
    body = bytearray()
    while number >= 0x80:
        body.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*body, number))


@given(st.lists(st.integers(0, 2**32 - 1), max_size=50), st.binary(max_size=9))
def test_what_was_written_is_read(numbers: list[int], before: bytes) -> None:
    body = before + b"".join(map(written, numbers))

    assert uleb_run(body, len(before), len(numbers)) == numbers


@given(st.binary(max_size=60), st.integers(0, 70), st.integers(0, 70))
def test_any_bytes_give_at_most_as_many_as_asked(body: bytes, at: int, count: int) -> None:
    assert len(uleb_run(body, at, count)) <= count
