"""Whoever writes a device, its facts or its judgement also keeps the list: nobody can forget it.

Every session of this program notes which devices it changed in a way that lists or counts show,
and writes that down as the last thing before it commits. Statements that change such columns
without objects (`update(Device)`) must call `listing.service.bring_up` themselves.
"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import event, inspect
from sqlalchemy.orm import Session, attributes

from management.devices.models import Device, DeviceFacts, DeviceJudgement
from management.listing.rules import listed_facts
from management.listing.service import bring_up

CHANGED = "sekisho_listing_changed"
SHOWN = {
    Device: (
        "name",
        "owner_name",
        "owner_address",
        "manufacturer",
        "model",
        "serial",
        "imei",
        "exchange_device_id",
        "platform",
        "ownership",
        "enrolment_state",
        "group_id",
        "policy_id",
    ),
    DeviceJudgement: ("state", "risk", "violations"),
}


def _note(session: Session, _context: Any) -> None:
    found = set(_changed(session))
    if found:
        session.info.setdefault(CHANGED, set()).update(found)


def _changed(session: Session) -> Iterator[UUID]:
    for one in session.new:
        if isinstance(one, (Device, DeviceFacts, DeviceJudgement)):
            yield _id(one)
    for one in session.dirty:
        if isinstance(one, (Device, DeviceJudgement)):
            state: Any = inspect(one)
            if any(state.attrs[name].history.has_changes() for name in SHOWN[type(one)]):
                yield _id(one)
        elif isinstance(one, DeviceFacts) and _facts_changed(one):
            yield one.device_id


def _facts_changed(row: DeviceFacts) -> bool:
    """Tell whether it says something else of what the list shows; most reports do not."""
    history = attributes.get_history(row, "facts")
    if not history.added:
        return False
    before = history.deleted[0] if history.deleted else {}
    return listed_facts(history.added[0]) != listed_facts(before)


def _id(one: Device | DeviceFacts | DeviceJudgement) -> UUID:
    return one.id if isinstance(one, Device) else one.device_id


def _write(session: Session) -> None:
    if session.in_nested_transaction():
        return  # only a savepoint is released
    session.flush()
    changed = session.info.pop(CHANGED, None)
    if changed:
        bring_up(session, changed)


def _forget(session: Session) -> None:
    session.info.pop(CHANGED, None)


def begin() -> None:
    """Listen to every session of this process, once."""
    if not event.contains(Session, "after_flush", _note):
        event.listen(Session, "after_flush", _note)
        event.listen(Session, "before_commit", _write)
        event.listen(Session, "after_rollback", _forget)
