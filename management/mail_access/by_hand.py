"""What administrators decide about phones by hand: matches, exceptions, control, undoing.

Every word needs a reason, is kept in the phone's history, and goes into the audit trail.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from contracts.connector import Access
from management.audit.service import record
from management.keys import Keys
from management.mail_access import queries
from management.mail_access.decisions import confirm_held as confirm_rows
from management.mail_access.decisions import decide_rows
from management.mail_access.matching import Match
from management.mail_access.models import MailDecision, Partnership
from management.mail_access.rules import By
from runtime.errors import NotFoundError, RefusedError

LONGEST_EXCEPTION = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Word:
    """What an administrator says about some phones, and until when."""

    access: Access
    reason: str
    until: datetime


def match_by_hand(
    session: Session,
    keys: Keys,
    partnership_id: int,
    device_id: UUID | None,
    by: By,
    reason: str,
    now: datetime,
) -> Partnership:
    """Match a partnership to *device_id*, or to none of our devices, until undone.

    RefusedError without a reason.
    """
    queries.lock_connectors(session)
    row = queries.get_partnership(session, partnership_id)
    _need(reason)
    if device_id is not None and not queries.find_device_name(session, device_id):
        raise NotFoundError("There is no such device.")
    row.match = Match.UNMATCHED if device_id is None else Match.BY_HAND
    row.device_id = device_id
    word = "unmatched" if device_id is None else "matched"
    row.match_reason = f"{word} by hand by {by.name}: {reason}"[:1000]
    return _after_match(session, keys, row, by, reason, now)


def match_again(
    session: Session, keys: Keys, partnership_id: int, by: By, reason: str, now: datetime
) -> Partnership:
    """Undo a match by hand: from now on what devices report decides again."""
    queries.lock_connectors(session)
    row = queries.get_partnership(session, partnership_id)
    _need(reason)
    row.match, row.device_id = Match.NONE, None
    row.match_reason = f"automatic matching again, by {by.name}: {reason}"[:1000]
    return _after_match(session, keys, row, by, reason, now)


def _after_match(
    session: Session, keys: Keys, row: Partnership, by: By, reason: str, now: datetime
) -> Partnership:
    session.add(
        MailDecision(
            partnership_id=row.id, at=now, event="matched", access="", because=row.match_reason
        )
    )
    details: dict[str, Any] = {"match": row.match, "device_id": row.device_id}
    subject = queries.audited_name(row)
    record(session, keys, by.name, "mail.match", subject, reason, by.address, details, now)
    decide_rows(session, [row], now)
    return row


def make_exceptions(
    session: Session, keys: Keys, ids: Collection[int], word: Word, by: By, now: datetime
) -> int:
    """Let *word* hold for these phones until its time, whatever is judged; return how many.

    RefusedError without a reason, or with an end that is past or more than a year away.
    """
    _need(word.reason)
    if not now < word.until <= now + LONGEST_EXCEPTION:
        raise RefusedError("An exception ends: choose a day within a year from now.")
    queries.lock_connectors(session)
    rows = _chosen(session, ids)
    for row in rows:
        row.exception, row.exception_because = word.access, word.reason[:1000]
        row.exception_by, row.exception_until = by.name, word.until
        because = f"{word.access} until {word.until:%Y-%m-%d} by {by.name}: {word.reason}"
        _note(session, keys, row, "exception", word.access, because, by, word.reason, now)
    decide_rows(session, rows, now)
    return len(rows)


def end_exceptions(
    session: Session, keys: Keys, ids: Collection[int], by: By, reason: str, now: datetime
) -> int:
    """Let judgements decide again; return for how many phones."""
    _need(reason)
    queries.lock_connectors(session)
    rows = [row for row in _chosen(session, ids) if row.exception]
    for row in rows:
        row.exception, row.exception_until = "", None
        because = f"exception ended by {by.name}: {reason}"
        _note(session, keys, row, "exception", "", because, by, reason, now)
    decide_rows(session, rows, now)
    return len(rows)


def control(
    session: Session,
    keys: Keys,
    ids: Collection[int],
    chosen: bool,
    by: By,
    reason: str,
    now: datetime,
) -> int:
    """Choose phones for automatic control, or take them out; return how many."""
    _need(reason)
    queries.lock_connectors(session)
    rows = _chosen(session, ids)
    for row in rows:
        row.controlled = chosen
        word = "chosen for" if chosen else "taken out of"
        because = f"{word} automatic control by {by.name}: {reason}"
        _note(session, keys, row, "exception", "", because, by, reason, now)
    decide_rows(session, rows, now)
    return len(rows)


def take_control_again(
    session: Session, keys: Keys, partnership_id: int, by: By, reason: str, now: datetime
) -> Partnership:
    """Act anew on a phone that somebody overrode at the mail server: it is decided just now."""
    _need(reason)
    queries.lock_connectors(session)
    row = queries.get_partnership(session, partnership_id)
    if row.overridden_at is None:
        raise RefusedError("Nobody has overridden this phone at the mail server.")
    row.wanted_since = now
    queries.bump(session, {row.connector_id})
    because = f"control taken again by {by.name}: {reason}"
    _note(session, keys, row, "exception", row.wanted, because, by, reason, now)
    return row


def undo(
    session: Session,
    keys: Keys,
    connector_id: UUID,
    undone: bool,
    by: By,
    reason: str,
    now: datetime,
) -> None:
    """Let a connector take back all that it did and rest, or let it go on."""
    _need(reason)
    queries.lock_connectors(session)
    connector = queries.get_connector(session, connector_id)
    connector.undo_at = (connector.undo_at or now) if undone else None
    queries.bump(session, {connector.id})
    action = "connector.undo" if undone else "connector.go_on"
    subject = f"{connector.name} {connector.id}"
    record(session, keys, by.name, action, subject, reason, by.address, now=now)


def _chosen(session: Session, ids: Collection[int]) -> list[Partnership]:
    """Return the phones that were chosen; NotFoundError when whoever asks sees none of them."""
    found = queries.list_by_id(session, ids)
    if not found:
        raise NotFoundError("There is no such partnership.")
    return found


def _note(
    session: Session,
    keys: Keys,
    row: Partnership,
    event: str,
    access: str,
    because: str,
    by: By,
    reason: str,
    now: datetime,
) -> None:
    session.add(
        MailDecision(
            partnership_id=row.id, at=now, event=event, access=access, because=because[:4000]
        )
    )
    subject = queries.audited_name(row)
    details: dict[str, Any] = {"access": access, "because": because[:255]}
    record(session, keys, by.name, f"mail.{event}", subject, reason, by.address, details, now)


def confirm_held(
    session: Session, keys: Keys, ids: Collection[int], by: By, reason: str, now: datetime
) -> int:
    """Let exactly these held blocks act; return how many.

    RefusedError without a reason, and when one of them is not held any more: whoever asks looked
    at something else.
    """
    _need(reason)
    queries.lock_connectors(session)
    rows = [row for row in queries.list_by_id(session, ids) if row.held_at is not None]
    if len(rows) != len(set(ids)):
        raise RefusedError("Some of these blocks are not held any more. Look at the list again.")
    number = confirm_rows(session, rows, f"{by.name}: {reason.strip()}", now)
    subject = queries.audited_name(rows[0]) if number == 1 else f"{number} held blocks"
    details: dict[str, Any] = {"partnerships": [row.id for row in rows]}
    record(session, keys, by.name, "mail.confirm_blocks", subject, reason, by.address, details, now)
    return number


def _need(reason: str) -> None:
    if not reason.strip():
        raise RefusedError("Say why: the reason goes into the history and the audit trail.")
