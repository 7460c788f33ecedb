"""The API's view of devices that claim to be one we knew."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from flask import Blueprint

from management.access import Permission, signed_in_name
from management.api.operations import STRICT, Code, PageQuery, Reason, operation
from management.audit.notes import note
from management.paging import page_of
from management.personal import RETURNED, list_of
from management.returns import queries, service
from management.returns.models import IdentityClaim
from management.web import proofs, reading, transaction
from runtime.clock import utc_now

bp = Blueprint("returns_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimsQuery(PageQuery):
    """Which claims are wanted."""

    decision: Literal["", "same", "another"] = ""
    """Empty: those that wait for a decision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimAnswer:
    """A device with new keys that names the numbers of an earlier one."""

    id: UUID
    device_id: UUID
    earlier_id: UUID
    claims: str
    """Which numbers are the same."""
    made_at: datetime
    decision: str
    decided_at: datetime | None
    decided_by: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Claims, the newest first; at most 200."""

    items: tuple[ClaimAnswer, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimDecision:
    """Whether it is the same device."""

    __pydantic_config__ = STRICT

    decision: Literal["same", "another"]
    because: Reason
    code: Code | None = None
    """Of the caller's authenticator app; needed for `same`."""


@operation(bp, "/returned-devices", Permission.VIEW, shows=list_of("returned devices"))
def list_returned_devices(query: ClaimsQuery) -> Claims:
    """List devices that claim to be one we knew."""
    with reading() as session:
        found = [_answer(one.claim) for one in queries.list_claims(session, query.decision)]
    shown, following = page_of(found, query.after, query.limit, lambda one: one.id)
    return Claims(items=tuple(shown), next=following)


@operation(bp, "/returned-devices/<uuid:claim_id>", Permission.VIEW, shows=RETURNED)
def get_returned_device(claim_id: UUID) -> ClaimAnswer:
    """Get one claim and what was decided."""
    with reading() as session:
        return _answer(queries.get_claim(session, claim_id))


@operation(
    bp,
    "/returned-devices/<uuid:claim_id>/decision",
    Permission.WIPE_DEVICES,
    "POST",
    refusals=(409,),
)
def decide_returned_device(claim_id: UUID, body: ClaimDecision) -> ClaimAnswer:
    """Decide whether it is the same device; then pending wipes of the earlier record reach it.

    For `same` it takes a code of the caller's authenticator app.
    """
    same, by = body.decision == service.SAME, signed_in_name()
    if same:
        with reading() as session:
            queries.get_claim(session, claim_id)
        proofs().require_code(body.code or "")
    with transaction("decide about a returned device") as session:
        claim = service.decide(session, claim_id, same, by, body.because, utc_now())
        earlier = str(claim.earlier_id)
        action = f"device.{claim.decision}"
        note(session, action, claim.device_id, body.because, earlier=earlier)
        return _answer(claim)


def _answer(row: IdentityClaim) -> ClaimAnswer:
    return ClaimAnswer(
        id=row.id,
        device_id=row.device_id,
        earlier_id=row.earlier_id,
        claims=row.claims,
        made_at=row.made_at,
        decision=row.decision,
        decided_at=row.decided_at,
        decided_by=row.decided_by,
        because=row.because,
    )
