"""Changes the allow-list and says what it means for a device that enrols.

What a device says of itself is a claim: the list keeps out what somebody forgot to register, not a
device that lies. It decides only whether a device gets in, never which record it gets.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, insert
from sqlalchemy.orm import Session

from contracts.agent import DeviceDescription
from management.access import Identity
from management.allow_list.models import AllowedDevice, AllowListSetting
from management.allow_list.queries import everything, is_listed, unlisted_setting
from management.allow_list.rules import Identifiers, Line, Unlisted, refusal, told
from management.audit.rules import differences
from management.deleted.kinds import Values
from management.deleted.service import put_away
from runtime.errors import NotFoundError, RefusedError

CHUNK = 100


@dataclass(frozen=True, slots=True)
class Answer:
    """What the list says of a device."""

    refused_because: str = ""
    unauthorized: bool = False
    """It gets in, but into the group ``unauthorized``."""


def judge(session: Session, description: DeviceDescription) -> Answer:
    """Return whether a device that describes itself so may enrol, and how."""
    setting = unlisted_setting(session)
    if setting is Unlisted.ALLOWED:
        return Answer()
    said = told(description)
    why = refusal(said, is_listed(session, said))
    if not why:
        return Answer()
    return Answer(unauthorized=True) if setting is Unlisted.GROUP else Answer(why)


def choose(session: Session, unlisted: Unlisted, by: str, now: datetime) -> dict[str, Any]:
    """Set what becomes of devices that are not on the list; return the details for the audit."""
    before = unlisted_setting(session)
    row = session.get(AllowListSetting, 1) or AllowListSetting(id=1)
    row.unlisted, row.changed_at, row.changed_by = unlisted.value, now, by
    session.add(row)
    session.flush()
    return differences({"unlisted": before.value}, {"unlisted": unlisted.value})


def import_lines(
    session: Session, lines: list[Line], replace: bool, by: str, now: datetime
) -> tuple[int, int]:
    """Add the lines to the list, or put them in its place; return (added, known before)."""
    if replace:
        session.execute(delete(AllowedDevice))
    known = {mark for one, _ in everything(session) for mark in one.marks}
    new = [line for line in lines if known.isdisjoint(line.identifiers.marks)]
    for start in range(0, len(new), CHUNK):
        rows = [_row(line, by, now) for line in new[start : start + CHUNK]]
        session.execute(insert(AllowedDevice), rows)
    return len(new), len(lines) - len(new)


def add(session: Session, one: Identifiers, note: str, by: str, now: datetime) -> None:
    """Add one device; RefusedError when the list has it."""
    if not one.known:
        raise RefusedError("Enter at least one number that identifies the device.")
    if is_listed(session, one):
        raise RefusedError("The list has this device already.")
    session.execute(insert(AllowedDevice), [_row(Line(0, one, note.strip()[:255]), by, now)])


def remove(session: Session, row_id: UUID, by: str, now: datetime) -> AllowedDevice:
    """Take a device off the list; one that is enrolled stays enrolled."""
    row = session.get(AllowedDevice, row_id)
    if row is None:
        raise NotFoundError("The list has no such entry.")
    named = next(filter(None, (row.imei, row.serial, row.wifi_mac, row.enterprise_id)), "")
    put_away(session, "allowed_device", row, named, by, now)
    return row


def require_unlisted(session: Session, row: Values, by: Identity) -> None:
    """Raise RefusedError when the list has a device again that was taken off it."""
    numbers = (row[name] for name in ("imei", "wifi_mac", "serial", "enterprise_id"))
    if is_listed(session, Identifiers(*numbers)):
        raise RefusedError("The list has this device already.")


def _row(line: Line, by: str, now: datetime) -> dict[str, object]:
    one = line.identifiers
    return {
        "id": uuid4(),
        "imei": one.imei,
        "wifi_mac": one.wifi_mac,
        "serial": one.serial,
        "enterprise_id": one.enterprise_id,
        "note": line.note,
        "added_at": now,
        "added_by": by,
    }
