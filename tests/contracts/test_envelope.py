"""What is sealed opens for the right keys only; whatever else comes is refused in our words."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwe, jws
from joserfc.jwk import OctKey

from contracts import envelope, keys
from runtime.errors import (
    MalformedMessageError,
    SekishoError,
    TooLargeError,
    UnauthenticatedError,
)

SIGNER, OTHER, RECIPIENT = keys.new_key(), keys.new_key(), keys.new_key()
KINDS = (envelope.ORDER, envelope.REPORT, envelope.ENROLMENT, envelope.TRUST)
OPENERS: tuple[Callable[[str], object], ...] = (
    lambda token: envelope.verify(token, envelope.ORDER, SIGNER),
    lambda token: envelope.decrypt(token, RECIPIENT),
    lambda token: envelope.open_sealed(token, envelope.ORDER, SIGNER, RECIPIENT),
    envelope.unverified_payload,
    envelope.recipient_of,
)
quick = settings(deadline=None, max_examples=150)


def _encoded(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


@quick
@given(payload=st.binary(max_size=500), typ=st.sampled_from(KINDS))
def test_what_is_sealed_opens_for_its_recipient(payload: bytes, typ: str) -> None:
    sealed = envelope.seal(payload, typ, SIGNER, RECIPIENT)

    assert envelope.open_sealed(sealed, typ, SIGNER, RECIPIENT) == payload
    assert envelope.recipient_of(sealed) == keys.thumbprint(RECIPIENT)


@pytest.mark.parametrize("typ", KINDS)
def test_one_kind_never_passes_as_another(typ: str) -> None:
    token = envelope.sign(b"{}", typ, SIGNER)

    for other in set(KINDS) - {typ}:
        with pytest.raises(UnauthenticatedError, match="not as"):
            envelope.verify(token, other, SIGNER)


def test_only_the_right_keys_open() -> None:
    sealed = envelope.seal(b"{}", envelope.ORDER, SIGNER, RECIPIENT)

    with pytest.raises(UnauthenticatedError):
        envelope.open_sealed(sealed, envelope.ORDER, OTHER, RECIPIENT)
    with pytest.raises(MalformedMessageError):
        envelope.open_sealed(sealed, envelope.ORDER, SIGNER, OTHER)


@quick
@given(token=st.text(max_size=300) | st.text(alphabet="abcXYZ019-_.", max_size=300))
@pytest.mark.parametrize("opener", OPENERS)
def test_rubbish_raises_nothing_but_our_errors(opener: Callable[[str], object], token: str) -> None:
    with suppress(SekishoError):
        opener(token)


_VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.lists(st.text())
_HEADERS = st.dictionaries(
    st.sampled_from(
        ["alg", "enc", "typ", "kid", "cty", "crit", "jwk", "epk", "zip", "b64", "jku", "x5c", "p2c"]
    ),
    _VALUES | st.sampled_from(["ES256", "ECDH-ES", "A256GCM", "none", "HS256", "DEF"]),
)


@quick
@given(header=_HEADERS, others=st.lists(st.binary(max_size=40), min_size=2, max_size=4))
@pytest.mark.parametrize("opener", OPENERS)
def test_any_header_raises_nothing_but_our_errors(
    opener: Callable[[str], object], header: dict[str, Any], others: list[bytes]
) -> None:
    with suppress(SekishoError):
        opener(".".join([_encoded(header), *map(_encoded, others)]))


@quick
@given(place=st.integers(0, 4), at=st.integers(0, 10_000), flip=st.integers(1, 63))
def test_every_change_of_a_sealed_message_is_noticed(place: int, at: int, flip: int) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    sealed = envelope.seal(b'{"v":1}', envelope.ORDER, SIGNER, RECIPIENT)
    parts = sealed.split(".")
    part = parts[place] or "A"
    at %= max(1, len(part) - 1)  # the last letter may hold bits that count for nothing
    changed = alphabet[alphabet.index(part[at]) ^ flip]
    parts[place] = part[:at] + changed + part[at + 1 :]

    with pytest.raises((MalformedMessageError, UnauthenticatedError)):
        envelope.open_sealed(".".join(parts), envelope.ORDER, SIGNER, RECIPIENT)


@pytest.mark.parametrize(
    "token",
    [
        _encoded(b"[" * 100_000) + ".e30.AAAA",
        _encoded(b'{"alg":' * 50_000) + ".e30.AAAA",
        _encoded(b"\xff\xfe") + "..AAAA.AAAA.AAAA",
        _encoded(b'{"kid":"' + b"x" * 200_000 + b'"}') + "..AAAA.AAAA.AAAA",
        "é.é.é",
        "....",
        "..",
        "",
        ".",
        "A" * 100_000,
    ],
)
@pytest.mark.parametrize("opener", OPENERS)
def test_hostile_tokens_raise_nothing_but_our_errors(
    opener: Callable[[str], object], token: str
) -> None:
    with suppress(SekishoError):
        opener(token)


@pytest.mark.parametrize("opener", OPENERS)
def test_what_is_too_large_is_refused_before_anything_else(
    opener: Callable[[str], object],
) -> None:
    with pytest.raises(TooLargeError):
        opener("A" * (envelope.MAXIMUM_BYTES + 1))


def test_no_signature_is_no_signature() -> None:
    unsigned = f"{_encoded({'alg': 'none', 'typ': envelope.ORDER})}.{_encoded({})}."

    with pytest.raises(SekishoError):
        envelope.verify(unsigned, envelope.ORDER, SIGNER)


def test_the_public_key_is_no_password() -> None:
    secret = OctKey.import_key(json.dumps(keys.public_jwk(SIGNER)).encode())
    header = {"alg": "HS256", "typ": envelope.ORDER}
    forged = jws.serialize_compact(
        header, b"{}", secret, registry=jws.JWSRegistry(algorithms=["HS256"])
    )

    with pytest.raises(UnauthenticatedError):
        envelope.verify(forged, envelope.ORDER, SIGNER)


def test_a_key_inside_the_message_is_not_believed() -> None:
    header = {"alg": "ES256", "typ": envelope.ORDER, "jwk": keys.public_jwk(OTHER)}
    forged = jws.serialize_compact(
        header, b"{}", OTHER, registry=jws.JWSRegistry(algorithms=["ES256"])
    )

    with pytest.raises(UnauthenticatedError):
        envelope.verify(forged, envelope.ORDER, SIGNER)


@pytest.mark.parametrize("change", [{"zip": "DEF"}, {"enc": "A128GCM"}, {"alg": "ECDH-ES+A256KW"}])
def test_only_the_agreed_encryption_is_opened(change: dict[str, Any]) -> None:
    """Above all no compression: a small message could unpack to gigabytes."""
    token = envelope.sign(b"{}", envelope.ORDER, SIGNER)
    header = {"alg": "ECDH-ES", "enc": "A256GCM", "cty": "JWS"} | change
    algorithms = ["ECDH-ES", "ECDH-ES+A256KW", "A256GCM", "A128GCM", "DEF"]
    registry = jwe.JWERegistry(algorithms=algorithms, strict_check_header=False)
    sealed = jwe.encrypt_compact(header, token.encode(), RECIPIENT, registry=registry)

    assert jwe.decrypt_compact(sealed, RECIPIENT, registry=registry).plaintext == token.encode()
    with pytest.raises(SekishoError):
        envelope.decrypt(sealed, RECIPIENT)


def test_what_is_inside_must_be_ascii() -> None:
    sealed = envelope.encrypt("é", RECIPIENT)

    with pytest.raises(MalformedMessageError):
        envelope.decrypt(sealed, RECIPIENT)
