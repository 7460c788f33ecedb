"""What a lying relay hands to a device is refused, changes nothing, and management hears of it."""

from datetime import timedelta
from uuid import UUID

import pytest
from joserfc.jwk import ECKey

from agents.simulator.device import SimulatedDevice
from agents.simulator.visit import Timing, identity
from contracts import codec, envelope, keys
from contracts.agent import CommandKind, Order, RunCommand, TrustStatement
from management.devices.polls import note_polls
from management.relays.queries import find_trust
from runtime.clock import utc_now
from runtime.errors import RefusedError, UnauthenticatedError
from tests.agents.headquarters import Headquarters
from tests.hostile_relay.conftest import PHONE, Enrol
from tests.hostile_relay.lying_relay import LyingRelay

pytestmark = pytest.mark.servers
ATTACKER = keys.new_key()


def _wipe(device: SimulatedDevice, aud: UUID | None = None) -> Order:
    member = device.state.member()
    return Order(
        iss="management",
        aud=aud or member.device_id,
        epoch=member.epoch,
        seq=member.order_seq + 1,
        ack=0,
        sent_at=utc_now(),
        body=RunCommand(
            command_id=UUID(int=1),
            command=CommandKind.WIPE,
            arguments={},
            expires_at=utc_now() + timedelta(hours=1),
        ),
    )


def _box(device: SimulatedDevice) -> ECKey:
    return keys.read_public(keys.public_jwk(keys.read_private(device.state.encryption_key)))


def _unharmed(hq: Headquarters, device: SimulatedDevice) -> None:
    """The device is still ours, and an honest order still reaches it."""
    command_id = hq.command(device.device_id, CommandKind.LOCK)
    device.check_in()
    hq.visit()
    assert hq.state_of(command_id) == "done"
    assert device.state.phone.locked


def test_a_forged_order_is_refused_and_reported(
    hq: Headquarters, liar: LyingRelay, enrol: Enrol
) -> None:
    device = enrol()
    liar.orders = [
        envelope.seal(codec.write(_wipe(device)), envelope.ORDER, ATTACKER, _box(device))
    ]
    outcome = device.check_in()
    hq.visit()
    liar.be_honest()

    assert (outcome.orders_taken, outcome.orders_refused) == (0, 1)
    assert hq.incidents(device.device_id) == [("forged", "device")]
    _unharmed(hq, device)


def test_an_altered_order_is_refused_and_reported(
    hq: Headquarters, liar: LyingRelay, enrol: Enrol
) -> None:
    device = enrol()
    command_id = hq.command(device.device_id, CommandKind.MESSAGE, text="Hello")
    (honest,) = _waiting(liar, device)
    parts = honest.split(".")
    parts[3] = parts[3][:-8] + ("AAAAAAAA" if parts[3][-8:] != "AAAAAAAA" else "BBBBBBBB")
    liar.orders = [".".join(parts)]
    device.check_in()
    hq.visit()
    assert hq.incidents(device.device_id) == [("unreadable", "device")]
    assert device.state.phone.messages == []

    liar.be_honest()
    device.check_in()
    hq.visit()
    assert hq.state_of(command_id) == "done"


def _waiting(liar: LyingRelay, device: SimulatedDevice) -> list[str]:
    """Return the orders that the honest relay holds for *device*, without taking them."""
    with device._visit() as visit:
        member = device.state.member()
        page = visit.relay.fetch_orders(identity(device.state), member.epoch, member.order_seq)
    return list(page.orders)


def test_a_replayed_order_is_refused_reported_once_and_not_done_again(
    hq: Headquarters, liar: LyingRelay, enrol: Enrol
) -> None:
    device = enrol()
    hq.command(device.device_id, CommandKind.MESSAGE, text="Once")
    old = _waiting(liar, device)
    device.check_in()
    liar.orders = old
    for _ in range(3):
        device.check_in()
    hq.visit()

    assert [shown.text for shown in device.state.phone.messages] == ["Once"]
    assert hq.incidents(device.device_id) == [("replayed", "device")]
    liar.be_honest()
    _unharmed(hq, device)


def test_an_old_order_does_not_undo_a_newer_one(
    hq: Headquarters, liar: LyingRelay, enrol: Enrol
) -> None:
    device = enrol()
    hq.command(device.device_id, CommandKind.LOCK)
    lock = _waiting(liar, device)
    device.check_in()
    hq.command(device.device_id, CommandKind.UNLOCK)
    device.check_in()
    liar.orders = lock
    device.check_in()

    assert not device.state.phone.locked


def test_reordered_orders_are_done_in_their_order_and_reported(
    hq: Headquarters, liar: LyingRelay, enrol: Enrol
) -> None:
    device = enrol()
    hq.command(device.device_id, CommandKind.MESSAGE, text="first")
    hq.command(device.device_id, CommandKind.MESSAGE, text="second")
    liar.orders = list(reversed(_waiting(liar, device)))
    device.check_in()
    liar.be_honest()
    device.check_in()
    hq.visit()

    assert [shown.text for shown in device.state.phone.messages] == ["first", "second"]
    assert ("gap", "device") in hq.incidents(device.device_id)


def test_an_order_that_is_left_out_is_a_gap_and_nothing_after_it_is_done(
    hq: Headquarters, liar: LyingRelay, enrol: Enrol
) -> None:
    device = enrol()
    hq.command(device.device_id, CommandKind.MESSAGE, text="withheld")
    hq.command(device.device_id, CommandKind.MESSAGE, text="after it")
    liar.orders = _waiting(liar, device)[1:]
    device.check_in()
    hq.visit()

    assert device.state.phone.messages == []
    assert hq.incidents(device.device_id) == [("gap", "device")]


def test_another_devices_order_is_refused_and_reported(
    hq: Headquarters, liar: LyingRelay, enrol: Enrol
) -> None:
    device, other = enrol(), enrol()
    hq.command(other.device_id, CommandKind.MESSAGE, text="for the other")
    sealed = _waiting(liar, other)
    liar.orders = sealed
    device.check_in()
    hq.visit()
    assert hq.incidents(device.device_id) == [("unreadable", "device")]

    token = envelope.decrypt(sealed[0], keys.read_private(other.state.encryption_key))
    liar.orders = [envelope.encrypt(token, _box(device))]
    device.check_in()
    hq.visit()
    assert ("foreign", "device") in hq.incidents(device.device_id)
    assert device.state.phone.messages == []


def test_a_report_does_not_pass_as_an_order(
    hq: Headquarters, liar: LyingRelay, enrol: Enrol
) -> None:
    device = enrol()
    own = keys.read_private(device.state.signing_key)
    as_report = envelope.seal(codec.write(_wipe(device)), envelope.REPORT, own, _box(device))
    statement = device.state.known_trust()
    with hq.context.database.reading() as session:
        trust = find_trust(session)
        assert trust is not None
        signed_by_management = trust.statement
    liar.orders = [as_report, envelope.encrypt(signed_by_management, _box(device))]
    device.check_in()
    hq.visit()

    assert hq.incidents(device.device_id) == [("forged", "device")]
    assert device.state.known_trust() == statement


def test_rubbish_without_end_does_not_fill_the_device(
    hq: Headquarters, liar: LyingRelay, enrol: Enrol
) -> None:
    device = enrol()
    liar.takes_reports_and_drops_them = True
    for round_ in range(5):
        liar.orders = [f"rubbish-{round_}-{number}" for number in range(30)]
        device.check_in()
    state = device.state

    assert len(state.reports) <= 6
    assert device.file.path.stat().st_size < 200_000


def test_withheld_orders_are_noticed_by_management(
    hq: Headquarters, liar: LyingRelay, enrol: Enrol
) -> None:
    device = enrol()
    command_id = hq.command(device.device_id, CommandKind.LOCK)
    liar.says_nothing_is_new = True
    device.check_in()
    assert not device.state.phone.locked
    hq.look_for_withheld(later=timedelta())
    assert hq.incidents(device.device_id) == []

    later = timedelta(seconds=hq.context.settings.digest_seconds * 2 + 60)
    _say_polled(hq, device.device_id, later)
    hq.look_for_withheld(later)
    assert hq.incidents(device.device_id) == [("withheld", "management")]

    liar.be_honest()
    device.check_in()
    hq.visit()
    assert hq.state_of(command_id) == "done"


def _say_polled(hq: Headquarters, device_id: UUID, later: timedelta) -> None:
    """Let the relay claim that the device polled."""
    with hq.context.database.transaction("the relay's claim") as session:
        note_polls(session, [(device_id, utc_now() + later)])


def test_a_withheld_wipe_that_comes_too_late_is_not_done(
    hq: Headquarters, liar: LyingRelay, enrol: Enrol
) -> None:
    device = enrol()
    command_id = hq.command(device.device_id, CommandKind.WIPE)
    late = SimulatedDevice(device.file.folder, clock=lambda: utc_now() + timedelta(days=400))
    late.check_in()
    hq.visit()

    assert hq.state_of(command_id) == "failed"
    assert late.state.membership is not None


def test_a_relay_in_the_middle_learns_nothing_at_enrolment(
    hq: Headquarters, liar: LyingRelay, phone: SimulatedDevice
) -> None:
    code = hq.invite()
    own = TrustStatement(
        issue=99,
        issued_at=utc_now(),
        order_signing_key=keys.public_jwk(ATTACKER),
        encryption_key=keys.public_jwk(ATTACKER),
        successor_thumbprint=keys.thumbprint(ATTACKER),
        relays=(),
    )
    liar.trust = envelope.sign(codec.write(own), envelope.TRUST, ATTACKER)
    with pytest.raises(UnauthenticatedError, match="another management"):
        phone.begin_enrolment(code, PHONE)
    assert [path for path, _ in liar.seen] == ["/agent/v1/trust"]

    real = hq.context.signer.public_key()
    mixed = codec.write(own).decode().replace(keys.public_jwk(ATTACKER)["x"], real["x"], 1)
    mixed = mixed.replace(keys.public_jwk(ATTACKER)["y"], real["y"], 1)
    liar.trust = envelope.sign(mixed.encode(), envelope.TRUST, ATTACKER)
    with pytest.raises(UnauthenticatedError, match="does not hold"):
        phone.begin_enrolment(code, PHONE)
    assert {path for path, _ in liar.seen} == {"/agent/v1/trust"}


def test_the_enrolment_key_is_never_seen_by_the_relay(
    hq: Headquarters, liar: LyingRelay, phone: SimulatedDevice
) -> None:
    code = hq.invite()
    key = code.partition("key=")[2].partition("&")[0]
    phone.begin_enrolment(code, PHONE, "hanako", "open sesame")

    sent = b"".join(body for _, body in liar.seen)
    assert sent
    assert key.encode() not in sent
    assert b"open sesame" not in sent


def test_a_forged_answer_to_an_enrolment_is_ignored_and_reported_later(
    hq: Headquarters, liar: LyingRelay, phone: SimulatedDevice, enrol: Enrol
) -> None:
    other = enrol()
    phone.begin_enrolment(hq.invite(), PHONE)
    forged = envelope.seal(codec.write(_wipe(other)), envelope.ORDER, ATTACKER, _box(phone))
    liar.answer = [forged]
    assert phone.finish_enrolment() is not None
    with pytest.raises(RefusedError):
        phone.device_id  # noqa: B018

    liar.be_honest()
    hq.visit()
    assert phone.finish_enrolment() is None
    phone.check_in()
    hq.visit()
    assert hq.incidents(phone.device_id) == [("forged", "device")]


def test_a_forged_trust_statement_is_refused_and_reported(
    hq: Headquarters, liar: LyingRelay, enrol: Enrol
) -> None:
    device = enrol(Timing(trust_refresh=timedelta()))
    before = device.state.known_trust()
    liar.trust = envelope.sign(codec.write(before), envelope.TRUST, ATTACKER)
    device.check_in()
    liar.trust = "rubbish"
    device.check_in()
    hq.visit()

    assert device.state.known_trust() == before
    assert hq.incidents(device.device_id) == [("forged", "device")]


def test_a_relay_cannot_say_that_an_order_is_not_known_and_stop_the_rest(
    hq: Headquarters, liar: LyingRelay, enrol: Enrol
) -> None:
    device = enrol()
    hq.command(device.device_id, CommandKind.MESSAGE, text="hello")
    liar.orders = ["rubbish", *_waiting(liar, device)]
    device.check_in()

    assert [shown.text for shown in device.state.phone.messages] == ["hello"]
