"""Writes what was said of devices, and how their enrolment goes on."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from management.devices import models
from management.devices.models import Device, DeviceFacts
from management.devices.queries import get_device
from management.devices.rules import (
    AGENT,
    BACK,
    LAST,
    EnrolmentState,
    Fact,
    FactKind,
    Facts,
    news,
    read_facts,
    write_fact,
)
from management.policies.queries import get_policy
from management.work.service import enqueue

__all__ = ["AGENT"]
DAY = timedelta(days=1)


def record_facts(session: Session, device_id: UUID, said: Facts, now: datetime) -> bool:
    """Store what was said; return whether it changes what is known.

    What changes goes into the log and into the current row. `CONTACT` only moves in the current
    row; the log gets it from `record_contact`.
    """
    row = _locked_facts(session, device_id, now)
    new = news(read_facts(row.facts), said)
    moved = {kind: fact for kind, fact in said.items() if kind is FactKind.CONTACT}
    if new or moved:
        told = {kind.value: write_fact(fact) for kind, fact in (new | moved).items()}
        row.facts, row.changed_at = {**row.facts, **told}, now
    session.add_all(_entry(device_id, kind, fact, now) for kind, fact in new.items())
    session.flush()
    return bool(new)


def record_contact(
    session: Session, device: Device, said_at: datetime, silence: timedelta, now: datetime
) -> None:
    """Note that the device proved itself at *said_at*; contact never moves back.

    The log gets the end and the beginning of each gap longer than *silence* (at most a day), which
    is all that is needed to say later whether the device was in contact.
    """
    before = device.contact_at
    if before is not None and said_at <= before:
        return
    if before is None:
        session.add(_entry(device.id, FactKind.CONTACT, Fact(BACK, AGENT, said_at), now))
    elif said_at - before > min(silence, DAY):
        session.add(_entry(device.id, FactKind.CONTACT, Fact(LAST, AGENT, before), now))
        session.add(_entry(device.id, FactKind.CONTACT, Fact(BACK, AGENT, said_at), now))
    device.contact_at = said_at
    record_facts(session, device.id, {FactKind.CONTACT: Fact(True, AGENT, said_at)}, now)


def end_enrolment(
    session: Session, device: Device, state: EnrolmentState, source: str, now: datetime
) -> None:
    """Note that the device is no longer ours; its history stays."""
    device.enrolment_state, device.left_at = state, now
    record_facts(session, device.id, {FactKind.ENROLMENT: Fact(state.value, source, now)}, now)


def assign_policy(
    session: Session, device_id: UUID, policy_id: UUID, by: str, now: datetime
) -> Device:
    """Let another policy hold for the device; it gets the order in the background."""
    device = get_device(session, device_id)
    policy = get_policy(session, policy_id)
    if device.policy_id == policy.id:
        return device
    device.policy_id = policy.id
    said = {FactKind.ASKED_POLICY: Fact(str(policy.id), by, now)}
    record_facts(session, device.id, said, now)
    enqueue(
        session,
        "policies.spread",
        f"policies.spread:{policy.id}:{device.id}:{now.isoformat()}",
        {"policy_id": str(policy.id)},
        now=now,
    )
    return device


def _locked_facts(session: Session, device_id: UUID, now: datetime) -> DeviceFacts:
    """Return the current row; what two transactions learn at once must not undo each other."""
    session.flush()
    found = session.scalars(
        select(DeviceFacts)
        .where(DeviceFacts.device_id == device_id)
        .with_hint(DeviceFacts, "WITH (UPDLOCK)", "mssql")
        .with_for_update()
        .execution_options(populate_existing=True)
    ).first()
    if found is None:
        found = DeviceFacts(device_id=device_id, facts={}, changed_at=now)
        session.add(found)
        session.flush()
    return found


def _entry(device_id: UUID, kind: FactKind, fact: Fact, now: datetime) -> models.Fact:
    return models.Fact(
        device_id=device_id,
        kind=kind.value,
        value={"value": fact.value},
        source=fact.source[:255],
        said_at=fact.said_at,
        received_at=now,
    )
