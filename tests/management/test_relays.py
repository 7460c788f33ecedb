from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from contracts import codec, envelope, keys
from contracts.agent import Digest, TrustStatement
from management.check_in.handing_out import discards, parts
from management.context import Context
from management.devices.polls import note_polls
from management.relays.models import OutboundMessage, RelayIncident
from management.relays.queries import list_incidents, list_relays
from management.relays.service import ensure_local_relay, pair_relay, record_incident
from management.relays.trust import current_trust
from management.relays.withheld import note_withheld
from runtime.clock import utc_now
from tests.management.phones import Office, Phone, office

DIGEST = timedelta(hours=12)


@pytest.fixture
def desk(context: Context) -> Office:
    return office(context)


def test_a_new_trust_issue_is_signed_only_when_it_says_something_else(
    context: Context, desk: Office
) -> None:
    with context.database.transaction("trust") as session:
        first = current_trust(session, context.keys, context.signer, utc_now())
        same = current_trust(session, context.keys, context.signer, utc_now())
        pair_relay(session, "cloud", "https://c:1", "PEM", "https://c:2", "PEM", utc_now())
        second = current_trust(session, context.keys, context.signer, utc_now())

    assert (first.issue, same.issue, second.issue) == (1, 1, 2)
    assert same.statement == first.statement
    signer = keys.read_public(context.signer.public_key())
    said = codec.read(TrustStatement, envelope.verify(second.statement, envelope.TRUST, signer))
    assert [relay.url for relay in said.relays] == ["https://c:2", "https://localhost:2"]
    assert said.encryption_key == keys.public_jwk(context.keys.encryption_key())


def test_setting_up_again_changes_nothing(context: Context, desk: Office) -> None:
    with context.database.transaction("again") as session:
        again = ensure_local_relay(
            session, "https://localhost:1", "PEM", "https://localhost:2", "PEM", utc_now()
        )
        assert [relay.id for relay in list_relays(session)] == [again.id] == [desk.relay_id]


def poll(desk: Office, phone: Phone, days_ago: float, polled: bool) -> None:
    """Let what lies in the mailbox be handed out days ago, and the relay claim a poll now."""
    with desk.context.database.transaction("past") as session:
        for message in session.scalars(select(OutboundMessage)):
            message.handed_at = utc_now() - timedelta(days=days_ago)
        if polled:
            note_polls(session, [(phone.row(session).id, utc_now())])


def withheld(desk: Office) -> list[str]:
    with desk.context.database.transaction("watch") as session:
        note_withheld(session, DIGEST, utc_now())
        return [one.detail for one in session.scalars(select(RelayIncident))]


def test_orders_that_a_polling_device_never_confirms_are_withheld(desk: Office) -> None:
    phone = Phone(desk).enrol()
    desk.take(phone.report(phone.good()))
    poll(desk, phone, 2, polled=True)

    first = withheld(desk)

    assert len(first) == 1
    assert "are not confirmed" in first[0]
    assert withheld(desk) == first


def test_a_device_that_does_not_poll_is_not_withheld(desk: Office) -> None:
    phone = Phone(desk).enrol()
    desk.take(phone.report(phone.good()))
    poll(desk, phone, 2, polled=False)

    assert withheld(desk) == []


def test_fresh_orders_are_not_withheld(desk: Office) -> None:
    phone = Phone(desk).enrol()
    desk.take(phone.report(phone.good()))
    poll(desk, phone, 0.9, polled=True)

    assert withheld(desk) == []


def test_a_polling_device_without_digests_is_withheld(desk: Office) -> None:
    phone = Phone(desk).enrol()
    with desk.context.database.transaction("enrolled long ago") as session:
        phone.row(session).enrolled_at = utc_now() - timedelta(days=9)
    desk.take(phone.report(Digest(), sent_at=utc_now() - timedelta(days=3)))
    poll(desk, phone, 0, polled=True)

    assert ["No signed report since" in detail for detail in withheld(desk)] == [True]


def test_incidents_are_listed_newest_first_and_counted_by_day(
    context: Context, desk: Office
) -> None:
    now = utc_now()
    with context.database.transaction("incidents") as session:
        for days in (3, 2.5, 0.2, 0.1):
            record_incident(session, "gap", "x", now - timedelta(days=days))
        found = [(one.at, one.repeats) for one in list_incidents(session)]

    assert found == [(now - timedelta(days=0.2), 2), (now - timedelta(days=3), 2)]


def test_requests_to_a_relay_stay_below_its_limit() -> None:
    messages = [
        OutboundMessage(recipient=UUID(int=1), epoch=1, seq=number, sealed="x" * 1_000_000)
        for number in range(7)
    ]

    assert [len(part) for part in parts(messages)] == [2, 2, 2, 1]


def test_discards_name_the_highest_number_of_each_recipient() -> None:
    ids = [UUID(int=number) for number in range(2)]
    messages = [
        OutboundMessage(recipient=ids[number % 2], epoch=1 + number // 4, seq=number)
        for number in range(8)
    ]

    found = {(one.recipient, one.epoch, one.seq) for one in discards(messages)}

    assert found == {(ids[0], 2, 6), (ids[1], 2, 7)}


def test_after_a_restored_backup_the_trust_issue_goes_on_above_what_devices_hold(
    context: Context,
) -> None:
    for issue in (1, 2):
        with context.database.transaction("trust") as session:
            made = current_trust(session, context.keys, context.signer, utc_now())
            assert made.issue == issue
            session.flush()
            session.delete(made)

    with context.database.transaction("trust") as session:
        assert current_trust(session, context.keys, context.signer, utc_now()).issue == 3
    with context.database.transaction("trust") as session:
        assert current_trust(session, context.keys, context.signer, utc_now()).issue == 3
