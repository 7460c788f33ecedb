"""How an enrolled device gets other keys or a fresh certificate; `docs/agent-protocol.md`, 7.3.

The old key proves it: `Renewal` is an item of a report that the device signs with it. The new key
proves itself inside (`KeyProof`). Until a report comes that the new key signed, both hold.
"""

from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from contracts.attestation import Chain
from contracts.types import Jwk, Short, Text

Proof = Annotated[str, Field(min_length=1, max_length=4000, pattern=r"^[A-Za-z0-9_.-]+$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyProof:
    """The keys that a device will use: a JWS of type `envelope.RENEWAL`, signed with the new one.

    It names device, renewal and the key that it follows, so that it proves nothing elsewhere.
    """

    v: int = 1
    device_id: UUID
    renewal_id: UUID
    former_thumbprint: Short
    signing_key: Jwk
    """May be the present one: then only the certificate is renewed."""
    encryption_key: Jwk


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """Asks for a certificate for the keys in ``proof``; ``renewal_id`` is the device's choice."""

    kind: Literal["renewal"] = "renewal"
    renewal_id: UUID
    proof: Proof
    """`KeyProof`."""
    attestation: Chain = ()
    """Of a new signing key, made with `contracts.attestation.renewal_challenge`; empty: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """The keys of this renewal hold from the device's next report on; still sealed to the old."""

    kind: Literal["renewed"] = "renewed"
    renewal_id: UUID
    certificate: Text
    ca_certificate: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalRefused:
    """Nothing changes; the device may ask anew tomorrow."""

    kind: Literal["renewal_refused"] = "renewal_refused"
    renewal_id: UUID
    reason: Text
