"""A device renews its keys: the old one proves it, and nothing else takes over the record."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography import x509
from joserfc.jwk import ECKey
from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts import codec, envelope, keys
from contracts.agent import Digest, KeyProof, Receipt, Renewal, RenewalRefused, Renewed
from contracts.link import Inbound
from management.check_in import visit
from management.commands.models import Command
from management.context import Context
from management.devices.models import Device
from management.enrolment import epochs
from management.enrolment.service import retire
from management.mail_access import work
from management.mail_access.matching import Match
from management.mail_access.models import Connector, Partnership
from management.mail_access.queries import list_wanted
from management.relays.models import KnownDeviceChange
from management.relays.queries import list_incidents
from management.relays.service import send_order
from management.work.models import Job
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient
from tests.management.phones import Office, Phone, office


@pytest.fixture
def desk(context: Context) -> Office:
    return office(context)


@pytest.fixture
def read(context: Context) -> Iterator[Session]:
    """What is committed; roll back to see what came since."""
    with Session(context.database.engine) as session:
        yield session


def row(read: Session, phone: Phone) -> Device:
    read.rollback()
    return phone.row(read)


def incidents(read: Session) -> list[str]:
    read.rollback()
    return [one.problem for one in reversed(list_incidents(read))]


def proof(
    phone: Phone, key: ECKey, box: ECKey, signer: ECKey | None = None, **said: Any
) -> Renewal:
    """Return what *phone* says to go on with *key* and *box*, with some of it changed."""
    proved = KeyProof(
        device_id=phone.device_id,
        renewal_id=uuid4(),
        former_thumbprint=keys.thumbprint(phone.signing_key),
        signing_key=keys.public_jwk(key),
        encryption_key=keys.public_jwk(box),
    )
    asked = replace(proved, **said)
    token = envelope.sign(codec.write(asked), envelope.RENEWAL, signer or key)
    return Renewal(renewal_id=proved.renewal_id, proof=token)


def fresh() -> tuple[ECKey, ECKey]:
    return keys.new_key(), keys.new_key()


def last(phone: Phone) -> Any:
    """Return what the newest order says."""
    return phone.opened(phone.office.waiting(phone.device_id)[-1]).body


def ask(phone: Phone, key: ECKey, box: ECKey, **said: Any) -> Inbound:
    """Ask by a report, take the answer's number and return the report."""
    asked = phone.report(proof(phone, key, box, **said))
    phone.office.take(asked)
    phone.ack = phone.office.waiting(phone.device_id)[-1].seq
    return asked


def switch(phone: Phone, key: ECKey, box: ECKey) -> None:
    """Begin to use the new keys and say something."""
    phone.signing_key = key
    phone.office.take(phone.report(Digest()))
    phone.encryption_key = box


def test_new_keys_hold_from_the_first_report_that_they_sign(desk: Office, read: Session) -> None:
    phone = Phone(desk).enrol()
    old, (key, box) = phone.signing_key, fresh()
    enrolled_with = row(read, phone).certificate_serial

    ask(phone, key, box)

    answer = last(phone)  # still sealed to the old key
    assert isinstance(answer, Renewed)
    certificate = x509.load_pem_x509_certificate(answer.certificate.encode())
    assert certificate.public_key() == keys.raw_public(key)
    device = row(read, phone)
    assert device.signing_key == keys.public_jwk(old)
    known = visit._known(device)
    assert (known.signing_key, known.next_signing_key) == (
        keys.public_jwk(old),
        keys.public_jwk(key),
    )

    switch(phone, key, box)

    device = row(read, phone)
    assert device.signing_key == keys.public_jwk(key)
    assert device.key_thumbprint == keys.thumbprint(key)
    assert device.encryption_key == keys.public_jwk(box)
    assert device.certificate_serial == f"{certificate.serial_number:x}" != enrolled_with
    assert device.certificate_until == certificate.not_valid_after_utc
    assert device.renewed_at is not None
    assert visit._known(device).next_signing_key is None
    assert read.scalars(select(KnownDeviceChange.device_id)).all() == [phone.device_id]
    assert isinstance(phone.opened(desk.waiting(phone.device_id)[-1]).body, Receipt), "the new box"
    assert incidents(read) == []


def test_only_the_certificate_is_renewed_when_both_keys_stay(desk: Office, read: Session) -> None:
    phone = Phone(desk).enrol()
    before = row(read, phone).certificate_serial

    ask(phone, phone.signing_key, phone.encryption_key)
    desk.take(phone.report(Digest()))

    device = row(read, phone)
    assert device.signing_key == keys.public_jwk(phone.signing_key)
    assert device.certificate_serial != before
    assert (device.renewal, device.former_key) == ({}, {})
    assert incidents(read) == []


def test_the_old_key_goes_on_until_the_answer_came(desk: Office, read: Session) -> None:
    phone, (key, box) = Phone(desk).enrol(), fresh()
    asked = phone.report(proof(phone, key, box))
    desk.take(asked)
    desk.take(phone.report(Digest()), phone.report(phone.good()))  # the answer is on its way

    assert row(read, phone).inbound_seq == 3
    assert row(read, phone).renewal["signing_key"] == keys.public_jwk(key)
    phone.ack = phone.office.waiting(phone.device_id)[-1].seq
    switch(phone, key, box)
    assert row(read, phone).signing_key == keys.public_jwk(key)
    assert incidents(read) == []


def test_a_repeat_of_the_request_changes_nothing(desk: Office, read: Session) -> None:
    phone, (key, box) = Phone(desk).enrol(), fresh()
    asked = ask(phone, key, box)
    serial = row(read, phone).renewal["serial"]
    desk.take(asked)
    assert row(read, phone).renewal["serial"] == serial

    switch(phone, key, box)
    desk.take(asked)  # replayed after the key is in use
    device = row(read, phone)
    assert (device.renewal, device.signing_key) == ({}, keys.public_jwk(key))
    assert incidents(read) == []


def test_a_copy_with_the_old_key_says_nothing_new(desk: Office, read: Session) -> None:
    phone, (key, box) = Phone(desk).enrol(), fresh()
    clone = replace(phone)
    ask(phone, key, box)
    switch(phone, key, box)

    clone.seq, clone.ack = phone.seq, phone.ack
    desk.take(clone.report(proof(clone, *fresh())), clone.report(Digest()))

    device = row(read, phone)
    assert (device.signing_key, device.renewal) == (keys.public_jwk(key), {})
    assert device.inbound_seq == phone.seq
    assert incidents(read)[0] == "forged"
    desk.take(phone.report(phone.good()))
    assert row(read, phone).inbound_seq == phone.seq


def test_a_copy_with_the_old_key_says_nothing_new_in_the_same_visit_either(
    desk: Office, read: Session
) -> None:
    """Reports of one visit are opened together, and the first of them changes who may speak."""
    phone, other = Phone(desk).enrol(), Phone(desk).enrol()
    old, (key, box) = phone.signing_key, fresh()
    ask(phone, key, box)
    phone.signing_key = key
    by_new = phone.report(Digest())
    phone.signing_key = old

    desk.take(by_new, phone.report(Digest()), other.report(Digest()))

    assert incidents(read) == ["forged"]
    assert row(read, phone).signing_key == keys.public_jwk(key)
    assert (row(read, phone).inbound_seq, row(read, other).inbound_seq) == (2, 1)


def test_the_key_before_the_former_one_is_a_strangers(desk: Office, read: Session) -> None:
    phone = Phone(desk).enrol()
    first = ask(phone, *(second := fresh()))
    switch(phone, *second)
    ask(phone, *(third := fresh()))
    switch(phone, *third)
    assert row(read, phone).signing_key == keys.public_jwk(third[0])
    assert incidents(read) == []

    desk.take(first)

    assert incidents(read) == ["forged"]
    assert row(read, phone).signing_key == keys.public_jwk(third[0])


def test_a_later_request_takes_the_place_of_one_under_way(desk: Office, read: Session) -> None:
    phone, first, second = Phone(desk).enrol(), fresh(), fresh()
    desk.take(phone.report(proof(phone, *first)), phone.report(proof(phone, *second)))
    phone.ack = phone.office.waiting(phone.device_id)[-1].seq

    switch(phone, *second)

    assert row(read, phone).signing_key == keys.public_jwk(second[0])
    assert incidents(read) == []


def test_a_device_that_lost_the_keys_it_asked_for_keeps_the_old_ones(
    desk: Office, read: Session
) -> None:
    phone, (key, box) = Phone(desk).enrol(), fresh()
    ask(phone, key, box)

    desk.take(phone.report(Digest()))  # it holds the answer, and signs as before

    device = row(read, phone)
    assert (device.renewal, device.signing_key) == ({}, keys.public_jwk(phone.signing_key))
    assert visit._known(device).next_signing_key is None
    ask(phone, *(again := fresh()))
    switch(phone, *again)
    assert row(read, phone).signing_key == keys.public_jwk(again[0])


@pytest.mark.parametrize(
    ("said", "because"),
    [
        ({"device_id": UUID(int=5)}, "another device"),
        ({"renewal_id": UUID(int=5)}, "another device or renewal"),
        ({"former_thumbprint": "A" * 43}, "does not follow"),
        ({"signer": keys.new_key()}, "signature does not hold"),
        ({"signing_key": {"kty": "RSA"}}, "not an EC P-256 key"),
        ({"encryption_key": {}}, "not an EC P-256 key"),
    ],
    ids=["device", "renewal", "former", "stranger", "rsa", "no-box"],
)
def test_what_the_new_key_does_not_prove_is_refused(
    desk: Office, read: Session, said: dict[str, Any], because: str
) -> None:
    phone, (key, box) = Phone(desk).enrol(), fresh()

    ask(phone, key, box, **said)

    refused = last(phone)
    assert isinstance(refused, RenewalRefused)
    assert because in refused.reason
    device = row(read, phone)
    assert (device.renewal, device.inbound_seq) == ({}, 1), "the report itself is taken"


def test_one_key_alone_is_not_exchanged_and_no_key_comes_back(desk: Office, read: Session) -> None:
    phone, other = Phone(desk).enrol(), Phone(desk).enrol()
    first = phone.signing_key, phone.encryption_key
    for pair in (
        (keys.new_key(), phone.encryption_key),
        (phone.signing_key, keys.new_key()),
        (other.signing_key, keys.new_key()),
    ):
        ask(phone, *pair)
        assert isinstance(last(phone), RenewalRefused)
    ask(phone, *(second := fresh()))
    switch(phone, *second)
    ask(phone, *first)
    assert isinstance(last(phone), RenewalRefused)
    assert row(read, phone).signing_key == keys.public_jwk(second[0])


def test_a_revoked_device_renews_nothing(desk: Office, read: Session) -> None:
    phone, (key, box) = Phone(desk).enrol(), fresh()
    ask(phone, key, box)
    with desk.context.database.transaction("retire") as session:
        retire(session, phone.device_id, "keeper", "lost", utc_now())

    switch(phone, key, box)
    desk.take(phone.report(proof(phone, *fresh())))

    device = row(read, phone)
    assert device.signing_key != keys.public_jwk(key)
    assert visit._known(device).active is False
    assert set(incidents(read)) == {"foreign", "gap"}


def test_who_still_has_the_former_key_enrols_as_a_stranger(desk: Office, read: Session) -> None:
    phone, (key, box) = Phone(desk).enrol(), fresh()
    clone = replace(phone, enrolment_id=uuid4())
    ask(phone, key, box)
    switch(phone, key, box)

    clone.enrol()
    again = replace(phone, enrolment_id=uuid4()).enrol()

    assert clone.device_id != phone.device_id
    assert again.device_id == phone.device_id, "the present key is this device"


def test_a_new_epoch_forgets_a_renewal_that_was_not_used(desk: Office, read: Session) -> None:
    phone, (key, box) = Phone(desk).enrol(), fresh()
    ask(phone, key, box)
    epochs.begin_epochs(desk.context, {}, lambda said: None)

    device = row(read, phone)
    assert (device.renewal, device.signing_key) == ({}, keys.public_jwk(phone.signing_key))
    assert visit._known(device).next_signing_key is None
    certificate = x509.load_pem_x509_certificate(last(phone).certificate.encode())
    assert certificate.public_key() == keys.raw_public(phone.signing_key)


def test_orders_written_before_the_switch_stay_sealed_to_the_old_key(desk: Office) -> None:
    phone, (key, box) = Phone(desk).enrol(), fresh()
    old = phone.encryption_key
    ask(phone, key, box)
    context = desk.context
    with context.database.transaction("send") as session:
        send_order(session, context.keys, context.signer, phone.row(session), Receipt(), utc_now())
    switch(phone, key, box)

    sealed_to = [
        envelope.recipient_of(one.sealed) == keys.thumbprint(box)
        for one in desk.waiting(phone.device_id)
    ]
    assert sealed_to == [False, False, True]
    assert replace(phone, encryption_key=old).opened(desk.waiting(phone.device_id)[1]).seq == 3


def test_a_certificate_holds_two_years(desk: Office, read: Session) -> None:
    until = row(read, Phone(desk).enrol()).certificate_until

    assert until is not None
    assert timedelta(days=729) < until - utc_now() < timedelta(days=730)


def test_the_device_page_says_when_the_certificate_ends_and_orders_a_renewal(
    console: ConsoleClient, desk: Office, read: Session
) -> None:
    phone, (key, box) = Phone(desk).enrol(), fresh()
    ask(phone, key, box)
    page = f"/devices/{phone.device_id}"
    assert "asked for new keys and did not use them yet" in console.get(page).text
    switch(phone, key, box)
    device = row(read, phone)
    assert device.certificate_until is not None

    shown = console.get(page).text
    assert device.certificate_serial in shown
    assert f"{device.certificate_until:%Y-%m-%d}" in shown
    assert "renewed" in shown
    sent = console.post(f"{page}/commands", data={"kind": "renew_keys"})
    assert sent.status_code == 302
    read.rollback()
    assert read.scalars(select(Command.kind)).all() == ["renew_keys"]


def test_gates_learn_the_serial_number_of_the_new_certificate(desk: Office, read: Session) -> None:
    phone, (key, box) = Phone(desk).enrol(), fresh()
    now = utc_now()
    with desk.context.database.transaction("mail") as session:
        connector = Connector(id=uuid4(), name="gate", key={}, paired_at=now, kind="gate")
        session.add(connector)
        session.flush()
        row_ = Partnership(
            connector_id=connector.id,
            mailbox="ada",
            exchange_device_id="ADA1",
            access_state="Allowed",
            pass_id=uuid4(),
            first_seen_at=now,
            seen_at=now,
            device_id=phone.device_id,
            match=Match.BY_HAND,
            grace_key="ada",
            wanted="leave",
            wanted_since=now - timedelta(days=3),
        )
        session.add(row_)
        connector_id = connector.id
    ask(phone, key, box)
    switch(phone, key, box)
    (job,) = [one for one in read.scalars(select(Job)) if one.payload.get("renewed")]
    issue = read.get_one(Connector, connector_id).issue
    work.decide(desk.context, job.payload, lambda said: None)

    read.rollback()
    assert read.get_one(Connector, connector_id).issue > issue
    serial = row(read, phone).certificate_serial
    since = now - timedelta(minutes=1)
    assert read.scalars(select(Partnership.wanted_since)).one() < since, "nothing else changed"
    told = list_wanted(read, connector_id, utc_now(), since)
    assert [one.certificate for one in told] == [serial]
