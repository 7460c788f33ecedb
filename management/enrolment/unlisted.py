"""Applies the allow-list to devices that are enrolled already: looked at, confirmed, then done.

What becomes of them is what becomes of others that enrol: refused means that their enrolment ends,
the group means that they are moved into ``unauthorized``. Nobody is touched before somebody typed
how many there are, and never more than that; nobody either by another list than the one counted by.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from management.allow_list.enrolled import look
from management.allow_list.models import AllowListSetting
from management.allow_list.queries import LIST_CHANGED, count_listed, digest
from management.allow_list.rules import Unlisted
from management.devices.queries import lock_device
from management.devices.rules import EnrolmentState
from management.enrolment.service import retire
from management.groups.service import move_device
from management.policies.models import UNAUTHORIZED_GROUP
from management.work.service import enqueue
from runtime.errors import RefusedError

COUNT, APPLY = "allow_list.count", "allow_list.apply"
MOST_DEVICES = 20_000
"""As in a bulk command."""
COUNT_HOLDS = timedelta(hours=1)
CHUNK = 50
BECAUSE = "Not on the allow-list."
MIND_CHANGED = "What becomes of other devices was changed. Count the devices again."


def ask_count(session: Session, now: datetime) -> None:
    """Let the enrolled devices be compared with the list, in the background."""
    setting = _setting(session)
    setting.counted_at, setting.ended_because = None, ""
    payload = {"for": setting.unlisted, "list": digest(session)}
    enqueue(session, COUNT, f"{COUNT}:{now.isoformat()}", payload, 3, now=now)


def note_count(
    session: Session, payload: dict[str, Any], devices: int, unlisted: int, now: datetime
) -> None:
    """Keep what was counted, to be looked at; nothing when the list was changed meanwhile."""
    setting = _setting(session)
    if payload.get("list") != digest(session):
        setting.ended_because = LIST_CHANGED
        return
    setting.counted_at, setting.counted_for = now, payload["for"]
    setting.counted_list = payload["list"]
    setting.counted_devices, setting.counted_unlisted = devices, unlisted


def confirm(session: Session, typed: str, by: str, undo: timedelta, now: datetime) -> int:
    """Let it be done after *undo*; return to how many devices. RefusedError says why not."""
    setting = _setting(session)
    count = setting.counted_unlisted
    if setting.counted_at is None or setting.counted_at < now - COUNT_HOLDS:
        raise RefusedError("Count the devices first: this count is older than an hour.")
    if setting.counted_for != setting.unlisted:
        raise RefusedError(MIND_CHANGED)
    if setting.counted_list != digest(session):
        raise RefusedError(LIST_CHANGED)
    if not count:
        raise RefusedError("All enrolled devices are on the list.")
    if count > MOST_DEVICES:
        raise RefusedError(
            f"This would reach {count} devices, more than {MOST_DEVICES} at once. "
            "Complete the list first."
        )
    if typed.strip() != str(count):
        raise RefusedError(f"Type the number of devices, {count}, to confirm.")
    setting.counted_at, setting.apply_left = None, count
    payload = {"to": setting.unlisted, "by": by, "list": setting.counted_list}
    enqueue(session, APPLY, f"{APPLY}:{now.isoformat()}", payload, 3, now + undo, now)
    return count


def apply_some(
    session: Session, after: UUID, confirmed: dict[str, Any], now: datetime
) -> tuple[UUID | None, int]:
    """Apply the list to some devices above id *after*; return where to go on, and to how many.

    It ends (None) after as many as were confirmed, and when what was confirmed holds no more.
    """
    setting = session.get(AllowListSetting, 1)
    if setting is None:
        return None, 0
    to, by = confirmed["to"], confirmed["by"]
    found = look(session, after, outside_of(to))
    if why := _why_no_more(session, setting, confirmed):
        setting.apply_left, setting.ended_because = 0, why
        return None, 0
    some = found.unlisted[: min(setting.apply_left, CHUNK)]
    for device_id in some:
        if lock_device(session, device_id).enrolment_state == EnrolmentState.ENROLLED:
            _apply(session, device_id, to, by, now)
    setting.apply_left -= len(some)
    if not setting.apply_left:
        return None, len(some)
    return some[-1] if len(some) < len(found.unlisted) else found.after, len(some)


def _why_no_more(session: Session, setting: AllowListSetting, confirmed: dict[str, Any]) -> str:
    """Return why what was confirmed holds no more; after `look`, which read the same list then."""
    if setting.unlisted != confirmed["to"]:
        return MIND_CHANGED
    return LIST_CHANGED if confirmed.get("list") != digest(session) else ""


def _apply(session: Session, device_id: UUID, to: str, by: str, now: datetime) -> None:
    if to == Unlisted.GROUP:
        move_device(session, device_id, UNAUTHORIZED_GROUP, by, now)
    else:
        retire(session, device_id, by, BECAUSE, now)


def outside_of(to: str) -> UUID | None:
    """Return the group whose devices need nothing more."""
    return UNAUTHORIZED_GROUP if to == Unlisted.GROUP else None


def forget_confirmation(session: Session) -> None:
    """Apply it to no more devices."""
    setting = session.get(AllowListSetting, 1)
    if setting is not None:
        setting.apply_left = 0


def _setting(session: Session) -> AllowListSetting:
    """Return the setting; RefusedError when there is no list or nothing becomes of others."""
    found = session.get(AllowListSetting, 1)
    if found is None or found.unlisted == Unlisted.ALLOWED:
        raise RefusedError("Choose first what becomes of devices that are not on the list.")
    if not count_listed(session):
        raise RefusedError("The list is empty: every device would count as unlisted.")
    return found
