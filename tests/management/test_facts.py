"""The log of facts: what holds, for how long, and that the current row follows it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from contracts import envelope
from contracts.agent import Apps, InstalledApp
from contracts.plain_text import plain_json
from management.apps.models import DeviceApp
from management.cli import facts
from management.compliance.explaining import explain
from management.compliance.judgement import State
from management.compliance.queries import get_judgement
from management.context import Context
from management.database import Database
from management.devices.fact_log import forget_facts, mend_facts, record_facts
from management.devices.models import DeviceFacts
from management.devices.models import Fact as LoggedFact
from management.devices.queries import get_device, get_facts, list_log
from management.devices.replay import rebuild_facts, replay_facts
from management.devices.rules import Fact, FactKind, take_fact
from management.devices.work import forget
from management.policies.models import PolicyVersion
from management.policies.service import ensure_default_policy
from management.relays.queries import list_incidents
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, NotFoundError
from tests.conftest import MakeUrl
from tests.management.fleets import HOUR, START, Life, add_device, live, lives
from tests.management.phones import Office, Phone, office

DAY = timedelta(days=1)
slow = settings(
    max_examples=15,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def desk(context: Context) -> Office:
    return office(context)


@pytest.fixture
def read(context: Context) -> Iterator[Session]:
    """What is committed."""
    with Session(context.database.engine) as session:
        yield session


# --- which fact holds ---

sources = st.lists(st.sampled_from(["apple_mdm", "exchange", "keeper"]), min_size=1, max_size=8)


@settings(deadline=None)
@given(sources, st.randoms(), st.booleans())
def test_the_order_of_arrival_does_not_matter_beyond_the_times(
    said_by: list[str], random: Any, ceased: bool
) -> None:
    """Each source speaks in order; however their words are shuffled on the way, the last holds.

    If that is that it cannot tell any more, then together with what was said last before.
    """
    facts = [Fact(place, name, START + place * HOUR) for place, name in enumerate(said_by)]
    if ceased:
        facts[-1] = replace(facts[-1], value=None)
    queues = {name: [one for one in facts if one.source == name] for name in said_by}
    shuffled = list(said_by)
    random.shuffle(shuffled)

    before = facts[-2] if ceased and len(facts) > 1 else None
    assert _taken(queues[name].pop(0) for name in shuffled) == replace(facts[-1], before=before)


def _taken(facts: Any) -> Fact:
    held: Fact | None = None
    for fact in facts:
        held, _ = take_fact(held, fact, None)
    assert held is not None
    return held


def test_a_late_word_from_before_a_contact_does_not_hold() -> None:
    known = Fact(False, "agent", START)
    contact = Fact(True, "agent", START + 5 * HOUR)
    late = Fact(True, "apple_mdm", START + 3 * HOUR)

    held, logged = take_fact(known, late, contact)

    assert (held.value, held.said_at) == (False, contact.said_at)
    assert logged == [late, held]


def test_one_source_is_believed_in_the_order_in_which_it_speaks() -> None:
    known = Fact(False, "agent", START + DAY)

    held, logged = take_fact(known, Fact(True, "agent", START), None)

    assert logged == [held] == [Fact(True, "agent", START + DAY)]


def test_the_past_knows_what_a_device_said_before_it_ceased_to(session: Session) -> None:
    device = add_device(session, ensure_default_policy(session, START).id)
    for hours, value in ((1, True), (2, None)):
        at = START + hours * HOUR
        record_facts(session, device.id, {FactKind.ROOTED: Fact(value, "agent", at)}, at)
    forget_facts(session, [device.id], START + 3 * HOUR)

    held = get_facts(session, device.id)[FactKind.ROOTED]

    assert held.before == Fact(True, "agent", START + HOUR)
    assert rebuild_facts(session, device)[FactKind.ROOTED] == held


def test_a_fact_from_the_future_is_of_now(session: Session) -> None:
    device = add_device(session, ensure_default_policy(session, START).id)

    record_facts(session, device.id, {FactKind.ROOTED: Fact(True, "a\x00", START + DAY)}, START)

    assert get_facts(session, device.id)[FactKind.ROOTED] == Fact(True, "a\ufffd", START)


# --- text that databases cannot store ---


def test_text_that_no_database_stores_is_stored_with_replacement_characters(
    desk: Office, read: Session
) -> None:
    """An app may carry any name; it must not silence the phone that it is on."""
    phone = Phone(desk).enrol(serial="S\x001")
    named = InstalledApp(package="a.b", name="NAME", version="\x00", sha256="ab" * 32)
    said = phone.report(phone.good(os_version="15\x00"), Apps(apps=(named,)))
    plain = envelope.decrypt(said.sealed, desk.context.keys.encryption_key())
    payload = envelope.unverified_payload(plain).replace(b"NAME", rb"\ud83d\u6f22")
    said = replace(said, sealed=phone.seal(payload))

    desk.take(said)

    assert list_incidents(read) == []
    assert phone.row(read).serial == "S\N{REPLACEMENT CHARACTER}1"
    assert (
        get_facts(read, phone.device_id)[FactKind.OS_VERSION].value == "15\N{REPLACEMENT CHARACTER}"
    )
    (held,) = read.scalars(select(DeviceApp).where(DeviceApp.device_id == phone.device_id))
    assert (held.name, held.version) == ("\N{REPLACEMENT CHARACTER}漢", "\N{REPLACEMENT CHARACTER}")


def test_a_clock_set_back_makes_no_news_look_old(desk: Office, read: Session) -> None:
    phone = Phone(desk).enrol()
    desk.take(phone.report(phone.good(), Apps(apps=())))
    contact = phone.row(read).contact_at
    read.rollback()

    long_ago = utc_now() - timedelta(days=3000)
    desk.take(phone.report(phone.good(rooted=True), sent_at=long_ago))

    rooted = get_facts(read, phone.device_id)[FactKind.ROOTED]
    assert (rooted.value, rooted.said_at) == (True, contact)
    assert get_judgement(read, phone.device_id).state is State.NON_COMPLIANT


@settings(deadline=None)
@given(st.text(st.characters(codec=None), max_size=20), st.text(max_size=5))
def test_every_json_text_becomes_storable(hostile: str, name: str) -> None:
    body = json.dumps([hostile, {hostile: name}]).encode()

    text, keyed = json.loads(plain_json(body))

    text.encode("utf-8")
    assert "\x00" not in text
    assert list(keyed) == [text]


def test_a_text_that_is_no_json_is_said_so() -> None:
    with pytest.raises(MalformedMessageError):
        plain_json(b'{"\\u0000": ' + b"[" * 100_000)


# --- log and current row ---


@slow
@given(lives, st.integers(0, 120))
def test_forgetting_changes_no_answer_after_the_horizon(
    new_database_url: MakeUrl, life: Life, days: int
) -> None:
    database = Database(new_database_url())
    horizon = START + days * DAY
    with database.transaction("life") as session:
        device = add_device(session, ensure_default_policy(session, START).id)
        live(session, device, life, DAY)
        moments = [horizon + hours * HOUR for hours in (0, 1, 30, 400, 3000)]
        before = [replay_facts(session, device.id, at) for at in moments]
        entries = _entries(session)

        gone = forget_facts(session, [device.id], horizon)

        assert entries - gone == _entries(session)
        assert [replay_facts(session, device.id, at) for at in moments] == before
        assert rebuild_facts(session, device) == get_facts(session, device.id)
    database.close()


def _entries(session: Session) -> int:
    return session.scalars(select(func.count()).select_from(LoggedFact)).one()


def test_old_entries_are_forgotten_but_for_what_still_holds(session: Session) -> None:
    device = add_device(session, ensure_default_policy(session, START).id)
    for number, value in enumerate(["13", "14", "15"]):
        at = START + number * DAY
        record_facts(session, device.id, {FactKind.OS_VERSION: Fact(value, "agent", at)}, at)

    forget_facts(session, [device.id], START + DAY)

    log = list_log(session, device.id, FactKind.OS_VERSION)
    assert [entry.value["value"] for entry in log] == ["15", "14"]
    assert [entry.kind for entry in list_log(session, device.id, FactKind.ENROLMENT)] == [
        "enrolment"
    ]


def test_a_damaged_row_is_written_anew_from_the_log(session: Session) -> None:
    device = add_device(session, ensure_default_policy(session, START).id)
    live(session, device, [(1, {FactKind.ROOTED: True}), (2, {FactKind.OS_VERSION: "15"})], DAY)
    known = get_facts(session, device.id)
    assert not mend_facts(session, device, START)
    session.get_one(DeviceFacts, device.id).facts = {}

    assert mend_facts(session, device, START)

    session.expire_all()
    assert get_facts(session, device.id) == known


def test_the_command_finds_and_mends_what_differs_from_the_log(
    desk: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEKISHO_HOME", str(desk.context.settings.home))
    monkeypatch.setenv("SEKISHO_DATABASE_URL", desk.context.settings.database_url)
    phone = Phone(desk).enrol()
    desk.take(phone.report(phone.good(), Apps(apps=())))
    whole = CliRunner().invoke(facts, [])
    with desk.context.database.transaction("damage a row") as session:
        session.get_one(DeviceFacts, phone.device_id).facts = {}

    found = CliRunner().invoke(facts, [])
    mended = CliRunner().invoke(facts, ["--mend"])

    assert (whole.exit_code, found.exit_code, mended.exit_code) == (0, 1, 0)
    assert f"{phone.device_id}: differs from the log" in found.output
    assert CliRunner().invoke(facts, []).exit_code == 0


def test_the_job_forgets_by_age_and_the_past_before_is_not_told(desk: Office) -> None:
    phone = Phone(desk).enrol()
    desk.take(phone.report(phone.good(), Apps(apps=())))
    settings = replace(desk.context.settings, fact_days=1)
    with desk.context.database.transaction("age") as session:
        age = timedelta(days=30)
        for entry in session.scalars(select(LoggedFact)):
            entry.said_at, entry.received_at = entry.said_at - age, entry.received_at - age
        get_device(session, phone.device_id).enrolled_at -= age
        for version in session.scalars(select(PolicyVersion)):
            version.created_at -= age
    said: list[str] = []

    forget(replace(desk.context, settings=settings), {}, said.append)

    with desk.context.database.reading() as session:
        now = utc_now()
        explain(session, phone.device_id, now - timedelta(hours=23), now)
        with pytest.raises(NotFoundError, match="The log of this device begins at"):
            explain(session, phone.device_id, now - timedelta(days=3), now)
    assert said == ["1 devices looked at, 0 entries forgotten."]
