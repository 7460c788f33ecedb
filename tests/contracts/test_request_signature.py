"""Signed requests: what is covered cannot change, and nothing else passes as signed."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from contracts import keys, signature_profile
from contracts.request_signature import (
    AGENT,
    CONNECTOR,
    LINK,
    MAXIMUM_SKEW,
    ClockSkewError,
    Signed,
    _verify_any,
    signature_headers,
    verify_request,
)
from runtime.errors import UnauthenticatedError

KEY, OTHER = keys.new_key(), keys.new_key()
URL = "https://relay.example:4343/agent/v1/orders?after=3&epoch=1"
NOW = datetime.now(UTC).replace(microsecond=0)
BODY = b'{"v":1}'


def _headers(now: datetime = NOW, tag: str = AGENT, key: ECKey = KEY) -> dict[str, str]:
    return signature_headers("POST", URL, BODY, key, "device 1", tag, now)


def _verify(
    headers: dict[str, str],
    method: str = "POST",
    url: str = URL,
    body: bytes = BODY,
    tag: str = AGENT,
) -> Signed:
    return verify_request(
        method,
        url,
        headers,
        body,
        {"device 1": keys.raw_public(KEY)}.get,
        tag,
        NOW,  # what the relay does
    )


def test_who_signed_is_told() -> None:
    signed = _verify(_headers())

    assert (signed.key_id, signed.created_at) == ("device 1", NOW)
    assert len(signed.nonce) >= 16


def test_no_two_requests_have_the_same_nonce() -> None:
    assert len({_verify(_headers()).nonce for _ in range(20)}) == 20


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"url": URL.replace("orders", "reports")},
        {"url": URL.replace("after=3", "after=4")},
        {"url": URL.partition("?")[0]},
        {"body": b'{"v":2}'},
        {"body": b""},
        {"tag": LINK},
        {"tag": CONNECTOR},
    ],
    ids=str,
)
def test_nothing_that_is_covered_may_change(change: dict[str, str]) -> None:
    with pytest.raises(UnauthenticatedError):
        _verify(_headers(), **change)  # type: ignore[arg-type]


def test_the_host_may_change() -> None:
    assert _verify(_headers(), url=URL.replace("relay.example:4343", "10.0.0.7")).key_id


@pytest.mark.parametrize("name", ["Signature", "Signature-Input", "Content-Digest"])
def test_no_header_may_be_missing(name: str) -> None:
    headers = {key: value for key, value in _headers().items() if key != name}

    with pytest.raises(UnauthenticatedError):
        _verify(headers)


def test_another_key_does_not_pass() -> None:
    with pytest.raises(UnauthenticatedError, match="does not hold"):
        _verify(_headers(key=OTHER))


def test_an_unknown_key_is_named_as_such() -> None:
    with pytest.raises(UnauthenticatedError, match="not known here"):
        verify_request("POST", URL, _headers(), BODY, lambda key_id: None, AGENT, NOW)


@pytest.mark.parametrize("part", ["nonce", "keyid", "tag", "created"])
def test_each_parameter_is_signed(part: str) -> None:
    headers = _headers()
    before, _, after = headers["Signature-Input"].partition(f";{part}=")
    value, sign, rest = after.partition(";")
    changed = f'"{value[1:-1]}x"' if value.startswith('"') else str(int(value) + 1)
    headers["Signature-Input"] = f"{before};{part}={changed}{sign}{rest}"

    with pytest.raises(UnauthenticatedError):
        _verify(headers)


@pytest.mark.parametrize("component", ["@method", "@path", "@query", "content-digest"])
def test_a_signature_that_covers_less_is_refused(component: str) -> None:
    headers = _headers()
    headers["Signature-Input"] = headers["Signature-Input"].replace(f'"{component}"', "", 1)

    with pytest.raises(UnauthenticatedError):
        _verify(headers)


def test_a_second_signature_is_refused() -> None:
    one, two = _headers(), _headers()
    both = {
        "Content-Digest": one["Content-Digest"],
        "Signature-Input": f"{one['Signature-Input']}, "
        f"{two['Signature-Input'].replace('sekisho=', 'second=', 1)}",
        "Signature": f"{one['Signature']}, {two['Signature'].replace('sekisho=', 'second=', 1)}",
    }

    with pytest.raises(UnauthenticatedError):
        _verify(both)


@pytest.mark.parametrize("minutes", [-4.9, -1, 0, 0.2, 4.9])
def test_a_clock_may_be_a_little_off(minutes: float) -> None:
    assert _verify(_headers(NOW + timedelta(minutes=minutes))).key_id == "device 1"


@pytest.mark.parametrize("minutes", [-60 * 24 * 400, -6, 6, 60 * 24 * 400])
def test_a_clock_that_is_far_off_gets_an_error_of_its_own(minutes: int) -> None:
    """In either direction: an agent can mend its clock only when it is told."""
    with pytest.raises(ClockSkewError, match="Take the Date header"):
        _verify(_headers(NOW + timedelta(minutes=minutes)))


def test_a_wrong_signature_is_no_question_of_clocks() -> None:
    late = NOW - MAXIMUM_SKEW * 2

    with pytest.raises(UnauthenticatedError) as refused:
        _verify(_headers(late, key=OTHER))
    assert not isinstance(refused.value, ClockSkewError)


_LINES = st.text(max_size=120) | st.text(alphabet='sekiho=():;"@,0123456789 ', max_size=120)


@settings(deadline=None, max_examples=300)
@given(name=st.sampled_from(["Signature", "Signature-Input", "Content-Digest"]), value=_LINES)
def test_anything_in_a_header_is_refused_in_our_words(name: str, value: str) -> None:
    with pytest.raises(UnauthenticatedError):
        _verify(_headers() | {name: value})


@settings(deadline=None, max_examples=200)
@given(at=st.integers(0, 10_000), letter=st.characters(codec="utf-8"))
def test_any_letter_changed_anywhere_is_noticed(at: int, letter: str) -> None:
    headers = _headers()
    name = sorted(headers)[at % 3]
    at %= len(headers[name])
    changed = headers[name][:at] + letter + headers[name][at + 1 :]

    with suppress(UnauthenticatedError):
        signed = _verify(headers | {name: changed})
        assert (signed.key_id, signed.created_at) == ("device 1", NOW)


@pytest.mark.parametrize(
    "value",
    [
        "sekisho=" + "(" * 5000,
        'sekisho=("@method" "@path" "@query" "content-digest");created=' + "9" * 15,
        'sekisho=("@method" "@path" "@query" "content-digest");created=-1',
        'sekisho=();created=1;keyid="device 1"',
        'sekisho=("@method";x="' + "a" * 5000 + '")',
        "sekisho=é",
        "sekisho=?1",
    ],
)
def test_hostile_parameters_are_refused_in_our_words(value: str) -> None:
    with pytest.raises(UnauthenticatedError):
        _verify(_headers() | {"Signature-Input": value})


_KINDS = st.sampled_from(["none", "method", "target", "body", "header", "parameter", "key"])


@settings(deadline=None, max_examples=400)
@given(kind=_KINDS, at=st.integers(0, 10_000), letter=st.characters(codec="ascii"))
def test_the_fast_reading_and_the_general_one_agree(kind: str, at: int, letter: str) -> None:
    method, url, body, headers = "POST", URL, BODY, _headers(key=OTHER if kind == "key" else KEY)
    if kind == "method":
        method = "PUT"
    elif kind == "target":
        url = URL + "&x=1" if at % 2 else URL.replace("orders", "order")
    elif kind == "body":
        body = BODY + b" "
    elif kind != "none":
        name = sorted(headers)[at % 3] if kind == "header" else "Signature-Input"
        place = at % len(headers[name])
        headers[name] = headers[name][:place] + letter + headers[name][place + 1 :]
    find = {"device 1": keys.raw_public(KEY)}.get
    lowered = {each.lower(): value for each, value in headers.items()}
    target = "/" + url.partition("://")[2].partition("/")[2]

    def general() -> tuple[str, str] | None:
        try:
            signed = _verify_any(method, url, headers, body, find, AGENT, NOW)
        except UnauthenticatedError:
            return None
        return signed.key_id, signed.nonce

    try:
        found = signature_profile.verify(method, target, lowered, body, find, AGENT)
    except UnauthenticatedError:
        assert general() is None
    else:
        event("left to the general reading" if found is None else "holds")
        assert found is None or (found.key_id, found.nonce) == general()
