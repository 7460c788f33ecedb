"""Findings to verdict, as properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.scan import Confidence, Finding, Severity, Verdict
from scanner.judgement_rules import (
    RATINGS,
    conclude,
    judge,
    sorted_findings,
    weight,
)

findings = st.lists(
    st.builds(
        Finding,
        rule=st.just("r"),
        severity=st.sampled_from(Severity),
        where=st.just("w"),
        evidence=st.just("e"),
        category=st.sampled_from(["", "trojan", "spyware", *RATINGS]),
        family=st.sampled_from(["", "One", "Two"]),
        technique=st.sampled_from(["", "T1", "T2"]),
        confidence=st.sampled_from(Confidence),
    ),
    max_size=6,
)
skipped = st.lists(st.just("one entry"), max_size=2)
ORDER = [
    Verdict.CLEAN,
    Verdict.UNWANTED,
    Verdict.UNSCANNABLE,
    Verdict.SUSPICIOUS,
    Verdict.MALICIOUS,
]


@given(findings, skipped)
def test_whatever_was_skipped_is_never_clean_nor_merely_unwanted(
    found: list[Finding], left_out: list[str]
) -> None:
    verdict = judge(found, left_out)

    if left_out:
        assert verdict not in (Verdict.CLEAN, Verdict.UNWANTED)
    else:
        assert verdict is not Verdict.UNSCANNABLE


@given(findings, findings, skipped)
def test_more_findings_never_make_it_milder(
    some: list[Finding], more: list[Finding], left_out: list[str]
) -> None:
    assert ORDER.index(judge(some + more, left_out)) >= ORDER.index(judge(some, left_out))


@given(findings)
def test_notes_alone_are_clean(found: list[Finding]) -> None:
    assert (judge(found, ()) is Verdict.CLEAN) == all(
        finding.severity is Severity.NOTE for finding in found
    )


@given(findings)
def test_ratings_alone_are_at_most_unwanted(found: list[Finding]) -> None:
    rated = [finding for finding in found if finding.category in RATINGS]

    assert judge(rated, ()) in (Verdict.CLEAN, Verdict.UNWANTED)


@given(findings)
def test_only_findings_that_count_give_categories_family_and_techniques(
    found: list[Finding],
) -> None:
    counted = [one for one in found if one.severity is not Severity.NOTE]

    assert set(conclude(found, ()).categories) == {one.category for one in counted} - {""}
    assert set(conclude(found, ()).techniques) == {one.technique for one in counted} - {""}
    named = [one for one in sorted_findings(counted) if one.family]
    assert conclude(found, ()).family == (named[0].family if named else "")


@given(findings, st.randoms())
def test_the_order_in_which_things_were_found_does_not_matter(
    found: list[Finding], chance: object
) -> None:
    mixed = [*found]
    chance.shuffle(mixed)  # type: ignore[attr-defined]

    assert judge(mixed, ()) is judge(found, ())
    assert conclude(mixed, ()).confidence is conclude(found, ()).confidence
    assert [*map(weight, sorted_findings(mixed))] == [*map(weight, sorted_findings(found))]


def finding(sure: Confidence, technique: str, severity: Severity = Severity.MEDIUM) -> Finding:
    return Finding(
        rule="r",
        severity=severity,
        where="w",
        evidence="e",
        category="trojan",
        technique=technique,
        confidence=sure,
    )


LOW, MEDIUM, HIGH = Confidence


@pytest.mark.parametrize(
    ("found", "sure"),
    [
        ([finding(LOW, "T1")], LOW),
        ([finding(LOW, "T1"), finding(LOW, "T1")], LOW),
        ([finding(LOW, "T1"), finding(LOW, "T2")], MEDIUM),
        ([finding(MEDIUM, "T1"), finding(LOW, "T2")], HIGH),
        ([finding(HIGH, "T1"), finding(HIGH, "T2")], HIGH),
        ([finding(HIGH, "T1", Severity.LOW), finding(LOW, "T2", Severity.HIGH)], LOW),
    ],
    ids=["one", "twice the same", "two agree", "mixed", "as sure as can be", "the gravest decide"],
)
def test_a_verdict_is_as_sure_as_what_speaks_for_it(found: list[Finding], sure: Confidence) -> None:
    assert conclude(found, ()).confidence is sure


def test_nothing_found_is_less_sure_when_something_was_skipped() -> None:
    assert conclude([], ()).confidence is MEDIUM
    assert conclude([], ("one entry",)).confidence is LOW
