"""Reads groups, what holds in them, and what a device applied of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from management.devices.models import Device
from management.devices.queries import get_device, get_facts
from management.devices.rules import Fact, FactKind
from management.groups.models import ROOT_GROUP, Group
from management.groups.rules import PLATFORMS, Asked, Node, Tree, asked, below
from management.limits import groups_of, require_group
from management.policies.catalogue.all import BY_NAME
from management.policies.models import Policy, PolicyVersion
from management.policies.queries import current_version, default_policy, get_policy
from management.policies.schema import Category, Setting
from runtime.errors import NotFoundError


def read_tree(session: Session) -> dict[UUID, Node]:
    """Return all groups as they are now; there are at most `rules.MOST`."""
    found = session.scalars(select(Group).execution_options(populate_existing=True))
    return {group.id: node(group) for group in found}


def node(group: Group) -> Node:
    """Return the row as the rules know it."""
    policies = {"android": group.android_policy_id, "ios": group.ios_policy_id}
    return Node(group.id, group.name, group.parent_id, policies)


def get_group(session: Session, group_id: UUID) -> Group:
    """Return the group; NotFoundError when there is none with this id."""
    require_group(session, group_id)
    found = session.get(Group, group_id)
    if found is None:
        raise NotFoundError("There is no such group.")
    return found


def shown_tree(session: Session, tree: Tree | None = None) -> Tree:
    """Return the groups that whoever asks sees: a forest, where what is above is not theirs.

    *tree*: all groups, where they were read already.
    """
    tree, seen = tree or read_tree(session), groups_of(session)
    if seen is None:
        return tree
    return {
        one.id: one if one.parent_id in seen else replace(one, parent_id=None)
        for one in tree.values()
        if one.id in seen
    }


def group_ids_below(session: Session, group_id: UUID) -> tuple[UUID, ...]:
    """Return the group and all below it; one that does not exist holds no device."""
    tree = read_tree(session)
    return tuple(below(tree, group_id)) if group_id in tree else (group_id,)


def policy_in(session: Session, tree: Tree, group_id: UUID, platform: str) -> UUID:
    """Return the policy that holds for devices of *platform* in the group."""
    found = asked(tree, group_id, platform)
    return found.policy_id if found else default_policy(session).id


def list_with_other_policy(
    session: Session, group_id: UUID, platform: str, policy_id: UUID, after: UUID, limit: int
) -> Sequence[UUID]:
    """Return some devices of the group above id *after* that should have the policy and have
    another.
    """
    return session.scalars(
        select(Device.id)
        .where(
            Device.group_id == group_id,
            Device.platform == platform,
            Device.policy_id != policy_id,
            Device.policy_is_own.is_(False),
            Device.id > after,
        )
        .order_by(Device.id)
        .limit(limit)
    ).all()


def list_in_group(session: Session, group_id: UUID, limit: int) -> Sequence[UUID]:
    """Return some devices of the group, in whatever state."""
    return session.scalars(
        select(Device.id).where(Device.group_id == group_id).order_by(Device.id).limit(limit)
    ).all()


def list_named(session: Session, device_ids: Sequence[UUID]) -> Sequence[Device]:
    """Return these few devices by name."""
    wanted = select(Device).where(Device.id.in_(device_ids))
    return session.scalars(wanted.order_by(Device.name, Device.id)).all()


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePolicy:
    """What a device is asked, what it applied, and what it could not apply."""

    device: Device
    group: Node
    tree: Tree
    by_group: Asked | None
    """What its group says; does not hold when the device has a policy of its own."""
    policy: Policy
    asked: PolicyVersion
    asked_since: datetime
    """Since when it is asked just this: the version's making, or when it got the policy."""
    applied: Policy | None
    applied_version: int | None
    applied_since: datetime | None
    not_applied: tuple[dict[str, Any], ...]
    """{"setting", "entry", "because"} in the device's own words."""
    not_applied_since: datetime | None

    @property
    def is_applied(self) -> bool:
        """Whether the device applied what it is asked now."""
        return (
            self.applied is not None
            and self.applied.id == self.policy.id
            and self.applied_version == self.asked.version
        )


def read_device_policy(session: Session, device_id: UUID) -> DevicePolicy:
    """Return how a device stands towards its policy; NotFoundError when there is none."""
    device, tree = get_device(session, device_id), read_tree(session)
    facts = get_facts(session, device_id)
    version = current_version(session, device.policy_id)
    given = facts.get(FactKind.ASKED_POLICY)
    applied, missed = facts.get(FactKind.APPLIED_POLICY), facts.get(FactKind.NOT_APPLIED)
    return DevicePolicy(
        device=device,
        group=tree.get(device.group_id) or tree[ROOT_GROUP],
        tree=tree,
        by_group=asked(tree, device.group_id, device.platform),
        policy=get_policy(session, device.policy_id),
        asked=version,
        asked_since=max(version.created_at, given.said_at if given else device.enrolled_at),
        applied=_applied_policy(session, applied),
        applied_version=applied.value["version"] if applied and applied.value else None,
        applied_since=applied.said_at if applied and applied.value else None,
        not_applied=tuple(missed.value or ()) if missed else (),
        not_applied_since=missed.said_at if missed and missed.value else None,
    )


def _applied_policy(session: Session, fact: Fact | None) -> Policy | None:
    if fact is None or not fact.value:
        return None
    return session.get(Policy, UUID(fact.value["policy_id"]))


def policies_in(tree: Tree, group_id: UUID) -> dict[str, Asked | None]:
    """Return for each platform which policy holds in the group, and which group says so."""
    return {platform: asked(tree, group_id, platform) for platform in PLATFORMS}


@dataclass(frozen=True, slots=True)
class Missed:
    """A setting that a device could not apply."""

    category: Category | None
    """None: this release knows no such setting."""
    setting: Setting | None
    name: str
    entry: str
    because: str


def explain_missed(found: DevicePolicy) -> list[Missed]:
    """Return what a device could not apply, with the catalogue's words for it."""
    return [_missed(**one) for one in found.not_applied]


def _missed(setting: str, entry: str, because: str) -> Missed:
    category, _, name = setting.partition(".")
    known = BY_NAME.get(category)
    return Missed(known, known.find(name) if known else None, setting, entry, because)


def groups_of_policy(tree: Tree, policy_id: UUID) -> list[tuple[Node, str]]:
    """Return each (group, platform) that has the policy itself."""
    return [
        (one, platform)
        for one in tree.values()
        for platform, given in one.policies.items()
        if given == policy_id
    ]
