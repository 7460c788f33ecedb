"""The API's view of how a device stands and why, also at a past instant."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from flask import Blueprint
from pydantic import AwareDatetime

from management.access import Permission
from management.api.operations import operation
from management.compliance.attested import Contradiction
from management.compliance.explaining import explain
from management.compliance.judgement import Judgement
from management.compliance.queries import get_judgement
from management.devices import queries
from management.devices.rules import Fact, FactKind
from management.personal import EXPLANATION
from management.web import reading
from runtime.clock import utc_now

bp = Blueprint("judgements_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class ViolationAnswer:
    """A broken rule."""

    rule: str
    finding: str
    """``broken``: a fact says so; ``unknown``: the device has not said it; ``not_applicable``."""
    severity: str
    because: str
    mend: str
    """What the user can do."""
    administrator_mend: str
    since: datetime
    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UndecidedAnswer:
    """A rule that no fact decides and that the policy bears."""

    rule: str
    finding: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsequenceAnswer:
    """Something that follows from a broken rule."""

    kind: str
    rule: str
    due_at: datetime
    group_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgementAnswer:
    """How a device stands and everything that explains it."""

    state: str
    since: datetime
    violations: tuple[ViolationAnswer, ...]
    risk: str
    """The gravest severity of what is broken, or ``none``."""
    missing: tuple[str, ...]
    """Facts that the device could say and never said."""
    stale: tuple[str, ...]
    """Good news of a device that is silent for too long."""
    undecided: tuple[UndecidedAnswer, ...]
    consequences: tuple[ConsequenceAnswer, ...]
    """All that follow, the earliest first."""
    policy_id: UUID
    policy_version: int
    next_due_at: datetime | None
    """When time alone changes the answer or makes a consequence due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleAnswer:
    """How the device stands towards one rule."""

    rule: str
    outcome: str
    """``kept``, ``stale`` (kept, as far as a silent device is known), or as in a violation."""
    counts: bool
    """Whether it is a violation."""
    fact: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FactAnswer:
    """Something said of the device."""

    value: Any
    source: str
    said_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ContradictionAnswer:
    """The device says something else than its secure hardware proved."""

    fact: str
    said: FactAnswer
    proved: FactAnswer
    counts: Literal["said", "proved"]
    """What the judgement rests on: the device's later word holds until it is asked again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainQuery:
    """The instant to look at."""

    at: AwareDatetime | None = None
    """Left out: now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplanationAnswer:
    """A judgement together with the facts and the policy that it rests on."""

    device_id: UUID
    at: datetime
    policy: str
    pattern_version: str
    """Of the pattern set that was active; empty before the first."""
    log_begins_at: datetime
    """What was before is not told."""
    judgement: JudgementAnswer
    rules: tuple[RuleAnswer, ...]
    """Every rule that the policy asks."""
    facts: dict[str, FactAnswer]
    not_applicable: tuple[str, ...]
    """Facts that nobody says because nothing on the device can."""
    contradictions: tuple[ContradictionAnswer, ...]


@operation(
    bp, "/devices/<uuid:device_id>/judgement", Permission.VIEW, in_groups=True, shows=EXPLANATION
)
def get_device_judgement(device_id: UUID) -> JudgementAnswer:
    """Get the stored judgement of a device, which mail access and the console read too."""
    with reading() as session:
        queries.get_device(session, device_id)
        return answer_of(get_judgement(session, device_id))


@operation(
    bp, "/devices/<uuid:device_id>/explanation", Permission.VIEW, in_groups=True, shows=EXPLANATION
)
def explain_device(device_id: UUID, query: ExplainQuery) -> ExplanationAnswer:
    """Explain how a device stands, or stood at a past instant."""
    with reading() as session:
        found = explain(session, device_id, query.at, utc_now())
    return ExplanationAnswer(
        device_id=device_id,
        at=found.at,
        policy=found.asked.name,
        pattern_version=found.pattern_version,
        log_begins_at=found.begins_at,
        rules=tuple(
            RuleAnswer(
                rule=one.rule.value,
                outcome=one.outcome,
                counts=one.counts,
                fact=one.kind.value,
            )
            for one in found.checks
        ),
        judgement=answer_of(found.judgement),
        facts=_facts(found.facts),
        not_applicable=tuple(sorted(kind.value for kind in found.not_applicable)),
        contradictions=tuple(map(_contradiction, found.contradictions)),
    )


def _contradiction(one: Contradiction) -> ContradictionAnswer:
    return ContradictionAnswer(
        fact=one.kind.value,
        said=_fact(one.said),
        proved=_fact(one.proved),
        counts="proved" if one.is_settled else "said",
    )


def answer_of(judgement: Judgement) -> JudgementAnswer:
    """Return a judgement as the API says it."""
    return JudgementAnswer(
        state=judgement.state.value,
        since=judgement.since,
        violations=tuple(
            ViolationAnswer(
                rule=one.rule.value,
                finding=one.finding.value,
                severity=one.severity.value,
                because=one.because,
                mend=one.mend,
                administrator_mend=one.administrator_mend,
                since=one.since,
                facts=tuple(kind.value for kind in one.facts),
            )
            for one in judgement.violations
        ),
        risk=judgement.risk.value,
        missing=tuple(kind.value for kind in judgement.missing),
        stale=tuple(kind.value for kind in judgement.stale),
        undecided=tuple(
            UndecidedAnswer(rule=one.rule.value, finding=one.finding.value)
            for one in judgement.undecided
        ),
        consequences=tuple(
            ConsequenceAnswer(
                kind=one.kind.value, rule=one.rule.value, due_at=one.due_at, group_id=one.group_id
            )
            for one in judgement.consequences
        ),
        policy_id=UUID(judgement.policy_id),
        policy_version=judgement.policy_version,
        next_due_at=judgement.next_due_at,
    )


def _facts(facts: Mapping[FactKind, Fact]) -> dict[str, FactAnswer]:
    return {kind.value: _fact(fact) for kind, fact in facts.items()}


def _fact(fact: Fact) -> FactAnswer:
    return FactAnswer(value=fact.value, source=fact.source, said_at=fact.said_at)
