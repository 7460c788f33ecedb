"""What the audit trail tells of a group and of a device's place, before a change and after it."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from management.devices.models import Device
from management.groups.queries import get_group


def group_fields(session: Session, group_id: UUID) -> dict[str, str]:
    """Return name, place and policies of a group."""
    group = get_group(session, group_id)
    return {
        "name": group.name,
        "parent": str(group.parent_id or ""),
        "android": str(group.android_policy_id or ""),
        "ios": str(group.ios_policy_id or ""),
    }


def place_fields(session: Session, device_id: UUID) -> dict[str, str]:
    """Return a device's group, and its policy where it has one of its own."""
    row = session.execute(
        select(Device.group_id, Device.policy_id, Device.policy_is_own).where(
            Device.id == device_id
        )
    ).one_or_none()
    if row is None:
        return {}
    return {
        "group": str(row.group_id),
        "own_policy": str(row.policy_id if row.policy_is_own else ""),
    }


MOST_NAMED = 500
"""Of devices that are moved at once; the page of each tells its own move."""


def move_fields(
    session: Session, group_id: UUID, target: UUID, moved: Sequence[UUID]
) -> dict[str, str | int | list[str]]:
    """Return which devices of which group, in whatever state, are to go where."""
    return {
        "group": get_group(session, group_id).name,
        "to": str(target),
        "to_group": get_group(session, target).name,
        "devices": len(moved),
        "device_ids": [str(one) for one in moved[:MOST_NAMED]],
    }
