"""Does a device keep its policy, and if not, why? Pure: no clock, no database, no network.

Everything that shows or uses a device's state (dashboard, device page, API, mail decision) reads
the one `Judgement` that `judge` returns. `docs/compliance.md` tells the rules.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from management.compliance.attested import settled
from management.compliance.catalogue import (
    ASK_ADMINISTRATOR,
    BEAR_OR_INSTALL,
    CANNOT_SAY,
    CHECK_AGENT,
    CRITERIA,
    OPEN_AGENT,
    Criterion,
)
from management.compliance.criteria import (
    END_OF_TIME,
    Breach,
    last_heard,
    later,
    next_changes,
)
from management.compliance.following import NEVER_BORNE, consequences
from management.compliance.judgement import (
    AskedPolicy,
    Finding,
    Judgement,
    Risk,
    Rule,
    Severity,
    State,
    Undecided,
    Violation,
    read_violation,
    write_violation,
)
from management.compliance.reporters import can_say
from management.compliance.versions import version_key
from management.devices.rules import Fact, FactKind, Facts, read_facts, write_fact
from management.policies.rules import Requirements
from management.policies.treatment import Counts

__all__ = [
    "AskedPolicy",
    "Fact",
    "FactKind",
    "Facts",
    "Judgement",
    "Rule",
    "State",
    "Violation",
    "answers",
    "breaks_any",
    "judge",
    "kept_since",
    "may_differ",
    "read_facts",
    "read_violation",
    "version_key",
    "write_fact",
    "write_violation",
]

TRANSIENT = frozenset({Rule.IN_CONTACT, Rule.POLICY_APPLIED})
"""Broken by waiting only: the device is out of sync, not at fault."""
_SEVERITIES = {severity: place for place, severity in enumerate(Severity)}
Answer = Violation | Undecided | None
"""How a rule stands: broken, not decided by any fact and borne, or kept."""


def judge(facts: Facts, asked: AskedPolicy, now: datetime) -> Judgement:
    """Return how a device stands at *now*.

    Silence is a violation of its own and hides none: what was broken stays broken until the
    device says otherwise. What the policy asks and nobody ever said is not a pass. What secure
    hardware proved wins over what the device says of itself.
    """
    facts = settled(facts)
    told = list(answers(facts, asked, now))
    violations = tuple(one for _, one in told if type(one) is Violation)
    state = _state(facts, asked, violations, now)
    following = consequences(state, facts, asked, violations) if violations else ()
    coming = (*next_changes(facts, asked), *(one.due_at for one in following))
    return Judgement(
        state=state,
        since=_since(state, facts, asked, violations),
        violations=violations,
        missing=_missing(told),
        policy_id=asked.policy_id,
        policy_version=asked.version,
        next_due_at=min((at for at in coming if now < at < END_OF_TIME), default=None),
        risk=_risk(violations),
        stale=_stale(told, violations),
        undecided=tuple(one for _, one in told if type(one) is Undecided),
        consequences=following,
    )


def answers(
    facts: Facts, asked: AskedPolicy, now: datetime, criteria: Iterable[Criterion] = CRITERIA
) -> Iterator[tuple[Criterion, Answer]]:
    """Yield every one of *criteria* that the policy asks and how it stands, in their order."""
    for criterion in criteria:
        wish = criterion.wish(asked)
        if wish is not None:
            yield criterion, _answer(criterion, wish, facts, asked, now)


def may_differ(before: Requirements, after: Requirements) -> tuple[Criterion, ...]:
    """Return the criteria that may be kept by one and broken by the other; the rest stand alike."""
    return tuple(one for one in CRITERIA if _reads(one, before) != _reads(one, after))


def breaks_any(
    criteria: Iterable[Criterion], facts: Facts, asked: AskedPolicy, now: datetime
) -> bool:
    """Tell whether `judge` would find any of *criteria* broken."""
    told = answers(settled(facts), asked, now, criteria)
    return any(type(one) is Violation for _, one in told)


def _reads(criterion: Criterion, asked: Requirements) -> tuple[Any, ...]:
    """Return all of *asked* on which it depends whether *criterion* is kept."""
    own = getattr(asked, criterion.parameter) if criterion.parameter else None
    silence = asked.inactive_after if criterion.rule is Rule.IN_CONTACT else None
    treatment = asked.treatments[criterion.rule]
    return own, silence, treatment.unknown, treatment.not_applicable


def kept_since(before: tuple[State, datetime] | None, judged: Judgement, now: datetime) -> datetime:
    """Return since when the state holds, given state and since of the judgement *before*.

    Facts tell since when something is broken, but not since when all is well: a device that came
    back from silence is healthy from now on, whatever the age of its other facts.
    """
    if judged.state is not State.HEALTHY or before is None:
        return judged.since
    return before[1] if before[0] is State.HEALTHY else now


def _answer(
    criterion: Criterion, wish: str, facts: Facts, asked: AskedPolicy, now: datetime
) -> Answer:
    fact = facts.get(criterion.kind)
    if fact is None or not criterion.says(fact.value):
        still = _still_broken(criterion, wish, fact, asked)
        return still or _unanswered(criterion, wish, fact, facts, asked)
    breach = criterion.check(fact, asked, now)
    return _broken(criterion, wish, breach, asked) if breach else None


def _still_broken(
    criterion: Criterion, wish: str, fact: Fact | None, asked: AskedPolicy
) -> Violation | None:
    """Return what was broken when the device ceased to say: that mends nothing."""
    before = fact.before if fact else None
    if fact is None or before is None or not criterion.says(before.value):
        return None
    breach = criterion.check(before, asked, fact.said_at)
    if breach is None:
        return None
    moment = f"{fact.said_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    because = f"{breach.because}; since {moment} it does not say any more"
    return _broken(criterion, wish, breach._replace(because=because), asked)


def _broken(criterion: Criterion, wish: str, breach: Breach, asked: AskedPolicy) -> Violation:
    return Violation(
        criterion.rule,
        breach.because,
        criterion.mend.format(*breach.values),
        asked.no_earlier(breach.since, wish),
        (criterion.kind,),
        criterion.administrator_mend,
        asked.requirements.treatments[criterion.rule].severity,
    )


def _unanswered(
    criterion: Criterion, wish: str, fact: Fact | None, facts: Facts, asked: AskedPolicy
) -> Answer:
    """Tell unknown from not applicable, and what the policy makes of it."""
    rule, treatment = criterion.rule, asked.requirements.treatments[criterion.rule]
    unknown = can_say(criterion.kind, facts, asked)
    finding = Finding.UNKNOWN if unknown else Finding.NOT_APPLICABLE
    counts = treatment.unknown if unknown else treatment.not_applicable
    if counts is Counts.KEPT and rule not in NEVER_BORNE:
        return Undecided(rule, finding)
    since = (asked.wished_since(wish) or asked.since) if fact is None else fact.said_at
    if rule is Rule.IN_CONTACT and (heard := last_heard(facts)) is not None:
        since = heard.said_at
    return Violation(
        rule,
        criterion.unknown if unknown else CANNOT_SAY,
        OPEN_AGENT if unknown else ASK_ADMINISTRATOR,
        asked.no_earlier(since, wish),
        (criterion.kind,),
        CHECK_AGENT if unknown else BEAR_OR_INSTALL,
        treatment.severity,
        finding,
    )


def _state(
    facts: Facts, asked: AskedPolicy, violations: tuple[Violation, ...], now: datetime
) -> State:
    if not violations:
        return State.HEALTHY
    if violations[0].rule is Rule.ENROLLED:
        return State.NOT_ENROLLED
    heard = last_heard(facts)
    if heard is not None and now >= later(heard.said_at, asked.requirements.inactive_after):
        return State.INACTIVE
    at_fault = any(_is_fault(facts, violation) for violation in violations)
    return State.NON_COMPLIANT if at_fault else State.OUT_OF_SYNC


def _is_fault(facts: Facts, violation: Violation) -> bool:
    """Tell whether the device is to blame.

    What is only unknown counts against it once it has reported; before that nobody asked it.
    """
    if violation.rule in TRANSIENT:
        return False
    return FactKind.CONTACT in facts or violation.finding is Finding.BROKEN


def _since(
    state: State, facts: Facts, asked: AskedPolicy, violations: tuple[Violation, ...]
) -> datetime:
    """Return the moment from which the facts at hand give this state."""
    if state is State.HEALTHY:
        said = (fact.said_at for kind, fact in facts.items() if kind is not FactKind.CONTACT)
        return asked.no_earlier(max((*said, asked.since)))
    if state is State.INACTIVE:
        heard = last_heard(facts)
        assert heard is not None
        return later(heard.said_at, asked.requirements.inactive_after)
    return min(v.since for v in violations if _makes(state, facts, v))


def _makes(state: State, facts: Facts, violation: Violation) -> bool:
    if state is State.NOT_ENROLLED:
        return violation.rule is Rule.ENROLLED
    return state is State.OUT_OF_SYNC or _is_fault(facts, violation)


def _risk(violations: tuple[Violation, ...]) -> Risk:
    if not violations:
        return Risk.NONE
    return Risk(max((one.severity for one in violations), key=_SEVERITIES.__getitem__).value)


def _missing(told: list[tuple[Criterion, Answer]]) -> tuple[FactKind, ...]:
    kinds = (
        criterion.kind
        for criterion, one in told
        if one is not None and one.finding is Finding.UNKNOWN
    )
    return tuple(dict.fromkeys(kinds))


def _stale(
    told: list[tuple[Criterion, Answer]], violations: tuple[Violation, ...]
) -> tuple[FactKind, ...]:
    """Return what is good news only because a silent device has not said otherwise."""
    if not any(one.rule is Rule.IN_CONTACT for one in violations):
        return ()
    kinds = (
        criterion.kind
        for criterion, one in told
        if one is None and criterion.rule not in (Rule.ENROLLED, Rule.IN_CONTACT)
    )
    return tuple(dict.fromkeys(kinds))
