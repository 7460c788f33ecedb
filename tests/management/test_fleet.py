"""Lists, counts, judgements, mail and the replay of the past: all say the same."""

from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from management.compliance.explaining import explain
from management.compliance.judgement import Judgement, Rule, State
from management.compliance.queries import asked_policy, get_judgement
from management.compliance.rules import judge
from management.compliance.service import due, judge_due, rejudge
from management.database import Database
from management.devices.models import Device, DeviceJudgement
from management.devices.models import Fact as LoggedFact
from management.devices.queries import get_facts, list_log
from management.devices.replay import rebuild_facts
from management.devices.rules import EnrolmentState, Fact, FactKind
from management.devices.service import assign_policy, end_enrolment, record_contact, record_facts
from management.listing.queries import count_devices, count_states, list_devices
from management.listing.rules import DeviceFilter
from management.mail_access.matching import Match
from management.mail_access.rules import AllowedStates, MailSettings, MatchedDevice, Standing
from management.mail_access.rules import decide as decide_mail
from management.policies.queries import current_version
from management.policies.rules import Requirements
from management.policies.service import change_policy, create_policy, ensure_default_policy
from management.work.models import Job
from tests.conftest import MakeUrl
from tests.management.fleets import HOUR, START, Life, add_device, live, lives

NOW = START + timedelta(days=90)  # after every life
DAY = timedelta(days=1)
slow = settings(
    max_examples=12,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # shrinking takes minutes here
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
enrolments = st.sampled_from(list(EnrolmentState))


@slow
@given(st.lists(st.tuples(lives, enrolments, st.sampled_from(["android", "ios"])), max_size=6))
def test_everybody_says_the_same_of_a_fleet(
    new_database_url: MakeUrl, fleet: list[tuple[Life, EnrolmentState, str]]
) -> None:
    database = Database(new_database_url())
    with database.transaction("fleet") as session:
        policy = ensure_default_policy(session, START)
        for number, (life, enrolment, platform) in enumerate(fleet):
            name = f"Phone {number % 3}"
            device = add_device(session, policy.id, name, platform=platform)
            live(session, device, life, DAY)
            if enrolment is not EnrolmentState.ENROLLED:
                end_enrolment(session, device, enrolment, "keeper", NOW - HOUR)
        rejudge(session, session.scalars(select(Device.id)).all(), NOW)
    with database.reading() as session:
        listed = paged(session, DeviceFilter())
        counted = count_states(session)

        assert len(listed) == len(set(listed)) == len(fleet)
        for state in State:
            of_state = paged(session, DeviceFilter(state=state))
            assert (
                counted[state] == len(of_state) == count_devices(session, DeviceFilter(state=state))
            )
        for device in session.scalars(select(Device)):
            stored = get_judgement(session, device.id)
            fresh = judge(get_facts(session, device.id), asked_policy(session, device), NOW)
            assert (stored.state, stored.violations) == (fresh.state, fresh.violations)
            assert explain(session, device.id, None, NOW).judgement == fresh
            assert mail_is_open(device, stored) == (stored.state is State.HEALTHY)
            assert rebuild_facts(session, device) == get_facts(session, device.id)
    database.close()


def paged(session: Session, wanted: DeviceFilter) -> list[Any]:
    """Return the ids of the whole list, read in pages of two."""
    found: list[Any] = []
    after = None
    while page := list_devices(session, wanted, after, 2):
        found += [row.device.id for row in page]
        after = page[-1].cursor
    return found


def mail_is_open(device: Device, judged: Judgement) -> bool:
    standing = Standing(Match.SURE, "same id and owner", "allow")
    matched = MatchedDevice(device.name, device.enrolled_at, "Standard", judged)
    chosen = MailSettings(
        allowed=AllowedStates.HEALTHY_ONLY,
        unmanaged_grace_days=0,
        managed_grace_hours=0,
        out_of_sync_grace_hours=0,
    )
    return decide_mail(standing, matched, chosen, START, None, NOW).access == "allow"


@slow
@given(lives, st.integers(1, 2000))
def test_a_past_judgement_is_replayed_from_the_log(
    new_database_url: MakeUrl, life: Life, hours: int
) -> None:
    """What was judged at any moment of a life is what the log says of that moment later."""
    database = Database(new_database_url())
    at = START + hours * HOUR
    with database.transaction("life") as session:
        policy = ensure_default_policy(session, START)
        silence = Requirements().maximum_silence
        device = add_device(session, policy.id)
        clock = START
        early: Life = []
        for wait, said in life:
            clock += wait * HOUR
            if clock <= at:
                early.append((wait, said))
        live(session, device, early, silence)
        then = judge(get_facts(session, device.id), asked_policy(session, device), at)
        resume(session, device, life, len(early), silence)
        later = START + sum(wait for wait, _ in life) * HOUR + timedelta(days=999)

        replayed = explain(session, device.id, at, later).judgement

    assert (replayed.state, rules(replayed)) == (then.state, rules(then))
    database.close()


def resume(session: Session, device: Device, life: Life, lived: int, silence: timedelta) -> None:
    """Live the rest of a life whose first reports are over."""
    now = START + sum(wait for wait, _ in life[:lived]) * HOUR
    for wait, said in life[lived:]:
        now += wait * HOUR
        record_contact(session, device, now, silence, now)
        told = {kind: Fact(value, "agent", now) for kind, value in said.items()}
        record_facts(session, device.id, told, now)


def rules(judged: Judgement) -> set[Rule]:
    return {violation.rule for violation in judged.violations}


def test_time_alone_brings_a_judgement_and_only_when_due(session: Session) -> None:
    policy = ensure_default_policy(session, START)
    device = add_device(session, policy.id)
    live(session, device, [(1, {FactKind.ROOTED: False})], DAY)
    rejudge(session, [device.id], START + HOUR)
    silent = START + HOUR + timedelta(days=3)
    at = get_judgement(session, device.id).next_due_at
    assert at is not None
    assert due(session, at - timedelta(seconds=1)) == []

    while at is not None and at <= silent:
        assert Rule.IN_CONTACT not in rules(get_judgement(session, device.id))
        assert judge_due(session, at) == [device.id]
        at = get_judgement(session, device.id).next_due_at

    assert Rule.IN_CONTACT in rules(get_judgement(session, device.id))
    assert due(session, silent) == []


def test_only_a_changed_judgement_decides_mail_again(session: Session) -> None:
    policy = ensure_default_policy(session, START)
    device = add_device(session, policy.id)

    assert rejudge(session, [device.id], START) == [device.id]
    assert rejudge(session, [device.id], START + HOUR) == []

    (job,) = session.scalars(select(Job).where(Job.kind == "mail_access.decide"))
    assert job.payload == {"device_ids": [str(device.id)]}


def test_said_again_is_no_news_and_keeps_its_time(session: Session) -> None:
    device = add_device(session, ensure_default_policy(session, START).id)
    rooted = [Fact(value, "agent", START + number * HOUR) for number, value in enumerate([1, 1, 0])]

    news = [
        record_facts(session, device.id, {FactKind.ROOTED: fact}, fact.said_at) for fact in rooted
    ]

    assert news == [True, False, True]
    log = list_log(session, device.id, FactKind.ROOTED)
    assert [entry.value["value"] for entry in log] == [0, 1]


def test_a_silence_leaves_its_two_ends_in_the_log(session: Session) -> None:
    device = add_device(session, ensure_default_policy(session, START).id)

    live(session, device, [(1, {}), (12, {}), (12, {}), (100, {}), (12, {})], 3 * DAY)

    log = session.scalars(
        select(LoggedFact).where(LoggedFact.kind == FactKind.CONTACT).order_by(LoggedFact.id)
    )
    told = [(entry.value["value"], (entry.said_at - START) // HOUR) for entry in log]
    assert told == [("back", 1), ("last", 25), ("back", 125)]


def test_devices_are_found_by_words_of_name_owner_and_serial(session: Session) -> None:
    policy = ensure_default_policy(session, START)
    ada = add_device(session, policy.id, "Pixel (Ada)", serial="A_1", owner_name="Ada Byron")
    bob = add_device(session, policy.id, "Pixel (Bob)", owner_address="bob@example.com")
    rejudge(session, [ada.id, bob.id], START)
    session.commit()

    def found(text: str) -> list[Any]:
        return [row.device.id for row in list_devices(session, DeviceFilter(text=text))]

    assert found("pixel") == [ada.id, bob.id]
    assert found("BYRON pixel") == [ada.id]
    assert found("a_1") == [ada.id]
    assert found("a%1") == []
    assert found("bob@") == [bob.id]


def test_a_policy_never_changes_its_versions(session: Session) -> None:
    policy = ensure_default_policy(session, START)
    settings = current_version(session, policy.id).settings
    first = change_policy(session, policy.id, Requirements(), settings, "keeper", "same", START)
    second = change_policy(
        session, policy.id, Requirements(encrypted=False), settings, "keeper", "why", START + HOUR
    )

    assert (first.version, second.version, policy.current_version) == (1, 2, 2)
    assert first.requirements != second.requirements
    (job,) = session.scalars(select(Job))
    assert (job.kind, job.payload) == ("policies.spread", {"policy_id": str(policy.id)})
    assert ensure_default_policy(session, START).id == policy.id


def test_a_grace_period_is_not_begun_again_by_an_unrelated_change(session: Session) -> None:
    policy = ensure_default_policy(session, START)
    device = add_device(session, policy.id)
    live(session, device, [(1, {FactKind.ROOTED: True})], DAY)
    rejudge(session, [device.id], START + HOUR)
    before = broken_since(session, device, Rule.NOT_ROOTED)

    change_policy(
        session, policy.id, Requirements(encrypted=False), {}, "keeper", "", START + 5 * HOUR
    )
    rejudge(session, [device.id], START + 5 * HOUR)

    assert broken_since(session, device, Rule.NOT_ROOTED) == before == START + HOUR


def test_a_new_wish_is_broken_from_the_day_it_was_made(session: Session) -> None:
    policy = ensure_default_policy(session, START)
    device = add_device(session, policy.id)
    live(session, device, [(1, {FactKind.USB_DEBUGGING: True})], DAY)
    asked = Requirements(no_usb_debugging=True)
    change_policy(session, policy.id, asked, {}, "keeper", "", START + 5 * HOUR)

    rejudge(session, [device.id], START + 9 * HOUR)

    assert broken_since(session, device, Rule.NO_USB_DEBUGGING) == START + 5 * HOUR


def broken_since(session: Session, device: Device, rule: Rule) -> Any:
    return next(v.since for v in get_judgement(session, device.id).violations if v.rule is rule)


def test_the_past_is_explained_by_the_policy_of_the_past(session: Session) -> None:
    policy = ensure_default_policy(session, START)
    other = create_policy(session, "Other", Requirements(not_rooted=False), {}, "k", "", START)
    device = add_device(session, policy.id)
    live(session, device, [(1, {FactKind.ROOTED: True})], DAY)
    assign_policy(session, device.id, other.id, "keeper", START + 5 * HOUR)

    before = explain(session, device.id, START + 4 * HOUR, START + 9 * HOUR)
    after = explain(session, device.id, START + 6 * HOUR, START + 9 * HOUR)

    assert before.asked.name == "Standard"
    assert Rule.NOT_ROOTED in rules(before.judgement)
    assert after.asked.name == "Other"
    assert Rule.NOT_ROOTED not in rules(after.judgement)
    assert session.scalars(select(DeviceJudgement)).all() == []
