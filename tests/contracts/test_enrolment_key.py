"""Enrolment keys as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import keys
from contracts.enrolment_key import ALPHABET, plain, print_of, read_typed, server_url, typed
from runtime.errors import MalformedMessageError

THUMBPRINT = keys.thumbprint(keys.new_key())
KEY = "ABCD-EFGH-JKMN-PQRS-TVWX-YZ01-2345"


@pytest.mark.parametrize(
    "url", ["", "https://mdm.example.jp:4343", "https://mdm.example.jp:443", "https://[2001:db8::1]:4343"]
)  # fmt: skip
def test_what_is_written_is_read_however_it_is_typed(url: str) -> None:
    text = typed(KEY, THUMBPRINT, url)

    address, slash, letters = text.rpartition("/")

    for spelling in (letters, letters.replace("-", " "), letters.replace("0", "o").lower()):
        found = read_typed(address + slash + spelling)
        assert plain(found.key) == plain(KEY)
        assert found.print_ == print_of(THUMBPRINT)
        assert found.relay_url == url
    assert "4343" not in text


def test_a_print_is_130_bits_of_the_key() -> None:
    other = keys.thumbprint(keys.new_key())

    assert len(print_of(THUMBPRINT)) == 26
    assert set(print_of(THUMBPRINT)) <= set(ALPHABET)
    assert print_of(other) != print_of(THUMBPRINT)


@given(st.integers(0, len(KEY) + 1 + 34), st.sampled_from(ALPHABET))
def test_nearly_every_slip_is_noticed(place: int, letter: str) -> None:
    text = typed(KEY, THUMBPRINT)
    slipped = text[:place] + letter + text[place + 1 :]
    try:
        found = read_typed(slipped)
    except MalformedMessageError:
        return
    # Two check letters let one slip in 1024 pass; then the key or print is simply another one.
    same = plain(slipped) == plain(text)
    assert same or (plain(found.key), found.print_) != (plain(KEY), print_of(THUMBPRINT))


@pytest.mark.parametrize(
    "text", ["", "A", "A.B", "host/", "host/AAAA-BBBB", "https://x y/A.B", "."]
)
def test_what_is_not_whole_is_refused(text: str) -> None:
    with pytest.raises(MalformedMessageError, match=r"not whole|address"):
        read_typed(text)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("mdm.example.jp", "https://mdm.example.jp:4343"),
        (" https://mdm.example.jp/ ", "https://mdm.example.jp:4343"),
        ("192.0.2.7:8443", "https://192.0.2.7:8443"),
    ],
)
def test_a_server_is_named_with_or_without_port(text: str, url: str) -> None:
    assert server_url(text) == url


@pytest.mark.parametrize("text", ["", "a b", "http://x", "x:0", "x:99999", "x/y", "u@x", "x?y"])
def test_what_is_no_server_is_refused(text: str) -> None:
    with pytest.raises(MalformedMessageError, match="no server address"):
        server_url(text)
