"""Public keys from outside: only points of P-256 come in, and only their public half."""

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import keys
from runtime.errors import MalformedMessageError

GOOD = keys.public_jwk(keys.new_key())


def _number(value: int, length: int = 32) -> str:
    return urlsafe_b64encode(value.to_bytes(length, "big")).rstrip(b"=").decode()


def test_a_key_survives_the_journey() -> None:
    key = keys.new_key()

    assert keys.thumbprint(keys.read_public(keys.public_jwk(key))) == keys.thumbprint(key)
    assert keys.public_jwk(keys.read_private(keys.private_json(key))) == keys.public_jwk(key)
    assert len(keys.thumbprint(key)) == 43


def test_a_private_half_that_was_sent_is_left_behind() -> None:
    private = json.loads(keys.private_json(keys.new_key()))
    assert "d" in private

    read = keys.read_public(private | {"kid": "x", "use": "sig"})
    assert not read.is_private
    assert set(keys.public_jwk(read)) == {"kty", "crv", "x", "y"}


def test_members_that_do_not_count_do_not_change_the_thumbprint() -> None:
    assert keys.thumbprint(keys.read_public(GOOD | {"kid": "me", "alg": "ES256"})) == (
        keys.thumbprint(keys.read_public(GOOD))
    )


@pytest.mark.parametrize(
    "fields",
    [
        GOOD | {"x": _number(1)},
        GOOD | {"x": _number(0), "y": _number(0)},
        GOOD | {"x": _number(2**256 - 1)},
        GOOD | {"x": _number(2**4000, 512)},
        GOOD | {"x": ""},
        GOOD | {"x": "é"},
        GOOD | {"x": 5},
        GOOD | {"x": None},
        GOOD | {"crv": "P-384"},
        GOOD | {"crv": "secp256k1"},
        GOOD | {"kty": "oct", "k": "AAAA"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {},
        [],
        "key",
        None,
    ],
)
def test_what_is_no_point_of_the_curve_is_refused(fields: object) -> None:
    with pytest.raises(MalformedMessageError):
        keys.read_public(fields)


_VALUES = (
    st.none() | st.integers() | st.text(max_size=50) | st.binary(max_size=5) | st.lists(st.none())
)


@settings(deadline=None)
@given(changes=st.dictionaries(st.sampled_from(["kty", "crv", "x", "y", "d"]), _VALUES, min_size=1))
def test_anything_in_a_key_is_read_or_refused(changes: dict[str, Any]) -> None:
    fields = {**GOOD, **changes}
    if set(changes) == {"d"}:
        assert keys.public_jwk(keys.read_public(fields)) == GOOD
        return
    with pytest.raises(MalformedMessageError):
        keys.read_public(fields)


def test_a_public_key_has_no_private_part() -> None:
    with pytest.raises(MalformedMessageError, match="no private part"):
        keys.raw_private(keys.read_public(GOOD))
