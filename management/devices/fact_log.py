"""Writes what was said of devices: the log, and the current row beside it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Table, and_, delete, exists, insert, or_, select, update
from sqlalchemy.orm import Session, aliased

from management.database import locked
from management.devices import models
from management.devices.models import Device, DeviceFacts
from management.devices.queries import find_held
from management.devices.replay import rebuild_facts
from management.devices.rules import (
    AGENT,
    BACK,
    LAST,
    Fact,
    FactKind,
    Facts,
    LazyFacts,
    fit,
    read_facts,
    take_fact,
    write_fact,
    write_value,
)

DAY = timedelta(days=1)
_LOG = cast("Table", models.Fact.__table__)
_TOGETHER = "sekisho_log_together"


@contextmanager
def log_together(session: Session) -> Iterator[None]:
    """Write what the block has for the log in one statement at its end, whoever it is said of.

    For many devices at once: row by row, because each is asked for its number, costs five times as
    much. Nothing in the block may read the log.
    """
    rows = session.info[_TOGETHER] = list[dict[str, Any]]()
    try:
        yield
    finally:
        del session.info[_TOGETHER]
    if rows:
        session.flush()  # the devices come first
        session.connection().execute(insert(_LOG), rows)


def record_facts(session: Session, device_id: UUID, said: Facts, now: datetime) -> bool:
    """Store what was said; return whether it changes what is known.

    What changes goes into the log and into the current row, see `devices.rules.take_fact`.
    `CONTACT` only moves in the current row; the log gets it from `record_contact`.
    """
    row = _locked_facts(session, device_id, now)
    known = LazyFacts(row.facts)
    contact = said.get(FactKind.CONTACT) or known.get(FactKind.CONTACT)
    entries: list[tuple[FactKind, Fact]] = []
    told: dict[FactKind, Fact] = {}
    for kind, fact in said.items():
        if kind is FactKind.CONTACT:
            told[kind] = fact
        elif not _is_known(row.facts, kind, fact):
            before = known.get(kind)
            held, logged = take_fact(before, fit(fact, now), contact)
            entries += [(kind, one) for one in logged]
            if held is not before:
                told[kind] = held
    if told:
        fresh = {kind.value: write_fact(fact) for kind, fact in told.items()}
        row.facts, row.changed_at = {**row.facts, **fresh}, now
    _log(session, [_entry(device_id, kind, fact, now) for kind, fact in entries])
    return any(kind is not FactKind.CONTACT for kind in told)


def record_contact(
    session: Session,
    device: Device,
    said_at: datetime,
    silence: timedelta,
    now: datetime,
    source: str = AGENT,
) -> None:
    """Note that the device proved itself at *said_at*; contact never moves back.

    The log gets the end and the beginning of each gap longer than *silence* (at most a day), which
    is all that is needed to say later whether the device was in contact.
    """
    before = device.contact_at
    if before is not None and said_at <= before:
        return
    news = [Fact(BACK, source, said_at)]
    if before is not None:
        long = said_at - before > min(silence, DAY)
        news = [Fact(LAST, source, before), *news] if long else []
    _log(session, [_entry(device.id, FactKind.CONTACT, fact, now) for fact in news])
    device.contact_at = said_at
    record_facts(session, device.id, {FactKind.CONTACT: Fact(True, source, said_at)}, now)


def mend_facts(session: Session, device: Device, now: datetime) -> bool:
    """Write the current row anew from the log; return whether it said something else."""
    row = _locked_facts(session, device.id, now)
    known = rebuild_facts(session, device)
    if read_facts(row.facts) == known:
        return False
    row.facts = {kind.value: write_fact(fact) for kind, fact in known.items()}
    row.changed_at = now
    session.flush()
    return True


def forget_facts(session: Session, device_ids: Sequence[UUID], before: datetime) -> int:
    """Delete the log of these devices up to *before*; return how many entries that were.

    The newest entry of each kind stays, whatever its age: it still holds. So the past can be
    replayed at any instant from *before* on, exactly as if nothing had been deleted.
    """
    old, newer = models.Fact, aliased(models.Fact)
    contact = old.kind == FactKind.CONTACT
    follows = or_(
        newer.said_at > old.said_at,
        and_(newer.said_at == old.said_at, newer.id > old.id),
    )
    replaced = exists().where(
        newer.device_id == old.device_id,
        newer.kind == old.kind,
        newer.received_at <= before,
        or_(~contact, newer.said_at <= before),
        follows,
    )
    done = session.execute(
        delete(old)
        .where(old.device_id.in_(device_ids), old.received_at <= before, replaced)
        .execution_options(synchronize_session=False)
    )
    session.execute(
        update(Device)
        .where(
            Device.id.in_(device_ids),
            Device.enrolled_at < before,
            or_(Device.log_begins_at.is_(None), Device.log_begins_at < before),
        )
        .values(log_begins_at=before)
        .execution_options(synchronize_session=False)
    )
    return int(done.rowcount)  # type: ignore[attr-defined]


def _locked_facts(session: Session, device_id: UUID, now: datetime) -> DeviceFacts:
    """Return the current row; what two transactions learn at once must not undo each other."""
    if (held := find_held(session, DeviceFacts, device_id)) is not None:
        return held
    session.flush()
    wanted = select(DeviceFacts).where(DeviceFacts.device_id == device_id)
    found = session.scalars(locked(wanted, DeviceFacts)).first()
    if found is None:
        found = DeviceFacts(device_id=device_id, facts={}, changed_at=now)
        session.add(found)
        session.flush()
    return found


def _is_known(row: Mapping[str, Any], kind: FactKind, fact: Fact) -> bool:
    """Tell whether the row says the same already; most of a report does, so it is not read."""
    said = row.get(kind.value)
    return said is not None and said["value"] == fact.value


def _entry(device_id: UUID, kind: FactKind, fact: Fact, now: datetime) -> dict[str, Any]:
    return {
        "device_id": device_id,
        "kind": kind.value,
        "value": write_value(fact),
        "source": fact.source,
        "said_at": fact.said_at,
        "received_at": now,
    }


def _log(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    together: list[dict[str, Any]] | None = session.info.get(_TOGETHER)
    if together is None:
        session.add_all(models.Fact(**row) for row in rows)
    else:
        together += rows
