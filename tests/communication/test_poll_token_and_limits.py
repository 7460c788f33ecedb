"""Tokens and rates: nothing but a clock and a key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from communication import poll_token
from communication.limits import Rate, TooManyError
from runtime.bodies import neighbourhood
from runtime.errors import UnauthenticatedError

KEY = bytes(range(32))
slots = st.integers(min_value=1, max_value=2**63)
times = st.integers(min_value=1, max_value=2**40)


@given(slot=slots, expires=times)
def test_a_token_names_its_slot_until_it_expires(slot: int, expires: int) -> None:
    token = poll_token.issue(KEY, slot, expires)

    assert poll_token.read(KEY, token, expires) == slot
    with pytest.raises(UnauthenticatedError, match="expired"):
        poll_token.read(KEY, token, expires + 0.001)


@given(slot=slots, expires=times, place=st.integers(0, 95), put=st.characters())
def test_a_token_with_one_other_character_is_refused(
    slot: int, expires: int, place: int, put: str
) -> None:
    token = poll_token.issue(KEY, slot, expires)
    changed = token[:place] + put + token[place + 1 :]
    if changed == token:
        return

    with pytest.raises(UnauthenticatedError, match="not a poll token of this server"):
        poll_token.read(KEY, changed, 0)


@given(text=st.text() | st.text(alphabet="09afAF-_ é", min_size=96, max_size=96))
def test_what_this_server_did_not_issue_is_no_token(text: str) -> None:
    with pytest.raises(UnauthenticatedError):
        poll_token.read(KEY, text, 0)


def test_a_rate_allows_so_many_a_minute_for_each_name_and_says_when_to_return() -> None:
    rate = Rate(2, "tries")
    for seconds in (60.0, 61.0):
        rate.count("a", seconds)
    rate.count("b", 61.0)
    rate.check("a", 62.0)

    with pytest.raises(TooManyError, match="More than 2 tries") as refused:
        rate.count("a", 100.0)
    assert refused.value.retry_after == 20
    with pytest.raises(TooManyError):
        rate.check("a", 119.0)

    rate.count("a", 120.0)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
        ("nonsense", "nonsense"),
    ],
)
def test_an_ipv6_network_counts_as_one_neighbour(address: str, name: str) -> None:
    assert neighbourhood(address) == name
