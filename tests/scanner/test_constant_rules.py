"""The cheap question about constants never says no where code holds such a text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.constant_rules import _may_match, _weaker

PATTERNS = (
    "^content://sms", "mount -o (remount,rw|rw,remount)", "chmod 0?[46]755 ", "(?i)UPLOAD$",
    "su", "a|b", "^(GET|POST) /", "x{2,3}", "ab?c", r"a\(b|c\)d", "a[(]b|c[)]d", "ab(c|d(e|f))g",
)  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_what_an_expression_finds_in_a_text_the_weaker_one_finds_in_the_file(pattern: str) -> None:
    weaker = _weaker(pattern)

    @given(st.from_regex(pattern), st.binary(max_size=20))
    def check(text: str, around: bytes) -> None:
        if weaker is not None and re.search(pattern, text) and text.isascii():
            data = around + text.encode() + around
            assert weaker.search(data)
            assert _may_match(pattern, data, (0, len(data)))
            assert not _may_match(pattern, b"\0" + data, (0, 1))

    check()


@pytest.mark.parametrize("pattern", ["[^a]b", "é", "(?=x)y", r"\d+", "a$b", "a.b", "(?i)sms"])
def test_an_expression_that_bytes_could_answer_wrongly_is_left_open(pattern: str) -> None:
    assert _weaker(pattern) is None
