"""Whoever writes a device, its facts or its judgement also keeps the list: nobody can forget it.

Every session of this program notes which devices it changed in a way that lists or counts show,
and writes that down as the last thing before it commits. Statements that change such columns
without objects (`update(Device)`) must call `listing.service.bring_up` themselves.
"""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction, attributes

from management.devices.models import Device, DeviceFacts, DeviceJudgement
from management.listing.rules import listed_facts
from management.listing.service import bring_up

CHANGED = "sekisho_listing_changed"
SHOWN = {
    Device: {
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
    },
    DeviceJudgement: {"state", "risk", "violations"},
}


def _note(session: Session, _context: Any) -> None:
    for device_id, has_words in _changed(session):
        changed = session.info.setdefault(CHANGED, {})
        changed[device_id] = has_words or changed.get(device_id, False)


def _changed(session: Session) -> Iterator[tuple[UUID, bool]]:
    """Yield which devices are to be listed anew, and whether by other words."""
    for one in session.new:
        if isinstance(one, (Device, DeviceFacts, DeviceJudgement)):
            yield _id(one), True
    for one in session.dirty:
        if isinstance(one, (Device, DeviceJudgement)):
            touched = attributes.instance_state(one).committed_state.keys() & SHOWN[type(one)]
            if any(attributes.get_history(one, name).has_changes() for name in touched):
                yield _id(one), isinstance(one, Device)
        elif isinstance(one, DeviceFacts) and _facts_changed(one):
            yield one.device_id, False


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
        same_words = {one for one, has_words in changed.items() if not has_words}
        bring_up(session, changed, same_words)


def _forget(session: Session, ended: SessionTransaction) -> None:
    if ended.parent is None:  # after a savepoint, what was flushed before it still stands
        session.info.pop(CHANGED, None)


def begin() -> None:
    """Listen to every session of this process, once."""
    if not event.contains(Session, "after_flush", _note):
        event.listen(Session, "after_flush", _note)
        event.listen(Session, "before_commit", _write)
        event.listen(Session, "after_soft_rollback", _forget)
