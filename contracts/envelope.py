"""JWS inside JWE: how management and agents speak through a relay that neither trusts.

A payload is signed with ES256 (RFC 7515) and the signature encrypted with ECDH-ES and A256GCM
(RFC 7516, RFC 7518 section 4.6). ``typ`` of the signature says what it is, so that one kind of
message can never be taken for another. joserfc does the cryptography.
"""

import json
from base64 import urlsafe_b64decode

from joserfc import jwe, jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry
from joserfc.registry import HeaderParameter

from contracts import keys
from runtime.errors import MalformedMessageError, TooLargeError, UnauthenticatedError

ORDER = "sekisho-order+jws"
REPORT = "sekisho-report+jws"
ENROLMENT = "sekisho-enrolment+jws"
TRUST = "sekisho-trust+jws"
HANDOVER = "sekisho-handover+jws"
DOWNLOAD = "sekisho-download+jws"
AUDIT = "sekisho-audit+jws"
RENEWAL = "sekisho-renewal+jws"
CONTENT_ENCRYPTION = "A256GCM"
MAXIMUM_BYTES = 4 * 1024 * 1024

_HEADERS = {"typ": HeaderParameter("type", "str"), "kid": HeaderParameter("key", "str")}
_JWS = JWSRegistry(_HEADERS, algorithms=["ES256"])
_JWE = jwe.JWERegistry(algorithms=["ECDH-ES", CONTENT_ENCRYPTION])
_JWS.max_payload_length = _JWE.max_ciphertext_length = MAXIMUM_BYTES


def sign(payload: bytes, typ: str, key: ECKey) -> str:
    """Return *payload* as a compact JWS of type *typ*."""
    header = {"alg": "ES256", "typ": typ, "kid": keys.thumbprint(key)}
    return jws.serialize_compact(header, payload, key, registry=_JWS)


def verify(token: str, typ: str, key: ECKey) -> bytes:
    """Return the payload of *token*.

    Raises UnauthenticatedError when it is not of type *typ* or not signed by *key*, and
    MalformedMessageError when it is no JWS at all.
    """
    _limit(token)
    try:
        opened = jws.deserialize_compact(token, key, registry=_JWS)
    except JoseError as error:
        raise UnauthenticatedError(f"The signature does not hold ({error.error}).") from None
    except (ValueError, TypeError, KeyError) as error:
        raise MalformedMessageError(f"Not a signature: {type(error).__name__}.") from None
    if opened.headers().get("typ") != typ:
        raise UnauthenticatedError(f"Signed as {opened.headers().get('typ')!r}, not as {typ!r}.")
    return opened.payload


def unverified_payload(token: str) -> bytes:
    """Return what *token* claims, to find the key that must then verify it; never act on it."""
    _limit(token)
    try:
        return jws.extract_compact(token.encode(), registry=_JWS).payload
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise MalformedMessageError(f"Not a signature: {type(error).__name__}.") from None


def claimed_signer(token: str) -> str:
    """Return the thumbprint of the key that *token* says it is signed with; only a claim."""
    _limit(token)
    try:
        return str(jws.extract_compact(token.encode(), registry=_JWS).headers().get("kid", ""))
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise MalformedMessageError(f"Not a signature: {type(error).__name__}.") from None


def encrypt(token: str, recipient: ECKey) -> str:
    """Return the compact JWS *token* as a compact JWE that only *recipient* can open."""
    header = {
        "alg": "ECDH-ES",
        "enc": CONTENT_ENCRYPTION,
        "cty": "JWS",
        "kid": keys.thumbprint(recipient),
    }
    return jwe.encrypt_compact(header, token.encode(), recipient, registry=_JWE)


def decrypt(sealed: str, recipient: ECKey) -> str:
    """Return the JWS inside *sealed*; MalformedMessageError when the key does not open it."""
    _limit(sealed)
    try:
        opened = jwe.decrypt_compact(sealed, recipient, registry=_JWE)
        return (opened.plaintext or b"").decode("ascii")
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise MalformedMessageError(
            f"The message cannot be opened with this key ({type(error).__name__})."
        ) from None


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
        header = json.loads(_first_segment(sealed))
    except (ValueError, RecursionError):
        return None
    kid = header.get("kid") if isinstance(header, dict) else None
    return kid if isinstance(kid, str) else None


def _first_segment(token: str) -> bytes:
    """Return the first segment of a compact JOSE object, decoded."""
    first = token.partition(".")[0]
    return urlsafe_b64decode(first + "=" * (-len(first) % 4))


def _limit(token: str) -> None:
    if len(token) > MAXIMUM_BYTES:
        raise TooLargeError(f"A sealed message is larger than {MAXIMUM_BYTES} bytes.")
