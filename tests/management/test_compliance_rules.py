from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.scan import Verdict
from management.compliance.catalogue import CRITERIA
from management.compliance.criteria import next_changes, version_key
from management.compliance.judgement import (
    AskedPolicy,
    Rule,
    State,
    read_violation,
    write_violation,
)
from management.compliance.rules import TRANSIENT, judge, kept_since
from management.devices.rules import EnrolmentState, Fact, FactKind, news, read_facts, write_fact
from management.policies.rules import (
    Requirements,
    asked_since,
    read_requirements,
    write_requirements,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
POLICY = "6f1c1d1e-7d3e-4f0c-9d36-2f3f5d3f8a11"
moments = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC))
flags = st.none() | st.booleans()
versions = st.none() | st.text(max_size=12) | st.from_regex(r"\A\d{1,3}(\.\d{1,3}){0,3}\Z")
patches = (
    st.none()
    | st.dates(datetime(2025, 1, 1).date(), datetime(2027, 1, 1).date()).map(str)
    | st.from_regex(r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
)
packages = st.lists(st.sampled_from(["a", "b", "c", "d"]), unique=True).map(sorted)
bad_apps = st.lists(
    st.fixed_dictionaries(
        {
            "package": st.just("a.b"),
            "name": st.sampled_from(["", "App"]),
            "verdict": st.sampled_from([verdict.value for verdict in Verdict]),
            "rule": st.sampled_from(["", "r1"]),
        }
    ),
    max_size=3,
)
VALUES: dict[FactKind, st.SearchStrategy[Any]] = {
    FactKind.ENROLMENT: st.sampled_from([state.value for state in EnrolmentState]),
    FactKind.ASKED_POLICY: st.just(POLICY),
    FactKind.CONTACT: st.just(True),
    FactKind.OS_VERSION: versions,
    FactKind.SECURITY_PATCH: patches,
    FactKind.ROOTED: flags,
    FactKind.ENCRYPTED: flags,
    FactKind.PASSCODE_SET: flags,
    FactKind.DEVELOPER_OPTIONS: flags,
    FactKind.USB_DEBUGGING: flags,
    FactKind.UNKNOWN_SOURCES: flags,
    FactKind.ROAMING: flags,
    FactKind.AGENT_VERSION: versions,
    FactKind.PATTERN_VERSION: versions,
    FactKind.APPLIED_POLICY: st.none()
    | st.fixed_dictionaries(
        {"policy_id": st.sampled_from([POLICY, "other"]), "version": st.integers(1, 3)}
    ),
    FactKind.PACKAGES: st.none() | packages,
    FactKind.BAD_APPS: st.none() | bad_apps,
}
facts = st.fixed_dictionaries(
    {},
    optional={
        kind: st.builds(
            Fact, value=values, source=st.sampled_from(["agent", "ada"]), said_at=moments
        )
        for kind, values in VALUES.items()
    },
)
durations = st.timedeltas(timedelta(hours=1), timedelta(days=400)) | st.just(timedelta.max)
requirements = st.builds(
    Requirements,
    maximum_silence=durations,
    inactive_after=durations,
    not_rooted=st.booleans(),
    encrypted=st.booleans(),
    passcode_set=st.booleans(),
    no_developer_options=st.booleans(),
    no_usb_debugging=st.booleans(),
    no_unknown_sources=st.booleans(),
    minimum_os_version=st.dictionaries(
        st.sampled_from(["android", "ios"]), st.from_regex(r"\A\d{1,2}(\.\d{1,2}){0,2}\Z")
    ),
    maximum_patch_age=st.none() | durations,
    forbidden_verdicts=st.lists(st.sampled_from(list(Verdict)), unique=True).map(tuple),
    forbidden_packages=packages.map(tuple),
    required_packages=packages.map(tuple),
)
asked_policies = st.builds(
    AskedPolicy,
    policy_id=st.just(POLICY),
    name=st.just("Standard"),
    version=st.integers(1, 3),
    since=moments,
    platform=st.sampled_from(["android", "ios"]),
    requirements=requirements,
    asked_since=st.dictionaries(
        st.sampled_from(sorted(Requirements.__dataclass_fields__)), moments
    ),
)
Facts = Mapping[FactKind, Fact]


@given(facts, asked_policies, moments)
def test_every_device_gets_one_answer_and_always_the_same(
    known: Facts, asked: AskedPolicy, now: datetime
) -> None:
    answer = judge(known, asked, now)

    assert answer == judge(known, asked, now)
    assert answer.since.tzinfo is UTC
    assert all(violation.because and violation.mend for violation in answer.violations)


@given(facts, asked_policies, moments, st.floats(0, 1))
def test_the_answer_does_not_change_before_it_is_due(
    known: Facts, asked: AskedPolicy, now: datetime, part: float
) -> None:
    answer = judge(known, asked, now)
    due = answer.next_due_at
    end = (due - timedelta(microseconds=1)) if due else now + timedelta(days=2000)
    between = now + (end - now) * part

    assert due is None or due > now
    for moment in (between, end):
        later = judge(known, asked, moment)
        assert replace(later, next_due_at=None) == replace(answer, next_due_at=None)


@given(facts, asked_policies, moments, st.timedeltas(timedelta(0), timedelta(days=900)))
def test_time_and_silence_hide_no_violation(
    known: Facts, asked: AskedPolicy, now: datetime, passed: timedelta
) -> None:
    before = {violation.rule for violation in judge(known, asked, now).violations}
    after = {violation.rule for violation in judge(known, asked, now + passed).violations}

    assert before <= after
    assert after - before <= {Rule.IN_CONTACT, Rule.PATCH_AGE}


@given(facts, asked_policies, moments)
def test_the_state_follows_from_the_violations(
    known: Facts, asked: AskedPolicy, now: datetime
) -> None:
    answer = judge(known, asked, now)
    rules = {violation.rule for violation in answer.violations}

    if answer.state is State.HEALTHY:
        assert not rules
    if answer.state is State.NON_COMPLIANT:
        assert rules - TRANSIENT
    assert (answer.state is State.NOT_ENROLLED) == (Rule.ENROLLED in rules)
    if FactKind.CONTACT in known and not rules - TRANSIENT:
        assert answer.state is not State.NON_COMPLIANT
    assert answer.next_due_at is None or answer.next_due_at in set(next_changes(known, asked))


@given(facts, asked_policies, moments, st.sampled_from(sorted(VALUES)))
def test_what_is_not_said_never_passes_better_than_what_is_said(
    known: Facts, asked: AskedPolicy, now: datetime, kind: FactKind
) -> None:
    """Taking a fact away must not make a broken rule kept, but for what was known to be bad."""
    silent = {each: fact for each, fact in known.items() if each is not kind}
    before = {v.rule for v in judge(known, asked, now).violations}
    after = {v.rule for v in judge(silent, asked, now).violations}

    assert before <= after


@given(asked_policies, moments)
def test_a_violation_is_never_older_than_the_wish(asked: AskedPolicy, now: datetime) -> None:
    rooted = {FactKind.ROOTED: Fact(True, "agent", datetime(2025, 1, 1, tzinfo=UTC))}
    wished = asked.asked_since.get("not_rooted")

    for violation in judge(rooted, asked, now).violations:
        if violation.rule is Rule.NOT_ROOTED and wished is not None:
            assert violation.since == wished


@given(facts)
def test_facts_survive_being_stored(known: Facts) -> None:
    assert read_facts({kind.value: write_fact(fact) for kind, fact in known.items()}) == known


@given(facts, asked_policies, moments)
def test_violations_survive_being_stored(known: Facts, asked: AskedPolicy, now: datetime) -> None:
    for violation in judge(known, asked, now).violations:
        assert read_violation(write_violation(violation)) == violation


@given(requirements)
def test_requirements_survive_being_stored(asked: Requirements) -> None:
    if timedelta.max not in (asked.maximum_silence, asked.inactive_after, asked.maximum_patch_age):
        assert read_requirements(write_requirements(asked)) == asked


@given(facts, facts)
def test_only_what_differs_is_news(known: Facts, said: Facts) -> None:
    new = news(known, said)

    assert FactKind.CONTACT not in new
    assert all(kind not in known or known[kind].value != fact.value for kind, fact in new.items())
    assert news({**known, **new}, said) == {}


@given(st.lists(st.tuples(moments, requirements), min_size=1, max_size=5))
def test_a_wish_is_as_old_as_its_present_form(history: list[tuple[datetime, Requirements]]) -> None:
    since = asked_since(history)

    for name, at in since.items():
        wanted = getattr(history[-1][1], name)
        same = [made for made, asked in history if getattr(asked, name) == wanted]
        assert at in same


def test_every_criterion_of_a_policy_is_judged() -> None:
    fields = {field for _, field, _ in CRITERIA if field} | {"inactive_after"}

    assert fields == set(Requirements.__dataclass_fields__)
    assert [rule for rule, _, _ in CRITERIA] == list(Rule)


def asked_by(**wishes: Any) -> AskedPolicy:
    nothing = Requirements(
        not_rooted=False, encrypted=False, passcode_set=False, forbidden_verdicts=()
    )
    long_ago = NOW - timedelta(days=100)
    return AskedPolicy(POLICY, "Standard", 1, long_ago, "android", replace(nothing, **wishes))


def healthy(**said: Any) -> dict[FactKind, Fact]:
    values: dict[FactKind, Any] = {
        FactKind.ENROLMENT: "enrolled",
        FactKind.CONTACT: True,
        FactKind.APPLIED_POLICY: {"policy_id": POLICY, "version": 1},
    }
    values |= {FactKind(kind): value for kind, value in said.items()}
    return {kind: Fact(value, "agent", NOW - timedelta(hours=1)) for kind, value in values.items()}


def test_silence_makes_out_of_sync_then_inactive() -> None:
    asked = asked_by(maximum_silence=timedelta(days=3), inactive_after=timedelta(days=30))
    heard = NOW - timedelta(hours=1)

    states = [
        judge(healthy(), asked, heard + timedelta(days=days)).state
        for days in (0, 2.99, 3, 29.99, 30)
    ]

    assert states == ["healthy", "healthy", "out_of_sync", "out_of_sync", "inactive"]


def test_a_rooted_device_that_goes_silent_stays_non_compliant() -> None:
    answer = judge(healthy(rooted=True), asked_by(not_rooted=True), NOW + timedelta(days=5))

    assert answer.state is State.NON_COMPLIANT
    assert {v.rule for v in answer.violations} == {Rule.NOT_ROOTED, Rule.IN_CONTACT}
    assert answer.since == NOW - timedelta(hours=1)


def test_a_device_that_never_reported_is_out_of_sync_and_its_unknowns_are_named() -> None:
    fresh = {FactKind.ENROLMENT: Fact("enrolled", "enrolment", NOW)}

    answer = judge(fresh, asked_by(not_rooted=True), NOW)

    assert answer.state is State.OUT_OF_SYNC
    assert FactKind.ROOTED in answer.missing
    assert judge(fresh, asked_by(), NOW + timedelta(days=31)).state is State.INACTIVE


def test_what_ios_cannot_say_does_not_count_against_it() -> None:
    asked = replace(
        asked_by(no_usb_debugging=True, maximum_patch_age=timedelta(days=60)), platform="ios"
    )

    assert judge(healthy(), asked, NOW).state is State.HEALTHY


def test_a_day_that_no_calendar_has_is_an_unknown_patch_level() -> None:
    answer = judge(
        healthy(security_patch="2026-02-31"), asked_by(maximum_patch_age=timedelta(1)), NOW
    )

    assert [violation.because for violation in answer.violations] == [
        "its security patch level is unknown"
    ]


def test_a_device_back_from_silence_is_healthy_from_now_on() -> None:
    answer = judge(healthy(), asked_by(), NOW)

    assert kept_since((State.OUT_OF_SYNC, NOW - timedelta(days=4)), answer, NOW) == NOW
    assert kept_since((State.HEALTHY, NOW - timedelta(days=4)), answer, NOW) == NOW - timedelta(4)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("13", "14"),
        ("14.0.9", "14.0.10"),
        ("9", "10"),
        ("14", "14.1"),
        ("14-beta", "15"),
        ("", "1"),
    ],
)
def test_versions_compare_by_their_numbers(older: str, newer: str) -> None:
    assert version_key(older) < version_key(newer)


def test_a_version_with_trailing_zeros_is_the_same() -> None:
    assert version_key("14.0.0") == version_key("14") == version_key("14.²")
