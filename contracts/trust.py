"""What management says of itself, signed: its keys and the relays that carry for it."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from contracts.types import Compact, Instant, Jwk, Name, Sequence, Short, Text


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayEntry:
    """A communication server that devices may use and the certificates its TLS may chain to."""

    url: Name
    ca_certificates: tuple[Text, ...]
    """PEM."""
    ends_at: Instant | None = None
    """Devices there move to an entry without an end before this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustStatement:
    """Says with which key management reads reports and which relays carry them.

    A JWS of type `envelope.TRUST` whose signer's thumbprint is the fingerprint in the enrolment
    key. A higher ``issue`` replaces a lower one, never the other way round.
    """

    v: int = 1
    issue: Sequence
    issued_at: Instant
    order_signing_key: Jwk
    encryption_key: Jwk
    successor_thumbprint: Short
    """SHA-256 thumbprint of the order-signing key that will follow this one."""
    relays: tuple[RelayEntry, ...]
    succession: Annotated[tuple[Compact, ...], Field(max_length=50)] = ()
    """`Handover` of each earlier order-signing key, oldest first, as a JWS of that key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """An order-signing key's last word, a JWS of type `envelope.HANDOVER` signed with it.

    A device that knows which key was to follow its own walks from one to the next, so that it
    reaches today's key however many changes it slept through.
    """

    v: int = 1
    order_signing_key: Jwk
    """The key that ends, and signs this."""
    successor_thumbprint: Short
    at: Instant
