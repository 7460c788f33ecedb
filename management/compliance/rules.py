"""Does a device keep its policy, and if not, why? Pure: no clock, no database, no network.

Everything that shows or uses a device's state (dashboard, device page, API, mail decision) reads
the one `Judgement` that `judge` returns.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from management.compliance.catalogue import CRITERIA
from management.compliance.criteria import (
    END_OF_TIME,
    applies,
    last_heard,
    later,
    next_changes,
    version_key,
)
from management.compliance.judgement import (
    AskedPolicy,
    Judgement,
    Rule,
    State,
    Violation,
    read_violation,
    write_violation,
)
from management.devices.rules import Fact, FactKind, Facts, read_facts, write_fact

__all__ = [
    "AskedPolicy",
    "Fact",
    "FactKind",
    "Facts",
    "Judgement",
    "Rule",
    "State",
    "Violation",
    "judge",
    "kept_since",
    "read_facts",
    "read_violation",
    "version_key",
    "write_fact",
    "write_violation",
]

TRANSIENT = frozenset({Rule.IN_CONTACT, Rule.POLICY_APPLIED})
"""Broken by waiting only: the device is out of sync, not at fault."""


def judge(facts: Facts, asked: AskedPolicy, now: datetime) -> Judgement:
    """Return how a device stands at *now*.

    Silence is a violation of its own and hides none: what was broken stays broken until the
    device says otherwise. What the policy asks and nobody ever said is not a pass.
    """
    violations = tuple(_violations(facts, asked, now))
    state = _state(facts, asked, violations, now)
    return Judgement(
        state=state,
        since=_since(state, facts, asked, violations),
        violations=violations,
        missing=_missing(facts, violations),
        policy_id=asked.policy_id,
        policy_version=asked.version,
        next_due_at=min(
            (at for at in next_changes(facts, asked) if now < at < END_OF_TIME), default=None
        ),
    )


def kept_since(before: tuple[State, datetime] | None, judged: Judgement, now: datetime) -> datetime:
    """Return since when the state holds, given state and since of the judgement *before*.

    Facts tell since when something is broken, but not since when all is well: a device that came
    back from silence is healthy from now on, whatever the age of its other facts.
    """
    if judged.state is not State.HEALTHY or before is None:
        return judged.since
    return before[1] if before[0] is State.HEALTHY else now


def _violations(facts: Facts, asked: AskedPolicy, now: datetime) -> Iterator[Violation]:
    """Yield what is broken; nothing is older than the wish that it breaks."""
    for rule, field, criterion in CRITERIA:
        if applies(rule, asked.platform) and (found := criterion(facts, asked, now)) is not None:
            wished = asked.asked_since.get(field, found.since)
            yield replace(found, since=max(found.since, wished))


def _state(
    facts: Facts, asked: AskedPolicy, violations: tuple[Violation, ...], now: datetime
) -> State:
    rules = {violation.rule for violation in violations}
    if Rule.ENROLLED in rules:
        return State.NOT_ENROLLED
    heard = last_heard(facts)
    if heard is not None and now >= later(heard.said_at, asked.requirements.inactive_after):
        return State.INACTIVE
    if any(_is_fault(facts, violation) for violation in violations):
        return State.NON_COMPLIANT
    return State.OUT_OF_SYNC if rules else State.HEALTHY


def _is_fault(facts: Facts, violation: Violation) -> bool:
    """Tell whether the device is to blame.

    What is only unknown counts against it once it has reported; before that nobody asked it.
    """
    if violation.rule in TRANSIENT:
        return False
    return FactKind.CONTACT in facts or any(_is_known(facts, kind) for kind in violation.facts)


def _since(
    state: State, facts: Facts, asked: AskedPolicy, violations: tuple[Violation, ...]
) -> datetime:
    """Return the moment from which the facts at hand give this state."""
    if state is State.HEALTHY:
        said = (fact.said_at for kind, fact in facts.items() if kind is not FactKind.CONTACT)
        return max((*said, asked.since))
    if state is State.INACTIVE:
        heard = last_heard(facts)
        assert heard is not None
        return later(heard.said_at, asked.requirements.inactive_after)
    return min(v.since for v in violations if _makes(state, facts, v))


def _makes(state: State, facts: Facts, violation: Violation) -> bool:
    if state is State.NOT_ENROLLED:
        return violation.rule is Rule.ENROLLED
    return state is State.OUT_OF_SYNC or _is_fault(facts, violation)


def _missing(facts: Facts, violations: tuple[Violation, ...]) -> tuple[FactKind, ...]:
    asked = dict.fromkeys(kind for violation in violations for kind in violation.facts)
    return tuple(kind for kind in asked if not _is_known(facts, kind))


def _is_known(facts: Facts, kind: FactKind) -> bool:
    return kind in facts and facts[kind].value is not None
