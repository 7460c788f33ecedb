"""Reads judgements, and what is asked of whom."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from uuid import UUID

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from management.compliance.judgement import (
    AskedPolicy,
    Judgement,
    Risk,
    State,
    read_consequence,
    read_undecided,
    read_violation,
)
from management.compliance.models import DeviceJudgement
from management.devices.models import Device
from management.devices.queries import get_facts
from management.devices.rules import Fact, FactKind
from management.policies.carrying import read_carried
from management.policies.models import Policy, PolicyVersion
from management.policies.queries import current_version, get_policy, wishes
from runtime.errors import NotFoundError

MOST_WISHES = 1_000
_WISHES: dict[tuple[object, ...], AskedPolicy] = {}
"""(policy, its name, version, when that was made) -> what it asks; for `wishes_of`."""


def get_judgement(session: Session, device_id: UUID) -> Judgement:
    """Return the stored judgement, which every page and decision reads."""
    row = session.get(DeviceJudgement, device_id)
    if row is None:
        raise NotFoundError("The device was not judged yet.")
    return read_judgement(row)


def read_judgement(row: DeviceJudgement) -> Judgement:
    """Return the stored row as a judgement."""
    return Judgement(
        state=State(row.state),
        since=row.since,
        violations=tuple(read_violation(fields) for fields in row.violations),
        missing=tuple(FactKind(kind) for kind in row.missing),
        policy_id=str(row.policy_id),
        policy_version=row.policy_version,
        next_due_at=row.next_due_at,
        risk=Risk(row.risk),
        stale=tuple(FactKind(kind) for kind in row.stale),
        undecided=tuple(read_undecided(fields) for fields in row.undecided),
        consequences=tuple(read_consequence(fields) for fields in row.consequences),
    )


def asked_policy(session: Session, device: Device) -> AskedPolicy:
    """Return the policy version that holds for the device now."""
    return asked_by(session, device, get_facts(session, device.id))


def asked_by(session: Session, device: Device, facts: Mapping[FactKind, Fact]) -> AskedPolicy:
    """Return the same as `asked_policy`, given the device's facts."""
    version = current_version(session, device.policy_id)
    return for_device(wish_by(session, version), device, facts)


def wish_of(session: Session, policy_id: UUID) -> AskedPolicy:
    """Return what a policy asks now, of nobody in particular; see `for_device`."""
    _held = get_policy(session, policy_id)  # or it is forgotten at once and read three times
    return wish_by(session, current_version(session, policy_id))


def wishes_of(session: Session, policy_ids: Iterable[UUID]) -> dict[UUID, AskedPolicy]:
    """Return `wish_of` for each policy. One statement says which versions hold now; what a version
    asks never changes, so it is read once in a process.
    """
    found: dict[UUID, AskedPolicy] = {}
    holding = select(Policy.id, Policy.name, PolicyVersion.version, PolicyVersion.created_at).join(
        PolicyVersion,
        and_(PolicyVersion.policy_id == Policy.id, PolicyVersion.version == Policy.current_version),
    )
    for row in session.execute(holding.where(Policy.id.in_(sorted(set(policy_ids))))):
        said = tuple(row)
        if (wish := _WISHES.get(said)) is None:
            wish = wish_of(session, row.id)
            if len(_WISHES) >= MOST_WISHES:
                _WISHES.clear()
            _WISHES[said] = wish
        found[row.id] = wish
    return found


def for_device(wish: AskedPolicy, device: Device, facts: Mapping[FactKind, Fact]) -> AskedPolicy:
    """Return *wish* as it is asked of one device: since when its policies ask it of that one."""
    given, earlier = facts.get(FactKind.ASKED_POLICY), facts.get(FactKind.ASKED_SINCE)
    return replace(
        wish,
        platform=device.platform,
        ownership=device.ownership,
        not_before=given.said_at if given else device.enrolled_at,
        carried=read_carried(earlier.value, given.said_at) if given and earlier else {},
    )


def wish_by(session: Session, version: PolicyVersion) -> AskedPolicy:
    """Return what one version of a policy asks, of nobody in particular."""
    requirements, since = wishes(session, version)
    return AskedPolicy(
        policy_id=str(version.policy_id),
        name=get_policy(session, version.policy_id).name,
        version=version.version,
        since=version.created_at,
        platform="",
        requirements=requirements,
        asked_since=since,
    )
