"""Verifies signed requests that are spelt exactly as section 4 of `docs/agent-protocol.md` says.

RFC 9421 allows many spellings; agents, management and connectors use one. Reading only that one
takes a quarter of the time of the general library, which every other spelling still goes through
(`request_signature.verify_request`); a test holds both to the same answers. Pure.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from runtime.errors import UnauthenticatedError

_INPUT = re.compile(
    r'sekisho=(\("@method" "@path" "@query" "content-digest"\);created=(\d{1,11});'
    r'keyid="([\x20\x21\x23-\x5b\x5d-\x7e]{1,100})";alg="ecdsa-p256-sha256";'
    r'nonce="([A-Za-z0-9_-]{1,64})";tag="([a-z-]{1,40})")'
)
_SIGNATURE = re.compile(r"sekisho=:([A-Za-z0-9+/]{86}==):")
_TARGET = re.compile(r"(/[A-Za-z0-9/_-]*)(\?[A-Za-z0-9&=_-]*)?")
_ECDSA = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True, slots=True)
class Found:
    """What a signature that holds says; nobody has looked at the time or the nonce yet."""

    key_id: str
    nonce: str
    created: int


def verify(
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    find_key: Callable[[str], ec.EllipticCurvePublicKey | None],
    tag: str,
) -> Found | None:
    """Return who signed; None when the request is spelt another way and says nothing yet.

    *target* is path and query as sent, the names of *headers* are lower-case. Raises
    UnauthenticatedError when the key is not known, the tag is another, or signature or digest do
    not hold.
    """
    said = _INPUT.fullmatch(headers.get("signature-input", ""))
    signature = _SIGNATURE.fullmatch(headers.get("signature", ""))
    place = _TARGET.fullmatch(target)
    if not (said and signature and place):
        return None
    parameters, created, key_id, nonce, its_tag = said.groups()
    digest = _checked_digest(headers, body)
    if its_tag != tag:
        raise UnauthenticatedError(f"The request is signed for {its_tag}, not for {tag}.")
    key = find_key(key_id)
    if key is None:
        raise UnauthenticatedError("The signing key is not known here.")
    base = (
        f'"@method": {method}\n"@path": {place[1]}\n"@query": {place[2] or "?"}\n'
        f'"content-digest": {digest}\n"@signature-params": {parameters}'
    )
    _check(key, signature[1], base.encode("ascii"))
    return Found(key_id, nonce, int(created))


def _checked_digest(headers: Mapping[str, str], body: bytes) -> str:
    digest = headers.get("content-digest", "")
    if digest != f"sha-256=:{b64encode(sha256(body).digest()).decode()}:":
        raise UnauthenticatedError("Content-Digest does not match the body.")
    return digest


def _check(key: ec.EllipticCurvePublicKey, text: str, base: bytes) -> None:
    try:
        raw = b64decode(text, validate=True)
        r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
        key.verify(encode_dss_signature(r, s), base, _ECDSA)
    except (InvalidSignature, Error):
        raise UnauthenticatedError("The request's signature does not hold.") from None
