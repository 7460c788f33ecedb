"""Findings to verdict, as properties."""

from hypothesis import given
from hypothesis import strategies as st

from contracts.scan import Finding, Severity, Verdict
from scanner.judgement_rules import categories, judge

findings = st.lists(
    st.builds(
        Finding,
        rule=st.just("r"),
        severity=st.sampled_from(Severity),
        where=st.just("w"),
        evidence=st.just("e"),
        category=st.sampled_from(["", "trojan", "spyware"]),
    ),
    max_size=6,
)
skipped = st.lists(st.just("one entry"), max_size=2)


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
    order = [
        Verdict.CLEAN,
        Verdict.UNWANTED,
        Verdict.UNSCANNABLE,
        Verdict.SUSPICIOUS,
        Verdict.MALICIOUS,
    ]

    assert order.index(judge(some + more, left_out)) >= order.index(judge(some, left_out))


@given(findings)
def test_notes_alone_are_clean(found: list[Finding]) -> None:
    assert (judge(found, ()) is Verdict.CLEAN) == all(
        finding.severity is Severity.NOTE for finding in found
    )


@given(findings)
def test_only_findings_that_count_give_categories(found: list[Finding]) -> None:
    counted = {f.category for f in found if f.severity is not Severity.NOTE} - {""}

    assert set(categories(found)) == counted
