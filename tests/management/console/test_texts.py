"""Texts, times and states say the same as the libraries they are quicker than."""

from datetime import UTC, datetime, timedelta

import pytest
from babel import dates
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from management import marks, shown, texts
from management.words import DEVICE_STATES, Word

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
CENTURY = 100 * 366 * 24 * 3600


@given(st.floats(-CENTURY, CENTURY) | st.integers(-200_000, 200_000), st.sampled_from(["en", "ja"]))
def test_how_long_ago_is_said_as_babel_says_it(seconds: float, locale: str) -> None:
    at = NOW + timedelta(seconds=seconds)
    said = dates.format_timedelta(at - NOW, threshold=1, add_direction=True, locale=locale)
    assert shown.time_from(NOW, at, locale) == said


@pytest.mark.parametrize(("language", "said"), [("en", "Devices"), ("ja", "デバイス")])
def test_a_text_is_told_in_the_language_of_who_reads(app: Flask, language: str, said: str) -> None:
    heard = texts.lazy("Devices")
    with app.test_request_context(headers={"Accept-Language": language}):
        assert (str(heard), heard.__html__(), texts.say("Devices")) == (said, said, said)
    assert str(heard) == "Devices"


def test_what_fills_a_text_is_escaped_and_the_text_is_not(app: Flask) -> None:
    with app.test_request_context():
        assert texts.say("<b>%(name)s</b> 100 %%", name="<i>") == "<b>&lt;i&gt;</b> 100 %"
        assert texts.say("100 %%") == "100 %"
        assert texts.say_number("%(num)s <b>", "%(num)s <i> %(x)s", 2, x="&") == "2 <i> &amp;"
        assert texts.lazy("a & b").__html__() == "a &amp; b"


def test_marks_escape_what_comes_from_outside(app: Flask) -> None:
    with app.test_request_context():
        assert "&lt;script&gt;" in marks.marked(Word("bad", "x", "<script>"))
        assert "&lt;script&gt;" in marks.device_state("<script>")
        assert "&lt;script&gt;" in marks.when(None, "<script>")
        assert 'class="sk-word sk-ok sk-pill"' in marks.marked(DEVICE_STATES["healthy"], True)
