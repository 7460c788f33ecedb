"""The API's view of groups, and of what devices are asked and applied."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from management.access import Permission, signed_in_name
from management.api.bodies import Because
from management.api.operations import STRICT, Reason, Whole, operation
from management.audit.notes import note
from management.audit.rules import differences
from management.groups import queries, service
from management.groups.models import ROOT_GROUP
from management.groups.queries import DevicePolicy
from management.groups.rules import LONGEST_NAME, Node, Tree, asked, full_name, ordered
from management.groups.told import MOST_NAMED, group_fields, move_fields, place_fields
from management.listing.queries import count_in_groups
from management.personal import DEVICE, list_of, tell_number
from management.policies.queries import require_seen
from management.web import reading, transaction
from runtime.clock import utc_now
from runtime.errors import NotFoundError

bp = Blueprint("groups_api", __name__, url_prefix="/api/v1")

GroupName = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME, pattern=r"^[^\x00]*$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPolicy:
    """Which policy holds in a group for one system."""

    policy_id: UUID | None
    from_group_id: UUID | None
    """The group that has it itself: this one or one above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupAnswer:
    """A group and its place in the tree."""

    VOLATILE: ClassVar = frozenset({"devices"})

    id: UUID
    name: str
    full_name: str
    parent_id: UUID | None
    depth: int
    devices: int
    """Enrolled devices in this group itself."""
    android: GroupPolicy
    ios: GroupPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """All groups, each followed by those below it."""

    items: tuple[GroupAnswer, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGroup:
    """A group to make."""

    __pydantic_config__ = STRICT

    name: GroupName
    parent_id: UUID = ROOT_GROUP
    because: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupChange:
    """Name, place and policies of a group from now on."""

    __pydantic_config__ = STRICT

    name: GroupName
    parent_id: UUID | None
    """Null only for the root."""
    android_policy_id: UUID | None
    """Null: that of the group above."""
    ios_policy_id: UUID | None
    because: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMove:
    """Where all devices of a group go."""

    __pydantic_config__ = STRICT

    to_group_id: UUID
    devices: Annotated[int, Field(ge=0, le=1_000_000), Whole]
    """How many, as `preview_group_move` says; refused (409) when they are not so many now."""
    because: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMovePreview:
    """Which devices would be moved out of a group."""

    devices: int
    """In whatever state, also those whose enrolment ended; at most 20,000 at once."""
    device_ids: tuple[UUID, ...]
    """The first 500."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePlace:
    """In which group a device is, and whether a policy of its own holds."""

    __pydantic_config__ = STRICT

    group_id: UUID
    policy_id: UUID | None = None
    """Null: that of the group."""
    because: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class MissedSetting:
    """What a device could not apply, in its own words."""

    setting: str
    entry: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePolicyAnswer:
    """What a device is asked, and what it applied of it."""

    group_id: UUID
    policy_id: UUID
    policy_from: Literal["group", "device"]
    """`device`: somebody gave it this policy by name."""
    from_group_id: UUID | None
    """The group that has the policy itself."""
    asked_version: int
    asked_since: datetime
    applied_policy_id: UUID | None
    """Null: it reported none, or one that is not known here."""
    applied_version: int | None
    applied_since: datetime | None
    is_applied: bool
    not_applied: tuple[MissedSetting, ...]
    not_applied_since: datetime | None


@operation(bp, "/groups", Permission.VIEW, in_groups=True, paged_by="id")
def list_groups() -> Groups:
    """List all groups with their policies and numbers of devices."""
    with reading() as session:
        tree, counts = queries.read_tree(session), count_in_groups(session)
        shown = queries.shown_tree(session)
    found = (_group(tree, node, depth, counts.get(node.id, 0)) for depth, node in ordered(shown))
    return Groups(items=tuple(found))


@operation(bp, "/groups/<uuid:group_id>", Permission.VIEW, in_groups=True)
def get_group(group_id: UUID) -> GroupAnswer:
    """Get one group."""
    with reading() as session:
        tree, counts = queries.shown_tree(session), count_in_groups(session)
    if group_id not in tree:
        raise NotFoundError("There is no such group.")
    return _one(tree, group_id, counts.get(group_id, 0))


@operation(bp, "/groups", Permission.CHANGE_POLICIES, "POST", 201, (409,))
def create_group(body: NewGroup) -> GroupAnswer:
    """Make a group."""
    with transaction("create a group") as session:
        group = service.create_group(session, body.name, body.parent_id)
        note(session, "group.create", group.id, body.because, name=group.name)
        return _one(queries.read_tree(session), group.id, 0)


@operation(bp, "/groups/<uuid:group_id>", Permission.CHANGE_POLICIES, "PUT", refusals=(409,))
def change_group(group_id: UUID, body: GroupChange) -> GroupAnswer:
    """Change a group; its devices get their policy in the background."""
    policies = {"android": body.android_policy_id, "ios": body.ios_policy_id}
    with transaction("change a group") as session:
        before = group_fields(session, group_id)
        group = service.change_group(
            session, group_id, body.name, body.parent_id, policies, signed_in_name(), utc_now()
        )
        said = differences(before, group_fields(session, group_id))
        note(session, "group.change", group_id, body.because, name=group.name, **said)
        counts = count_in_groups(session)
        return _one(queries.read_tree(session), group_id, counts.get(group_id, 0))


@operation(
    bp, "/groups/<uuid:group_id>/delete", Permission.CHANGE_POLICIES, "POST", refusals=(409,)
)
def delete_group(group_id: UUID, body: Because) -> Groups:
    """Delete an empty group; answers those that are left."""
    with transaction("delete a group") as session:
        group = service.delete_group(session, group_id, signed_in_name(), utc_now())
        note(session, "group.delete", group_id, body.because, name=group.name)
    return list_groups()


@operation(
    bp,
    "/groups/<uuid:group_id>/move-devices",
    Permission.CHANGE_POLICIES,
    shows=list_of("devices of a group"),
)
def preview_group_move(group_id: UUID) -> GroupMovePreview:
    """Get which devices `move_group_devices` would move now."""
    with reading() as session:
        queries.get_group(session, group_id)
        found = queries.list_in_group(session, group_id, service.MOST_MOVED)
    tell_number(len(found[:MOST_NAMED]))
    return GroupMovePreview(devices=len(found), device_ids=tuple(found[:MOST_NAMED]))


@operation(
    bp, "/groups/<uuid:group_id>/move-devices", Permission.CHANGE_POLICIES, "POST", refusals=(409,)
)
def move_group_devices(group_id: UUID, body: GroupMove) -> Groups:
    """Move the devices that are in a group now into another, in the background.

    What comes into the group meanwhile stays in it.
    """
    by, target = signed_in_name(), body.to_group_id
    with transaction("move devices") as session:
        moved = service.move_devices(session, group_id, target, body.devices, by, utc_now())
        said = move_fields(session, group_id, target, moved)
        note(session, "group.move_devices", group_id, body.because, **said)
    return list_groups()


@operation(bp, "/devices/<uuid:device_id>/policy", Permission.VIEW, in_groups=True, shows=DEVICE)
def get_device_policy(device_id: UUID) -> DevicePolicyAnswer:
    """Get what a device is asked, what it applied, and what it could not apply and why."""
    with reading() as session:
        return _device(queries.read_device_policy(session, device_id))


@operation(
    bp,
    "/devices/<uuid:device_id>/policy",
    Permission.CHANGE_POLICIES,
    "PUT",
    refusals=(409,),
    in_groups=True,
)
def place_device(device_id: UUID, body: DevicePlace) -> DevicePolicyAnswer:
    """Put a device into a group, with the policy of the group or one of its own."""
    with transaction("place a device") as session:
        now, by = utc_now(), signed_in_name()
        before = place_fields(session, device_id)
        service.move_device(session, device_id, body.group_id, by, now)
        require_seen(session, body.policy_id)
        service.give_own_policy(session, device_id, body.policy_id, by, now)
        said = differences(before, place_fields(session, device_id))
        note(session, "device.place", device_id, body.because, **said)
        return _device(queries.read_device_policy(session, device_id))


def _one(tree: Tree, group_id: UUID, devices: int) -> GroupAnswer:
    depth = next(depth for depth, node in ordered(tree) if node.id == group_id)
    return _group(tree, tree[group_id], depth, devices)


def _group(tree: Tree, node: Node, depth: int, devices: int) -> GroupAnswer:
    return GroupAnswer(
        id=node.id,
        name=node.name,
        full_name=full_name(tree, node.id),
        parent_id=node.parent_id,
        depth=depth,
        devices=devices,
        android=_policy(tree, node, "android"),
        ios=_policy(tree, node, "ios"),
    )


def _policy(tree: Tree, node: Node, platform: str) -> GroupPolicy:
    found = asked(tree, node.id, platform)
    return GroupPolicy(
        policy_id=found.policy_id if found else None,
        from_group_id=found.group.id if found else None,
    )


def _device(found: DevicePolicy) -> DevicePolicyAnswer:
    own = found.device.policy_is_own
    return DevicePolicyAnswer(
        group_id=found.group.id,
        policy_id=found.policy.id,
        policy_from="device" if own else "group",
        from_group_id=found.by_group.group.id if found.by_group and not own else None,
        asked_version=found.asked.version,
        asked_since=found.asked_since,
        applied_policy_id=found.applied.id if found.applied else None,
        applied_version=found.applied_version,
        applied_since=found.applied_since,
        is_applied=found.is_applied,
        not_applied=tuple(MissedSetting(**one) for one in found.not_applied),
        not_applied_since=found.not_applied_since,
    )
