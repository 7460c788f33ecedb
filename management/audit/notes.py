"""Records what somebody does through the console or the API, with who and from where."""

from typing import Any

from sqlalchemy.orm import Session

from management.access import signed_in_name
from management.audit.models import AuditEntry
from management.audit.service import record
from management.web import context, visitor_address


def note(
    session: Session, action: str, subject: object, reason: str = "", **details: Any
) -> AuditEntry:
    """Append what the signed-in administrator does now: *action* (``device.lock``) on *subject*."""
    return record(
        session,
        context().keys,
        signed_in_name(),
        action,
        str(subject),
        reason,
        visitor_address(),
        details,
    )
