"""Management renews its own: the built-in CA before it ends, the key that opens reports by its age.

The CA keeps its key and name, so certificates from before hold under the new one and the other way
round. Files change first; the audit trail is told at the next round too, if we died in between.
"""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts.keys import thumbprint
from management.audit.models import AuditEntry
from management.audit.service import record
from management.context import Context
from management.keys import Keys

CA_CHANGED, KEY_CHANGED = "keys.authority", "keys.encryption"


def renew(context: Context, now: datetime) -> None:
    """Renew what is due in the data folder."""
    keys, age = context.keys, timedelta(days=context.settings.encryption_key_days)
    keys.renew_authority(now)
    keys.opening.note_since(now)
    since = keys.opening.since()
    if keys.opening.is_under_way() or (since is not None and now - since >= age):
        keys.opening.succeed(now)


def note_renewals(session: Session, keys: Keys, now: datetime) -> None:
    """Tell the audit trail of each renewal, once."""
    if keys.opening.has_former():
        _note(session, keys, KEY_CHANGED, thumbprint(keys.encryption_key()), now)
    if keys.has_former_authority():
        _note(session, keys, CA_CHANGED, keys.authority_fingerprint(), now)


def _note(session: Session, keys: Keys, action: str, subject: str, now: datetime) -> None:
    told = select(AuditEntry.seq).where(AuditEntry.action == action, AuditEntry.subject == subject)
    if session.scalars(told.limit(1)).first() is None:
        record(session, keys, "management", action, subject, "renewed by itself", now=now)
