"""The API's view of the audit trail."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from flask import Blueprint
from pydantic import AwareDatetime

from management.access import Permission
from management.api.operations import FileAnswer, Limit, Place, Words, operation
from management.audit import checkpoints, queries, service
from management.audit.notes import note
from management.audit.rules import Looked, is_look
from management.paging import cut, number_cursor
from management.personal import list_of
from management.web import context, reading, transaction

bp = Blueprint("audit_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery:
    """Which entries are wanted."""

    actor: Words = ""
    action: Words = ""
    """An action, or the beginning of one with its dot: ``device.``."""
    subject: Words = ""
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    looks: Literal["", "with", "only"] = ""
    """Whether entries that say who looked at data of people and devices are told ``with`` the
    actions, or they ``only``; left out unless *action* is one of them."""
    after: Place = ""
    limit: Limit = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditAnswer:
    """One action; ``mac`` seals it and the entry before it."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    reason: str
    address: str
    details: dict[str, Any]
    mac: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """Entries, newest first."""

    items: tuple[AuditAnswer, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditVerified:
    """Whether the trail is whole, and what is wrong with it."""

    whole: bool
    problems: tuple[str, ...]


@operation(bp, "/audit", Permission.READ_AUDIT, in_groups=True, shows=list_of("audit trail"))
def list_audit_entries(query: AuditQuery) -> AuditPage:
    """List entries of the audit trail, newest first."""
    before = number_cursor(query.after) if query.after else None
    with reading() as session:
        found = queries.list_entries(
            session,
            before,
            query.limit + 1,
            query.actor,
            query.action,
            query.subject,
            query.since,
            query.until,
            _looked(query),
        )
    shown, following = cut(found, query.limit, lambda row: (row.seq,))
    return AuditPage(
        items=tuple(
            AuditAnswer(
                seq=row.seq,
                at=row.at,
                actor=row.actor,
                action=row.action,
                subject=row.subject,
                reason=row.reason,
                address=row.address,
                details=row.details,
                mac=row.mac,
            )
            for row in shown
        ),
        next=following,
    )


@operation(
    bp, "/audit/checkpoints.txt", Permission.READ_AUDIT, media_type="text/plain; charset=utf-8"
)
def get_audit_checkpoints() -> FileAnswer:
    """Get every checkpoint, the oldest first: a signed token a line, to keep on another machine."""
    with transaction("note that checkpoints were fetched") as session:
        lines = [one.token for one in reversed(queries.list_checkpoints(session))]
        note(session, "audit.checkpoints", "audit trail", checkpoints=len(lines))
    content = "".join(f"{line}\n" for line in lines)
    return FileAnswer("sekisho-audit-checkpoints.txt", content.encode())


def _looked(query: AuditQuery) -> Looked:
    implied = Looked.ONLY_LOOKS if is_look(query.action) else Looked.ACTIONS
    return Looked(query.looks) if query.looks else implied


@operation(bp, "/audit/verify", Permission.READ_AUDIT, "POST", refusals=(503,))
def verify_audit_trail() -> AuditVerified:
    """Check every entry's seal, and that no checkpoint names what is gone."""
    with reading() as session:
        marks = checkpoints.held(session, context().signer)
        problems = service.verify(session, context().keys, marks)
    with transaction("note that the audit trail was verified") as session:
        note(session, "audit.verify", "audit trail", whole=not problems)
    return AuditVerified(whole=not problems, problems=tuple(problems))
