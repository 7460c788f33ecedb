"""Who answers for which app until when. An approval never changes what the scanner says."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session

from management.apps.models import App, AppApproval
from management.apps.queries import BATCH, get_known
from management.apps.rules import Approved, wrong_approval
from management.audit import service as audit
from management.keys import Keys
from management.work.service import enqueue
from runtime.errors import NotFoundError, RefusedError

RECHECK = "apps.recheck"
CLOCK = "clock"
"""Who ended an approval when its time was over."""


def approve(
    session: Session,
    keys: Keys,
    kind: Approved,
    sha256: str,
    reason: str,
    ends_at: datetime,
    by: str,
    address: str,
    now: datetime,
) -> AppApproval:
    """Answer for an app (or for the signer of an app) until *ends_at*.

    *sha256* is the app's. RefusedError says what is not right with reason or end, that it is
    approved already, or that it has no known signer.
    """
    if wrong := wrong_approval(reason, ends_at, now):
        raise RefusedError(" ".join(wrong.values()))
    app = get_known(session, sha256)
    value = app.sha256 if kind is Approved.HASH else app.proven_signer
    if not value and app.misleading:
        raise RefusedError(
            "Its file is built so that its signer need not have seen all of it. Approve this very "
            "file alone, if it is right all the same."
        )
    if not value:
        raise RefusedError(
            "Nobody here read who signed this app: devices only claim it. Approve the app alone, "
            "or ask a device for its file."
        )
    if session.scalars(select(AppApproval).where(_stands(kind, [value]))).first():
        raise RefusedError("It is approved already. End that approval first to change it.")
    row = AppApproval(
        kind=kind.value,
        value=value,
        label=app.name or app.package or app.sha256,
        reason=reason.strip()[:1000],
        approved_by=by,
        approved_at=now,
        ends_at=ends_at,
    )
    session.add(row)
    session.flush()
    _audit(session, keys, row, "app.approve", by, address, now, {"until": ends_at.isoformat()})
    _look_again(session, row, now)
    return row


def end_approval(
    session: Session, keys: Keys, approval_id: UUID, by: str, address: str, now: datetime
) -> AppApproval:
    """No longer answer for it; what the scanner said counts again."""
    row = session.get(AppApproval, approval_id)
    if row is None:
        raise NotFoundError("There is no such approval.")
    if row.ended_at is not None:
        raise RefusedError("This approval has ended already.")
    row.ended_at, row.ended_by = now, by
    session.flush()
    _audit(session, keys, row, "app.approval_end", by, address, now, {})
    _look_again(session, row, now)
    return row


def end_due(session: Session, keys: Keys, now: datetime, limit: int = 100) -> int:
    """End the approvals whose time is over; return how many."""
    due = select(AppApproval).where(AppApproval.ended_at.is_(None), AppApproval.ends_at <= now)
    rows = session.scalars(due.order_by(AppApproval.ends_at).limit(limit)).all()
    for row in rows:
        end_approval(session, keys, row.id, CLOCK, "", now)
    return len(rows)


def approved_hashes(session: Session, signers: Mapping[str, str]) -> set[str]:
    """Return those apps (hash -> `App.proven_signer`) that somebody answers for.

    What a device claims of a signer excuses nothing: any device could claim it for malware.
    """
    hashes = sorted(signers)
    found = _approved(session, Approved.HASH, hashes)
    by_signer = _approved(session, Approved.SIGNER, sorted(set(signers.values()) - {""}))
    return found | {sha256 for sha256, signer in signers.items() if signer in by_signer}


def list_of_app(session: Session, app: App) -> Sequence[AppApproval]:
    """Return all approvals that cover or covered the app, the newest first."""
    covers = (AppApproval.kind == Approved.HASH) & (AppApproval.value == app.sha256)
    if signer := app.proven_signer:
        covers |= (AppApproval.kind == Approved.SIGNER) & (AppApproval.value == signer)
    found = select(AppApproval).where(covers).order_by(AppApproval.approved_at.desc())
    return session.scalars(found.limit(50)).all()


def list_approvals(session: Session, limit: int = 500) -> Sequence[AppApproval]:
    """Return the approvals that stand, those that end first first."""
    found = select(AppApproval).where(AppApproval.ended_at.is_(None))
    return session.scalars(found.order_by(AppApproval.ends_at, AppApproval.id).limit(limit)).all()


def _approved(session: Session, kind: Approved, values: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(values), BATCH):
        some = values[start : start + BATCH]
        found.update(session.scalars(select(AppApproval.value).where(_stands(kind, some))))
    return found


def _stands(kind: Approved, values: Sequence[str]) -> ColumnElement[bool]:
    return (
        (AppApproval.kind == kind.value)
        & AppApproval.value.in_(values)
        & AppApproval.ended_at.is_(None)
    )


def _look_again(session: Session, row: AppApproval, now: datetime) -> None:
    """Have all devices looked at again that hold what the approval covers."""
    covers = App.sha256 if row.kind == Approved.HASH else App.signer_sha256
    session.execute(
        update(App)
        .where(covers == row.value, or_(App.devices > 0, App.base_sha256 != ""))
        .values(recheck=True, recheck_after=None)
        .execution_options(synchronize_session="fetch")
    )
    enqueue(session, RECHECK, f"{RECHECK}:{row.id}:{now.isoformat()}", {}, priority=3, now=now)


def _audit(
    session: Session,
    keys: Keys,
    row: AppApproval,
    action: str,
    by: str,
    address: str,
    now: datetime,
    details: dict[str, Any],
) -> None:
    said = {"kind": row.kind, "label": row.label, **details}
    audit.record(
        session, keys, by, action, row.value, row.reason, address=address, details=said, now=now
    )
