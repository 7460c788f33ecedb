"""What a dry run leaves out is what it need not look at."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from management.compliance.judgement import AskedPolicy, Judgement, Rule
from management.compliance.rules import breaks_any, judge, may_differ
from management.devices.rules import LazyFacts, read_facts, write_fact
from management.policies.rules import Requirements
from tests.management.test_compliance_rules import (
    Facts,
    asked_policies,
    facts,
    hostile_facts,
    moments,
    often,
    requirements,
)

FIELDS = sorted(Requirements.__dataclass_fields__)


def broken(judged: Judgement) -> set[Rule]:
    return {one.rule for one in judged.violations}


@often
@given(
    facts | hostile_facts,
    asked_policies,
    requirements,
    st.sets(st.sampled_from(FIELDS), max_size=4),
    moments,
)
def test_a_change_of_the_policy_touches_only_the_criteria_that_may_differ(
    known: Facts, asked: AskedPolicy, other: Requirements, changed: set[str], now: datetime
) -> None:
    values: dict[str, Any] = {name: getattr(other, name) for name in changed}
    after = replace(asked, requirements=replace(asked.requirements, **values))
    differing = may_differ(asked.requirements, after.requirements)
    rules = {one.rule for one in differing}

    before_broken, after_broken = broken(judge(known, asked, now)), broken(judge(known, after, now))

    assert before_broken - rules == after_broken - rules
    assert breaks_any(differing, known, after, now) == bool(after_broken & rules)


@often
@given(facts)
def test_facts_read_one_by_one_are_the_same(known: Facts) -> None:
    row = {kind.value: write_fact(fact) for kind, fact in known.items()} | {"of_another": {}}
    lazily = LazyFacts(row)

    assert dict(lazily) == read_facts(row) == known
    assert len(lazily) == len(known)


def test_the_same_requirements_differ_nowhere() -> None:
    assert may_differ(Requirements(), Requirements()) == ()
