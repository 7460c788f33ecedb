"""Uploaded terms of use are rebuilt without anything that runs, loads or leads elsewhere."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from management.terms.rules import (
    LARGEST_BYTES,
    SAMPLE,
    document,
    must_accept,
    problem,
    sanitised,
    title_of,
)

_PIECES = st.sampled_from(
    [
        *("<script>alert(1)</script>", "<p onclick=x>", "</p>", "<img src=x onerror=alert(1)>"),
        *("<a href='javascript:alert(1)'>", "</a>", "<svg><script>1</script></svg>", "<style>"),
        *("</style>", "<iframe src=//evil.example>", "<b>", "</b>", "<!--", "-->", "<math>"),
        *("<form action=//evil.example>", "<input>", "<base href=//evil.example>", "text", "<"),
        *("<p style='background:url(//evil.example)'>", "<meta http-equiv=refresh>", "&lt;script"),
        *("<noscript>", "<table><td colspan=2>", "]]>", "<template>", "<object data=x>", '"', "'"),
    ]
)


class _Found(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)


@given(st.lists(_PIECES | st.text(max_size=8), max_size=30).map("".join))
def test_nothing_that_runs_or_loads_is_left(uploaded: str) -> None:
    clean = sanitised(uploaded)
    found = _Found()
    found.feed(clean)

    assert not found.tags & {
        *("script", "style", "img", "svg", "iframe", "form", "input", "base", "meta", "object"),
        *("a", "link", "math", "template", "noscript", "video", "audio", "embed"),
    }
    assert found.attributes <= {"lang", "dir", "colspan", "rowspan"}
    assert sanitised(clean) == clean


def test_the_sample_keeps_its_words_in_both_languages() -> None:
    clean = sanitised(SAMPLE)

    assert "<h1>Terms of use for managed devices</h1>" in clean
    assert '<div lang="ja">' in clean
    assert "管理対象端末の利用条件" in clean
    assert title_of(SAMPLE) == "Terms of use for managed devices"
    assert problem(SAMPLE.encode(), clean) == ""


@pytest.mark.parametrize(
    "uploaded", [b"", b"<script>alert(1)</script>", b"<p> </p>", b"x" * (LARGEST_BYTES + 1)]
)
def test_what_cannot_be_terms_is_refused(uploaded: bytes) -> None:
    assert problem(uploaded, sanitised(uploaded.decode()))


def test_a_title_cannot_break_out_of_the_page() -> None:
    assert "<script>" not in document("</title><script>", "<p>x</p>")
    assert title_of("<title>A &amp; <b>B</b></title>") == "A & B"


def test_whoever_enrols_accepts_exactly_what_holds() -> None:
    assert not must_accept(None, None)
    assert must_accept(2, None)
    assert must_accept(2, 1)
    assert not must_accept(2, 2)
