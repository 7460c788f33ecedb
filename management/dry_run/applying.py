"""What changed settings of a policy would make devices apply, by policy and system."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from management.devices.models import Device
from management.devices.rules import EnrolmentState
from management.dry_run.models import DryRun
from management.policies.delivery import for_platform
from management.policies.differences import Change, differences
from management.policies.inheritance import Content, resolve
from management.policies.queries import get_version, list_children
from management.policies.rules import read_requirements
from management.policies.schema import Settings

PLATFORMS = ("android", "ios")


@dataclass(frozen=True, slots=True)
class Applying:
    """What devices of one system under one policy would apply otherwise."""

    policy_id: UUID
    platform: str
    changes: tuple[Change, ...]
    devices: int
    """Enrolled ones, at the moment of asking."""
    cannot: int
    """How many of them are managed in a way in which one of the changes cannot be applied."""


def applying(session: Session, run: DryRun) -> list[Applying]:
    """Return who would apply what; empty when no settings were tried, or none changes anything."""
    if run.policy_id is None or run.settings is None:
        return []
    before = get_version(session, run.policy_id, run.policy_version)
    asked = Content(read_requirements(run.requirements), run.settings)
    found = _followed(session, run.policy_id, before.settings, asked)
    return [
        _counted(session, policy_id, platform, changes)
        for policy_id, old, new in found
        for platform in PLATFORMS
        if (changes := differences(for_platform(old, platform), for_platform(new, platform)))
    ]


def _followed(
    session: Session, policy_id: UUID, before: Settings, asked: Content
) -> Iterator[tuple[UUID, Settings, Settings]]:
    """Yield the policy with its settings before and after, and those that inherit from it."""
    yield policy_id, before, asked.settings
    for child in list_children(session, policy_id):
        version = get_version(session, child.id, child.current_version)
        own = Content(read_requirements(version.requirements), version.settings)
        follows = resolve(own, asked, tuple(version.inherited))
        if follows.settings != version.settings:
            yield from _followed(session, child.id, version.settings, follows)


def _counted(session: Session, policy_id: UUID, platform: str, changes: list[Change]) -> Applying:
    modes = session.execute(
        select(Device.management_mode, func.count())
        .where(
            Device.policy_id == policy_id,
            Device.platform == platform,
            Device.enrolment_state == EnrolmentState.ENROLLED.value,
        )
        .group_by(Device.management_mode)
    ).all()
    return Applying(
        policy_id,
        platform,
        tuple(changes),
        sum(count for _, count in modes),
        sum(count for mode, count in modes if mode and not _fits(mode, platform, changes)),
    )


def _fits(mode: str, platform: str, changes: list[Change]) -> bool:
    """Tell whether a device managed in this way can apply everything that is newly asked."""
    needs: list[Any] = [one.setting.modes_on(platform) for one in changes if one.now]
    return all(not modes or mode in modes for modes in needs)
