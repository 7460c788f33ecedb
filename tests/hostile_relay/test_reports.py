"""What a relay does to reports is refused or noticed by management, and nothing is lost by it."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from agents.simulator.device import SimulatedDevice
from agents.simulator.visit import Timing
from contracts import codec, envelope, keys
from contracts.agent import Leaving, Posture, Report, ReportItem
from management.devices.rules import EnrolmentState, FactKind
from runtime.clock import utc_now
from runtime.errors import RefusedError
from tests.agents.headquarters import Headquarters
from tests.hostile_relay.conftest import PHONE, Enrol, copy_of
from tests.hostile_relay.lying_relay import LyingRelay
from tests.hostile_relay.mailbox_thief import MailboxThief, Stored

pytestmark = pytest.mark.servers
ATTACKER = keys.new_key()
AT_ONCE = Timing(resend_after=timedelta())


def _root(device: SimulatedDevice, rooted: str = "true") -> None:
    device.set(rooted=rooted)
    device.check_in()


def _report(hq: Headquarters, device: SimulatedDevice, key: ECKey, *items: ReportItem) -> str:
    """Return a report as *key* would write it in the device's name."""
    member = device.state.member()
    report = Report(
        iss=member.device_id,
        aud="management",
        epoch=member.epoch,
        seq=member.report_seq + 1,
        ack=member.order_seq,
        sent_at=utc_now(),
        items=items,
    )
    box = keys.read_public(keys.public_jwk(hq.context.keys.encryption_key()))
    return envelope.seal(codec.write(report), envelope.REPORT, key, box)


def _left(thief: MailboxThief, device: SimulatedDevice) -> Stored:
    """Return the one report of *device* that waits."""
    (only,) = thief.waiting(device.device_id)
    return only


def test_a_forged_report_is_refused_and_noted(
    hq: Headquarters, thief: MailboxThief, enrol: Enrol
) -> None:
    device = enrol()
    _root(device)
    honest = _left(thief, device)
    thief.remove(honest)
    forged = _report(hq, device, ATTACKER, Leaving(reason="bye"), Posture(rooted=False))
    thief.add(honest, sealed=forged)
    hq.visit()

    assert hq.incidents(device.device_id) == [("forged", "management")]
    assert hq.device(device.device_id).enrolment_state == EnrolmentState.ENROLLED
    assert hq.fact(device.device_id, FactKind.ROOTED) is False, "the first report's word stands"


def _cut(sealed: str) -> str:
    return sealed[: len(sealed) // 2]


def _flipped(sealed: str) -> str:
    parts = sealed.split(".")
    parts[3] = ("B" if parts[3][0] != "B" else "C") + parts[3][1:]
    return ".".join(parts)


@pytest.mark.parametrize("alter", [_flipped, _cut, lambda sealed: "rubbish"])
def test_an_altered_report_is_noted_and_comes_again(
    hq: Headquarters, thief: MailboxThief, enrol: Enrol, alter: Callable[[str], str]
) -> None:
    device = enrol(AT_ONCE)
    _root(device)
    honest = _left(thief, device)
    thief.remove(honest)
    thief.add(honest, sealed=alter(honest.sealed))
    hq.visit()
    assert hq.incidents(device.device_id) == [("unreadable", "management")]
    assert hq.fact(device.device_id, FactKind.ROOTED) is False

    device.check_in()
    hq.visit()
    assert hq.fact(device.device_id, FactKind.ROOTED) is True


def test_a_replayed_report_changes_nothing(
    hq: Headquarters, thief: MailboxThief, enrol: Enrol
) -> None:
    device = enrol()
    _root(device)
    old = _left(thief, device)
    hq.visit()
    _root(device, "false")
    hq.visit()
    before = hq.device(device.device_id)
    for number in range(5):
        thief.add(old, seq=old.seq + number)
    hq.visit()
    after = hq.device(device.device_id)

    assert hq.fact(device.device_id, FactKind.ROOTED) is False
    assert (after.inbound_seq, after.contact_at) == (before.inbound_seq, before.contact_at)
    assert after.outbound_seq <= before.outbound_seq + 1, "replays do not make receipts pile up"


def test_withheld_reports_leave_a_gap_that_is_noted_and_mended(
    hq: Headquarters, thief: MailboxThief, enrol: Enrol
) -> None:
    device = enrol(AT_ONCE)
    _root(device)
    thief.remove(_left(thief, device))
    device.set(passcode_set="false")
    device.timing = Timing()
    device.check_in()
    hq.visit()
    assert hq.incidents(device.device_id) == [("gap", "management")]
    assert hq.fact(device.device_id, FactKind.PASSCODE_SET) is True

    device.timing = AT_ONCE
    device.check_in()
    hq.visit()
    assert hq.fact(device.device_id, FactKind.ROOTED) is True
    assert hq.fact(device.device_id, FactKind.PASSCODE_SET) is False


def test_reordered_reports_are_noted_and_the_last_word_is_the_devices(
    hq: Headquarters, thief: MailboxThief, enrol: Enrol
) -> None:
    device = enrol(AT_ONCE)
    _root(device)
    _root(device, "false")
    first, second = thief.waiting(device.device_id)[:2]
    for stored in (first, second):
        thief.remove(stored)
    thief.add(second)
    thief.add(first)
    hq.visit()
    assert ("gap", "management") in hq.incidents(device.device_id)

    device.check_in()
    hq.visit()
    assert hq.fact(device.device_id, FactKind.ROOTED) is False
    assert hq.device(device.device_id).inbound_seq == device.state.member().report_seq


def test_a_report_under_another_devices_name_is_noted(
    hq: Headquarters, thief: MailboxThief, enrol: Enrol
) -> None:
    device, other = enrol(), enrol()
    _root(device)
    honest, before = _left(thief, device), hq.made_up("foreign")
    thief.add(honest, sender=other.device_id)
    thief.add(honest, sender=device.state.member().enrolment_id)
    hq.visit()

    assert hq.incidents(other.device_id) == [("forged", "management")]
    assert hq.made_up("foreign") == before + 1
    assert hq.fact(other.device_id, FactKind.ROOTED) is False
    assert hq.fact(device.device_id, FactKind.ROOTED) is True


def test_one_bad_message_does_not_stop_the_others(
    hq: Headquarters, thief: MailboxThief, enrol: Enrol
) -> None:
    bad, good = enrol(), enrol()
    _root(bad)
    stored = _left(thief, bad)
    thief.remove(stored)
    for kind in ("report", "enrolment"):
        thief.add(stored, kind=kind, sealed="eyJhbGciOiJub25lIn0..AAAA.AAAA.AAAA")
    _root(good)
    hq.visit()

    assert hq.fact(good.device_id, FactKind.ROOTED) is True


def test_a_relay_that_swallows_reports_is_found_out(
    hq: Headquarters, liar: LyingRelay, enrol: Enrol
) -> None:
    device = enrol(AT_ONCE)
    liar.takes_reports_and_drops_them = True
    _root(device)
    hq.visit()
    assert hq.fact(device.device_id, FactKind.ROOTED) is False
    assert device.state.reports, "202 alone makes no device forget"

    liar.be_honest()
    device.check_in()
    hq.visit()
    assert hq.fact(device.device_id, FactKind.ROOTED) is True


def test_a_poll_is_no_proof_of_contact(hq: Headquarters, liar: LyingRelay, enrol: Enrol) -> None:
    device = enrol()
    before = hq.device(device.device_id).contact_at
    liar.takes_reports_and_drops_them = True
    for _ in range(3):
        device.check_in()
    hq.visit()

    assert hq.device(device.device_id).contact_at == before


def test_a_copy_of_a_device_is_found_out(hq: Headquarters, enrol: Enrol) -> None:
    """Whoever copies a device's memory continues its numbers, and so does the device."""
    device = enrol()
    copy = copy_of(device)
    _root(device)
    hq.visit()
    copy.check_in()
    hq.visit()
    assert hq.incidents(device.device_id) == [("gap", "device")], "the copy hears of a report"

    device.set(os_version="14")
    device.timing = AT_ONCE
    _root(device)
    hq.visit()
    assert ("altered", "management") in hq.incidents(device.device_id)


def test_a_replayed_enrolment_request_takes_nothing_over(
    hq: Headquarters, thief: MailboxThief, phone: SimulatedDevice
) -> None:
    phone.begin_enrolment(hq.invite(), PHONE)
    asked = phone.state.request()
    (request,) = thief.waiting(asked.enrolment_id)
    hq.visit()
    assert phone.finish_enrolment() is None
    phone.check_in()
    hq.visit()
    before = hq.device(phone.device_id)
    thief.add(request)
    hq.visit()
    after = hq.device(phone.device_id)

    assert (after.epoch, after.inbound_seq) == (before.epoch, before.inbound_seq)
    assert after.signing_key == before.signing_key


def test_an_enrolment_request_cannot_be_answered_to_another_key(
    hq: Headquarters, thief: MailboxThief, phone: SimulatedDevice, tmp_path: Path
) -> None:
    """A relay cannot open the request, so its own with the same id has no enrolment key."""
    phone.begin_enrolment(hq.invite(), PHONE)
    asked = phone.state.request()
    (request,) = thief.waiting(asked.enrolment_id)
    thief.remove(request)
    own = SimulatedDevice(tmp_path / "attacker", wait=lambda seconds: None)
    own.begin_enrolment(hq.invite().replace("key=", "key=0000"), PHONE)
    (forged,) = thief.waiting(own.state.request().enrolment_id)
    thief.remove(forged)
    before = hq.made_up("foreign")
    thief.add(request, sealed=forged.sealed)
    hq.visit()
    assert hq.made_up("foreign") == before + 1

    thief.add(request)
    hq.visit()
    assert phone.finish_enrolment() is None


def test_a_wrong_enrolment_key_is_refused_in_words(
    hq: Headquarters, liar: LyingRelay, phone: SimulatedDevice
) -> None:
    phone.begin_enrolment(hq.invite().replace("key=", "key=0000"), PHONE)
    hq.visit()

    with pytest.raises(RefusedError, match="not known here"):
        phone.finish_enrolment()
