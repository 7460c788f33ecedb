"""What leaves the server about its own audit trail."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from contracts.types import Instant, Sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditCheckpoint:
    """At *at* the trail ended at entry *seq*, whose ``mac`` covers all before it.

    It leaves as a compact JWS of type `envelope.AUDIT`, signed with the order-signing key.
    """

    v: int = 1
    seq: Annotated[int, Field(ge=1, le=2**53)]
    mac: Sha256
    at: Instant
