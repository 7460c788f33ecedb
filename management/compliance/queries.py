"""Reads judgements, and replays past ones."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

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
from management.compliance.rules import judge
from management.devices.models import Device
from management.devices.queries import get_device, get_facts
from management.devices.replay import replay_facts
from management.devices.rules import Fact, FactKind
from management.policies.models import PolicyVersion
from management.policies.queries import current_version, get_policy, version_at, wishes
from runtime.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a device stood as it did at an instant: the judgement and all that it rests on."""

    device: Device
    at: datetime
    judgement: Judgement
    asked: AskedPolicy
    facts: Mapping[FactKind, Fact]


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
    return for_device(_wish(session, version), device, facts)


def explain(session: Session, device_id: UUID, at: datetime | None, now: datetime) -> Explanation:
    """Return how the device stands, or stood at a past instant, replayed from the log of facts.

    NotFoundError when it was not enrolled yet.
    """
    device = get_device(session, device_id)
    if at is None or at >= now:
        facts, version, at = get_facts(session, device_id), None, now
    else:
        facts = replay_facts(session, device_id, at)
        version = _version_then(session, facts, at)
    asked = for_device(
        _wish(session, version or current_version(session, device.policy_id)), device, facts
    )
    return Explanation(device, at, judge(facts, asked, at), asked, facts)


def wish_of(session: Session, policy_id: UUID) -> AskedPolicy:
    """Return what a policy asks now, of nobody in particular; see `for_device`."""
    return _wish(session, current_version(session, policy_id))


def for_device(wish: AskedPolicy, device: Device, facts: Mapping[FactKind, Fact]) -> AskedPolicy:
    """Return *wish* as it is asked of one device: not before the device was given the policy."""
    given = facts.get(FactKind.ASKED_POLICY)
    return replace(
        wish,
        platform=device.platform,
        ownership=device.ownership,
        not_before=given.said_at if given else device.enrolled_at,
    )


def _version_then(session: Session, facts: Mapping[FactKind, Fact], at: datetime) -> PolicyVersion:
    given = facts.get(FactKind.ASKED_POLICY)
    version = version_at(session, UUID(given.value), at) if given else None
    if version is None:
        raise NotFoundError(f"The device was not enrolled yet at {at:%Y-%m-%d %H:%M} UTC.")
    return version


def _wish(session: Session, version: PolicyVersion) -> AskedPolicy:
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
