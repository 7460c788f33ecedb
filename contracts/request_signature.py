"""Signed HTTP requests: HTTP Message Signatures (RFC 9421) with ECDSA P-256 and a body digest.

One profile for devices towards a relay, management towards a relay, and connectors towards
management: components ``@method``, ``@path``, ``@query`` and ``content-digest`` (RFC 9530),
parameters ``created``, ``nonce``, ``keyid`` and ``tag``. The host is not covered, so that a relay
may be reached by several names; ``tag`` keeps a signature for one surface from another.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec
from http_message_signatures import (
    HTTPMessageSignaturesException,
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    InvalidSignature,
    algorithms,
)
from joserfc.jwk import ECKey

from contracts import keys, signature_profile
from runtime.errors import SekishoError, UnauthenticatedError

FindKey = Callable[[str], ec.EllipticCurvePublicKey | None]
COMPONENTS = ("@method", "@path", "@query", "content-digest")
MAXIMUM_SKEW = timedelta(minutes=5)
AGENT = "sekisho-agent"
LINK = "sekisho-link"
CONNECTOR = "sekisho-connector"


class ClockSkewError(UnauthenticatedError):
    """The signature is too old or from the future; the answer tells the asker the right time."""


@dataclass(frozen=True, slots=True)
class Signed:
    """Who signed a request, and the nonce that must not come twice within the skew."""

    key_id: str
    nonce: str
    created_at: datetime


@dataclass
class _Message:
    """The view of a request that the library reads and writes."""

    method: str
    url: str
    headers: dict[str, str]


class _OneKey(HTTPSignatureKeyResolver):
    def __init__(self, key: ECKey) -> None:
        self.key = key

    def resolve_private_key(self, key_id: str) -> object:
        return keys.raw_private(self.key)

    def resolve_public_key(self, key_id: str) -> object:
        return keys.raw_public(self.key)


class _Lookup(HTTPSignatureKeyResolver):
    def __init__(self, find: FindKey) -> None:
        self.find = find

    def resolve_public_key(self, key_id: str) -> object:
        key = self.find(key_id)
        if key is None:
            raise UnauthenticatedError("The signing key is not known here.")
        return key


class _Verifier(HTTPMessageVerifier):
    """Leaves the clock to `_in_time`, which tells an asker whose clock is off what to do."""

    max_clock_skew = timedelta(days=36_500)


def signature_headers(
    method: str, url: str, body: bytes, key: ECKey, key_id: str, tag: str, now: datetime
) -> dict[str, str]:
    """Return the headers (Content-Digest, Signature-Input, Signature) that sign this request.

    *url* is absolute; only its path and query are covered.
    """
    message = _Message(method.upper(), url, {})
    HTTPMessageSigner(
        signature_algorithm=algorithms.ECDSA_P256_SHA256, key_resolver=_OneKey(key)
    ).sign(
        message,
        key_id=key_id,
        created=now,
        nonce=secrets.token_urlsafe(16),
        tag=tag,
        label="sekisho",
        covered_component_ids=COMPONENTS[:-1],
        body=body,
    )
    return message.headers


def verify_request(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    find_key: FindKey,
    tag: str,
    now: datetime,
) -> Signed:
    """Return who signed the request.

    *find_key* gets the ``keyid`` and returns its key or None. Raises UnauthenticatedError with the
    reason, ClockSkewError when only the time is wrong. The caller keeps nonces and refuses a
    second use within `MAXIMUM_SKEW`.
    """
    lowered = headers
    if "signature-input" not in headers:
        lowered = {name.lower(): value for name, value in headers.items()}
    target = "/" + url.partition("://")[2].partition("/")[2]
    found = signature_profile.verify(method.upper(), target, lowered, body, find_key, tag)
    if found is None:
        return _verify_any(method, url, headers, body, find_key, tag, now)
    return _in_time(found.created, found.key_id, found.nonce, now)


def _verify_any(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    find_key: FindKey,
    tag: str,
    now: datetime,
) -> Signed:
    """Verify a request in whatever spelling RFC 9421 allows."""
    verifier = _Verifier(
        signature_algorithm=algorithms.ECDSA_P256_SHA256, key_resolver=_Lookup(find_key)
    )
    message = _Message(method.upper(), url, dict(headers.items()))
    try:
        found = verifier.verify(
            message, max_age=None, expect_tag=tag, require_components=COMPONENTS, body=body
        )
    except SekishoError:
        raise
    except InvalidSignature as error:
        raise UnauthenticatedError(f"The request's signature does not hold: {error}.") from None
    except (HTTPMessageSignaturesException, ValueError, TypeError, KeyError) as error:
        raise UnauthenticatedError(f"The request is not signed as it must be: {error}.") from None
    if len(found) != 1:
        raise UnauthenticatedError("The request must carry exactly one signature.")
    parameters = found[0].parameters
    created, nonce = parameters.get("created"), found[0].nonce
    if not isinstance(created, int) or not nonce or len(nonce) > 64:
        raise UnauthenticatedError(
            "The signature needs 'created' and a 'nonce' of 1 to 64 characters."
        )
    return _in_time(created, str(parameters["keyid"]), nonce, now)


def _in_time(created: int, key_id: str, nonce: str, now: datetime) -> Signed:
    difference = abs(now.timestamp() - created)
    if difference > MAXIMUM_SKEW.total_seconds():
        raise ClockSkewError(
            f"The signature's time is {difference:.0f} s away from this server's; "
            f"at most {MAXIMUM_SKEW.total_seconds():.0f} s are allowed. Take the Date header's."
        )
    return Signed(key_id, nonce, datetime.fromtimestamp(created, now.tzinfo))
