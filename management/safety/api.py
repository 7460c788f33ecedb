"""The API's view of the switch that pauses all enforcement."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Blueprint

from management.access import Permission, signed_in_name
from management.api.operations import STRICT, Code, Reason, operation
from management.audit.notes import note
from management.safety import queries, service
from management.safety.models import Enforcement
from management.web import context, reading, transaction
from runtime.clock import utc_now
from runtime.errors import UnavailableError

bp = Blueprint("enforcement_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnforcementAnswer:
    """Whether mail blocks and wipes act."""

    paused: bool
    since: datetime | None
    by: str
    because: str
    signer: str = ""
    """Why the signer was not told of the change, or still holds wipes; empty: it follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnforcementChange:
    """Pause or resume."""

    __pydantic_config__ = STRICT

    paused: bool
    because: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproverProof:
    """One's own proof as an approver."""

    __pydantic_config__ = STRICT

    code: Code
    """From the entry for approvals in one's authenticator app."""


@operation(bp, "/enforcement", Permission.VIEW)
def get_enforcement() -> EnforcementAnswer:
    """Get whether enforcement acts or is paused."""
    with reading() as session:
        return _answer(queries.get_enforcement(session))


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerAnswer:
    """What the signer holds and still allows."""

    problem: str
    """Why it does not answer; empty: it does. Then the rest is of now."""
    thumbprint: str
    """Of the key that devices trust."""
    paused_because: str
    """Empty: it signs wipes."""
    limits: dict[str, Any]
    used: dict[str, Any]
    """How much of the limits is used."""
    allowed: dict[str, Any]
    """Kind of order -> how many within an hour, a day, for one administrator."""
    approved_today: int
    approvers: tuple[str, ...]


@operation(bp, "/enforcement/signer", Permission.VIEW)
def get_signer() -> SignerAnswer:
    """Get what the signer still allows, and who approves what is above its limits."""
    try:
        said, problem = context().signer.status(), ""
    except UnavailableError as error:
        said, problem = {}, str(error)
    return SignerAnswer(
        problem=problem,
        thumbprint=said.get("thumbprint", ""),
        paused_because=said.get("paused_because", ""),
        limits=said.get("limits", {}),
        used=said.get("used", {}),
        allowed=said.get("allowed", {}),
        approved_today=said.get("approved_today", 0),
        approvers=tuple(said.get("approvers", ())),
    )


@operation(bp, "/enforcement", Permission.PAUSE_ENFORCEMENT, "PUT", refusals=(409, 503))
def change_enforcement(body: EnforcementChange) -> EnforcementAnswer:
    """Pause or resume all enforcement, in the console and at the signer.

    What the signer does not do is said in ``signer``; mail access has changed all the same.
    """
    by, now = signed_in_name(), utc_now()
    with transaction("change enforcement") as session:
        if body.paused:
            row = service.pause(session, by, body.because, now)
        else:
            row = service.resume(session, by, now)
        action = "enforcement.pause" if body.paused else "enforcement.resume"
        note(session, action, "enforcement", body.because)
    return _answer(row, service.tell_signer(context().signer, body.because if body.paused else ""))


@operation(
    bp, "/enforcement/signer/resume", Permission.PAUSE_ENFORCEMENT, "POST", refusals=(409, 503)
)
def resume_signer(body: ApproverProof) -> EnforcementAnswer:
    """Let a signer under its own user sign wipes again, proved by an approver's code."""
    context().signer.resume(signed_in_name(), body.code)
    with transaction("resume the signer") as session:
        note(session, "signer.resume", "signer")
        return _answer(queries.get_enforcement(session))


def _answer(row: Enforcement, signer: str = "") -> EnforcementAnswer:
    return EnforcementAnswer(
        paused=row.paused_at is not None,
        since=row.paused_at,
        by=row.paused_by,
        because=row.paused_because,
        signer=signer,
    )
