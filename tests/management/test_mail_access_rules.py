from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from contracts.connector import Access
from management.compliance.judgement import (
    ConsequenceKind,
    DueConsequence,
    Judgement,
    Rule,
    State,
    Violation,
)
from management.devices.rules import FactKind
from management.mail_access.matching import (
    Claim,
    Lookalike,
    Match,
    Seen,
    match_device,
    owner_agrees,
    propose,
    same_model,
)
from management.mail_access.rules import (
    AllowedStates,
    AutomaticFor,
    Decision,
    Exempt,
    MailSettings,
    MatchedDevice,
    Pause,
    Standing,
    decide,
    grace_start,
    room_for_blocks,
)
from management.mail_access.states import ConnectorState, connector_state

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ROOT = Violation(
    Rule.NOT_ROOTED,
    "root access found (agent)",
    "Restore the manufacturer's system.",
    NOW - timedelta(hours=2),
    (FactKind.ROOTED,),
)
SETTINGS = MailSettings(automatic=True)
AT_ONCE = (
    DueConsequence(
        ConsequenceKind.BLOCK_MAIL, Rule.NOT_ROOTED, datetime(2025, 1, 1, tzinfo=UTC), None
    ),
)
"""The policy blocks mail without a grace of its own."""
instants = st.datetimes(
    min_value=datetime(2026, 1, 1),
    max_value=datetime(2027, 1, 1),
    timezones=st.just(UTC),
)
settings = st.builds(
    MailSettings,
    automatic=st.booleans(),
    automatic_for=st.sampled_from(AutomaticFor),
    allowed=st.sampled_from(AllowedStates),
    block_unmanaged=st.booleans(),
    unmanaged_grace_days=st.integers(0, 60),
    managed_grace_hours=st.integers(0, 100),
    out_of_sync_grace_hours=st.integers(0, 100),
)
judgements = st.builds(
    Judgement,
    state=st.sampled_from(State),
    since=instants,
    violations=st.just((ROOT,)),
    missing=st.just(()),
    policy_id=st.just("p"),
    policy_version=st.integers(1, 9),
    next_due_at=st.none(),
    consequences=st.just(AT_ONCE),
)
devices = st.none() | st.builds(
    MatchedDevice,
    name=st.just("Ada's phone"),
    enrolled_at=instants,
    policy_name=st.just("Default"),
    judgement=st.none() | judgements,
)
accesses: st.SearchStrategy[Access] = st.sampled_from(("allow", "block", "leave"))
exempts = st.none() | st.builds(
    Exempt, access=accesses, because=st.just("trip"), by=st.just("ada"), until=instants
)
standings = st.builds(
    Standing,
    match=st.sampled_from(Match),
    match_because=st.just("because"),
    wanted=accesses,
    exception=exempts,
    controlled=st.booleans(),
)
addresses = st.sampled_from(
    ["", "ada@corp.test", "ADA@corp.test", "bob@corp.test", "ada@else.test", "ada"]
)
mailboxes = st.sampled_from(["ada", "corp.test/Users/Ada", "corp.test/Users/bob", "ada@corp.test"])


def judged(state: State, since: datetime, *violations: Violation) -> MatchedDevice:
    judgement = Judgement(state, since, violations, (), "p", 3, None, consequences=AT_ONCE)
    return MatchedDevice("Ada's phone", NOW - timedelta(days=90), "Default", judgement)


def decided(
    device: MatchedDevice | None,
    match: Match = Match.SURE,
    wanted: Access = "leave",
    chosen: MailSettings = SETTINGS,
    unmanaged_since: datetime = NOW,
    pause: Pause | None = None,
) -> Decision:
    return decide(Standing(match, "because", wanted), device, chosen, unmanaged_since, pause, NOW)


def test_a_healthy_device_is_allowed_and_the_policy_version_is_named() -> None:
    decision = decided(judged(State.HEALTHY, NOW - timedelta(days=1)))

    assert decision.access == "allow"
    assert decision.because == (
        "Ada's phone is healthy since 2026-11-20 12:00 UTC (policy Default version 3)",
    )


def test_a_rooted_device_is_blocked_at_once_and_the_rule_is_named() -> None:
    decision = decided(judged(State.NON_COMPLIANT, ROOT.since, ROOT), wanted="allow")

    assert decision.access == "block"
    assert "rule not_rooted: root access found (agent), since 2026-11-21 10:00 UTC" in (
        decision.because
    )


def test_non_compliant_devices_may_be_allowed_by_setting() -> None:
    chosen = replace(SETTINGS, allowed=AllowedStates.HEALTHY_AND_NON_COMPLIANT)

    assert decided(judged(State.NON_COMPLIANT, NOW, ROOT), chosen=chosen).access == "allow"
    assert decided(judged(State.INACTIVE, NOW, ROOT), chosen=chosen).access == "block"


def test_managed_grace_keeps_an_access_and_gives_none_back() -> None:
    chosen = replace(SETTINGS, managed_grace_hours=24)
    device = judged(State.NON_COMPLIANT, ROOT.since, ROOT)

    kept = decided(device, wanted="allow", chosen=chosen)
    assert (kept.access, kept.due_at) == ("allow", ROOT.since + timedelta(hours=24))
    assert decided(device, wanted="block", chosen=chosen).access == "block"
    assert decided(device, wanted="leave", chosen=chosen).access == "leave"


def test_a_policy_change_cuts_nobody_off_before_the_device_could_catch_up() -> None:
    device = judged(State.OUT_OF_SYNC, NOW - timedelta(hours=1))

    assert decided(device, wanted="allow").access == "allow"
    late = judged(State.OUT_OF_SYNC, NOW - timedelta(hours=25))
    assert decided(late, wanted="allow").access == "block"


def test_who_just_enrolled_keeps_mail_until_the_first_report_is_due() -> None:
    unsaid = ROOT._replace(since=NOW)
    judgement = Judgement(
        State.NON_COMPLIANT,
        NOW,
        (unsaid,),
        (FactKind.ROOTED,),
        "p",
        3,
        None,
        consequences=AT_ONCE,
    )
    device = MatchedDevice("Ada's phone", NOW, "Default", judgement)

    assert decided(device, wanted="leave").access == "leave"
    assert decided(device, wanted="leave").due_at == NOW + timedelta(hours=24)


def test_an_unmanaged_phone_is_left_alone_until_its_grace_ends() -> None:
    before = decided(None, Match.NONE, unmanaged_since=NOW - timedelta(days=13))
    after = decided(None, Match.NONE, unmanaged_since=NOW - timedelta(days=14))

    assert (before.access, before.due_at) == ("leave", NOW + timedelta(days=1))
    assert (after.access, after.due_at) == ("block", None)
    assert "the grace of 14 days ended on 2026-11-21 12:00 UTC" in after.because


def test_a_device_that_left_counts_as_unmanaged() -> None:
    left = judged(State.NOT_ENROLLED, NOW)

    assert decided(left, wanted="allow").access == "leave"
    assert decided(left, unmanaged_since=NOW - timedelta(days=20)).access == "block"


def test_a_pause_says_since_when_by_whom_and_why() -> None:
    pause = Pause(NOW - timedelta(minutes=5), "ada", "Exchange moves tonight")
    decision = decided(judged(State.NON_COMPLIANT, NOW, ROOT), wanted="allow", pause=pause)

    assert decision.access == "allow"
    assert decision.because == (
        "All enforcement is paused since 2026-11-21 11:55 UTC by ada: Exchange moves tonight.",
    )


@given(standings, devices, settings, instants, instants)
def test_what_is_unsure_never_allows(
    standing: Standing,
    device: MatchedDevice | None,
    chosen: MailSettings,
    unmanaged_since: datetime,
    now: datetime,
) -> None:
    decision = decide(standing, device, chosen, unmanaged_since, None, now)
    said = standing.exception

    if said is not None and now < said.until:
        assert (decision.access, decision.due_at) == (said.access, said.until)
    elif decision.access == "allow":
        assert standing.match in (Match.SURE, Match.BY_HAND)
        assert device is not None
        assert device.judgement is not None
        allowed = device.judgement.state in chosen.allowed.states
        assert allowed or (standing.wanted == "allow" and decision.due_at is not None)
    assert decision.because


@given(standings, devices, settings, instants, instants)
def test_a_pause_changes_nothing(
    standing: Standing,
    device: MatchedDevice | None,
    chosen: MailSettings,
    unmanaged_since: datetime,
    now: datetime,
) -> None:
    pause = Pause(now, "ada", "because")

    assert decide(standing, device, chosen, unmanaged_since, pause, now).access == standing.wanted


@given(standings, devices, settings, instants, instants, st.integers(0, 10**7))
def test_a_decision_holds_and_reads_the_same_until_it_is_due(
    standing: Standing,
    device: MatchedDevice | None,
    chosen: MailSettings,
    unmanaged_since: datetime,
    now: datetime,
    seconds: int,
) -> None:
    decision = decide(standing, device, chosen, unmanaged_since, None, now)
    later = now + timedelta(seconds=seconds)
    assume(decision.due_at is None or later < decision.due_at)

    assert decide(standing, device, chosen, unmanaged_since, None, later) == decision
    assert decision.due_at is None or decision.due_at > now


@given(mailboxes, addresses, st.lists(st.builds(Claim, st.uuids(), st.just("x"), addresses)))
def test_only_one_device_of_the_mailbox_owner_is_sure(
    mailbox: str, address: str, claims: list[Claim]
) -> None:
    found = match_device(mailbox, address, claims)
    agreeing = [c for c in claims if owner_agrees(mailbox, address, c.owner_address)]

    assert (found.match is Match.SURE) == (len(agreeing) == 1)
    assert (found.match is Match.NONE) == (not claims)
    if found.match is Match.SURE:
        assert found.device_id == agreeing[0].device_id


def test_a_strangers_claim_is_unsure_and_spoils_nothing() -> None:
    owner, stranger = uuid4(), uuid4()
    claims = [Claim(stranger, "S", "eve@corp.test"), Claim(owner, "A", "ada@corp.test")]

    assert match_device("m", "ada@corp.test", claims).device_id == owner
    unsure = match_device("m", "ada@corp.test", claims[:1])
    assert (unsure.match, unsure.device_id) == (Match.UNSURE, stranger)
    assert "belongs to eve@corp.test" in unsure.because


@pytest.mark.parametrize(
    ("mailbox", "address", "owner", "agrees"),
    [
        ("corp.test/Users/Ada", "Ada@Corp.test", "ada@corp.test", True),
        ("corp.test/Users/ada", "", "ada@corp.test", True),
        ("corp.test/Users/ada", "ada.l@corp.test", "ada@corp.test", True),
        ("corp.test/Users/ada", "ada@else.test", "ada@corp.test", False),
        ("corp.test/Users/bob", "", "ada@corp.test", False),
        ("corp.test/ada/bob", "", "ada@corp.test", False),
        ("", "", "", False),
        ("corp.test/Users/", "", "@corp.test", False),
    ],
)
def test_whose_mailbox_it_is(mailbox: str, address: str, owner: str, agrees: bool) -> None:
    assert owner_agrees(mailbox, address, owner) is agrees


def test_a_new_phone_gains_no_new_grace_but_a_long_quiet_does() -> None:
    since = NOW - timedelta(days=40)

    assert grace_start(None, None, SETTINGS, NOW) == NOW
    assert grace_start(since, NOW - timedelta(days=30), SETTINGS, NOW) == since
    assert grace_start(since, NOW - timedelta(days=31), SETTINGS, NOW) == NOW


@given(st.integers(0, 5000), st.integers(0, 100_000))
def test_the_brake_lets_ten_or_five_percent_through(recent: int, partnerships: int) -> None:
    room = room_for_blocks(recent, partnerships, SETTINGS)

    assert room >= 0
    assert recent + room >= 10
    assert room == 0 or recent + room <= max(10, partnerships * 0.05 + 1)


@pytest.mark.parametrize(
    ("silent", "state"),
    [
        (timedelta(minutes=5), ConnectorState.NORMAL),
        (timedelta(minutes=5, seconds=1), ConnectorState.WARNING),
        (timedelta(minutes=9), ConnectorState.WARNING),
        (timedelta(minutes=9, seconds=1), ConnectorState.DISCONNECTED),
    ],
)
def test_a_silent_connector_is_noticed(silent: timedelta, state: ConnectorState) -> None:
    assert connector_state(None, NOW - silent, NOW) is state


def test_a_connector_that_never_called_waits_and_a_disabled_one_is_disabled() -> None:
    assert connector_state(None, None, NOW) is ConnectorState.WAITING
    assert connector_state(NOW, NOW, NOW) is ConnectorState.DISABLED


# --- what wins ---


def test_an_administrators_word_wins_until_its_end_and_says_so() -> None:
    until = NOW + timedelta(days=3)
    said = Exempt("allow", "the chief travels", "ada", until)
    standing = Standing(Match.NONE, "because", "leave", said)
    long_ago = NOW - timedelta(days=90)

    decision = decide(standing, None, SETTINGS, long_ago, None, NOW)
    assert (decision.access, decision.due_at) == ("allow", until)
    assert decision.because == ("allowed by ada until 2026-11-24 12:00 UTC: the chief travels",)
    assert decide(standing, None, SETTINGS, long_ago, None, until).access == "block"
    off = replace(SETTINGS, automatic=False)
    assert decide(standing, None, off, long_ago, None, NOW).access == "allow"


def test_an_excluded_group_is_left_alone_and_named() -> None:
    bad = judged(State.NON_COMPLIANT, ROOT.since, ROOT)
    excluded = replace(bad, excluded_by="Board")

    assert decided(bad).access == "block"
    assert decided(excluded).access == "leave"
    assert decided(excluded).because[0].endswith("is in group Board, which is excluded by setting")


def test_only_chosen_phones_are_controlled_where_that_is_set() -> None:
    chosen = replace(SETTINGS, automatic_for=AutomaticFor.CHOSEN)
    bad = judged(State.NON_COMPLIANT, ROOT.since, ROOT)
    standing = Standing(Match.SURE, "because", "leave", controlled=True)

    assert decided(bad, chosen=chosen).access == "leave"
    assert decide(standing, bad, chosen, NOW, None, NOW).access == "block"


# --- proposals ---


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("iPhone16C1", "iPhone16,1", True),
        ("Pixel 8", "pixel 8", True),
        ("Google Pixel 8", "Pixel 8", True),
        ("Pixel 8", "Pixel 9", False),
        ("", "", False),
        ("A5", "A52", False),
    ],
)
def test_models_are_compared_as_phones_spell_them(one: str, other: str, same: bool) -> None:
    assert same_model(one, other) is same
    assert same_model(other, one) is same


def lookalike(**said: object) -> Lookalike:
    fields = {
        "device_id": uuid4(),
        "name": "Ada's phone",
        "owner_address": "ada@corp.test",
        "model": "Pixel 8",
        "enrolled_at": NOW,
    }
    return Lookalike(**(fields | said))  # type: ignore[arg-type]


def test_user_model_and_time_make_a_proposal_that_says_how_sure_it_is() -> None:
    seen = Seen("m", "ada@corp.test", "NEW1", "Pixel 8", NOW + timedelta(days=2))

    near = propose(seen, [lookalike()])
    assert near and near.match is Match.PROPOSED and not near.match.is_managed
    assert near.because.startswith("likely: same user and model as Ada's phone")
    far = propose(seen, [lookalike(enrolled_at=NOW - timedelta(days=60))])
    assert far and far.because.startswith("possible:")
    assert propose(seen, [lookalike(model="Pixel 9")]) is None
    assert propose(seen, [lookalike(owner_address="eve@corp.test")]) is None


def test_a_factory_reset_is_proposed_as_the_same_phone() -> None:
    seen = Seen("m", "ada@corp.test", "NEW1", "Pixel 8", NOW)
    before = lookalike(
        name="Reset", enrolled_at=NOW - timedelta(days=300), fetched_as=("OLD1", "OLDER1")
    )

    found = propose(seen, [lookalike(), before])
    assert found and found.device_id == before.device_id
    assert "fetched this mail as OLD1 before; a factory reset gives a phone a new" in found.because
    assert found.because.endswith("1 more of this model are the user's")
