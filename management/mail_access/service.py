"""Takes what connectors report, answers what they should hold, and does what people decide."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from contracts import connector as messages
from management.audit.rules import differences
from management.audit.service import record
from management.keys import Keys
from management.mail_access import connector_releases, connectors, logs, queries, telling
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
    by_guid = {row.guid: row for row in known.values() if row.guid}
    before = len(known)
    states = {key: row.access_state for key, row in known.items()}
    undecided = [
        row
        for said in batch.partnerships
        if (row := _take(session, connector, known, by_guid, said, batch, now)) is not None
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
    by_guid: dict[str, Partnership],
    said: messages.Partnership,
    batch: messages.PartnershipBatch,
    now: datetime,
) -> Partnership | None:
    """Store one partnership; return its row when it must be decided."""
    key = (said.mailbox, said.device_id)
    row = known.get(key)
    renamed = by_guid.get(said.guid) if row is None and said.guid else None
    if renamed is not None and renamed.exchange_device_id == said.device_id:
        row = known[key] = _rename(session, known, renamed, said, now)
    must_decide = (
        row is None
        or row.gone_at is not None
        or row.user_address != said.user_address
        or row.device_model != said.device_model
    )
    if row is None:
        row = known[key] = _new_row(connector, said, now)
        session.add(row)
    for name in _COPIED:
        setattr(row, name, getattr(said, name))
    row.guid = said.guid[:64]
    if said.open_doors is not None:
        row.open_doors = _each(said.open_doors)
    row.pass_id, row.seen_at, row.gone_at = batch.pass_id, batch.seen_at, None
    return row if must_decide else None


def _rename(
    session: Session,
    known: dict[tuple[str, str], Partnership],
    row: Partnership,
    said: messages.Partnership,
    now: datetime,
) -> Partnership:
    """Know the partnership of a user who was renamed or moved again: nothing begins anew."""
    because = f"the mailbox {row.mailbox} is now {said.mailbox}"
    known.pop((row.mailbox, row.exchange_device_id), None)
    row.mailbox = said.mailbox
    session.add(
        MailDecision(partnership_id=row.id, at=now, event="renamed", access="", because=because)
    )
    return row


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


def take_synced(session: Session, connector: Connector, batch: messages.SyncedBatch) -> None:
    """Store when phones last synchronised."""
    known = queries.list_known(session, connector.id, {one.device_id for one in batch.synced})
    for one in batch.synced:
        row = known.get((one.mailbox, one.device_id))
        if row is not None and (row.synced_read_at is None or row.synced_read_at <= batch.at):
            row.last_sync_at, row.synced_read_at = one.last_sync_at, batch.at


def wanted_access(
    session: Session,
    connector: Connector,
    cycle_seconds: int,
    now: datetime,
    since: datetime | None = None,
    says_when: bool = False,
) -> messages.WantedAccess:
    """Return everything this connector should hold, after deciding what fell due.

    With *since*: only what was decided from then on. *says_when*: the answer carries its time.
    """
    decide_due(session, now)
    session.refresh(connector)
    pause = queries.find_pause(session)
    settings = queries.read_mail_settings(session)
    return messages.WantedAccess(
        issue=connector.issue,
        paused=pause is not None,
        paused_because=pause.sentence() if pause else "",
        cycle_seconds=cycle_seconds,
        wanted=queries.list_wanted(session, connector.id, now, since),
        whole=since is None,
        at=now if says_when else None,
        undo=connector.undo_at is not None,
        when_silent=settings.when_silent or "hold",
        silent_hours=settings.silent_hours,
        close_doors=settings.close_doors if settings.automatic else (),
        wipes=queries.list_wipe_tokens(session, connector.id, now),
        fetch_log=logs.wanted_log(session, connector.id, now),
        release=connector_releases.wish(session, connector),
        log_level=connectors.log_level_of(connector, now),
        log_level_until=connector.log_level_until,
    )


def access_mark(session: Session, connector_id: UUID, now: datetime) -> str:
    """Return a text that changes whenever what this connector should hold may have changed.

    It costs three small reads and writes nothing, so a gate may ask for it twice a second.
    ForbiddenError when the connector is disabled.
    """
    connector = queries.get_connector(session, connector_id)
    connectors.require_enabled(connector)
    pause = queries.find_pause(session)
    settings = queries.read_mail_settings(session)
    parts = (
        connector.issue,
        connector.undo_at,
        pause.since if pause else None,
        settings.when_silent,
        settings.silent_hours,
        connectors.log_level_of(connector, now),
    )
    return sha256(repr(parts).encode()).hexdigest()[:32]


def take_applied(
    session: Session, connector: Connector, applied: Sequence[messages.Applied], now: datetime
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
        row.overridden_at = (row.overridden_at or one.at) if one.overridden else None
        if not one.error:
            _take_doors(session, row, one)
        if new:
            number += 1
            session.add(_application(row, one))
            if one.access == "block" and not one.error:
                telling.tell_user(session, row, now)
    return number


def _take_doors(session: Session, row: Partnership, one: messages.Applied) -> None:
    """Note which other doors the connector closed, and which somebody opened again."""
    before = (row.closed_doors, row.reopened_doors)
    row.closed_doors, row.reopened_doors = _each(one.closed_doors), _each(one.reopened_doors)
    if before == (row.closed_doors, row.reopened_doors):
        return
    because = (
        f"other doors closed by the connector: {row.closed_doors or 'none'}; "
        f"opened again by hand: {row.reopened_doors or 'none'}"
    )
    session.add(
        MailDecision(partnership_id=row.id, at=one.at, event="doors", access="", because=because)
    )


def _each(doors: Iterable[str]) -> str:
    """Return each door once, however often a connector names it."""
    return " ".join(dict.fromkeys(doors))


def _application(row: Partnership, one: messages.Applied) -> MailDecision:
    return MailDecision(
        partnership_id=row.id,
        at=one.at,
        event="overridden" if one.overridden else "failed" if one.error else "applied",
        access=one.access,
        because=one.error,
    )


def _plain(settings: MailSettings) -> dict[str, Any]:
    """Return settings as the audit trail keeps them."""
    found: dict[str, Any] = json.loads(queries.write_mail_settings(settings))
    return found


def change_settings(
    session: Session, keys: Keys, settings: MailSettings, by: By, reason: str, now: datetime
) -> None:
    """Store the settings and have every partnership decided anew."""
    text, before = queries.write_mail_settings(settings), queries.read_mail_settings(session)
    details = differences(_plain(before), _plain(settings))
    safety.write_setting(session, queries.SETTING, text, by.name, now)
    record(session, keys, by.name, "mail.settings", text[:255], reason, by.address, details, now)
    enqueue(session, WORK, f"{WORK}:{uuid4()}", {"everything": True}, priority=3, now=now)
