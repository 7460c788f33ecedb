"""Changes the tree of groups and moves devices between groups.

Changes of the tree wait for each other and for moves and enrolments under way (`lock_tree`), so
that no circle comes about and no device keeps the policy of a group that changed meanwhile.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from management.access import Identity
from management.deleted.kinds import Values
from management.deleted.service import put_away
from management.devices.models import Device
from management.devices.queries import lock_device
from management.devices.service import assign_policy, enqueue_spread, give_policy
from management.groups import rules
from management.groups.models import ROOT_GROUP, UNAUTHORIZED_GROUP, Group
from management.groups.queries import (
    get_group,
    list_in_group,
    list_with_other_policy,
    policy_in,
    read_tree,
)
from management.groups.rules import PLATFORMS, Node, Tree
from management.limits import require_group
from management.policies.queries import usable_policy
from management.policies.service import StaleError
from management.work.service import enqueue
from runtime.errors import NotFoundError, RefusedError

SETTLE = "groups.settle"
"""Work: give the devices of a group and of those below it the policy that holds there."""
MOVE = "groups.move"
"""Work: move all devices of one group into another."""
CHUNK = 100
MOST_MOVED = 20_000
"""Devices moved at once; of a larger group the rest is moved by asking again."""
PART = 1000
"""Devices named in one piece of work."""


def lock_tree(session: Session, change: bool = False) -> dict[UUID, Node]:
    """Return the tree; until this transaction ends nobody changes it.

    *change*: nobody else reads it for a move or an enrolment either.
    """
    session.flush()
    session.execute(
        select(Group.id)
        .where(Group.id == ROOT_GROUP)
        .with_hint(Group, "WITH (XLOCK)" if change else "WITH (REPEATABLEREAD)", "mssql")
        .with_for_update(read=not change, key_share=change)
    )
    return read_tree(session)


def create_group(session: Session, name: str, parent_id: UUID) -> Group:
    """Make a group below another; RefusedError when name or place cannot be."""
    tree, name = lock_tree(session, change=True), name.strip()
    if why := rules.refusal(tree, None, name, parent_id):
        raise RefusedError(why)
    group = Group(id=uuid4(), name=name, parent_id=parent_id)
    session.add(group)
    session.flush()
    return group


def change_group(
    session: Session,
    group_id: UUID,
    name: str,
    parent_id: UUID | None,
    policies: Mapping[str, UUID | None],
    by: str,
    now: datetime,
    based_on: str = "",
) -> Group:
    """Give a group another name, place or policies; its devices get theirs in the background.

    *based_on*: the `rules.stamp` of what was read; StaleError when it is another by now.
    """
    tree, name = lock_tree(session, change=True), name.strip()
    group = get_group(session, group_id)
    if based_on and based_on != rules.stamp(tree[group_id]):
        raise StaleError("Somebody else changed this group meanwhile. Look at it, and save again.")
    if why := rules.refusal(tree, group_id, name, parent_id):
        raise RefusedError(why)
    if group_id == UNAUTHORIZED_GROUP and (name, parent_id) != (group.name, group.parent_id):
        raise RefusedError("This group keeps its name and place; its policies may change.")
    if group_id == ROOT_GROUP and None in (policies["android"], policies["ios"]):
        raise RefusedError("The root needs a policy for each system: all others fall back on it.")
    for policy_id in set(policies.values()) - {None}:
        assert policy_id is not None
        usable_policy(session, policy_id)
    before = (group.parent_id, group.android_policy_id, group.ios_policy_id)
    group.name, group.parent_id = name, parent_id
    group.android_policy_id, group.ios_policy_id = policies["android"], policies["ios"]
    session.flush()
    if before != (group.parent_id, group.android_policy_id, group.ios_policy_id):
        payload = {"group_id": str(group_id), "by": by}
        enqueue(session, SETTLE, f"{SETTLE}:{group_id}:{now.isoformat()}", payload, now=now)
    return group


def delete_group(session: Session, group_id: UUID, by: str, now: datetime) -> Group:
    """Delete an empty group, for thirty days not for good; RefusedError says what is still in it.

    Devices are moved first (`move_devices`), so that nobody's policy changes by a deletion.
    """
    tree, group = lock_tree(session, change=True), get_group(session, group_id)
    if group_id in (ROOT_GROUP, UNAUTHORIZED_GROUP):
        raise RefusedError("This group was made at set-up and stays.")
    if len(rules.below(tree, group_id)) > 1:
        raise RefusedError("Other groups are below it. Move or delete them first.")
    if list_in_group(session, group_id, 1):
        raise RefusedError(
            "Devices are in it, or were when their enrolment ended. Move all its devices first."
        )
    try:
        put_away(session, "group", group, group.name, by, now)
    except IntegrityError:
        raise RefusedError(
            "The app store offers apps to it. Offer them to another group first."
        ) from None
    return group


def require_place(session: Session, row: Values, by: Identity) -> None:
    """Raise RefusedError when a deleted group cannot come back with its name, place and policies.

    It comes back empty, as it was deleted: its policies reach nobody.
    """
    tree = lock_tree(session, change=True)
    if why := rules.refusal(tree, None, row["name"], row["parent_id"]):
        raise RefusedError(why)
    for policy_id in (row["android_policy_id"], row["ios_policy_id"]):
        if policy_id is not None:
            usable_policy(session, policy_id)


def move_device(
    session: Session, device_id: UUID, group_id: UUID, by: str, now: datetime
) -> Device:
    """Put a device into a group; its policy is that of the group unless it has one of its own.

    The device gets the policy in the background and is judged again.
    """
    tree = lock_tree(session)
    device = lock_device(session, device_id)
    if _move(session, tree, device, group_id, by, now):
        enqueue_spread(session, device.policy_id, device.id, now)
    return device


def move_devices(
    session: Session, from_group_id: UUID, to_group_id: UUID, number: int, by: str, now: datetime
) -> Sequence[UUID]:
    """Move what is in one group now (not in those below it) into another, in the background.

    The devices are fixed here: what comes into the group meanwhile stays in it. RefusedError when
    they are not *number*, which whoever asks looked at.
    """
    get_group(session, from_group_id), get_group(session, to_group_id)
    if from_group_id == to_group_id:
        raise RefusedError("Choose another group.")
    found = list_in_group(session, from_group_id, MOST_MOVED)
    if number != len(found) or not found:
        raise RefusedError(
            f"{len(found)} devices of this group would be moved now, not {number}. Look again."
        )
    payload = {"from": str(from_group_id), "to": str(to_group_id), "by": by}
    for start in range(0, len(found), PART):
        part = {"devices": [str(one) for one in found[start : start + PART]]}
        key = f"{MOVE}:{from_group_id}:{now.isoformat()}:{start}"
        enqueue(session, MOVE, key, payload | part, now=now)
    return found


def move_some(
    session: Session,
    device_ids: Iterable[UUID],
    from_group_id: UUID,
    to_group_id: UUID,
    by: str,
    now: datetime,
) -> int:
    """Move those of the devices that are still in the group into another; return how many."""
    tree = lock_tree(session)
    locked = [lock_device(session, device_id) for device_id in device_ids]
    moved = [device for device in locked if device.group_id == from_group_id]
    changed = [one for one in moved if _move(session, tree, one, to_group_id, by, now)]
    _spread(session, changed, now)
    return len(moved)


def give_own_policy(
    session: Session, device_id: UUID, policy_id: UUID | None, by: str, now: datetime
) -> Device:
    """Give a device a policy by name; None: that of its group holds again."""
    tree = lock_tree(session)
    device = lock_device(session, device_id)
    wanted = policy_id or policy_in(session, tree, device.group_id, device.platform)
    return assign_policy(session, device_id, wanted, by, now, is_own=policy_id is not None)


def settle_some(
    session: Session, group_id: UUID, platform: str, after: UUID, by: str, now: datetime
) -> Sequence[UUID]:
    """Give some devices of a group, above id *after*, the policy that holds there; return them.

    What was passed is not looked at again: whoever comes meanwhile gets the policy at once.
    """
    tree = lock_tree(session)
    if group_id not in tree:
        return ()
    policy_id = policy_in(session, tree, group_id, platform)
    found = list_with_other_policy(session, group_id, platform, policy_id, after, CHUNK)
    devices = [lock_device(session, device_id) for device_id in found]
    for device in devices:
        if device.group_id == group_id and not device.policy_is_own:
            give_policy(session, device, policy_id, by, now, is_own=False)
    _spread(session, devices, now)
    return found


def settled_groups(session: Session, group_id: UUID) -> list[tuple[UUID, str]]:
    """Return each (group, platform) that a change of the group concerns."""
    tree = read_tree(session)
    ids = rules.below(tree, group_id) if group_id in tree else set()
    return [(one, platform) for one in sorted(ids) for platform in PLATFORMS]


def _move(
    session: Session, tree: Tree, device: Device, group_id: UUID, by: str, now: datetime
) -> bool:
    """Put a locked device into a group; return whether it has another policy now."""
    require_group(session, group_id)
    if group_id not in tree:
        raise NotFoundError("There is no such group.")
    device.group_id = group_id
    if device.policy_is_own:
        return False
    wanted = policy_in(session, tree, group_id, device.platform)
    return give_policy(session, device, wanted, by, now, is_own=False)


def _spread(session: Session, devices: Iterable[Device], now: datetime) -> None:
    """Queue once for each policy that its new devices get it."""
    first = {device.policy_id: device.id for device in devices}
    for policy_id, device_id in first.items():
        enqueue_spread(session, policy_id, device_id, now)
