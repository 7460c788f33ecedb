"""Says why a device stands as it does, or stood at any past instant that the log still tells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from management.compliance.attested import Contradiction, contradictions, settled
from management.compliance.judgement import AskedPolicy, Finding, Judgement, Rule, Violation
from management.compliance.models import DeviceJudgement
from management.compliance.queries import for_device, wish_by
from management.compliance.reporters import not_applicable
from management.compliance.rules import Answer, answers, judge
from management.devices.models import Device
from management.devices.queries import get_device, get_facts
from management.devices.replay import list_moments, log_begins, replay_facts
from management.devices.rules import Fact, FactKind
from management.policies.models import PolicyVersion
from management.policies.queries import current_version, version_at
from management.updates.queries import pattern_version_at
from runtime.errors import NotFoundError

KEPT, STALE = "kept", "stale"
MOMENTS = 12


@dataclass(frozen=True, slots=True)
class Check:
    """One rule that the policy asks, and how the device stands towards it."""

    rule: Rule
    outcome: str
    """A `Finding`, `KEPT`, or `STALE`: kept, as far as a silent device is known."""
    counts: bool
    """Whether it is a violation."""
    kind: FactKind
    fact: Fact | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a device stood as it did at an instant: the judgement and all that it rests on."""

    device: Device
    at: datetime
    is_past: bool
    judgement: Judgement
    asked: AskedPolicy
    version: PolicyVersion
    """The policy version, with who made it and why."""
    pattern_version: str
    """Of the pattern set that was active; empty before the first."""
    facts: Mapping[FactKind, Fact]
    not_applicable: frozenset[FactKind]
    """What nobody says because nothing on the device can."""
    checks: tuple[Check, ...]
    contradictions: tuple[Contradiction, ...]
    """Where the device says something else than its secure hardware proved."""
    begins_at: datetime
    """What was before is not told."""
    moments: Sequence[datetime]
    """When news of the device arrived, the latest first."""


def explain(session: Session, device_id: UUID, at: datetime | None, now: datetime) -> Explanation:
    """Return how the device stands, or stood at a past instant, replayed from the log of facts.

    NotFoundError when it was not enrolled yet, or when the log no longer reaches back so far.
    """
    device = get_device(session, device_id)
    past = at is not None and at < now
    moment = at if at is not None and past else now
    if past:
        facts = replay_facts(session, device_id, moment)
        version = _version_then(session, device, facts, moment)
    else:
        facts, version = get_facts(session, device_id), current_version(session, device.policy_id)
    asked = for_device(wish_by(session, version), device, facts)
    judged = judge(facts, asked, moment)
    return Explanation(
        device=device,
        at=moment,
        is_past=past,
        judgement=judged if past else _as_stored(session, device_id, judged),
        asked=asked,
        version=version,
        pattern_version=pattern_version_at(session, moment),
        facts=facts,
        not_applicable=not_applicable(facts, asked),
        checks=_checks(settled(facts), asked, judged, moment),
        contradictions=contradictions(facts),
        begins_at=log_begins(device),
        moments=list_moments(session, device_id, now, MOMENTS),
    )


def _version_then(
    session: Session, device: Device, facts: Mapping[FactKind, Fact], at: datetime
) -> PolicyVersion:
    begins = log_begins(device)
    if at < begins and begins != device.enrolled_at:
        raise NotFoundError(
            f"The log of this device begins at {begins:%Y-%m-%d %H:%M} UTC; what was before is "
            "forgotten by setting."
        )
    given = facts.get(FactKind.ASKED_POLICY)
    version = version_at(session, UUID(given.value), at) if given else None
    if version is None:
        raise NotFoundError(f"The device was not enrolled yet at {at:%Y-%m-%d %H:%M} UTC.")
    return version


def _as_stored(session: Session, device_id: UUID, judged: Judgement) -> Judgement:
    """Return the answer with the moment since when lists and mail know the same state."""
    row = session.get(DeviceJudgement, device_id)
    if row is None or row.state != judged.state:
        return judged
    return replace(judged, since=row.since)


def _checks(
    facts: Mapping[FactKind, Fact], asked: AskedPolicy, judged: Judgement, at: datetime
) -> tuple[Check, ...]:
    stale = set(judged.stale)
    return tuple(
        Check(
            criterion.rule,
            _outcome(answer, criterion.kind in stale),
            isinstance(answer, Violation),
            criterion.kind,
            facts.get(criterion.kind),
        )
        for criterion, answer in answers(facts, asked, at)
    )


def _outcome(answer: Answer, stale: bool) -> str:
    if answer is None:
        return STALE if stale else KEPT
    return Finding(answer.finding).value
