"""Pairs with a relay through the one-time code that it shows; see `contracts.relay_pairing`."""

import hmac
import secrets
import ssl
from dataclasses import dataclass
from hashlib import sha256
from time import monotonic
from urllib.parse import urlsplit

import httpx
from joserfc.jwk import ECKey

from contracts import codec, keys
from contracts.link import RelayStatus
from contracts.relay_pairing import PATH, PairingAnswer, PairingRequest, proof
from management.relays.link_client import (
    LOOK_SECONDS,
    LinkClient,
    bounded,
    pinned,
    said_problem,
    words_of,
)
from runtime import http_in_time
from runtime.connecting import shown_certificate
from runtime.errors import ForbiddenError, MalformedMessageError, UnavailableError

MOST_BYTES = 10_000
AT_LEAST_SECONDS = 2.0
"""For the first question after the relay took the code: it must not be lost by a slow start."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A relay that belongs to us from now on."""

    link_certificate: str
    """PEM; pinned."""
    status: RelayStatus


def join(link_url: str, code: str, key: ECKey, instance: str) -> Joined:
    """Pair with the relay at *link_url*, ``https://host:port``.

    ForbiddenError when the code is wrong or somebody is in between: then nobody learnt anything
    and nothing is pinned. UnavailableError when nobody answers in `LOOK_SECONDS`.
    """
    ends_at = monotonic() + LOOK_SECONDS
    certificate = _shown(link_url, ends_at)
    seen = sha256(ssl.PEM_cert_to_DER_cert(certificate)).hexdigest()
    about = (seen, keys.thumbprint(key), secrets.token_urlsafe(24))
    asked = PairingRequest(
        management_key=keys.public_jwk(key),
        nonce=about[2],
        proof=proof(code, "management", *about),
    )
    answer = _ask(link_url, certificate, codec.write(asked), ends_at)
    if not hmac.compare_digest(answer.proof, proof(code, "relay", *about)):
        raise ForbiddenError(
            "Whoever answered does not know the code: it is not the relay that shows it. Nothing "
            "was stored."
        )
    seconds = max(ends_at - monotonic(), AT_LEAST_SECONDS)
    with LinkClient(link_url, certificate, key, instance, seconds) as link:
        return Joined(certificate, link.status())


def _shown(link_url: str, ends_at: float) -> str:
    parts = urlsplit(link_url)
    try:
        shown = shown_certificate(parts.hostname or "", parts.port or 443, ends_at)
        return ssl.DER_cert_to_PEM_cert(shown)
    except (OSError, ValueError) as error:
        raise UnavailableError(
            f"No relay answers at {link_url}: {error}. Check the address, the port of the link "
            "(4344 unless it was changed) and the firewall on the way."
        ) from None


def _ask(link_url: str, certificate: str, body: bytes, ends_at: float) -> PairingAnswer:
    headers = {"Content-Type": "application/json"}
    with http_in_time.client(ends_at - monotonic(), pinned(certificate)) as http:
        try:
            with http.stream("POST", link_url + PATH, content=body, headers=headers) as response:
                answer = bounded(response, MOST_BYTES)
        except httpx.HTTPError as error:
            raise UnavailableError(
                f"The relay at {link_url} does not answer: {words_of(error)}."
            ) from None
    if response.status_code == 403:
        raise ForbiddenError(said_problem(answer))
    try:
        if response.status_code == 200:
            return codec.read(PairingAnswer, answer, MOST_BYTES)
    except MalformedMessageError:
        pass
    raise UnavailableError(
        f"What answers at {link_url} is no relay of this release (status {response.status_code}). "
        "Is this the port of the link, 4344 unless it was changed?"
    )
