"""What follows from the violations of a device, and when. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache

from management.compliance.criteria import later
from management.compliance.judgement import (
    AskedPolicy,
    ConsequenceKind,
    DueConsequence,
    Finding,
    Rule,
    State,
    Violation,
)
from management.devices.rules import FactKind, Facts
from management.policies.rules import wish_name

NEVER_BORNE = frozenset({Rule.ENROLLED, Rule.IN_CONTACT})
"""No policy can make these count as kept when nothing was said."""
NO_TIME = timedelta(0)
UNSAID = timedelta(days=1)
"""So long a device has to say what it could: a first report comes in parts, and agents update."""
_KINDS = {kind: place for place, kind in enumerate(ConsequenceKind)}


def consequences(
    state: State, facts: Facts, asked: AskedPolicy, violations: tuple[Violation, ...]
) -> tuple[DueConsequence, ...]:
    """Return what follows, the earliest first.

    Nothing follows from a device that is not ours but from that itself; and before its first
    report only from its silence.
    """
    found: list[DueConsequence] = []
    for violation in violations:
        if _follows(state, facts, violation):
            found += _following(violation, asked)
    return tuple(sorted(found, key=_order))


def _order(one: DueConsequence) -> tuple[datetime, int, Rule]:
    return one.due_at, _KINDS[one.kind], one.rule


def _follows(state: State, facts: Facts, violation: Violation) -> bool:
    if state is State.NOT_ENROLLED:
        return violation.rule is Rule.ENROLLED
    reported = FactKind.CONTACT in facts or violation.rule is Rule.IN_CONTACT
    return reported or violation.finding is Finding.BROKEN


def _following(violation: Violation, asked: AskedPolicy) -> Iterator[DueConsequence]:
    rule, since = violation.rule, violation.since
    treatment, to_say = asked.requirements.treatments[rule], _time_to_say(violation, asked)
    for one in treatment.consequences:
        wished = asked.no_earlier(since, _wish_of(rule, one.kind))
        due = later(later(wished, to_say), treatment.grace + one.after)
        yield DueConsequence(one.kind, rule, due, one.group_id)


@cache
def _wish_of(rule: Rule, kind: ConsequenceKind) -> str:
    return wish_name(rule, kind)


def _time_to_say(violation: Violation, asked: AskedPolicy) -> timedelta:
    """Return how long a device may leave unsaid what *violation* misses, before anything follows.

    A device that has just enrolled reports within minutes; until silence would break the policy
    nothing follows from its not having done so.
    """
    if violation.finding is not Finding.UNKNOWN:
        return NO_TIME
    if violation.rule is Rule.IN_CONTACT:
        return min(asked.requirements.maximum_silence, asked.requirements.inactive_after)
    return NO_TIME if violation.rule in NEVER_BORNE else UNSAID
