"""Writes the audit trail and proves that nobody changed it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from management.audit import queries
from management.audit.models import AuditEntry
from management.audit.rules import is_look
from management.database import VIA
from management.keys import Keys
from runtime.clock import utc_now

FIRST = "0" * 64
"""The ``previous_mac`` of entry 1."""
PURGE = "audit.purge"
"""What says that older entries were forgotten, and how the first that is kept goes on."""
PURGED_AT_ONCE = 10_000
LENGTH_OF_ID = 36


@dataclass(frozen=True, slots=True)
class Mark:
    """What a checkpoint says: at *at*, the trail ended at entry *seq* with this MAC."""

    seq: int
    mac: str
    at: datetime


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

    *details* must be plain JSON and never a secret; texts are cut to their columns' lengths. The
    API token by which the request came is told with them.
    """
    if token := session.info.get(VIA):
        details = {**(details or {}), "token": token}
    last = queries.lock_trail(session)
    entry = AuditEntry(
        seq=last.seq + 1 if last else 1,
        at=now or utc_now(),
        actor=actor[:255],
        action=action[:100],
        subject=subject[:255],
        subject_id=subject_id(subject),
        is_look=is_look(action),
        reason=reason[:1000],
        address=address[:64],
        details=json.loads(json.dumps(details or {}, default=str)),
        previous_mac=last.mac if last else FIRST,
    )
    entry.mac = keys.mac(canonical(entry))
    session.add(entry)
    session.flush()
    return entry


def purge(session: Session, keys: Keys, before: datetime, now: datetime) -> int:
    """Forget entries made before *before*, at most `PURGED_AT_ONCE`; return how many went.

    The trail says so itself, in an entry that later lets the first one kept be checked.
    """
    queries.lock_trail(session)
    first = queries.first_entry(session)
    last = queries.last_before(session, before, PURGED_AT_ONCE)
    if first is None or last is None:
        return 0
    gone = last.seq - first.seq + 1
    details = {"through": last.seq, "mac": last.mac, "entries": gone}
    record(
        session,
        keys,
        "system",
        PURGE,
        "audit trail",
        f"made before {before:%Y-%m-%d}",
        details=details,
        now=now,
    )
    queries.delete_through(session, last.seq)
    return gone


def verify(
    session: Session, keys: Keys, marks: Iterable[Mark] = (), after: Mark | None = None
) -> list[str]:
    """Return what is wrong with the trail, in sentences; empty when every entry holds.

    Names the first broken entry and stops there: whatever follows rests on it. *marks*: what the
    trail must contain; those older than what is kept are passed over. *after*: look only at what
    follows this one.
    """
    wanted = {mark.seq: mark for mark in sorted(marks, key=lambda mark: mark.at)}
    last_seq, last_mac = (after.seq, after.mac) if after else _beginning(session)
    while entries := queries.list_following(session, last_seq):
        for entry in entries:
            if problem := _problem(entry, last_seq, last_mac, keys, wanted.get(entry.seq)):
                return [problem]
            last_seq, last_mac = entry.seq, entry.mac
            session.expunge(entry)
    return _cut_off(wanted, last_seq)


def _beginning(session: Session) -> tuple[int, str]:
    """Return what the first entry must follow: nothing, or the last one that was forgotten."""
    first, purged = queries.first_entry(session), queries.last_purge(session, PURGE)
    if first is None or purged is None or first.seq == 1:
        return 0, FIRST
    return int(purged.details.get("through", 0)), str(purged.details.get("mac", ""))


def _cut_off(wanted: dict[int, Mark], last_seq: int) -> list[str]:
    beyond = [mark for seq, mark in wanted.items() if seq > last_seq]
    if not beyond:
        return []
    furthest = max(beyond, key=lambda mark: mark.seq)
    return [
        f"The trail ends at entry {last_seq}, but on {_day(furthest.at)} it ended at entry "
        f"{furthest.seq}: entries were removed, or an older database was put in its place."
    ]


def _problem(
    entry: AuditEntry, last_seq: int, last_mac: str, keys: Keys, mark: Mark | None
) -> str | None:
    if entry.seq != last_seq + 1:
        return f"Audit entry {last_seq + 1} is missing: the next one there is {entry.seq}."
    if entry.previous_mac != last_mac:
        return f"Audit entry {entry.seq} does not follow the entry before it."
    derived = (subject_id(entry.subject), is_look(entry.action))
    if entry.mac != keys.mac(canonical(entry)) or (entry.subject_id, entry.is_look) != derived:
        return f"Audit entry {entry.seq} ({entry.action}, {_day(entry.at)}) was changed."
    if mark is not None and mark.mac != entry.mac:
        return f"Audit entry {entry.seq} is not the one that was there on {_day(mark.at)}."
    return None


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def subject_id(subject: str) -> UUID | None:
    """Return the id that a subject is, if it is one."""
    try:
        return UUID(subject) if len(subject) == LENGTH_OF_ID else None
    except ValueError:
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
