from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from contracts.scan import Verdict
from management.apps.rules import Reputation
from management.apps.rules import bad_apps as bad_apps_of
from management.compliance.catalogue import CRITERIA
from management.compliance.criteria import next_changes
from management.compliance.judgement import (
    AskedPolicy,
    Finding,
    Judgement,
    Risk,
    Rule,
    State,
    read_consequence,
    read_violation,
    write_consequence,
    write_violation,
)
from management.compliance.reporters import CAN_SAY
from management.compliance.rules import TRANSIENT, judge, kept_since
from management.compliance.versions import version_key
from management.devices.rules import EnrolmentState, Fact, FactKind, read_facts, write_fact
from management.policies.rules import (
    Requirements,
    asked_since,
    read_requirements,
    wishes_in,
    write_requirements,
)
from management.policies.treatment import (
    STANDARD,
    Consequence,
    ConsequenceKind,
    Counts,
    Severity,
    Treatment,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAYS = timedelta(days=100)
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
    FactKind.ATTESTATION: st.none()
    | st.fixed_dictionaries({"passed": st.booleans(), "because": st.text(max_size=9)}),
    FactKind.PACKAGES: st.none() | packages,
    FactKind.BAD_APPS: st.none() | bad_apps,
}


def _said(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Fact]:
    """A fact, or one that is said no more."""
    source = st.sampled_from(["agent", "apple_mdm", "ada"])
    said = st.builds(Fact, value=values, source=source, said_at=moments)
    return said | st.builds(_ceased, said, moments)


def _ceased(before: Fact, at: datetime) -> Fact:
    if before.value is None:
        return before
    return Fact(None, before.source, max(at, before.said_at), before)


facts = st.fixed_dictionaries({}, optional={kind: _said(each) for kind, each in VALUES.items()})
nonsense = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
hostile_facts = st.dictionaries(
    st.sampled_from(list(FactKind)),
    st.builds(Fact, value=nonsense, source=st.text(max_size=9), said_at=moments),
)
short = st.timedeltas(timedelta(0), timedelta(days=60))
consequences = st.lists(
    st.sampled_from([kind for kind in ConsequenceKind if kind is not ConsequenceKind.MOVE_GROUP]),
    unique=True,
).flatmap(
    lambda kinds: st.tuples(
        *(st.builds(Consequence, kind=st.just(kind), after=short) for kind in kinds)
    )
)
treatments = st.dictionaries(
    st.sampled_from(list(Rule)),
    st.builds(
        Treatment,
        severity=st.sampled_from(list(Severity)),
        grace=short,
        consequences=consequences,
        unknown=st.sampled_from(list(Counts)),
        not_applicable=st.sampled_from(list(Counts)),
    ),
    max_size=6,
)
durations = st.timedeltas(timedelta(hours=1), timedelta(days=400)) | st.just(timedelta.max)
requirements = st.builds(
    Requirements,
    maximum_silence=durations,
    inactive_after=durations,
    policy_applied=st.booleans(),
    not_rooted=st.booleans(),
    attested=st.booleans(),
    encrypted=st.booleans(),
    passcode_set=st.booleans(),
    no_developer_options=st.booleans(),
    no_usb_debugging=st.booleans(),
    no_unknown_sources=st.booleans(),
    minimum_os_version=st.dictionaries(
        st.sampled_from(["android", "ios"]), st.from_regex(r"\A[1-9]\d?(\.\d{1,2}){0,2}\Z")
    ),
    maximum_os_age=st.dictionaries(st.sampled_from(["android", "ios"]), durations),
    minimum_patch_level=st.none() | st.dates(datetime(2025, 1, 1).date()),
    maximum_patch_age=st.none() | durations,
    forbidden_verdicts=st.lists(st.sampled_from(list(Verdict)), unique=True).map(tuple),
    forbidden_packages=packages.map(tuple),
    required_packages=packages.map(tuple),
    treatments=treatments,
)
asked_policies = st.builds(
    AskedPolicy,
    policy_id=st.just(POLICY),
    name=st.just("Standard"),
    version=st.integers(1, 3),
    since=moments,
    platform=st.sampled_from(["android", "ios"]),
    requirements=requirements,
    asked_since=st.dictionaries(st.sampled_from(sorted(wishes_in(Requirements()))), moments),
    ownership=st.sampled_from(["company", "personal"]),
    not_before=st.none() | moments,
)
Facts = Mapping[FactKind, Fact]
often = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@often
@given(facts | hostile_facts, asked_policies, moments)
def test_every_device_gets_one_answer_and_always_the_same(
    known: Facts, asked: AskedPolicy, now: datetime
) -> None:
    answer = judge(known, asked, now)

    assert answer == judge(dict(reversed(list(known.items()))), asked, now)
    assert answer.since.tzinfo is UTC
    for violation in answer.violations:
        assert violation.because
        assert violation.mend
        assert violation.administrator_mend


@often
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


@often
@given(facts, asked_policies, moments)
def test_each_coming_change_and_consequence_is_waited_for(
    known: Facts, asked: AskedPolicy, now: datetime
) -> None:
    """Whoever looks at the due times only, and never at the fleet, misses nothing."""
    answer, seen = judge(known, asked, now), set[datetime]()
    while answer.next_due_at is not None:
        seen.add(answer.next_due_at)
        answer = judge(known, asked, answer.next_due_at)

    for instant in (*next_changes(known, asked), *(one.due_at for one in answer.consequences)):
        assert instant <= now or instant in seen or instant.year == 9999


@often
@given(facts, asked_policies, moments, st.timedeltas(timedelta(0), timedelta(days=900)))
def test_time_and_silence_hide_no_violation(
    known: Facts, asked: AskedPolicy, now: datetime, passed: timedelta
) -> None:
    before, after = judge(known, asked, now), judge(known, asked, now + passed)

    assert rules(before) <= rules(after)
    assert rules(after) - rules(before) <= {Rule.IN_CONTACT, Rule.OS_AGE, Rule.PATCH_AGE}
    assert set(before.consequences) <= set(after.consequences)
    assert is_no_healthier(after, before)


def rules(judged: Judgement) -> set[Rule]:
    return {violation.rule for violation in judged.violations}


def is_no_healthier(one: Judgement, other: Judgement) -> bool:
    """Whether the first judgement is as bad as the second, or worse, in everything."""
    return (
        list(State).index(one.state) >= list(State).index(other.state)
        and list(Risk).index(one.risk) >= list(Risk).index(other.risk)
        and rules(one) >= rules(other)
    )


BAD: dict[FactKind, Any] = {
    FactKind.ENROLMENT: "retired",
    FactKind.OS_VERSION: "0.0.1",
    FactKind.SECURITY_PATCH: "1999-01-01",
    FactKind.ROOTED: True,
    FactKind.ENCRYPTED: False,
    FactKind.PASSCODE_SET: False,
    FactKind.DEVELOPER_OPTIONS: True,
    FactKind.USB_DEBUGGING: True,
    FactKind.UNKNOWN_SOURCES: True,
    FactKind.APPLIED_POLICY: {"policy_id": "gone", "version": 1},
    FactKind.ATTESTATION: {"passed": False, "because": "the boot loader is open"},
    FactKind.BAD_APPS: [{"package": "x", "verdict": verdict.value} for verdict in Verdict],
}
"""The worst that each fact can say."""
GOOD: dict[FactKind, Any] = {
    FactKind.ENROLMENT: "enrolled",
    FactKind.OS_VERSION: "9999",
    FactKind.SECURITY_PATCH: "9999-12-31",
    FactKind.ROOTED: False,
    FactKind.ENCRYPTED: True,
    FactKind.PASSCODE_SET: True,
    FactKind.DEVELOPER_OPTIONS: False,
    FactKind.USB_DEBUGGING: False,
    FactKind.UNKNOWN_SOURCES: False,
    FactKind.ATTESTATION: {"passed": True},
    FactKind.BAD_APPS: [],
}
"""The best."""


@often
@given(facts, asked_policies, moments, st.sampled_from(sorted(BAD)), moments)
def test_a_new_violation_makes_no_device_healthier(
    known: Facts, asked: AskedPolicy, now: datetime, kind: FactKind, said_at: datetime
) -> None:
    ages = [asked.requirements.maximum_patch_age, *asked.requirements.maximum_os_age.values()]
    oldest = timedelta(days=9000)  # else the oldest patch or system is new enough
    assume(all(age is None or age < oldest for age in ages))
    worse = {**known, kind: Fact(BAD[kind], _source(known, kind), said_at)}

    assert is_no_healthier(judge(worse, asked, now), judge(known, asked, now))


@often
@given(facts, asked_policies, moments, st.sampled_from(sorted(GOOD)), moments)
def test_mending_makes_no_device_worse(
    known: Facts, asked: AskedPolicy, now: datetime, kind: FactKind, said_at: datetime
) -> None:
    mended = {**known, kind: Fact(GOOD[kind], _source(known, kind), said_at)}

    assert is_no_healthier(judge(known, asked, now), judge(mended, asked, now))


def _source(known: Facts, kind: FactKind) -> str:
    """Say it by the same mouth as before: a new one tells of software that can say more."""
    return known[kind].source if kind in known else "nobody new"


@often
@given(facts, asked_policies, moments)
def test_the_state_follows_from_the_violations(
    known: Facts, asked: AskedPolicy, now: datetime
) -> None:
    answer = judge(known, asked, now)
    broken = rules(answer)

    if answer.state is State.HEALTHY:
        assert not broken
    if answer.state is State.NON_COMPLIANT:
        assert broken - TRANSIENT
    assert (answer.state is State.NOT_ENROLLED) == (Rule.ENROLLED in broken)
    if FactKind.CONTACT in known and not broken - TRANSIENT:
        assert answer.state is not State.NON_COMPLIANT
    assert (answer.risk is Risk.NONE) == (not broken)


@often
@given(facts, asked_policies, moments, st.sampled_from(sorted(VALUES)))
def test_what_is_not_said_never_passes_better_than_what_is_said(
    known: Facts, asked: AskedPolicy, now: datetime, kind: FactKind
) -> None:
    """Taking a fact away keeps no broken rule, but where the policy bears that nobody says it."""
    asked = replace(asked, requirements=replace(asked.requirements, treatments={}))
    silent = {each: fact for each, fact in known.items() if each is not kind}
    before, after = judge(known, asked, now), judge(silent, asked, now)

    borne = {one.rule for one in after.undecided if one.finding is Finding.NOT_APPLICABLE}
    assert rules(before) <= rules(after) | borne


@often
@given(asked_policies, moments)
def test_a_violation_is_never_older_than_the_wish(asked: AskedPolicy, now: datetime) -> None:
    rooted = {FactKind.ROOTED: Fact(True, "agent", datetime(2025, 1, 1, tzinfo=UTC))}
    wished = asked.asked_since.get("not_rooted")

    for violation in judge(rooted, asked, now).violations:
        if violation.rule is Rule.NOT_ROOTED:
            assert violation.since >= (wished or violation.since)
            assert violation.since >= (asked.not_before or violation.since)


@often
@given(facts, asked_policies, moments)
def test_nothing_follows_before_the_grace_period_ends(
    known: Facts, asked: AskedPolicy, now: datetime
) -> None:
    answer = judge(known, asked, now)
    since = {violation.rule: violation.since for violation in answer.violations}

    for one in answer.consequences:
        treatment = asked.requirements.treatments[one.rule]
        assert one.due_at >= since[one.rule] + treatment.grace
    assert list(answer.consequences) == sorted(answer.consequences, key=lambda one: one.due_at)


def test_what_was_broken_stays_so_when_the_device_ceases_to_say_it() -> None:
    asked = AskedPolicy(POLICY, "Standard", 1, NOW - DAYS, "android", Requirements())
    rooted = Fact(True, "agent", NOW - timedelta(days=9))
    known = {FactKind.CONTACT: Fact(True, "agent", NOW), FactKind.ROOTED: rooted}
    before = judge(known, asked, NOW)
    ceased = Fact(None, "agent", NOW - timedelta(hours=1), rooted)

    after = judge({**known, FactKind.ROOTED: ceased}, asked, NOW)

    (one,) = (one for one in after.violations if one.rule is Rule.NOT_ROOTED)
    assert (one.since, one.finding) == (rooted.said_at, Finding.BROKEN)
    assert one.because == (
        "root access found (agent); since 2026-11-21 11:00 UTC it does not say any more"
    )
    assert after.consequences == before.consequences


def test_what_was_kept_is_unknown_when_the_device_ceases_to_say_it() -> None:
    asked = AskedPolicy(POLICY, "Standard", 1, NOW - DAYS, "android", Requirements())
    sound = Fact(False, "agent", NOW - timedelta(days=9))
    ceased = {FactKind.ROOTED: Fact(None, "agent", NOW, sound)}

    (one,) = (one for one in judge(ceased, asked, NOW).violations if one.rule is Rule.NOT_ROOTED)

    assert (one.since, one.finding) == (NOW, Finding.UNKNOWN)


@often
@given(facts)
def test_facts_survive_being_stored(known: Facts) -> None:
    assert read_facts({kind.value: write_fact(fact) for kind, fact in known.items()}) == known


@often
@given(facts, asked_policies, moments)
def test_violations_survive_being_stored(known: Facts, asked: AskedPolicy, now: datetime) -> None:
    answer = judge(known, asked, now)

    for violation in answer.violations:
        assert read_violation(write_violation(violation)) == violation
    for one in answer.consequences:
        assert read_consequence(write_consequence(one)) == one


@often
@given(requirements)
def test_requirements_survive_being_stored(asked: Requirements) -> None:
    ages = (asked.maximum_patch_age, *asked.maximum_os_age.values())
    if timedelta.max not in (asked.maximum_silence, asked.inactive_after, *ages):
        assert read_requirements(write_requirements(asked)) == asked


@often
@given(st.lists(st.tuples(moments, requirements), min_size=1, max_size=3))
def test_a_wish_is_as_old_as_its_present_form(history: list[tuple[datetime, Requirements]]) -> None:
    since = asked_since(history)
    wanted = wishes_in(history[-1][1])

    assert set(since) == set(wanted)
    for name, at in since.items():
        same = [made for made, asked in history if wishes_in(asked).get(name, st) == wanted[name]]
        assert at in same


def test_a_longer_list_makes_its_other_entries_no_younger() -> None:
    first, second = Requirements(), Requirements(forbidden_verdicts=tuple(Verdict))

    since = asked_since([(NOW - timedelta(days=9), first), (NOW, second)])

    assert since["forbidden_verdicts:malicious"] == NOW - timedelta(days=9)
    assert since["forbidden_verdicts:unwanted"] == NOW


def test_a_new_consequence_counts_from_the_version_that_brought_it() -> None:
    wipe = Consequence(kind=ConsequenceKind.SELECTIVE_WIPE, after=timedelta(days=1))
    harder = Requirements(
        treatments={
            Rule.NOT_ROOTED: replace(
                STANDARD[Rule.NOT_ROOTED],
                consequences=(*STANDARD[Rule.NOT_ROOTED].consequences, wipe),
            )
        }
    )
    ages = asked_since([(NOW - timedelta(days=90), Requirements()), (NOW, harder)])
    asked = AskedPolicy(
        POLICY, "Standard", 2, NOW, "android", harder, ages, not_before=NOW - timedelta(days=90)
    )
    old = {
        kind: replace(fact, said_at=NOW - timedelta(days=60))
        for kind, fact in healthy(rooted=True).items()
    }

    due = {
        one.kind: one.due_at
        for one in judge(old, asked, NOW).consequences
        if one.rule is Rule.NOT_ROOTED
    }

    assert due[ConsequenceKind.SELECTIVE_WIPE] == NOW + timedelta(days=1)
    assert due[ConsequenceKind.BLOCK_MAIL] == NOW - timedelta(days=60)


def test_every_criterion_of_a_policy_is_judged() -> None:
    fields = {one.parameter for one in CRITERIA if one.parameter}

    assert fields | {"inactive_after", "treatments"} == set(Requirements.__dataclass_fields__)
    assert [one.rule for one in CRITERIA] == list(Rule) == list(STANDARD)
    assert {one.kind for one in CRITERIA} | {FactKind.SIMS} == set(CAN_SAY)


def asked_by(**wishes: Any) -> AskedPolicy:
    nothing = Requirements(
        policy_applied=False,
        not_rooted=False,
        encrypted=False,
        passcode_set=False,
        forbidden_verdicts=(),
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
    silent = judge(healthy(), asked, heard + timedelta(days=3))
    assert (silent.risk, silent.stale) == (Risk.LOW, ())


def test_silence_makes_good_news_stale_and_leaves_bad_news() -> None:
    asked = asked_by(not_rooted=True, encrypted=True)
    told = healthy(rooted=True, encrypted=True)

    answer = judge(told, asked, NOW + timedelta(days=5))

    assert answer.stale == (FactKind.ENCRYPTED,)
    assert rules(answer) == {Rule.IN_CONTACT, Rule.NOT_ROOTED}


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


def iphone(ownership: str = "company", **wishes: Any) -> AskedPolicy:
    return replace(asked_by(**wishes), platform="ios", ownership=ownership)


def test_what_ios_cannot_say_does_not_count_against_it() -> None:
    asked = iphone(no_usb_debugging=True, maximum_patch_age=timedelta(days=60))

    answer = judge(healthy(), asked, NOW)

    assert answer.state is State.HEALTHY
    assert {one.rule: one.finding for one in answer.undecided} == {
        Rule.NO_USB_DEBUGGING: Finding.NOT_APPLICABLE,
        Rule.PATCH_AGE: Finding.NOT_APPLICABLE,
    }


@pytest.mark.parametrize(
    ("source", "state", "finding"),
    [
        ("agent", State.NON_COMPLIANT, Finding.UNKNOWN),
        ("apple_mdm", State.HEALTHY, Finding.NOT_APPLICABLE),
    ],
    ids=["with our agent", "without"],
)
def test_only_an_iphone_with_our_agent_owes_its_jailbreak_state(
    source: str, state: State, finding: Finding
) -> None:
    told = {kind: replace(fact, source=source) for kind, fact in healthy().items()}

    answer = judge(told, iphone(not_rooted=True), NOW)

    assert answer.state is state
    assert [
        *(one.finding for one in answer.violations),
        *(one.finding for one in answer.undecided),
    ] == [finding]


def test_a_policy_may_refuse_what_cannot_be_said() -> None:
    refusing = {Rule.NOT_ROOTED: Treatment(not_applicable=Counts.BROKEN)}
    told = {kind: replace(fact, source="apple_mdm") for kind, fact in healthy().items()}

    answer = judge(told, iphone(not_rooted=True, treatments=refusing), NOW)

    (violation,) = answer.violations
    assert (answer.state, violation.finding) == (State.NON_COMPLIANT, Finding.NOT_APPLICABLE)
    assert "Install the agent" in violation.administrator_mend
    assert answer.missing == ()


def test_a_policy_may_bear_what_was_not_said_but_never_what_is_bad() -> None:
    bearing = {Rule.NOT_ROOTED: Treatment(unknown=Counts.KEPT)}
    asked = asked_by(not_rooted=True, treatments=bearing)

    quiet = judge(healthy(), asked, NOW)

    assert (quiet.state, quiet.missing) == (State.HEALTHY, (FactKind.ROOTED,))
    assert judge(healthy(rooted=True), asked, NOW).state is State.NON_COMPLIANT


def test_a_personal_iphone_owes_no_list_of_its_apps() -> None:
    told = {kind: replace(fact, source="apple_mdm") for kind, fact in healthy().items()}
    wishes = {"forbidden_packages": ("bad.app",)}

    assert judge(told, iphone("personal", **wishes), NOW).state is State.HEALTHY
    assert judge(told, iphone("company", **wishes), NOW).state is State.NON_COMPLIANT


def test_each_verdict_is_a_rule_with_its_own_severity() -> None:
    found = [{"package": name, "verdict": name} for name in ("malicious", "unwanted")]
    asked = asked_by(forbidden_verdicts=tuple(Verdict))

    answer = judge(healthy(bad_apps=found), asked, NOW)

    assert [(one.rule, one.severity) for one in answer.violations] == [
        (Rule.NO_MALICIOUS_APP, Severity.CRITICAL),
        (Rule.NO_UNWANTED_APP, Severity.MEDIUM),
    ]
    assert answer.risk is Risk.CRITICAL


def test_an_app_that_could_not_be_read_is_never_clean() -> None:
    known = {"ab": Reputation("ab", "unscannable", "2026.1", "", "")}
    found = bad_apps_of([("ab", "a.b", "App")], known)

    answer = judge(
        healthy(bad_apps=found), asked_by(forbidden_verdicts=(Verdict.UNSCANNABLE,)), NOW
    )

    assert rules(answer) == {Rule.NO_UNSCANNABLE_APP}


def test_consequences_follow_step_by_step() -> None:
    steps = Treatment(
        grace=timedelta(days=1),
        consequences=(
            Consequence(kind=ConsequenceKind.SELECTIVE_WIPE, after=timedelta(days=9)),
            Consequence(kind=ConsequenceKind.TELL_USER),
            Consequence(kind=ConsequenceKind.BLOCK_MAIL, after=timedelta(days=2)),
        ),
    )
    asked = asked_by(not_rooted=True, treatments={Rule.NOT_ROOTED: steps})
    rooted, hour = healthy(rooted=True), timedelta(hours=1)

    answer = judge(rooted, asked, NOW)

    began = NOW - hour
    assert [(one.kind, one.due_at - began) for one in answer.consequences] == [
        ("tell_user", timedelta(days=1)),
        ("block_mail", timedelta(days=3)),
        ("selective_wipe", timedelta(days=10)),
    ]
    assert answer.next_due_at == began + timedelta(days=1)
    assert answer.mail_blocked_at() == began + timedelta(days=3)
    assert judge(rooted, asked, began + timedelta(days=1)).next_due_at != answer.next_due_at


def test_what_a_fresh_device_has_not_said_has_no_consequence_yet() -> None:
    fresh = {FactKind.ENROLMENT: Fact("enrolled", "enrolment", NOW)}
    asked = asked_by(not_rooted=True)

    answer = judge(fresh, asked, NOW)

    assert {one.rule for one in answer.consequences} == {Rule.IN_CONTACT}
    silent = NOW + asked.requirements.maximum_silence
    assert min(one.due_at for one in answer.consequences) == silent


def test_what_a_device_could_say_has_a_day_to_be_said() -> None:
    answer = judge(healthy(), asked_by(not_rooted=True), NOW)

    (unknown,) = answer.violations
    assert answer.mail_blocked_at() == unknown.since + timedelta(days=1)
    said_bad = judge(healthy(rooted=True), asked_by(not_rooted=True), NOW)
    assert said_bad.mail_blocked_at() == NOW - timedelta(hours=1)


def test_nothing_more_follows_for_a_device_that_is_no_longer_ours() -> None:
    gone = {**healthy(rooted=True), FactKind.ENROLMENT: Fact("wiped", "agent", NOW)}

    answer = judge(gone, asked_by(not_rooted=True), NOW)

    assert Rule.NOT_ROOTED in rules(answer)
    assert answer.consequences == ()


def test_five_thousand_apps_make_no_endless_sentence() -> None:
    names = [f"アプリ{number}." + "x" * 200 for number in range(5000)]
    asked = asked_by(forbidden_packages=tuple(names), forbidden_verdicts=(Verdict.MALICIOUS,))
    found = [{"package": name, "verdict": "malicious"} for name in names]

    answer = judge(healthy(packages=names, bad_apps=found), asked, NOW)

    assert len(answer.violations) == 2
    for violation in answer.violations:
        assert "… +4995" in violation.because
        assert len(violation.because) < 1000


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
