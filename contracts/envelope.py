"""JWS inside JWE: how management and agents speak through a relay that neither trusts.

A payload is signed with ES256 (RFC 7515) and the signature encrypted with ECDH-ES and A256GCM
(RFC 7516, RFC 7518 section 4.6). ``typ`` of the signature says what it is, so that one kind of
message can never be taken for another. `contracts.compact` writes and reads the two formats.
"""

from joserfc.jwk import ECKey

from contracts import compact, keys
from contracts.compact import Signed
from runtime.errors import MalformedMessageError, TooLargeError, UnauthenticatedError

ORDER = "sekisho-order+jws"
REPORT = "sekisho-report+jws"
ENROLMENT = "sekisho-enrolment+jws"
TRUST = "sekisho-trust+jws"
HANDOVER = "sekisho-handover+jws"
DOWNLOAD = "sekisho-download+jws"
AUDIT = "sekisho-audit+jws"
RENEWAL = "sekisho-renewal+jws"
MAXIMUM_BYTES = 4 * 1024 * 1024


def sign(payload: bytes, typ: str, key: ECKey) -> str:
    """Return *payload* as a compact JWS of type *typ*."""
    return compact.sign(payload, typ, keys.thumbprint(key), keys.raw_private(key))


def verify(token: str, typ: str, key: ECKey) -> bytes:
    """Return the payload of *token*.

    Raises UnauthenticatedError when it is not of type *typ* or not signed by *key*, and
    MalformedMessageError when it is no JWS at all.
    """
    signed = _read(token)
    signed.check(keys.raw_public(key))
    if signed.header.get("typ") != typ:
        raise UnauthenticatedError(f"Signed as {signed.header.get('typ')!r}, not as {typ!r}.")
    return signed.payload


def unverified_payload(token: str) -> bytes:
    """Return what *token* claims, to find the key that must then verify it; never act on it."""
    return _read(token).payload


def claimed_signer(token: str) -> str:
    """Return the thumbprint of the key that *token* says it is signed with; only a claim."""
    return str(_read(token).header.get("kid", ""))


def encrypt(token: str, recipient: ECKey) -> str:
    """Return the compact JWS *token* as a compact JWE that only *recipient* can open."""
    return compact.encrypt(
        token.encode(), "JWS", keys.thumbprint(recipient), keys.raw_public(recipient)
    )


def decrypt(sealed: str, recipient: ECKey) -> str:
    """Return the JWS inside *sealed*; MalformedMessageError when the key does not open it."""
    _limit(sealed)
    try:
        return compact.decrypt(sealed, keys.raw_private(recipient)).decode("ascii")
    except UnicodeDecodeError:
        raise MalformedMessageError("What is sealed is no signature: it is not ASCII.") from None


def seal(payload: bytes, typ: str, signer: ECKey, recipient: ECKey) -> str:
    """Return *payload* signed, then encrypted."""
    return encrypt(sign(payload, typ, signer), recipient)


def open_sealed(sealed: str, typ: str, signer: ECKey, recipient: ECKey) -> bytes:
    """Return the payload that `seal` was given; errors as `decrypt` and `verify`."""
    return verify(decrypt(sealed, recipient), typ, signer)


def recipient_of(sealed: str) -> str | None:
    """Return the key thumbprint (``kid``) that *sealed* names, or None; it is not protected yet."""
    _limit(sealed)
    try:
        kid = compact.read_header(sealed).get("kid")
    except MalformedMessageError:
        return None
    return kid if isinstance(kid, str) else None


def _read(token: str) -> Signed:
    _limit(token)
    return compact.read_signed(token)


def _limit(token: str) -> None:
    if len(token) > MAXIMUM_BYTES:
        raise TooLargeError(f"A sealed message is larger than {MAXIMUM_BYTES} bytes.")
