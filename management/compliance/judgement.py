"""The words in which a judgement is given. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from management.devices.rules import FactKind
from management.policies.carrying import wished_since
from management.policies.rules import Requirements
from management.policies.treatment import ConsequenceKind, Rule, Severity

__all__ = ["ConsequenceKind", "Rule", "Severity"]


class State(StrEnum):
    """How a device stands, in one word; the best first."""

    HEALTHY = "healthy"
    OUT_OF_SYNC = "out_of_sync"
    NON_COMPLIANT = "non_compliant"
    INACTIVE = "inactive"
    NOT_ENROLLED = "not_enrolled"


class Risk(StrEnum):
    """The gravest severity of what is broken, the least first."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Finding(StrEnum):
    """Why a rule is not kept."""

    BROKEN = "broken"
    """A fact says so."""
    UNKNOWN = "unknown"
    """The device could say it and has not."""
    NOT_APPLICABLE = "not_applicable"
    """Its platform, ownership or reporter cannot say it."""


@dataclass(frozen=True, slots=True)
class AskedPolicy:
    """The policy version that holds for the device."""

    policy_id: str
    name: str
    version: int
    since: datetime
    """When this version began to hold."""
    platform: str
    requirements: Requirements
    asked_since: Mapping[str, datetime] = field(default_factory=dict)
    """Name of a wish (`policies.rules.wishes_in`) -> since when it is asked; missing: always.

    A violation cannot be older than the wish that it breaks, and a new version that changes
    something else does not make it younger.
    """
    ownership: str = "company"
    not_before: datetime | None = None
    """When the device was given the policy; nothing was asked of it earlier but `carried`."""
    carried: Mapping[str, datetime] = field(default_factory=dict)
    """Wish -> since when the policies that the device had before asked it (`policies.carrying`)."""

    def wished_since(self, wish: str) -> datetime | None:
        """Return since when *wish* is asked of the device; None: always."""
        return wished_since(wish, self.asked_since, self.not_before, self.carried)

    def no_earlier(self, at: datetime, wish: str = "") -> datetime:
        """Return *at*, or the moment from which *wish* was asked of the device if that is later."""
        asked = self.wished_since(wish)
        return at if asked is None or asked < at else asked


class Violation(NamedTuple):
    """A rule that is not kept: why, what mends it, and since when it holds."""

    rule: Rule
    because: str
    mend: str
    """What the user can do."""
    since: datetime
    facts: tuple[FactKind, ...]
    """The facts that say so, or that are missing."""
    administrator_mend: str = ""
    """What an administrator can do."""
    severity: Severity = Severity.MEDIUM
    finding: Finding = Finding.BROKEN


class Undecided(NamedTuple):
    """A rule that no fact decides and that the policy bears."""

    rule: Rule
    finding: Finding
    """`UNKNOWN` or `NOT_APPLICABLE`."""


class DueConsequence(NamedTuple):
    """Something that follows from a violation at an instant, past or to come."""

    kind: ConsequenceKind
    rule: Rule
    due_at: datetime
    group_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The answer: a state and everything that explains it."""

    state: State
    since: datetime
    violations: tuple[Violation, ...]
    missing: tuple[FactKind, ...]
    """Facts that the policy asks for, that the device could say, and that nobody ever said."""
    policy_id: str
    policy_version: int
    next_due_at: datetime | None
    """The first moment at which time alone changes the answer or makes a consequence due."""
    risk: Risk = Risk.NONE
    stale: tuple[FactKind, ...] = ()
    """Good news on which the answer rests although the device is silent for too long."""
    undecided: tuple[Undecided, ...] = ()
    consequences: tuple[DueConsequence, ...] = ()
    """All that follow, the earliest first; who carries them out keeps what was done."""

    def mail_blocked_at(self) -> datetime | None:
        """Return from when the policy wants mail to be blocked; None: it does not."""
        kind = ConsequenceKind.BLOCK_MAIL
        return min((one.due_at for one in self.consequences if one.kind is kind), default=None)


def write_violation(violation: Violation) -> dict[str, Any]:
    """Return *violation* as JSON fields."""
    return {
        "rule": violation.rule.value,
        "because": violation.because,
        "mend": violation.mend,
        "administrator_mend": violation.administrator_mend,
        "since": violation.since.isoformat(),
        "facts": [kind.value for kind in violation.facts],
        "severity": violation.severity.value,
        "finding": violation.finding.value,
    }


def read_violation(fields: Mapping[str, Any]) -> Violation:
    """Return what `write_violation` wrote."""
    return Violation(
        Rule(fields["rule"]),
        fields["because"],
        fields["mend"],
        datetime.fromisoformat(fields["since"]),
        tuple(FactKind(kind) for kind in fields["facts"]),
        fields["administrator_mend"],
        Severity(fields["severity"]),
        Finding(fields["finding"]),
    )


def write_consequence(one: DueConsequence) -> dict[str, Any]:
    """Return a consequence as JSON fields."""
    return {
        "kind": one.kind.value,
        "rule": one.rule.value,
        "due_at": one.due_at.isoformat(),
        "group_id": str(one.group_id) if one.group_id else None,
    }


def read_consequence(fields: Mapping[str, Any]) -> DueConsequence:
    """Return what `write_consequence` wrote."""
    group = fields["group_id"]
    return DueConsequence(
        ConsequenceKind(fields["kind"]),
        Rule(fields["rule"]),
        datetime.fromisoformat(fields["due_at"]),
        UUID(group) if group else None,
    )


def write_undecided(one: Undecided) -> dict[str, str]:
    """Return an undecided rule as JSON fields."""
    return {"rule": one.rule.value, "finding": one.finding.value}


def read_undecided(fields: Mapping[str, str]) -> Undecided:
    """Return what `write_undecided` wrote."""
    return Undecided(Rule(fields["rule"]), Finding(fields["finding"]))
