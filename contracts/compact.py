"""Compact JWS and JWE with one algorithm each, as the agent protocol says in section 3. Pure.

ES256 (RFC 7518 section 3.4) signs; ECDH-ES (section 4.6) with A256GCM (section 5.3) encrypts.
Nothing here chooses: a header that names anything else, a part that is critical (``crit``), another
spelling of the payload (``b64``) or compression (``zip``) is refused. The curve, the cipher and the
hash are those of `cryptography`; ADR 0044 says why no library stands between, and how this is held
to the same answers as one.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from os import urandom
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from contracts import keys
from contracts.base64url import decode, encode
from runtime.errors import MalformedMessageError, UnauthenticatedError

ALGORITHM, AGREEMENT, CIPHER = "ES256", "ECDH-ES", "A256GCM"
LONGEST_HEADER = 2048
_JSON = json.JSONEncoder(separators=(",", ":"))
_ES256, _ECDH, _P256 = ec.ECDSA(hashes.SHA256()), ec.ECDH(), ec.SECP256R1()
_HALF, _NONCE, _TAG = 32, 12, 16
"""Bytes of half a signature or a coordinate, of the nonce, and of the authentication tag."""
_ROUND = (1).to_bytes(4, "big")
_KEY_INFO = b"".join(
    (len(CIPHER).to_bytes(4, "big"), CIPHER.encode(), bytes(4), bytes(4), (256).to_bytes(4, "big"))
)
"""OtherInfo of the Concat KDF: algorithm, no party's name, 256 bits."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A JWS taken apart; what it says is a claim until `check` was told the key."""

    header: dict[str, Any]
    payload: bytes
    signing_input: bytes
    signature: bytes

    def check(self, key: ec.EllipticCurvePublicKey) -> None:
        """Raise UnauthenticatedError unless *key* signed it with ES256."""
        if self.header.get("alg") != ALGORITHM or len(self.signature) != 2 * _HALF:
            raise UnauthenticatedError(f"It is not signed with {ALGORITHM}.")
        r, s = (int.from_bytes(half) for half in (self.signature[:_HALF], self.signature[_HALF:]))
        try:
            key.verify(encode_dss_signature(r, s), self.signing_input, _ES256)
        except InvalidSignature:
            raise UnauthenticatedError("The signature does not hold.") from None


def sign(payload: bytes, typ: str, key_id: str, key: ec.EllipticCurvePrivateKey) -> str:
    """Return *payload* as a compact JWS whose header says *typ* and *key_id*."""
    signing_input = f"{_signing_header(typ, key_id)}.{encode(payload)}"
    r, s = decode_dss_signature(key.sign(signing_input.encode(), _ES256))
    return f"{signing_input}.{encode(r.to_bytes(_HALF) + s.to_bytes(_HALF))}"


def read_signed(token: str) -> Signed:
    """Return the parts of a compact JWS; MalformedMessageError when it is none."""
    try:
        signing_input, _, signature = token.rpartition(".")
        header, payload = signing_input.split(".")
        return Signed(
            _header(header, {"b64"}), decode(payload), signing_input.encode(), decode(signature)
        )
    except (ValueError, RecursionError) as error:
        raise MalformedMessageError(f"Not a signature: {type(error).__name__}.") from None


def encrypt(
    content: bytes, content_type: str, key_id: str, recipient: ec.EllipticCurvePublicKey
) -> str:
    """Return *content* as a compact JWE that only *recipient* opens, with a fresh key."""
    once = ec.generate_private_key(_P256)
    header = {"alg": AGREEMENT, "enc": CIPHER, "cty": content_type, "kid": key_id}
    said = _written({**header, "epk": keys.write_raw_public(once.public_key())})
    nonce = urandom(_NONCE)
    sealed = AESGCM(_content_key(once, recipient)).encrypt(nonce, content, said.encode())
    return f"{said}..{encode(nonce)}.{encode(sealed[:-_TAG])}.{encode(sealed[-_TAG:])}"


def decrypt(sealed: str, recipient: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the content of a compact JWE; MalformedMessageError when the key does not open it."""
    try:
        said, wrapped, nonce, content, tag = sealed.split(".")
        header, rest = _header(said, {"zip"}), [decode(one) for one in (nonce, content, tag)]
        if (header.get("alg"), header.get("enc"), wrapped) != (AGREEMENT, CIPHER, ""):
            raise ValueError("Another encryption than agreed.")
        if (len(rest[0]), len(rest[2])) != (_NONCE, _TAG):
            raise ValueError("Another length than A256GCM has.")
        key = _content_key(recipient, keys.read_raw_public(header.get("epk")))
        return AESGCM(key).decrypt(rest[0], rest[1] + rest[2], said.encode())
    except (ValueError, RecursionError, InvalidTag) as error:
        raise MalformedMessageError(
            f"The message cannot be opened with this key ({type(error).__name__})."
        ) from None


def read_header(token: str) -> dict[str, Any]:
    """Return the header of a compact JWS or JWE, unproved; MalformedMessageError if none."""
    try:
        return _header(token.partition(".")[0], ())
    except (ValueError, RecursionError) as error:
        raise MalformedMessageError(f"Not a header: {type(error).__name__}.") from None


def _header(said: str, forbidden: Collection[str]) -> dict[str, Any]:
    if len(said) > LONGEST_HEADER:
        raise ValueError("The header is too long.")
    header = json.loads(decode(said))
    if not isinstance(header, dict) or "crit" in header or not header.keys().isdisjoint(forbidden):
        raise ValueError("The header asks for more than is agreed.")
    return header


def _content_key(private: ec.EllipticCurvePrivateKey, public: ec.EllipticCurvePublicKey) -> bytes:
    """Return the key that both sides derive (RFC 7518 section 4.6.2)."""
    return sha256(_ROUND + private.exchange(_ECDH, public) + _KEY_INFO).digest()


@lru_cache(maxsize=64)
def _signing_header(typ: str, key_id: str) -> str:
    return _written({"alg": ALGORITHM, "typ": typ, "kid": key_id})


def _written(header: dict[str, Any]) -> str:
    return encode(_JSON.encode(header).encode())
