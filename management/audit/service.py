"""Writes the audit trail and proves that nobody changed it."""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from management.audit.models import AuditEntry
from management.audit.queries import list_following, lock_trail
from management.keys import Keys
from runtime.clock import utc_now

FIRST = "0" * 64
"""The ``previous_mac`` of entry 1."""


def record(
    session: Session,
    keys: Keys,
    actor: str,
    action: str,
    subject: str,
    reason: str = "",
    address: str = "",
    details: dict[str, Any] | None = None,
    now: datetime | None = None,
) -> AuditEntry:
    """Append one entry, chained to the one before; one writer at a time holds the trail's end.

    *details* must be plain JSON and never a secret; texts are cut to their columns' lengths.
    """
    last = lock_trail(session)
    entry = AuditEntry(
        seq=last.seq + 1 if last else 1,
        at=now or utc_now(),
        actor=actor[:255],
        action=action[:100],
        subject=subject[:255],
        reason=reason[:1000],
        address=address[:64],
        details=json.loads(json.dumps(details or {}, default=str)),
        previous_mac=last.mac if last else FIRST,
    )
    entry.mac = keys.mac(canonical(entry))
    session.add(entry)
    session.flush()
    return entry


def verify(session: Session, keys: Keys) -> list[str]:
    """Return what is wrong with the trail, in sentences; empty when every entry holds.

    Names the first broken entry and stops there: whatever follows rests on it.
    """
    last_seq, last_mac = 0, FIRST
    while entries := list_following(session, last_seq):
        for entry in entries:
            if problem := _problem(entry, last_seq, last_mac, keys):
                return [problem]
            last_seq, last_mac = entry.seq, entry.mac
            session.expunge(entry)
    return []


def _problem(entry: AuditEntry, last_seq: int, last_mac: str, keys: Keys) -> str | None:
    if entry.seq != last_seq + 1:
        return f"Audit entry {last_seq + 1} is missing: the next one there is {entry.seq}."
    if entry.previous_mac != last_mac:
        return f"Audit entry {entry.seq} does not follow the entry before it."
    if entry.mac != keys.mac(canonical(entry)):
        return f"Audit entry {entry.seq} ({entry.action}, {entry.at:%Y-%m-%d}) was changed."
    return None


def canonical(entry: AuditEntry) -> bytes:
    """Return the bytes under the MAC: one JSON list, the same on every database."""
    fields = [
        entry.seq,
        entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        entry.actor,
        entry.action,
        entry.subject,
        entry.reason,
        entry.address,
        entry.details,
        entry.previous_mac,
    ]
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
