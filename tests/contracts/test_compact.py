"""Our JWS and JWE give the same answers as joserfc, and are stricter where the protocol is."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwe, jws
from joserfc.errors import JoseError

from contracts import base64url, compact, envelope, keys
from runtime.errors import MalformedMessageError, SekishoError, UnauthenticatedError

SIGNER, RECIPIENT = keys.new_key(), keys.new_key()
ES256 = ec.ECDSA(hashes.SHA256())
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
THEIR_JWS = jws.JWSRegistry(algorithms=["ES256"], strict_check_header=False)
THEIR_JWE = jwe.JWERegistry(algorithms=["ECDH-ES", "A256GCM"], strict_check_header=False)
THEIR_JWS.max_header_length = THEIR_JWE.max_protected_header_length = compact.LONGEST_HEADER
REFUSALS = (JoseError, ValueError, TypeError, KeyError, AttributeError)
quick = settings(deadline=None, max_examples=150)
payloads = st.binary(max_size=300)
extras = st.dictionaries(
    st.sampled_from(["typ", "kid", "cty", "x5t", "mine"]), st.text(max_size=20), max_size=3
)


def ours_verify(token: str) -> bytes:
    signed = compact.read_signed(token)
    signed.check(keys.raw_public(SIGNER))
    return signed.payload


def theirs_verify(token: str) -> bytes:
    return jws.deserialize_compact(token, SIGNER, registry=THEIR_JWS).payload


def ours_decrypt(sealed: str) -> bytes:
    return compact.decrypt(sealed, keys.raw_private(RECIPIENT))


def theirs_decrypt(sealed: str) -> bytes | None:
    return jwe.decrypt_compact(sealed, RECIPIENT, registry=THEIR_JWE).plaintext


def answer(read: Callable[[str], bytes | None], token: str) -> bytes | None:
    """Return what *read* makes of it; None when it refuses."""
    try:
        return read(token)
    except (SekishoError, *REFUSALS):
        return None


def theirs_sign(payload: bytes, header: Mapping[str, Any]) -> str:
    return jws.serialize_compact(dict(header), payload, SIGNER, registry=THEIR_JWS)


def theirs_encrypt(content: bytes, header: Mapping[str, Any]) -> str:
    said = {"alg": "ECDH-ES", "enc": "A256GCM", **header}
    return jwe.encrypt_compact(said, content, RECIPIENT, registry=THEIR_JWE)


@quick
@given(payload=payloads, typ=st.text(max_size=30))
def test_joserfc_reads_what_we_write(payload: bytes, typ: str) -> None:
    token = compact.sign(payload, typ, keys.thumbprint(SIGNER), keys.raw_private(SIGNER))
    sealed = compact.encrypt(payload, "JWS", "me", keys.raw_public(RECIPIENT))

    said = jws.extract_compact(token.encode(), registry=THEIR_JWS).headers()
    assert said == {"alg": "ES256", "typ": typ, "kid": keys.thumbprint(SIGNER)}
    assert theirs_verify(token) == payload
    assert theirs_decrypt(sealed) == payload


@quick
@given(payload=payloads, header=extras)
def test_we_read_what_joserfc_writes(payload: bytes, header: dict[str, str]) -> None:
    assert ours_verify(theirs_sign(payload, {**header, "alg": "ES256"})) == payload
    assert ours_decrypt(theirs_encrypt(payload, header)) == payload


@quick
@given(at=st.integers(0, 10_000), sign=st.sampled_from(LETTERS + ".=+/ é"), cut=st.booleans())
@pytest.mark.parametrize("kind", ["signed", "sealed"])
def test_both_answer_the_same_to_any_change(kind: str, at: int, sign: str, cut: bool) -> None:
    """One letter is another one, or everything behind it is missing."""
    signed = envelope.sign(b'{"v":1}', "t", SIGNER)
    token, ours, theirs = {
        "signed": (signed, ours_verify, theirs_verify),
        "sealed": (envelope.encrypt(signed, RECIPIENT), ours_decrypt, theirs_decrypt),
    }[kind]
    at %= len(token)
    changed = token[:at] + sign + ("" if cut else token[at + 1 :])

    assert answer(ours, changed) == answer(theirs, changed)


_ALGORITHMS = st.sampled_from(["ES256", "ES384", "HS256", "none", "es256", ""])


@quick
@given(header=extras, algorithm=_ALGORITHMS, payload=payloads)
def test_both_answer_the_same_to_any_header(
    header: dict[str, str], algorithm: str, payload: bytes
) -> None:
    """Truly signed with ES256, whatever the header says."""
    token = truly_signed({**header, "alg": algorithm}, payload)

    assert answer(ours_verify, token) == answer(theirs_verify, token)
    assert (answer(ours_verify, token) is not None) == (algorithm == "ES256")


def truly_signed(header: dict[str, Any], payload: bytes = b"{}") -> str:
    said = f"{_json(header)}.{base64url.encode(payload)}"
    r, s = decode_dss_signature(keys.raw_private(SIGNER).sign(said.encode(), ES256))
    return f"{said}.{base64url.encode(r.to_bytes(32) + s.to_bytes(32))}"


def _json(header: object) -> str:
    return base64url.encode(json.dumps(header).encode())


@pytest.mark.parametrize("change", [{"crit": ["exp"]}, {"crit": []}, {"b64": False}, {"b64": True}])
def test_nothing_that_changes_the_meaning_of_a_signature_is_taken(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedMessageError):
        ours_verify(truly_signed({"alg": "ES256", "typ": "t", **change}))


@pytest.mark.parametrize(
    "change", [{"zip": "DEF"}, {"crit": ["kid"], "kid": "me"}, {"apu": "QWxpY2U"}, {"apv": "Qm9i"}]
)
def test_nothing_that_changes_the_meaning_of_a_cipher_is_taken(change: dict[str, Any]) -> None:
    """The protocol says that ``apu`` and ``apv`` are empty: else another key comes out."""
    algorithms = ["ECDH-ES", "A256GCM", "DEF"]
    registry = jwe.JWERegistry(algorithms=algorithms, strict_check_header=False)
    header = {"alg": "ECDH-ES", "enc": "A256GCM", **change}
    sealed = jwe.encrypt_compact(header, b"{}", RECIPIENT, registry=registry)

    assert jwe.decrypt_compact(sealed, RECIPIENT, registry=registry).plaintext == b"{}"
    with pytest.raises(MalformedMessageError):
        ours_decrypt(sealed)


def test_a_signature_has_64_bytes_and_no_zero_half() -> None:
    said = envelope.sign(b"{}", "t", SIGNER).rpartition(".")[0]
    for wrong in (b"", bytes(64), b"\xff" * 64, bytes(63), bytes(65)):
        with pytest.raises(UnauthenticatedError):
            ours_verify(f"{said}.{base64url.encode(wrong)}")


def test_a_point_beside_the_curve_opens_nothing() -> None:
    """Else the answers to such points would tell the private key bit by bit."""
    head, *rest = envelope.encrypt("x", RECIPIENT).split(".")
    header = json.loads(base64url.decode(head))
    header["epk"]["y"] = base64url.encode(bytes(31) + b"\x01")

    with pytest.raises(MalformedMessageError):
        ours_decrypt(".".join([_json(header), *rest]))


@quick
@given(data=st.binary(max_size=40), text=st.text(alphabet=LETTERS + "=+/ \n", max_size=12))
def test_base64url_has_one_spelling(data: bytes, text: str) -> None:
    assert base64url.encode(data) == urlsafe_b64encode(data).rstrip(b"=").decode()
    assert base64url.decode(base64url.encode(data)) == data
    try:
        decoded = base64url.decode(text)
    except ValueError:
        return
    assert base64url.encode(decoded) == text
