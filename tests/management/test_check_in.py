from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from contracts import envelope, keys
from contracts.agent import (
    Apps,
    CommandResult,
    Digest,
    Enrolled,
    EnrolmentRefused,
    InstalledApp,
    Leaving,
    Receipt,
    RelayProblem,
)
from contracts.agent import CommandKind as Kind
from contracts.link import Inbound
from management.check_in.opening import SuspiciousError, open_request
from management.check_in.rules import REMEMBERED, Place, place, remember
from management.check_in.service import take
from management.commands.models import Command
from management.commands.sending import send
from management.commands.service import queue_command
from management.compliance.judgement import Rule, State
from management.compliance.queries import get_judgement
from management.context import Context
from management.devices.models import Device, DeviceJudgement
from management.devices.queries import get_facts
from management.devices.replay import rebuild_facts
from management.devices.rules import FactKind
from management.enrolment.models import EnrolmentAttempt
from management.enrolment.queries import list_attempts
from management.enrolment.service import retire
from management.enrolment.work import forget
from management.policies.rules import Requirements
from management.policies.service import change_policy
from management.relays.models import KnownDeviceChange, RelayIncident
from management.relays.queries import list_incidents
from runtime.clock import utc_now
from tests.management.phones import Office, Phone, office


@pytest.fixture
def desk(context: Context) -> Office:
    return office(context)


@pytest.fixture
def read(context: Context) -> Iterator[Session]:
    """What is committed; roll back to see what came since."""
    with Session(context.database.engine) as session:
        yield session


def incidents(read: Session) -> list[tuple[str, int]]:
    read.rollback()
    return [(one.problem, one.repeats) for one in reversed(list_incidents(read))]


APP = InstalledApp(package="org.example.app", name="App", version="1", sha256="a" * 64)


# --- enrolment ---


def test_a_valid_key_enrols_the_device_and_is_used_up(desk: Office, read: Session) -> None:
    phone = Phone(desk).enrol()

    answer = phone.answer()
    assert (answer.aud, answer.epoch, answer.seq, answer.ack) == (phone.device_id, 1, 1, 0)
    device = phone.row(read)
    assert device.enrolment_state == "enrolled"
    assert device.signing_key == keys.public_jwk(phone.signing_key)
    assert get_facts(read, device.id)[FactKind.ENROLMENT].value == "enrolled"
    assert get_judgement(read, device.id).state is State.OUT_OF_SYNC
    assert read.scalars(select(KnownDeviceChange.device_id)).all() == [device.id]


def test_the_same_request_again_gets_the_same_answer(desk: Office, read: Session) -> None:
    phone, key = Phone(desk), desk.invite()
    desk.take(phone.request(key))
    first = desk.waiting(phone.enrolment_id)[0].sealed

    desk.take(phone.request(key), phone.request(key))

    assert [message.sealed for message in desk.waiting(phone.enrolment_id)] == [first]
    assert len(read.scalars(select(Device)).all()) == 1


def test_another_device_cannot_use_a_used_key(desk: Office, read: Session) -> None:
    key = desk.invite()
    Phone(desk).enrol(key)
    thief = Phone(desk)

    desk.take(thief.request(key))

    body = thief.answer().body
    assert isinstance(body, EnrolmentRefused)
    assert "used up already" in body.reason
    assert [one.refused_because for one in list_attempts(read, refused=True)] == [body.reason]


def test_another_key_cannot_speak_for_an_enrolment_id(desk: Office, read: Session) -> None:
    phone = Phone(desk).enrol()
    thief = Phone(desk, enrolment_id=phone.enrolment_id)

    desk.take(thief.request(desk.invite()))

    assert isinstance(phone.answer().body, Enrolled)
    assert incidents(read) == [("unreadable", 1)]


@pytest.mark.parametrize("typed", [str.lower, lambda key: key.replace("-", " "), str.strip])
def test_a_key_may_be_typed_carelessly(desk: Office, typed: Callable[[str], str]) -> None:
    Phone(desk).enrol(typed(desk.invite()))


def test_a_request_of_another_time_is_refused_with_the_reason(desk: Office) -> None:
    for hours, word in ((-72, "too old"), (1, "ahead")):
        phone = Phone(desk)
        desk.take(phone.request(desk.invite(), sent_at=utc_now() + timedelta(hours=hours)))
        body = phone.answer().body
        assert isinstance(body, EnrolmentRefused)
        assert word in body.reason


def test_an_unknown_key_is_refused_and_recorded(desk: Office, read: Session) -> None:
    phone = Phone(desk)

    desk.take(phone.request("0000-0000"))

    assert isinstance(phone.answer().body, EnrolmentRefused)
    attempt = read.get_one(EnrolmentAttempt, phone.enrolment_id)
    assert "not known here" in attempt.refused_because


def test_a_claimed_serial_number_takes_over_nothing(desk: Office, read: Session) -> None:
    honest = Phone(desk).enrol(serial="S1", imei="I1")
    thief = Phone(desk).enrol(serial="S1", imei="I1")

    assert thief.device_id != honest.device_id
    assert len(read.scalars(select(Device)).all()) == 2


def test_the_proven_key_continues_the_record_in_a_new_epoch(desk: Office, read: Session) -> None:
    phone = Phone(desk).enrol()
    desk.take(phone.report(phone.good(rooted=True)))
    before, old = phone.device_id, phone.report(Digest())
    phone.enrolment_id = uuid4()
    phone.encryption_key = keys.new_key()

    phone.enrol()

    assert phone.device_id == before
    assert phone.epoch == 2
    assert get_facts(read, before)[FactKind.ROOTED].value is True
    desk.take(old)
    assert incidents(read) == [("replayed", 1)]
    desk.take(phone.report(Digest()))
    assert incidents(read) == [("replayed", 1)]


def test_an_enrolled_device_does_not_pass_to_another_person(desk: Office, read: Session) -> None:
    phone = Phone(desk).enrol(desk.invite("Ada@example.com"))
    phone.enrolment_id = uuid4()
    desk.take(phone.request(desk.invite("bob@example.com")))

    body = phone.answer().body
    assert isinstance(body, EnrolmentRefused)
    assert "retire the device first" in body.reason
    device = read.scalars(select(Device)).one()
    assert (device.owner_address, device.epoch) == ("Ada@example.com", 1)
    device_id = device.id
    read.rollback()

    with desk.context.database.transaction("retire") as session:
        retire(session, device_id, "keeper", "handed on", utc_now())
    phone.enrolment_id = uuid4()
    phone.enrol(desk.invite("bob@example.com"))
    assert read.scalars(select(Device)).one().owner_address == "bob@example.com"


def test_old_refused_enrolments_are_forgotten_and_nothing_else(desk: Office, read: Session) -> None:
    granted, old, young = Phone(desk).enrol(), Phone(desk), Phone(desk)
    desk.take(old.request("0000-0000"), young.request("0000-0000"))
    with desk.context.database.transaction("let time pass") as session:
        for phone in (granted, old):
            attempt = session.get_one(EnrolmentAttempt, phone.enrolment_id)
            attempt.at -= timedelta(days=31)

    forget(desk.context, {}, print)

    left = set(read.scalars(select(EnrolmentAttempt.enrolment_id)))
    assert left == {granted.enrolment_id, young.enrolment_id}


def test_a_wipe_on_its_way_does_not_get_lost_by_enrolling_anew(
    desk: Office, context: Context, read: Session
) -> None:
    phone = Phone(desk).enrol()
    command = order(context, phone, Kind.WIPE)
    phone.enrolment_id = uuid4()

    phone.enrol()

    row = read.get_one(Command, command)
    assert (row.state, row.outbound_seq) == ("queued", None)


# --- reports ---


def test_a_report_becomes_facts_and_a_judgement(desk: Office, read: Session) -> None:
    phone = Phone(desk).enrol()

    desk.take(phone.report(phone.good(), Apps(apps=(APP,))))

    assert get_judgement(read, phone.device_id).state is State.HEALTHY
    known = get_facts(read, phone.device_id)
    assert known[FactKind.PACKAGES].value == ["org.example.app"]
    assert known[FactKind.ROAMING].value is None
    assert phone.row(read).contact_at == known[FactKind.CONTACT].said_at
    assert rebuild_facts(read, phone.row(read)) == known


def test_what_many_say_at_once_is_written_into_the_log_of_each_by_one_statement(
    desk: Office, read: Session
) -> None:
    phones = [Phone(desk).enrol() for _ in range(3)]
    written: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *more: Any) -> None:
        written.extend([statement] if "INTO fact " in statement else [])

    engine = desk.context.database.engine
    event.listen(engine, "before_cursor_execute", note)
    desk.take(*(phone.report(phone.good(), Apps(apps=(APP,))) for phone in phones))
    event.remove(engine, "before_cursor_execute", note)

    assert len(written) == 1
    for phone in phones:
        known = get_facts(read, phone.device_id)
        assert known[FactKind.ROOTED].value is False
        assert rebuild_facts(read, phone.row(read)) == known


def test_what_a_policy_asks_is_read_once_for_each_of_its_versions(
    desk: Office, context: Context, read: Session
) -> None:
    phones = [Phone(desk).enrol() for _ in range(2)]
    asked: list[str] = []
    event.listen(context.database.engine, "before_cursor_execute", lambda *a: asked.append(a[2]))

    def visit() -> int:
        asked.clear()
        desk.take(*(phone.report(phone.good()) for phone in phones))
        for phone in phones:
            phone.ack += 1
        return sum("policy_version.requirements" in one for one in asked)

    visit()
    assert (visit(), visit()) == (0, 0)
    with context.database.transaction("new version") as session:
        asks = Requirements(not_rooted=False)
        change_policy(session, desk.policy_id, asks, {}, "keeper", "why", utc_now())
    assert visit() > 0
    assert visit() == 0
    assert get_judgement(read, phones[0].device_id).policy_version == 2


def test_what_a_device_cannot_tell_does_not_pass(desk: Office, read: Session) -> None:
    phone = Phone(desk).enrol()

    desk.take(phone.report(phone.good(rooted=None), Apps(apps=())))

    judged = get_judgement(read, phone.device_id)
    assert (judged.state, judged.missing) == (State.NON_COMPLIANT, (FactKind.ROOTED,))


def test_each_pass_gives_a_device_one_receipt(desk: Office) -> None:
    phone = Phone(desk).enrol()

    desk.take(*(phone.report(phone.good()) for _ in range(5)))

    (receipt,) = phone.orders()
    assert (receipt.body, receipt.seq, receipt.ack) == (Receipt(), 2, 5)


def test_a_device_that_acknowledges_gets_its_mailbox_emptied(desk: Office) -> None:
    phone = Phone(desk).enrol()
    desk.take(phone.report(phone.good()))
    phone.ack = 2

    desk.take(phone.report(Digest()))

    states = [message.acknowledged_at is None for message in desk.waiting(phone.device_id)]
    assert states == [False, True]
    assert desk.waiting(phone.enrolment_id)[0].acknowledged_at is not None


def test_a_repeated_report_is_taken_once_and_makes_no_orders_pile_up(
    desk: Office, read: Session
) -> None:
    phone = Phone(desk).enrol()
    report = phone.report(phone.good())

    for _ in range(4):
        desk.take(report, report)

    assert [order.ack for order in phone.orders()] == [1]
    assert phone.row(read).inbound_seq == 1
    assert incidents(read) == []


def test_a_report_again_with_another_content_is_an_incident(desk: Office, read: Session) -> None:
    phone = Phone(desk).enrol()
    desk.take(phone.report(phone.good()))

    desk.take(phone.report(phone.good(rooted=True), seq=1))

    assert incidents(read) == [("altered", 1)]
    assert get_facts(read, phone.device_id)[FactKind.ROOTED].value is False


def test_a_missing_report_is_an_incident_until_it_comes(desk: Office, read: Session) -> None:
    phone = Phone(desk).enrol()
    first, second = phone.report(phone.good()), phone.report(Digest())

    desk.take(second)
    assert (incidents(read), phone.row(read).inbound_seq) == ([("gap", 1)], 0)
    read.rollback()
    desk.take(first, second)
    assert (incidents(read), phone.row(read).inbound_seq) == ([("gap", 1)], 2)


def test_no_hostile_message_stops_the_others(desk: Office, read: Session) -> None:
    phone, other = Phone(desk).enrol(), Phone(desk).enrol()
    management = desk.context.keys.encryption_key()
    forged = phone.seal(b"{}", key=keys.new_key())
    wrong_type = phone.seal(b"{}", envelope.ENROLMENT)
    not_json = phone.seal(b"not json")
    not_signed = envelope.encrypt("a.b.c", management)
    hostile = [
        desk.inbound_item("report", phone.device_id, sealed)
        for sealed in (forged, wrong_type, not_json, not_signed, "x", "a.b.c.d.e", "." * 9)
    ]
    hostile += [
        desk.inbound_item("report", uuid4(), forged),
        desk.inbound_item("report", other.device_id, phone.report(Digest(), seq=1).sealed),
        desk.inbound_item("enrolment", uuid4(), phone.request(desk.invite()).sealed),
        desk.inbound_item("enrolment", phone.enrolment_id, "a.b.c"),
        phone.report(Digest(), seq=1, epoch=2),
    ]

    desk.take(*hostile, phone.report(phone.good()), other.report(other.good()))

    assert phone.row(read).inbound_seq == other.row(read).inbound_seq == 1
    assert {problem for problem, _ in incidents(read)} == {"forged", "unreadable", "foreign"}


@pytest.mark.parametrize("said", ["0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z"])
def test_a_time_that_no_database_holds_stops_nobody(desk: Office, read: Session, said: str) -> None:
    """The first is before year 1 in UTC: an error of no kind that a reader of messages expects."""
    liar, honest = Phone(desk).enrol(), Phone(desk).enrol()

    desk.take(
        liar.report(liar.good(), sent_at=datetime.fromisoformat(said)),
        honest.report(honest.good()),
    )

    assert honest.row(read).inbound_seq == 1
    assert rebuild_facts(read, honest.row(read)) == get_facts(read, honest.device_id)


def test_reports_before_and_after_an_enrolment_are_taken_in_one_visit(
    desk: Office, read: Session
) -> None:
    one, two, late = Phone(desk).enrol(), Phone(desk).enrol(), Phone(desk)

    desk.take(
        one.report(one.good()),
        late.request(desk.invite()),
        two.report(two.good(rooted=True)),
        one.report(one.good(rooted=True)),
    )

    assert isinstance(late.answer().body, Enrolled)
    assert [phone.row(read).inbound_seq for phone in (one, two)] == [2, 1]
    assert [len(phone.orders()) for phone in (one, two)] == [1, 1], "one receipt each"
    for phone in (one, two):
        judged = read.get_one(DeviceJudgement, phone.device_id)
        assert "not_rooted" in [found["rule"] for found in judged.violations]
    assert incidents(read) == []


def test_a_database_that_is_away_costs_no_message(desk: Office, read: Session) -> None:
    phone = Phone(desk).enrol()
    report = phone.report(phone.good())

    def away(*_: object) -> None:
        raise OperationalError("UPDATE", {}, Exception("the connection is closed"))

    with Session(desk.context.database.engine) as session:
        event.listen(session, "before_flush", away)
        with pytest.raises(OperationalError):
            take(session, desk.context, desk.relay_id, [report], utc_now())

    desk.take(report)
    assert (incidents(read), phone.row(read).inbound_seq) == ([], 1)


def test_ids_that_strangers_make_up_fill_no_table(desk: Office, read: Session) -> None:
    sealed = Phone(desk).seal(b"{}")

    desk.take(*(desk.inbound_item("enrolment", uuid4(), sealed) for _ in range(5)))
    desk.take(*(desk.inbound_item("report", uuid4(), sealed) for _ in range(5)))

    assert sorted(incidents(read)) == [("foreign", 5), ("unreadable", 5)]


def test_the_same_incident_only_counts_up(desk: Office, read: Session) -> None:
    phone = Phone(desk).enrol()

    for _ in range(3):
        desk.take(desk.inbound_item("report", phone.device_id, "a.b.c"))

    assert incidents(read) == [("unreadable", 3)]


def test_what_a_relay_is_caught_at_by_a_device_is_kept(desk: Office, read: Session) -> None:
    phone = Phone(desk).enrol()
    problem = RelayProblem(problem="forged", detail="order 3", at=utc_now())

    desk.take(phone.report(problem))

    (incident,) = read.scalars(select(RelayIncident))
    assert (incident.problem, incident.reported_by) == ("forged", "device")


def test_a_report_from_the_future_is_contact_of_now(desk: Office, read: Session) -> None:
    phone = Phone(desk).enrol()

    desk.take(phone.report(phone.good(), sent_at=utc_now() + timedelta(days=300)))

    contact = phone.row(read).contact_at
    assert contact is not None
    assert contact <= utc_now()


def test_contact_never_moves_back(desk: Office, read: Session) -> None:
    phone = Phone(desk).enrol()
    desk.take(phone.report(phone.good()))
    before = phone.row(read).contact_at

    desk.take(phone.report(Digest(), sent_at=utc_now() - timedelta(days=2)))

    read.rollback()
    assert phone.row(read).contact_at == before


def test_a_leaving_device_is_retired_and_speaks_no_more(desk: Office, read: Session) -> None:
    phone = Phone(desk).enrol()
    desk.take(phone.report(Leaving(reason="goodbye")))

    desk.take(phone.report(Digest()))

    judged = get_judgement(read, phone.device_id)
    assert phone.row(read).enrolment_state == "retired"
    assert judged.state is State.NOT_ENROLLED
    assert Rule.ENROLLED in {violation.rule for violation in judged.violations}
    assert incidents(read) == [("foreign", 1)]


# --- commands ---


def order(context: Context, phone: Phone, kind: Kind) -> Any:
    with context.database.transaction("command") as session:
        command = queue_command(session, phone.device_id, kind, {}, "keeper", "lost", utc_now())
    send(context, [command.id], utc_now())
    return command.id


def test_a_command_goes_from_queued_to_done(desk: Office, context: Context, read: Session) -> None:
    phone = Phone(desk).enrol()
    command = order(context, phone, Kind.LOCK)
    row = read.get_one(Command, command)
    assert (row.state, row.outbound_seq) == ("sent", 2)

    phone.ack = 2
    desk.take(phone.report(phone.good()))
    read.rollback()
    assert row.state == "acknowledged"

    desk.take(phone.report(CommandResult(command_id=command, state="done", at=utc_now())))
    read.rollback()
    assert row.state == "done"
    assert row.finished_at is not None


def test_a_device_that_confirms_its_wipe_is_wiped(
    desk: Office, context: Context, read: Session
) -> None:
    phone = Phone(desk).enrol()
    command = order(context, phone, Kind.WIPE)
    result = CommandResult(command_id=command, state="done", at=utc_now(), detail="bye")

    desk.take(phone.report(result))

    assert phone.row(read).enrolment_state == "wiped"
    assert (read.get_one(Command, command).state, read.get_one(Command, command).detail) == (
        "done",
        "bye",
    )


def test_a_device_cannot_end_the_command_of_another(
    desk: Office, context: Context, read: Session
) -> None:
    phone, other = Phone(desk).enrol(), Phone(desk).enrol()
    command = order(context, phone, Kind.WIPE)

    desk.take(other.report(CommandResult(command_id=command, state="done", at=utc_now())))

    assert read.get_one(Command, command).state == "sent"
    assert other.row(read).enrolment_state == "enrolled"


# --- rules ---


@given(
    st.integers(1, 3),
    st.integers(0, 30),
    st.integers(1, 3),
    st.integers(0, 30),
    st.sampled_from(["a", "b"]),
)
def test_exactly_the_next_report_of_the_epoch_is_taken(
    epoch: int, seq: int, known_epoch: int, known_seq: int, hashed: str
) -> None:
    recent: dict[str, str] = {}
    for number in range(1, known_seq + 1):
        recent = remember(recent, number, "a")

    where = place(epoch, seq, known_epoch, known_seq, recent, hashed)

    assert (where is Place.NEXT) == (epoch == known_epoch and seq == known_seq + 1)
    assert len(recent) <= REMEMBERED
    if where is Place.ALTERED:
        assert hashed == "b"
        assert known_seq - REMEMBERED < seq <= known_seq


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_make_opening_fail_otherwise(payload: bytes) -> None:
    key = keys.new_key()
    item = Inbound(
        id=1,
        kind="enrolment",
        sender=uuid4(),
        received_at=utc_now(),
        sealed=payload.decode("latin-1"),
    )

    with pytest.raises(SuspiciousError):
        open_request(item, lambda _: key)
