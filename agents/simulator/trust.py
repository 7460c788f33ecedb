"""Where trust starts: the enrolment key and the statement its fingerprint vouches for. Pure."""

import re
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, parse_qs, urlsplit

from contracts import codec, enrolment_key, envelope, keys
from contracts.agent import TrustStatement
from contracts.following import read_statement
from runtime.errors import MalformedMessageError

_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a QR code, a link or a typed key says."""

    relay_url: str
    enrolment_key: str
    fingerprint: str
    """Thumbprint of management's order-signing key; empty: only its print was typed."""
    print_: str = ""


def read_code(text: str, server: str = "") -> Invitation:
    """Return what an enrolment code says: a link, or a typed key with or without its server."""
    if "://" in text:
        return read_qr(text)
    typed = enrolment_key.read_typed(text)
    if bool(typed.relay_url) == bool(server):
        raise MalformedMessageError(
            "The server's address stands in front of the key, or is typed beside it; say it once."
        )
    relay = typed.relay_url or enrolment_key.server_url(server)
    return Invitation(relay, typed.key, "", typed.print_)


def read_qr(text: str) -> Invitation:
    """Return what ``sekisho://enrol?relay=…&key=…&fp=…`` says; each part exactly once."""
    link = _split(text.strip())
    if (link.scheme, link.netloc) != ("sekisho", "enrol"):
        raise MalformedMessageError("This is no enrolment code: it must begin sekisho://enrol?")
    parts = parse_qs(link.query, strict_parsing=False)
    relay, key, fingerprint = (_only(parts, name) for name in ("relay", "key", "fp"))
    address = _split(relay)
    if address.scheme != "https" or not address.hostname:
        raise MalformedMessageError("The enrolment code names no https:// address of a relay.")
    if not _THUMBPRINT.fullmatch(fingerprint):
        raise MalformedMessageError("The enrolment code's fp is not a 43-character thumbprint.")
    return Invitation(relay.rstrip("/"), key, fingerprint)


def _split(address: str) -> SplitResult:
    try:
        found = urlsplit(address)
        found.port  # noqa: B018  (checks that it is a number)
    except ValueError as error:
        raise MalformedMessageError(f"The enrolment code cannot be read: {error}.") from None
    return found


def _only(parts: dict[str, list[str]], name: str) -> str:
    values = parts.get(name, [])
    if len(values) != 1:
        raise MalformedMessageError(f"The enrolment code must say {name} exactly once.")
    return values[0]


def read_first(token: str, invitation: Invitation) -> tuple[TrustStatement, Invitation]:
    """Return the statement in *token*, and the invitation with the fingerprint to pin.

    UnauthenticatedError as `read_statement`, also when the print of a typed key does not fit.
    """
    if not invitation.fingerprint:
        claimed = codec.read(TrustStatement, envelope.unverified_payload(token))
        thumbprint = keys.thumbprint(keys.read_public(claimed.order_signing_key))
        fits = enrolment_key.print_of(thumbprint) == invitation.print_
        # One that does not fit goes on with a fingerprint that nothing has, and is refused there.
        invitation = replace(invitation, fingerprint=thumbprint if fits else invitation.print_)
    return read_statement(token, invitation.fingerprint), invitation


def best_relay(statement: TrustStatement, current: str) -> str:
    """Return which address to use: *current* while it is listed without an end, else the next."""
    lasting = [relay.url.rstrip("/") for relay in statement.relays if relay.ends_at is None]
    return current if current in lasting or not lasting else lasting[0]


def certificates(statement: TrustStatement, relay_url: str) -> tuple[str, ...]:
    """Return the PEM certificates that the TLS of *relay_url* may chain to.

    Those of its entry; for an address that is not listed, those of all relays. Empty means the
    system's own store.
    """
    for relay in statement.relays:
        if relay.url.rstrip("/") == relay_url.rstrip("/"):
            return relay.ca_certificates
    return tuple(pem for relay in statement.relays for pem in relay.ca_certificates)
