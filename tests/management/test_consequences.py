"""What follows from a violation follows once, in its time, within limits, and not while frozen."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts import keys
from contracts.agent import CommandKind
from management.commands.models import Command
from management.commands.rules import AUTOMATIC
from management.commands.service import cancel_command, queue_command
from management.compliance.judgement import ConsequenceKind, Rule, Violation
from management.compliance.service import rejudge
from management.consequences import freezes, queries, rules, work
from management.consequences.models import CarriedOut, Freeze, HeldDevice
from management.context import Context
from management.devices.models import Device, DeviceJudgement
from management.devices.rules import EnrolmentState, Fact, FactKind
from management.devices.service import end_enrolment, record_contact, record_facts
from management.groups.service import create_group, move_device
from management.mail_access.decisions import decide_for_devices
from management.mail_access.models import Connector, Partnership
from management.policies.models import ROOT_GROUP, Group
from management.policies.rules import Requirements
from management.policies.service import change_policy, create_policy, ensure_default_policy
from management.policies.treatment import Consequence, Treatment
from management.relays.models import Relay
from management.safety import service as safety
from management.work.models import Job
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient
from tests.management.fleets import add_device

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
TELL, NOTICE = ConsequenceKind.TELL_USER, ConsequenceKind.TELL_ADMINISTRATORS
MAIL, WIPE = ConsequenceKind.BLOCK_MAIL, ConsequenceKind.SELECTIVE_WIPE
MOVE = ConsequenceKind.MOVE_GROUP


def asking(context: Context, *consequences: Consequence, grace: timedelta = timedelta(0)) -> UUID:
    """Let the policy ask that USB debugging is off, with these consequences; since a month ago."""
    treatment = Treatment(consequences=consequences, grace=grace)
    asked = Requirements(no_usb_debugging=True, treatments={Rule.NO_USB_DEBUGGING: treatment})
    with context.database.transaction("policy") as session:
        if session.get(Group, ROOT_GROUP) is None:
            session.add(Group(id=ROOT_GROUP, name="All"))
        policy = ensure_default_policy(session, utc_now() - 40 * DAY)
        change_policy(session, policy.id, asked, {}, "keeper", "why", utc_now() - 30 * DAY)
        return policy.id


def enrolled(context: Context, policy_id: UUID, debugging: bool = True, **fields: Any) -> UUID:
    with context.database.transaction("device") as session:
        device = add_device(session, policy_id, **fields)
        said = {
            FactKind.ROOTED: False,
            FactKind.ENCRYPTED: True,
            FactKind.PASSCODE_SET: True,
            FactKind.BAD_APPS: [],
            FactKind.APPLIED_POLICY: {"policy_id": str(policy_id), "version": 2},
        }
        say(session, device, said | {FactKind.USB_DEBUGGING: debugging})
        return device.id


def say(session: Session, device: Device, values: dict[FactKind, Any]) -> None:
    """Let the device report now, and judge it."""
    now = utc_now()
    record_contact(session, device, now, DAY, now)
    facts = {kind: Fact(value, "agent", now) for kind, value in values.items()}
    record_facts(session, device.id, facts, now)
    rejudge(session, [device.id], now)


def says(context: Context, device_id: UUID, debugging: bool) -> None:
    with context.database.transaction("report") as session:
        say(session, session.get_one(Device, device_id), {FactKind.USB_DEBUGGING: debugging})


def follow(context: Context) -> None:
    """Do all queued work of following, as workers do."""
    with context.database.transaction("take work") as session:
        wanted = select(Job).where(Job.kind == "consequences.follow", Job.state == "queued")
        jobs = list(session.scalars(wanted.order_by(Job.queued_at)))
        for job in jobs:
            job.state = "done"
    for job in jobs:
        work.follow(context, job.payload, lambda _: None)


def done(context: Context, device_id: UUID | None = None) -> list[CarriedOut]:
    with context.database.reading() as session:
        query = select(CarriedOut).order_by(CarriedOut.id)
        if device_id is not None:
            query = query.where(CarriedOut.device_id == device_id)
        return list(session.scalars(query))


def commands(context: Context, kind: CommandKind) -> list[Command]:
    with context.database.reading() as session:
        return list(session.scalars(select(Command).where(Command.kind == kind.value)))


def held(context: Context) -> dict[UUID, str]:
    with context.database.reading() as session:
        return {row.device_id: row.because for row in session.scalars(select(HeldDevice))}


def look_now(context: Context) -> None:
    """Let the time to look again be over, and look."""
    with context.database.transaction("time passes") as session:
        for row in session.scalars(select(HeldDevice)):
            row.look_at = utc_now() - MINUTE
    work.look_again(context)


def test_each_follows_once_while_the_rule_stays_broken(context: Context) -> None:
    policy = asking(context, Consequence(kind=TELL), Consequence(kind=NOTICE))
    device = enrolled(context, policy)

    follow(context)
    says(context, device, True)
    work.follow(context, {"device_ids": [str(device), str(device)]}, lambda _: None)

    rows = done(context)
    assert {(row.kind, row.result) for row in rows} == {(TELL, "done"), (NOTICE, "done")}
    assert len(rows) == 2
    (message,) = commands(context, CommandKind.MESSAGE)
    assert "USB debugging is on" in message.arguments["text"]
    assert message.requested_by == AUTOMATIC

    says(context, device, False)
    follow(context)
    assert all(row.ended_at for row in done(context))

    says(context, device, True)
    follow(context)
    assert len(done(context)) == 4
    assert len(commands(context, CommandKind.MESSAGE)) == 2


def test_what_is_mended_within_its_grace_has_no_consequence(context: Context) -> None:
    policy = asking(context, Consequence(kind=TELL), Consequence(kind=WIPE), grace=DAY)
    device = enrolled(context, policy)
    follow(context)
    says(context, device, False)
    follow(context)

    assert done(context) == []
    assert commands(context, CommandKind.SELECTIVE_WIPE) == []


def test_a_wipe_that_is_not_sent_is_taken_back_when_it_is_mended(context: Context) -> None:
    policy = asking(context, Consequence(kind=WIPE))
    device = enrolled(context, policy)
    follow(context)
    (wipe,) = commands(context, CommandKind.SELECTIVE_WIPE)
    assert (wipe.state, wipe.reason) == (
        "queued",
        "Rule no_usb_debugging: USB debugging is on (agent)",
    )

    says(context, device, False)
    follow(context)

    (wipe,) = commands(context, CommandKind.SELECTIVE_WIPE)
    assert wipe.state == "cancelled"
    (row,) = done(context)
    assert "taken back" in row.words


def test_a_wipe_that_two_rules_ask_for_stays_until_both_are_mended(context: Context) -> None:
    policy = asking(context)
    wipes = Treatment(consequences=(Consequence(kind=WIPE),))
    treatments = {Rule.NO_USB_DEBUGGING: wipes, Rule.NOT_ROOTED: wipes}
    asked = Requirements(no_usb_debugging=True, not_rooted=True, treatments=treatments)
    with context.database.transaction("policy") as session:
        change_policy(session, policy, asked, {}, "keeper", "why", utc_now() - 20 * DAY)
    device = enrolled(context, policy)
    both = {FactKind.USB_DEBUGGING: True, FactKind.ROOTED: True}
    for said, state in (
        (both, "queued"),
        ({FactKind.USB_DEBUGGING: False}, "queued"),
        ({FactKind.ROOTED: False}, "cancelled"),
    ):
        with context.database.transaction("report") as session:
            say(session, session.get_one(Device, device), said)
        follow(context)
        (wipe,) = commands(context, CommandKind.SELECTIVE_WIPE)
        assert wipe.state == state


def test_automatic_wipes_stop_when_they_are_not_signed(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("management.consequences.service.MOST_WAITING_WIPES", 3)
    policy = asking(context, Consequence(kind=WIPE), Consequence(kind=TELL))
    for _ in range(5):
        enrolled(context, policy)
    follow(context)

    wipes = commands(context, CommandKind.SELECTIVE_WIPE)
    assert len(wipes) == 3
    assert len(commands(context, CommandKind.MESSAGE)) == 5
    assert len(held(context)) == 2
    assert "approve or take them back" in next(iter(held(context).values()))

    with context.database.transaction("take back") as session:
        for wipe in wipes[:2]:
            cancel_command(session, wipe.id, "keeper", utc_now())
    look_now(context)
    assert len(commands(context, CommandKind.SELECTIVE_WIPE)) == 5
    assert held(context) == {}


def test_nothing_follows_while_enforcement_is_paused(context: Context) -> None:
    policy = asking(context, Consequence(kind=TELL))
    with context.database.transaction("pause") as session:
        safety.pause(session, "keeper", "a drill", utc_now())
    device = enrolled(context, policy)
    follow(context)
    look_now(context)
    assert done(context) == []
    assert held(context)[device] == "All enforcement is paused by keeper: a drill"

    with context.database.transaction("resume") as session:
        safety.resume(session, "keeper", utc_now())
    look_now(context)
    assert [row.kind for row in done(context)] == [TELL]
    assert held(context) == {}


def test_after_a_mass_change_a_person_must_look(
    context: Context, console: ConsoleClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "BRAKE_LEAST", 2)
    policy = asking(context, Consequence(kind=MAIL), Consequence(kind=NOTICE))
    for _ in range(5):
        enrolled(context, policy)
    follow(context)

    assert len({row.device_id for row in done(context)}) == 2
    assert len(held(context)) == 3
    with context.database.reading() as session:
        (freeze,) = session.scalars(select(Freeze))
        (frozen,) = queries.active_freezes(session, utc_now())
    assert "cut off 2 devices" in frozen.because
    look_now(context)
    assert len(held(context)) == 3

    page = console.get("/consequences").text
    assert "cut off 2 devices" in page
    refused = console.post(f"/consequences/freezes/{freeze.id}/release", data={"reason": " "})
    assert refused.status_code == 409
    console.post(f"/consequences/freezes/{freeze.id}/release", data={"reason": "It was meant."})
    look_now(context)
    assert len({row.device_id for row in done(context)}) == 5
    assert held(context) == {}

    late = [enrolled(context, policy) for _ in range(2)]  # nobody looked at these
    follow(context)
    assert set(held(context)) == set(late)
    with context.database.reading() as session:
        (again,) = queries.active_freezes(session, utc_now())
    assert "cut off 5 devices" in again.because


def test_a_device_that_breaks_keeps_no_other_from_its_turn(context: Context) -> None:
    policy = asking(context, Consequence(kind=NOTICE))
    ids = [enrolled(context, policy) for _ in range(3)]
    with context.database.transaction("an answer that nobody can read") as session:
        row = session.get_one(DeviceJudgement, ids[0])
        kept = row.violations
        row.violations = [{**kept[0], "rule": "of_another_world"}]
    follow(context)

    assert {row.device_id for row in done(context)} == set(ids[1:])
    assert "could not be worked out (ValueError)" in held(context)[ids[0]]

    with context.database.transaction("mended") as session:
        session.get_one(DeviceJudgement, ids[0]).violations = kept
    look_now(context)
    assert {row.device_id for row in done(context)} == set(ids)
    assert held(context) == {}


def test_a_wipe_that_a_person_orders_too_outlasts_the_violation(context: Context) -> None:
    policy = asking(context, Consequence(kind=WIPE))
    device = enrolled(context, policy)
    follow(context)
    (automatic,) = commands(context, CommandKind.SELECTIVE_WIPE)
    with context.database.transaction("by hand") as session:
        now = utc_now()
        kind = CommandKind.SELECTIVE_WIPE
        by_hand = queue_command(session, device, kind, {}, "keeper", "stolen", now, undo=HOUR)
    assert by_hand.id != automatic.id
    assert by_hand.ready_at == now + HOUR

    says(context, device, False)
    follow(context)
    states = {one.requested_by: one for one in commands(context, CommandKind.SELECTIVE_WIPE)}
    assert (states["keeper"].state, states[AUTOMATIC].state) == ("queued", "cancelled")
    assert "keeper asked for" in states[AUTOMATIC].detail

    says(context, device, True)
    follow(context)
    assert len(commands(context, CommandKind.SELECTIVE_WIPE)) == 2


def relay(context: Context, contact_at: datetime) -> UUID:
    with context.database.transaction("relay") as session:
        found = Relay(
            name="DMZ",
            link_url="https://127.0.0.1:1",
            link_certificate="",
            devices_url="https://127.0.0.1:2",
            ca_certificate="",
            paired_at=contact_at,
            contact_at=contact_at,
        )
        session.add(found)
        session.flush()
        return found.id


def back(context: Context, relay_id: UUID) -> None:
    with context.database.transaction("visit") as session:
        found, now = session.get_one(Relay, relay_id), utc_now()
        freezes.note_contact(session, relay_id, found.name, found.contact_at, now)
        found.contact_at = now


def test_an_outage_of_the_relay_is_no_silence_of_the_devices(context: Context) -> None:
    policy = asking(context, Consequence(kind=NOTICE))
    through = relay(context, utc_now() - DAY)
    ids = [enrolled(context, policy, relay_id=through) for _ in range(2)]
    follow(context)
    assert done(context) == []
    assert "was last reached at" in held(context)[ids[0]]

    back(context, through)
    look_now(context)
    assert done(context) == []  # it answers again, and no device had time to come back

    says(context, ids[0], True)  # this one did
    follow(context)
    look_now(context)
    assert [row.device_id for row in done(context)] == [ids[0]]

    with context.database.transaction("a day later") as session:
        for row in session.scalars(select(Freeze)):
            assert row.until is not None
            assert DAY - MINUTE < row.until - utc_now() <= DAY
            row.until = utc_now()
    look_now(context)
    assert {row.device_id for row in done(context)} == set(ids)


def test_a_person_may_end_the_freeze_of_an_outage(context: Context, console: ConsoleClient) -> None:
    policy = asking(context, Consequence(kind=NOTICE))
    silent = relay(context, utc_now() - DAY)
    enrolled(context, policy, relay_id=silent)
    follow(context)
    page = console.get("/consequences").text
    assert "was last reached at" in page

    console.post(f"/consequences/outages/{silent}/release", data={"reason": "The relay is gone."})
    look_now(context)

    assert len(done(context)) == 1
    assert "was last reached at" not in console.get("/consequences").text


def test_mail_is_not_taken_away_after_an_outage_but_given_back(context: Context) -> None:
    policy = asking(context, Consequence(kind=MAIL))
    through = relay(context, utc_now() - DAY)
    bad = enrolled(context, policy, relay_id=through, owner_address="bad@example.org")
    good = enrolled(context, policy, False, relay_id=through, owner_address="good@example.org")
    with context.database.transaction("mail") as session:
        safety.write_setting(session, "mail_access", '{"automatic": true}', "test", utc_now())
        connector = Connector(
            id=uuid4(), name="exchange", key=keys.public_jwk(keys.new_key()), paired_at=utc_now()
        )
        session.add(connector)
        session.flush()
        for device_id, wanted in ((bad, "allow"), (good, "block")):
            device = session.get_one(Device, device_id)
            device.exchange_device_id = f"SEC{device_id.hex[:6]}"
            session.add(partnership(connector, device, wanted))
        session.flush()
        decide_for_devices(session, [bad, good], utc_now())
        found = {row.device_id: row for row in session.scalars(select(Partnership))}
        assert {found[bad].wanted, found[good].wanted} == {"allow"}
        assert "not blocked yet: The communication server DMZ" in found[bad].wanted_because
        assert found[bad].next_due_at is not None

    back(context, through)
    with context.database.transaction("later") as session:
        for row in session.scalars(select(Freeze)):
            row.until = utc_now()
        session.flush()
        decide_for_devices(session, [bad, good], utc_now())
        found = {row.device_id: row for row in session.scalars(select(Partnership))}
        assert (found[bad].wanted, found[good].wanted) == ("block", "allow")


def partnership(connector: Connector, device: Device, wanted: str) -> Partnership:
    return Partnership(
        connector_id=connector.id,
        mailbox=device.owner_address.partition("@")[0],
        user_address=device.owner_address,
        exchange_device_id=device.exchange_device_id,
        access_state="Allowed",
        pass_id=uuid4(),
        first_seen_at=utc_now() - DAY,
        seen_at=utc_now(),
        device_id=device.id,
        match="sure",
        grace_key=device.owner_address,
        wanted=wanted,
        wanted_since=utc_now() - DAY,
    )


def test_a_device_is_moved_to_the_group_that_the_policy_names(context: Context) -> None:
    asking(context)
    with context.database.transaction("group") as session:
        group = create_group(session, "Quarantine", ROOT_GROUP).id
    policy = asking(context, Consequence(kind=MOVE, group_id=group))
    device = enrolled(context, policy, policy_is_own=True)
    follow(context)

    with context.database.reading() as session:
        assert session.get_one(Device, device).group_id == group
    work.follow(context, {"device_ids": [str(device)]}, lambda _: None)
    (row,) = [one for one in done(context) if one.kind == MOVE]
    assert (row.result, row.group_before) == ("done", ROOT_GROUP)


def test_what_followed_in_an_earlier_enrolment_follows_again(context: Context) -> None:
    device = enrolled(context, asking(context, Consequence(kind=WIPE), Consequence(kind=NOTICE)))
    follow(context)
    with context.database.transaction("wiped, and back") as session:
        (wipe,) = session.scalars(select(Command))
        wipe.state = "done"
        found = session.get_one(Device, device)
        end_enrolment(session, found, EnrolmentState.RETIRED, "agent", utc_now())
        rejudge(session, [device], utc_now())
    follow(context)
    assert len(done(context)) == 2
    with context.database.transaction("enrolled again") as session:
        found = session.get_one(Device, device)
        found.enrolment_state, found.enrolled_at = EnrolmentState.ENROLLED, utc_now()
        enrolment = Fact(EnrolmentState.ENROLLED.value, "enrolment", utc_now())
        record_facts(session, device, {FactKind.ENROLMENT: enrolment}, utc_now())
        say(session, found, {FactKind.USB_DEBUGGING: True})
    follow(context)

    old, new = done(context)[:2], done(context)[2:]
    assert (all(row.ended_at for row in old), len(new)) == (True, 2)
    assert sorted(row.state for row in commands(context, CommandKind.SELECTIVE_WIPE)) == [
        "done",
        "queued",
    ]


def test_policies_do_not_send_a_device_back_and_forth_for_ever(context: Context) -> None:
    policy = asking(context)
    device = enrolled(context, policy)
    both = (("A", Rule.NO_USB_DEBUGGING, "B"), ("B", Rule.NOT_ROOTED, "A"))
    with context.database.transaction("two groups") as session:
        groups = {name: create_group(session, name, ROOT_GROUP) for name in "AB"}
        for name, rule, other in both:
            move = Consequence(kind=MOVE, group_id=groups[other].id)
            treatments = {rule: Treatment(consequences=(move,))}
            asked = Requirements(
                not_rooted=rule is Rule.NOT_ROOTED,
                no_usb_debugging=rule is Rule.NO_USB_DEBUGGING,
                treatments=treatments,
            )
            made = create_policy(session, name, asked, {}, "keeper", "why", utc_now() - 20 * DAY)
            groups[name].android_policy_id = made.id
        session.flush()
        move_device(session, device, groups["A"].id, "keeper", utc_now())
        broken = {FactKind.USB_DEBUGGING: True, FactKind.ROOTED: True}
        say(session, session.get_one(Device, device), broken)
    for _ in range(8):
        follow(context)
        with context.database.transaction("judge again") as session:
            rejudge(session, [device], utc_now())

    moves = [row for row in done(context, device) if row.kind == MOVE]
    assert [row.result for row in moves] == ["done"] * 3 + ["refused"]
    assert "back and forth" in moves[-1].words


def test_what_cannot_be_done_is_told_and_not_tried_for_ever(context: Context) -> None:
    policy = asking(context, Consequence(kind=MOVE, group_id=uuid4()))
    enrolled(context, policy)
    follow(context)
    follow(context)

    (row,) = done(context)
    assert row.result == "refused"
    assert row.words


def test_nothing_follows_from_what_a_retired_device_broke(context: Context) -> None:
    policy = asking(context, Consequence(kind=WIPE))
    device = enrolled(context, policy, debugging=False)
    with context.database.transaction("leave") as session:
        found, now = session.get_one(Device, device), utc_now()
        record_facts(session, device, {FactKind.USB_DEBUGGING: Fact(True, "agent", now)}, now)
        end_enrolment(session, found, EnrolmentState.RETIRED, "keeper", now)
        rejudge(session, [device], now)
    follow(context)

    assert commands(context, CommandKind.SELECTIVE_WIPE) == []


@pytest.mark.parametrize("point", ["before commit", "after commit"])
def test_a_death_repeats_nothing_and_forgets_nothing(
    context: Context, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    policy = asking(context, Consequence(kind=TELL), Consequence(kind=WIPE))
    ids = [enrolled(context, policy) for _ in range(3)]
    payload = {"device_ids": [str(one) for one in ids]}
    died: list[str] = []

    def die(name: str) -> None:
        if name == f"{point} act on violations" and len(died) < 2:
            died.append(name)
            raise KeyboardInterrupt

    monkeypatch.setattr("management.database.crash_point", die)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            work.follow(context, payload, lambda _: None)
    work.follow(context, payload, lambda _: None)

    assert len(died) == 2
    assert len(done(context)) == 6
    assert len(commands(context, CommandKind.MESSAGE)) == 3
    assert len(commands(context, CommandKind.SELECTIVE_WIPE)) == 3


def test_a_notice_is_put_away_by_an_administrator(context: Context, console: ConsoleClient) -> None:
    policy = asking(context, Consequence(kind=NOTICE))
    enrolled(context, policy, name="Lost phone")
    follow(context)
    (row,) = done(context)
    assert "Lost phone" in console.get("/consequences").text

    assert "Lost phone" in console.get(f"/consequences?device={row.device_id}").text
    assert "Lost phone" not in console.get(f"/consequences?device={uuid4()}").text
    assert console.get("/consequences?device=x").status_code == 404
    console.post(f"/consequences/{row.id}/seen")

    assert done(context)[0].seen_by == "keeper"
    assert "Lost phone" not in console.get("/consequences?unseen=yes").text


def test_the_message_fits_a_command() -> None:
    now = utc_now()
    broken = [
        Violation(Rule.NOT_ROOTED, "root access found " * 9, "Mend it.", now, ()) for _ in range(3)
    ]
    assert len(rules.message(broken)) == 255
    assert rules.message(broken[:1]).endswith("Mend it.")


@pytest.mark.parametrize(
    ("outage", "expected"), [(MINUTE, HOUR), (5 * HOUR, 5 * HOUR), (40 * DAY, DAY)]
)
def test_devices_have_as_long_to_return_as_the_outage_was(
    outage: timedelta, expected: timedelta
) -> None:
    assert rules.time_to_return(outage) == expected
