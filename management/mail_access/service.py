"""Takes what connectors report, answers what they should hold, and does what people decide."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from contracts import connector as messages
from management.audit.service import record
from management.keys import Keys
from management.mail_access import grounds, queries
from management.mail_access.decisions import decide_due, decide_rows
from management.mail_access.matching import Match
from management.mail_access.models import (
    Connector,
    MailDecision,
    Partnership,
    UnmanagedGrace,
)
from management.mail_access.rules import By, MailSettings, grace_key
from management.safety import service as safety
from management.work.service import enqueue
from runtime.errors import NotFoundError, RefusedError

WORK = "mail_access.decide"
SAY = "mail_access.say"
"""Work: note as facts of devices what a mail server said; each in a transaction of its own."""


def take_partnerships(
    session: Session, connector: Connector, batch: messages.PartnershipBatch, now: datetime
) -> int:
    """Store a batch and decide what is new in it; return how many partnerships were new.

    The last batch of a pass marks what was not in the pass as gone.
    """
    known = queries.list_known(
        session, connector.id, {said.device_id for said in batch.partnerships}
    )
    before = len(known)
    states = {key: row.access_state for key, row in known.items()}
    undecided = [
        row
        for said in batch.partnerships
        if (row := _take(session, connector, known, said, batch, now)) is not None
    ]
    session.flush()
    decide_rows(session, undecided, now)
    changed = [row for key, row in known.items() if states.get(key) != row.access_state]
    _say_states(session, {row.id: row for row in (*changed, *undecided)}.values(), now)
    if batch.complete:
        _end_pass(session, connector, batch, now)
    return len(known) - before


def _say_states(session: Session, rows: Iterable[Partnership], now: datetime) -> None:
    """Let what the server does with the mail of our devices become facts, device by device."""
    states = [
        {"device_id": str(row.device_id), "mailbox": row.mailbox, "state": row.access_state}
        for row in rows
        if row.device_id is not None and Match(row.match).is_managed
    ]
    if states:
        payload = {"said_at": now.isoformat(), "states": states}
        enqueue(session, SAY, f"{SAY}:{uuid4()}", payload, priority=7, now=now)


def _take(
    session: Session,
    connector: Connector,
    known: dict[tuple[str, str], Partnership],
    said: messages.Partnership,
    batch: messages.PartnershipBatch,
    now: datetime,
) -> Partnership | None:
    """Store one partnership; return its row when it must be decided."""
    key = (said.mailbox, said.device_id)
    row = known.get(key)
    must_decide = row is None or row.gone_at is not None or row.user_address != said.user_address
    if row is None:
        row = known[key] = _new_row(connector, said, now)
        session.add(row)
    for name in _COPIED:
        setattr(row, name, getattr(said, name))
    row.pass_id, row.seen_at, row.gone_at = batch.pass_id, batch.seen_at, None
    return row if must_decide else None


_COPIED = (
    "user_address",
    "device_type",
    "device_model",
    "device_os",
    "user_agent",
    "access_state",
    "access_reason",
    "first_sync_at",
)


def _new_row(connector: Connector, said: messages.Partnership, now: datetime) -> Partnership:
    return Partnership(
        connector_id=connector.id,
        mailbox=said.mailbox,
        exchange_device_id=said.device_id,
        grace_key=grace_key(said.mailbox, said.user_address),
        match=Match.NONE,
        first_seen_at=now,
        wanted="leave",
        wanted_because="",
        wanted_since=now,
        held_because="",
    )


def _end_pass(
    session: Session, connector: Connector, batch: messages.PartnershipBatch, now: datetime
) -> None:
    ours = Partnership.connector_id == connector.id
    session.execute(
        update(Partnership)
        .where(ours, Partnership.pass_id != batch.pass_id, Partnership.gone_at.is_(None))
        .values(gone_at=now)
        .execution_options(synchronize_session=False)
    )
    unmanaged = select(Partnership.grace_key).where(
        ours,
        Partnership.gone_at.is_(None),
        Partnership.match.not_in((Match.SURE, Match.BY_HAND)),
    )
    session.execute(
        update(UnmanagedGrace)
        .where(UnmanagedGrace.key.in_(unmanaged), UnmanagedGrace.seen_at < now - timedelta(hours=1))
        .values(seen_at=now)
        .execution_options(synchronize_session=False)
    )
    connector.passed_at = now
    decide_due(session, now)


def wanted_access(
    session: Session, connector: Connector, cycle_seconds: int, now: datetime
) -> messages.WantedAccess:
    """Return everything this connector should hold, after deciding what fell due."""
    decide_due(session, now)
    session.refresh(connector)
    pause = queries.find_pause(session)
    return messages.WantedAccess(
        issue=connector.issue,
        paused=pause is not None,
        paused_because=pause.sentence() if pause else "",
        cycle_seconds=cycle_seconds,
        wanted=queries.list_wanted(session, connector.id, now),
    )


def take_applied(
    session: Session, connector: Connector, applied: Sequence[messages.Applied]
) -> int:
    """Store what the connector did; return how many said something new. Repeating is harmless."""
    known = queries.list_known(session, connector.id, {one.device_id for one in applied})
    number = 0
    for one in sorted(applied, key=lambda said: said.at):
        row = known.get((one.mailbox, one.device_id))
        if row is None or (row.applied_at is not None and one.at <= row.applied_at):
            continue
        new = (row.applied, row.applied_error) != (one.access, one.error)
        row.applied, row.applied_at, row.applied_error = one.access, one.at, one.error
        if new:
            number += 1
            session.add(_application(row, one))
    return number


def _application(row: Partnership, one: messages.Applied) -> MailDecision:
    return MailDecision(
        partnership_id=row.id,
        at=one.at,
        event="failed" if one.error else "applied",
        access=one.access,
        because=one.error,
    )


def change_settings(
    session: Session, keys: Keys, settings: MailSettings, by: By, reason: str, now: datetime
) -> None:
    """Store the settings and have every partnership decided anew."""
    text = queries.write_mail_settings(settings)
    safety.write_setting(session, queries.SETTING, text, by.name, now)
    record(session, keys, by.name, "mail.settings", text[:255], reason, by.address, now=now)
    enqueue(session, WORK, f"{WORK}:{uuid4()}", {"everything": True}, priority=3, now=now)


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
    if device_id is not None and not grounds.list_matched_devices(session, [device_id]):
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
    subject = f"{row.mailbox} {row.exchange_device_id}"
    record(session, keys, by.name, "mail.match", subject, reason, by.address, details, now)
    decide_rows(session, [row], now)
    return row


def note_confirmation(session: Session, keys: Keys, number: int, by: By, now: datetime) -> None:
    """Put into the audit trail that held blocks were confirmed."""
    subject = f"{number} held blocks"
    record(session, keys, by.name, "mail.confirm_blocks", subject, "", by.address, now=now)


def _need(reason: str) -> None:
    if not reason.strip():
        raise RefusedError("Say why: the reason goes into the history and the audit trail.")
