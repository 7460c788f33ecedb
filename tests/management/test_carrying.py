"""Who gets another policy keeps the time of what both policies ask."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from management.canary import service
from management.compliance.judgement import ConsequenceKind, Judgement, Rule
from management.compliance.queries import get_judgement
from management.compliance.service import rejudge
from management.context import Context
from management.devices.rules import Fact, FactKind
from management.devices.service import assign_policy, record_facts
from management.enrolment.service import retire
from management.policies.carrying import carry, read_carried, wished_since, write_carried
from management.policies.models import ROOT_GROUP
from management.policies.rules import Requirements, asked_since, wishes_in
from management.policies.service import change_policy, create_policy, ensure_default_policy
from management.policies.treatment import Consequence, Treatment
from runtime.clock import utc_now
from tests.management.fleets import START, add_device
from tests.management.phones import Phone as Known
from tests.management.phones import office
from tests.management.test_canary import wanted
from tests.management.test_compliance_rules import often, requirements

DAY = timedelta(days=1)
MONTH = Treatment(grace=30 * DAY, consequences=(Consequence(kind=ConsequenceKind.BLOCK_MAIL),))
ASKED = Requirements(no_usb_debugging=True, treatments={Rule.NO_USB_DEBUGGING: MONTH})
MORE = Requirements(
    no_usb_debugging=True,
    no_developer_options=True,
    treatments={Rule.NO_USB_DEBUGGING: MONTH, Rule.NO_DEVELOPER_OPTIONS: MONTH},
)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@often
@given(st.lists(st.tuples(st.integers(1, 90), requirements), min_size=2, max_size=4))
def test_a_chain_of_policies_is_as_one_policy_that_was_changed(
    given_after: list[tuple[int, Requirements]],
) -> None:
    """But what asks for the policy itself is as old as that policy."""
    at, history, carried, asked = BEGIN, [], dict[str, datetime](), given_after[0][1]
    history.append((BEGIN, asked))
    for days, following in given_after[1:]:
        now = at + timedelta(days=days)
        ages = dict.fromkeys(wishes_in(asked), BEGIN - DAY)  # of a policy older than the device
        before, since = at, carried
        carried = carry(
            asked,
            lambda wish, ages=ages, before=before, since=since: wished_since(  # type: ignore[misc]
                wish, ages, before, since
            ),
            following,
            BEGIN,
            now,
        )
        carried = read_carried(write_carried(carried, now), now)
        at, asked = now, following
        history.append((now, following))

    ages = dict.fromkeys(wishes_in(asked), BEGIN - DAY)
    expected = asked_since(history) | {"policy_applied": at}
    assert {wish: wished_since(wish, ages, at, carried) for wish in ages} == expected
    assert read_carried(write_carried(carried, at), at + DAY) == {}
    later = {"encrypted": at + DAY}
    assert wished_since("encrypted", later, at, carried) == at + DAY


class Phone:
    """One phone in the database with USB debugging and developer options on since START."""

    def __init__(self, context: Context) -> None:
        self.context = context
        said = dict.fromkeys((FactKind.USB_DEBUGGING, FactKind.DEVELOPER_OPTIONS, FactKind.CONTACT))
        with context.database.transaction("phone") as session:
            self.policy = ensure_default_policy(session, START).id
            change_policy(session, self.policy, ASKED, {}, "keeper", "why", START)
            self.id = add_device(session, self.policy).id
            facts = {kind: Fact(True, "agent", START) for kind in said}
            record_facts(session, self.id, facts, START)

    def judged(self, days: int) -> Judgement:
        """Judge it so many days after START."""
        with self.context.database.transaction("judge") as session:
            rejudge(session, [self.id], START + days * DAY)
            return get_judgement(session, self.id)

    def since(self, rule: Rule, days: int) -> timedelta:
        """Return how long after START the rule is taken as broken."""
        broken = {one.rule: one.since for one in self.judged(days).violations}
        return broken[rule] - START


def mail_blocked(judged: Judgement, rule: Rule) -> timedelta:
    kind = ConsequenceKind.BLOCK_MAIL
    due = [one.due_at for one in judged.consequences if (one.kind, one.rule) == (kind, rule)]
    return min(due) - START


def test_a_trial_and_its_end_begin_no_grace_period_anew(context: Context) -> None:
    phone = Phone(context)
    assert mail_blocked(phone.judged(1), Rule.NO_USB_DEBUGGING) == 30 * DAY

    asked = wanted(phone.policy, based_on=2, requirements=MORE, percent=0, group_id=ROOT_GROUP)
    with context.database.transaction("begin") as session:
        trial = service.start(session, asked, START + 9 * DAY)
        service.give_some(session, trial.id, None, 9, START + 10 * DAY)
    during = phone.judged(11)
    assert phone.since(Rule.NO_USB_DEBUGGING, 11) == timedelta(0)
    assert mail_blocked(during, Rule.NO_USB_DEBUGGING) == 30 * DAY
    assert mail_blocked(during, Rule.NO_DEVELOPER_OPTIONS) == 40 * DAY

    with context.database.transaction("end") as session:
        service.promote(session, trial.id, "keeper", "well", START + 20 * DAY)
        service.give_back_some(session, trial.id, 9, START + 21 * DAY)
    after = phone.judged(22)
    assert after.policy_id == str(phone.policy)
    assert mail_blocked(after, Rule.NO_USB_DEBUGGING) == 30 * DAY
    assert mail_blocked(after, Rule.NO_DEVELOPER_OPTIONS) == 40 * DAY


def test_enrolling_anew_with_another_policy_begins_no_grace_period_anew(context: Context) -> None:
    """Nobody escapes a violation by leaving and coming back with another invitation."""
    desk = office(context)
    with context.database.transaction("ask") as session:
        change_policy(session, desk.policy_id, ASKED, {}, "keeper", "why", START)
        other = create_policy(session, "Other", MORE, {}, "keeper", "why", START)
    phone = Known(desk).enrol()
    desk.take(phone.report(replace(phone.good(), usb_debugging=True)))
    before = _broken(context, phone)[Rule.NO_USB_DEBUGGING]

    desk.policy_id = other.id
    with context.database.transaction("leave") as session:
        retire(session, phone.device_id, "keeper", "test", utc_now())
    again = Known(desk, phone.signing_key, phone.encryption_key).enrol()

    assert again.device_id == phone.device_id
    found = _broken(context, again)
    assert found[Rule.NO_USB_DEBUGGING] == before


def _broken(context: Context, phone: Known) -> dict[Rule, datetime]:
    with context.database.reading() as session:
        return {one.rule: one.since for one in get_judgement(session, phone.device_id).violations}


def test_what_another_policy_asks_newly_counts_from_the_day_it_was_given(context: Context) -> None:
    phone = Phone(context)
    with context.database.transaction("give") as session:
        other = create_policy(session, "Other", MORE, {}, "keeper", "why", START)
        assign_policy(session, phone.id, other.id, "keeper", START + 10 * DAY)

    assert phone.since(Rule.NO_USB_DEBUGGING, 11) == timedelta(0)
    assert phone.since(Rule.NO_DEVELOPER_OPTIONS, 11) == 10 * DAY
    assert phone.since(Rule.POLICY_APPLIED, 11) == 10 * DAY

    milder = Requirements(no_developer_options=True)
    with context.database.transaction("change") as session:
        change_policy(session, other.id, milder, {}, "keeper", "why", START + 12 * DAY)
        change_policy(session, other.id, MORE, {}, "keeper", "why", START + 13 * DAY)
    assert phone.since(Rule.NO_USB_DEBUGGING, 14) == 13 * DAY
    assert phone.since(Rule.NO_DEVELOPER_OPTIONS, 14) == 10 * DAY
