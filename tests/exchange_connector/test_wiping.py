"""Wipes through the mail server: signed, within limits, one target only, followed to the end."""

import time
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pyotp
import pytest
from sqlalchemy import select

from contracts import agent, codec, envelope
from contracts import keys as jwk
from exchange_connector.sync import Look
from management.audit.models import AuditEntry
from management.mail_access import wipe_approving, wiping
from management.mail_access.models import MailWipe, Partnership
from management.relays.trust import current_trust
from management.safety import service as safety
from management.signer_rules import Limits
from runtime.clock import utc_now
from runtime.errors import RefusedError
from tests.exchange_connector.bed import BY, Bed
from tests.servers.exchange import Phone


@pytest.fixture
def signer_limits() -> Limits:
    return Limits(wipes_per_hour=2, selective_wipes_per_hour=2)


def order(bed: Bed, device_id: str, account_only: bool = True, typed: str = "") -> UUID:
    row = bed.partnership(device_id)
    with bed.context.database.transaction("test") as session:
        made = wiping.order_wipe(
            session,
            bed.context.keys,
            row.id,
            typed or device_id,
            account_only,
            BY,
            "lost in a train",
            utc_now(),
        )
    wiping.sign_queued(bed.context, utc_now())
    return made.id


def wipe(bed: Bed, wipe_id: UUID) -> MailWipe:
    with bed.context.database.reading() as session:
        return session.get_one(MailWipe, wipe_id)


def phone(bed: Bed, device_id: str) -> Phone:
    return next(one for one in bed.exchange.phones.values() if one.device_id == device_id)


def cleared(bed: Bed) -> list[dict[str, object]]:
    return bed.exchange.called("Clear-MobileDevice")


def prepared(bed: Bed) -> None:
    bed.exchange.add_phone("ada", "ADA1")
    bed.exchange.add_phone("ada", "ADA2")
    bed.pair()
    bed.run_pass()


def test_exactly_the_one_phone_is_wiped_once_and_followed_until_it_obeyed(bed: Bed) -> None:
    prepared(bed)
    wipe_id = order(bed, "ADA1")

    bed.run_pass(look=Look.NOT)
    bed.run_pass(look=Look.NOT)
    target = phone(bed, "ADA1")
    assert cleared(bed) == [{"Identity": str(target.guid), "Confirm": False, "AccountOnly": True}]
    assert (target.wiped, phone(bed, "ADA2").wiped) == ("account", "")
    assert wipe(bed, wipe_id).state == "done"

    target.wiped_at = utc_now()
    bed.run_pass(look=Look.NEW)
    assert wipe(bed, wipe_id).state == "acknowledged"
    assert [event for event, _ in bed.history("ADA1")].count("wipe") == 3
    with bed.context.database.reading() as session:
        said = session.scalars(
            select(AuditEntry.action).where(AuditEntry.action.like("mail.wipe%"))
        )
        assert sorted(said) == ["mail.wipe", "mail.wipe_acknowledged", "mail.wipe_done"]


def test_a_whole_phone_is_wiped_without_account_only(bed: Bed) -> None:
    prepared(bed)
    order(bed, "ADA2", account_only=False)

    bed.run_pass(look=Look.NOT)
    assert phone(bed, "ADA2").wiped == "device"
    assert "AccountOnly" not in cleared(bed)[0]


def test_the_limits_of_all_wipes_hold_for_these_too(bed: Bed) -> None:
    for number in range(3):
        bed.exchange.add_phone("ada", f"ADA{number}")
    bed.pair()
    bed.run_pass()
    ids = [order(bed, f"ADA{number}", account_only=False) for number in range(3)]

    bed.run_pass(look=Look.NOT)
    assert len(cleared(bed)) == 2
    held = wipe(bed, ids[2])
    assert (held.state, held.token) == ("queued", "")
    assert "no more than 2 wipe commands in one hour" in held.detail
    with bed.context.database.transaction("test") as session:
        wiping.cancel_wipe(session, bed.context.keys, held.id, BY, utc_now())
    assert wipe(bed, ids[2]).state == "cancelled"


def test_a_pause_holds_wipes_back(bed: Bed) -> None:
    prepared(bed)
    with bed.context.database.transaction("test") as session:
        safety.pause(session, "keeper", "a restore", utc_now())
    wipe_id = order(bed, "ADA1")
    bed.run_pass(look=Look.NOT)
    assert (cleared(bed), wipe(bed, wipe_id).token) == ([], "")

    with bed.context.database.transaction("test") as session:
        safety.resume(session, "keeper", utc_now())
    wiping.sign_queued(bed.context, utc_now())
    with bed.context.database.transaction("test") as session:
        safety.pause(session, "keeper", "again", utc_now())
    bed.run_pass(look=Look.NOT)
    assert cleared(bed) == []


def test_an_identity_that_brings_every_phone_wipes_nothing(bed: Bed) -> None:
    prepared(bed)
    wipe_id = order(bed, "ADA1")
    bed.exchange.faults.finds_everything = True
    phone(bed, "ADA1").guid = uuid4()

    bed.run_pass(look=Look.NOT)
    assert cleared(bed) == []
    assert wipe(bed, wipe_id).state == "failed"
    assert "shows 2 phones under this identity instead of one" in wipe(bed, wipe_id).detail


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"device_id": "OTHER"}, "shows DeviceId OTHER"),
        ({"mailbox": "bob"}, "shows the mailbox corp.test/Users/bob"),
        ({"guid": UUID(int=1)}, "shows 0 phones"),
    ],
    ids=["DeviceId", "mailbox", "gone"],
)
def test_another_target_than_the_expected_is_not_wiped(
    bed: Bed, change: dict[str, object], says: str
) -> None:
    prepared(bed)
    bed.exchange.add_mailbox("bob")
    wipe_id = order(bed, "ADA1")
    for name, value in change.items():
        setattr(phone(bed, "ADA1"), name, value)

    bed.run_pass(look=Look.NOT)
    assert cleared(bed) == []
    assert says in wipe(bed, wipe_id).detail


def test_what_must_be_typed_and_said_is_asked_for(bed: Bed) -> None:
    prepared(bed)
    with pytest.raises(RefusedError, match="not that of this phone"):
        order(bed, "ADA1", typed="ADA2")
    order(bed, "ADA1")
    with pytest.raises(RefusedError, match="on its way already"):
        order(bed, "ADA1")
    with bed.context.database.transaction("test") as session:
        session.get_one(Partnership, bed.partnership("ADA2").id).guid = ""
    with pytest.raises(RefusedError, match="Guid"):
        order(bed, "ADA2")


def test_only_what_the_signer_signed_for_this_connector_is_carried_out(bed: Bed) -> None:
    prepared(bed)
    wipe_id = order(bed, "ADA1")
    token = wipe(bed, wipe_id).token
    right = codec.read(agent.Order, envelope.unverified_payload(token))
    body = right.body
    assert isinstance(body, agent.RunCommand)
    foreign = envelope.sign(codec.write(right), envelope.ORDER, jwk.new_key())
    sync = bed.open()

    assert len(sync.wiping.new((token,))) == 1
    assert sync.wiping.new((foreign,)) == []
    assert sync.wiping.new(("nonsense",)) == []
    key = jwk.new_key()
    sync.wiping.order_key = key
    now = utc_now()
    for wrong in (
        replace(right, aud=uuid4()),
        replace(right, body=replace(body, arguments={**body.arguments, "connector": "x"})),
        replace(right, body=replace(body, arguments={**body.arguments, "account_only": "no"})),
        replace(right, body=replace(body, arguments={"guid": "x"})),
        replace(right, body=replace(body, command=agent.CommandKind.LOCK)),
        replace(right, body=replace(body, expires_at=now - timedelta(minutes=1))),
    ):
        signed = envelope.sign(codec.write(wrong), envelope.ORDER, key)
        assert sync.wiping.new((signed,)) == [], wrong
    signed = envelope.sign(codec.write(right), envelope.ORDER, key)
    assert len(sync.wiping.new((signed,))) == 1


def test_a_wipe_that_the_role_forbids_fails_with_exchanges_words(bed: Bed) -> None:
    prepared(bed)
    wipe_id = order(bed, "ADA1")
    bed.exchange.faults.missing_cmdlets.add("Clear-MobileDevice")

    bed.run_pass(look=Look.NOT)
    assert wipe(bed, wipe_id).state == "failed"
    assert "is not recognized" in wipe(bed, wipe_id).detail


def told(bed: Bed) -> str:
    """Sign management's statement as it is now, as a visit to a relay does."""
    with bed.context.database.transaction("test") as session:
        return current_trust(session, bed.context.keys, bed.context.signer, utc_now()).statement


@pytest.mark.parametrize("knew", [True, False], ids=["knew", "new"])
def test_a_connector_follows_the_order_signing_key_and_takes_no_other(bed: Bed, knew: bool) -> None:
    prepared(bed)
    if knew:
        told(bed)
        bed.run_pass(look=Look.NOT)
    signer = bed.context.signer
    wipe_id = order(bed, "ADA1")
    old = wipe(bed, wipe_id).token
    for _ in range(2):
        new = signer.succeed(str(signer.status()["thumbprint"]))
    statement = told(bed)
    with bed.context.database.transaction("test") as session:
        wiping.sign_anew(session, utc_now())
    wiping.sign_queued(bed.context, utc_now())

    bed.run_pass(look=Look.NOT)

    assert phone(bed, "ADA1").wiped == "account"
    assert wipe(bed, wipe_id).state == "done"
    wipers = bed.open().wiping
    assert wipers.order_key is not None
    assert jwk.thumbprint(wipers.order_key) == new, "it remembers, also after a start"
    assert wipers.new((old,)) == []
    known = wipers.order_key
    said = codec.read(agent.TrustStatement, envelope.unverified_payload(statement))
    thief = jwk.new_key()
    stolen = replace(said, issue=said.issue + 1, order_signing_key=jwk.public_jwk(thief))
    wipers.learn(envelope.sign(codec.write(stolen), envelope.TRUST, thief))
    wipers.learn("e30.e30.AAAA")
    assert wipers.order_key == known


class Approver:
    """A person with an authenticator app."""

    def __init__(self, bed: Bed, name: str) -> None:
        self.name, self.signer = name, bed.context.signer
        uri = self.signer.begin_approver(name)
        self.totp = pyotp.TOTP(parse_qs(urlsplit(uri).query)["secret"][0])
        assert self.signer.confirm_approver(name, self.totp.at(int(time.time()) - 30))

    def approve(self, bed: Bed, wipe_id: UUID, fingerprint: str = "") -> dict[str, Any]:
        """Look at the set and stand behind it, with the next code."""
        now = utc_now()
        with bed.context.database.reading() as session:
            waiting = wipe_approving.waiting_with(session, wipe_id, now)
        found = wipe_approving.propose(self.signer, waiting, now)
        code = self.totp.at(int(time.time()) + 30)
        return wipe_approving.approve(
            self.signer, found, fingerprint or found.fingerprint, self.name, code
        )


def test_two_approvers_let_exactly_the_waiting_set_pass_the_limits(bed: Bed) -> None:
    prepared(bed)
    for name in ("ADA3", "ADA4", "ADA5"):
        bed.exchange.add_phone("ada", name)
    bed.run_pass()
    ren, stimpy = Approver(bed, "ren"), Approver(bed, "stimpy")
    orders = [order(bed, name) for name in ("ADA1", "ADA2", "ADA3", "ADA4")]
    with bed.context.database.reading() as session:
        held = wipe_approving.waiting_with(session, orders[2], utc_now())
        assert {wipe.id for wipe, _ in held} == set(orders[2:])
        with pytest.raises(RefusedError, match="does not wait"):
            wipe_approving.waiting_with(session, orders[0], utc_now())

    with pytest.raises(RefusedError, match="has changed since"):
        ren.approve(bed, orders[2], "0" * 64)
    assert not ren.approve(bed, orders[2])["approved"]
    wiping.sign_queued(bed.context, utc_now())
    bed.run_pass(look=Look.NOT)
    assert len(cleared(bed)) == 2

    assert stimpy.approve(bed, orders[2])["approved"]
    fifth = order(bed, "ADA5")
    wiping.sign_queued(bed.context, utc_now())
    bed.run_pass(look=Look.NOT)
    assert [wipe(bed, one).state for one in orders] == ["done"] * 4
    assert wipe(bed, fifth).state == "queued"
    assert phone(bed, "ADA5").wiped == ""
