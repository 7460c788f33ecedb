"""The simulated device against a real relay: what it says, takes, keeps and repeats."""

import stat
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agents.simulator.device import SimulatedDevice
from agents.simulator.visit import Timing
from contracts import codec, envelope, keys
from contracts.agent import (
    ApplyPolicy,
    Apps,
    CommandKind,
    CommandResult,
    Digest,
    InstalledApp,
    Leaving,
    NewPatterns,
    Posture,
    Receipt,
    RelayProblem,
)
from management.devices.rules import EnrolmentState, FactKind
from runtime.clock import utc_now
from runtime.errors import (
    ForbiddenError,
    NotFoundError,
    RefusedError,
    UnauthenticatedError,
    UnavailableError,
)
from tests.agents.conftest import DESCRIPTION, Enrol
from tests.agents.headquarters import Headquarters
from tests.agents.office import Office, command, policy

pytestmark = pytest.mark.servers
APP = InstalledApp(package="jp.example.memo", name="Memo", version="1.0", sha256="a" * 64)


def test_a_device_enrols_with_keys_of_its_own(office: Office, phone: SimulatedDevice) -> None:
    phone.begin_enrolment(office.qr("the key"), DESCRIPTION, "hanako", "secret")
    assert phone.finish_enrolment() == 5.0, "management has not answered yet"
    (request,) = office.requests()
    device = office.admit(request)
    assert phone.finish_enrolment() is None

    assert phone.device_id == device.device_id
    assert (request.enrolment_key, request.device) == ("the key", DESCRIPTION)
    assert (request.user_name, request.user_password) == ("hanako", "secret")
    own = keys.read_private(phone.state.signing_key)
    assert request.signing_key == keys.public_jwk(own)
    assert "secret" not in phone.file.path.read_text()


def test_a_repeated_enrolment_asks_the_same_thing_again(
    office: Office, phone: SimulatedDevice
) -> None:
    phone.begin_enrolment(office.qr(), DESCRIPTION)
    (first,) = office.requests()
    SimulatedDevice(phone.file.folder).begin_enrolment(office.qr(), DESCRIPTION)
    (again,) = office.requests()

    assert again == first


def test_another_code_is_another_request(office: Office, phone: SimulatedDevice) -> None:
    phone.begin_enrolment(office.qr("old key"), DESCRIPTION)
    (first,) = office.requests()
    phone.begin_enrolment(office.qr("new key"), DESCRIPTION)
    (second,) = office.requests()

    assert second.enrolment_key == "new key"
    assert second.enrolment_id != first.enrolment_id


def test_a_relay_of_another_management_is_not_believed(
    office: Office, phone: SimulatedDevice
) -> None:
    another = keys.thumbprint(keys.new_key())

    with pytest.raises(UnauthenticatedError, match="another management"):
        phone.begin_enrolment(office.qr(fingerprint=another), DESCRIPTION)
    assert office.requests() == []


def test_a_refused_enrolment_says_why_and_may_be_tried_again(
    office: Office, phone: SimulatedDevice
) -> None:
    phone.begin_enrolment(office.qr(), DESCRIPTION)
    (request,) = office.requests()
    office.refuse(request, "The invitation has expired.")

    with pytest.raises(RefusedError, match="The invitation has expired"):
        phone.finish_enrolment()
    phone.begin_enrolment(office.qr(), DESCRIPTION)
    (second,) = office.requests()
    assert second.enrolment_id != request.enrolment_id


def test_an_enrolment_nobody_answers_ends_with_patience(
    office: Office, phone: SimulatedDevice
) -> None:
    with pytest.raises(UnavailableError, match="has not answered"):
        phone.enrol(office.qr(), DESCRIPTION, patience=timedelta(seconds=1))


def test_after_the_first_question_tls_must_chain_to_the_signed_list(
    office: Office, phone: SimulatedDevice
) -> None:
    relay = replace(office.statement().relays[0], ca_certificates=(office.relay.link_certificate,))
    office.put_trust(relays=(relay,))

    with pytest.raises(UnavailableError, match="certificate"):
        phone.begin_enrolment(office.qr(), DESCRIPTION)
    assert office.requests() == []


def test_the_first_report_says_everything_and_the_next_only_what_changed(
    office: Office, enrol: Enrol
) -> None:
    device, admitted = enrol()
    device.install(APP)
    device.check_in()
    device.check_in()
    device.set(rooted="true", passcode_set="unknown")
    device.check_in()
    office.collect()

    first, second = admitted.reports
    assert [type(item) for item in first.items] == [Posture, Apps]
    assert admitted.said(Apps) == [Apps(apps=(APP,))]
    (said,) = second.items
    assert isinstance(said, Posture)
    assert (said.rooted, said.passcode_set, said.encrypted) == (True, None, True)
    assert (first.seq, first.ack, second.seq) == (1, 1, 2)


def test_a_device_with_nothing_to_say_sends_a_digest_when_it_is_due(
    office: Office, tmp_path: Path, enrol: Enrol
) -> None:
    device, admitted = enrol(digest_seconds=3600)
    device.check_in()
    later = SimulatedDevice(device.file.folder, clock=lambda: utc_now() + timedelta(minutes=61))
    device.check_in()
    later.check_in()
    later.check_in()
    office.collect()

    assert [type(item) for report in admitted.reports[1:] for item in report.items] == [Digest]


def test_a_policy_is_applied_and_said_so(office: Office, enrol: Enrol) -> None:
    device, admitted = enrol()
    office.send(admitted, ApplyPolicy(policy=policy(version=4)), NewPatterns(pattern_version="9"))
    device.check_in()
    office.collect()

    said = admitted.said(Posture)[-1]
    assert (said.applied_policy_version, said.pattern_version) == (4, "9")
    assert admitted.reports[-1].ack == 3


def test_a_command_is_acknowledged_then_done(office: Office, enrol: Enrol) -> None:
    device, admitted = enrol()
    lock = command(CommandKind.LOCK)
    office.send(admitted, lock)
    device.check_in()
    office.collect()

    results = admitted.said(CommandResult)
    assert [(result.command_id, result.state) for result in results] == [
        (lock.command_id, "acknowledged"),
        (lock.command_id, "done"),
    ]
    assert device.state.phone.locked


def test_the_same_command_is_done_once(office: Office, enrol: Enrol) -> None:
    device, admitted = enrol()
    message = command(CommandKind.MESSAGE, text="Bring the phone to room 3.")
    office.send(admitted, message, message)
    device.check_in()
    office.collect()

    assert [shown.text for shown in device.state.phone.messages] == ["Bring the phone to room 3."]
    assert len(admitted.said(CommandResult)) == 2


def test_a_command_that_cannot_be_done_says_why(office: Office, enrol: Enrol) -> None:
    device, admitted = enrol()
    office.send(admitted, command(CommandKind.MESSAGE))
    device.check_in()
    office.collect()

    result = admitted.said(CommandResult)[-1]
    assert (result.state, result.detail) == ("failed", "The message is empty.")


def test_an_expired_command_is_not_done(office: Office, enrol: Enrol) -> None:
    device, admitted = enrol()
    office.send(admitted, command(CommandKind.WIPE, hours=-1))
    device.check_in()
    office.collect()

    (result,) = admitted.said(CommandResult)
    assert result.state == "failed"
    assert "expired" in result.detail
    assert device.state.membership is not None


def test_a_relay_cannot_make_an_old_command_young_by_keeping_it(
    office: Office, enrol: Enrol
) -> None:
    device, admitted = enrol()
    behind = SimulatedDevice(device.file.folder, clock=lambda: utc_now() + timedelta(hours=2))
    office.send(admitted, command(CommandKind.WIPE, hours=1))
    behind.check_in()
    office.collect()

    assert [result.state for result in admitted.said(CommandResult)] == ["failed"]


def test_a_wiped_device_says_so_and_then_has_forgotten_everything(
    office: Office, enrol: Enrol
) -> None:
    device, admitted = enrol()
    device.install(APP)
    before = device.state
    office.send(admitted, command(CommandKind.WIPE))
    outcome = device.check_in()
    office.collect()

    assert [result.state for result in admitted.said(CommandResult)] == ["acknowledged", "done"]
    after = device.state
    assert outcome.ended == "Wiped by management."
    assert (after.membership, after.trust, after.reports, after.phone.apps) == (None, None, [], [])
    assert after.signing_key != before.signing_key
    assert before.signing_key not in device.file.path.read_text()
    with pytest.raises(RefusedError, match="Wiped by management"):
        device.check_in()


def test_a_relay_that_takes_no_report_cannot_prevent_a_wipe(
    office: Office, enrol: Enrol, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, admitted = enrol()
    device.check_in()
    office.send(admitted, command(CommandKind.WIPE))
    office.let(admitted, active=True)
    with device.file.checking_in(), device._visit() as visit:
        visit.collect()
        visit.report()
    office.let(admitted, active=False)

    for _ in range(2):
        with pytest.raises(ForbiddenError):
            device.check_in()
    assert device.state.phone.work_data, "it still tries to say so"
    assert device.check_in().ended == "Wiped by management."
    assert device.state.membership is None


def test_a_report_is_kept_until_management_acknowledges_it(office: Office, enrol: Enrol) -> None:
    device, admitted = enrol()
    device.check_in()
    office.collect()
    assert [report.seq for report in device.state.reports] == [1]

    office.send(admitted, Receipt())
    device.check_in()
    assert device.state.reports == []
    office.collect()
    assert len(admitted.reports) == 1, "a receipt is not answered"


def test_a_receipt_covers_no_later_report(office: Office, enrol: Enrol) -> None:
    device, admitted = enrol()
    device.check_in()
    office.collect()
    device.set(rooted="true")
    device.check_in()
    office.send(admitted, Receipt())
    device.check_in()

    assert [report.seq for report in device.state.reports] == [2]


def test_reports_that_were_lost_are_sent_again_unchanged_and_in_order(
    office: Office, enrol: Enrol
) -> None:
    device, admitted = enrol(Timing(resend_after=timedelta()))
    device.check_in()
    device.set(rooted="true")
    device.check_in()
    kept = [report.sealed for report in device.state.reports]
    office.drop_old()
    device.set(rooted="false")
    device.check_in()
    office.collect()

    assert [report.seq for report in admitted.reports] == [1, 2, 3]
    assert [report.sealed for report in device.state.reports][:2] == kept


def test_a_wrong_clock_does_not_keep_a_device_out(office: Office, enrol: Enrol) -> None:
    device, admitted = enrol()
    slow = SimulatedDevice(device.file.folder, clock=lambda: utc_now() - timedelta(days=40))
    slow.set(rooted="true")
    slow.check_in()
    office.collect()

    assert admitted.said(Posture)[-1].rooted is True
    ahead = slow.state.relay_ahead_seconds
    assert abs(ahead - timedelta(days=40).total_seconds()) < 60


def test_a_device_tells_times_by_managements_clock(office: Office, tmp_path: Path) -> None:
    def slow() -> datetime:
        return utc_now() - timedelta(days=40)

    device = SimulatedDevice(tmp_path / "slow", clock=slow)
    device.begin_enrolment(office.qr(), DESCRIPTION)
    admitted = office.admit(office.requests()[0])
    assert device.finish_enrolment() is None
    device.check_in()
    office.collect()

    assert abs(admitted.reports[0].sent_at - utc_now()) < timedelta(minutes=1)


def test_a_new_epoch_begins_counting_anew_and_says_everything_again(
    office: Office, enrol: Enrol
) -> None:
    device, admitted = enrol()
    device.check_in()
    office.collect()
    admitted.epoch, admitted.seq, admitted.taken = 2, 0, 0
    office.send(admitted, office.enrolled(admitted))
    device.set(rooted="true")
    device.check_in()
    office.collect()

    last = admitted.reports[-1]
    assert (last.epoch, last.seq, last.ack) == (2, 1, 1)
    assert admitted.said(Posture)[-1].rooted is True
    assert device.state.member().order_seq == 1


def test_more_acknowledged_than_sent_mends_a_device_that_was_put_back(
    office: Office, enrol: Enrol
) -> None:
    device, admitted = enrol()
    device.check_in()
    office.collect()
    admitted.taken = 5
    office.send(admitted, Receipt())
    device.set(rooted="true")
    device.check_in()
    office.collect()

    assert admitted.reports[-1].seq == 6
    assert [problem.problem for problem in admitted.said(RelayProblem)] == ["gap"]


def test_a_newer_trust_statement_is_taken_and_an_older_one_reported(
    office: Office, enrol: Enrol
) -> None:
    device, admitted = enrol(Timing(trust_refresh=timedelta()))
    older = office.statement()
    newer = office.put_trust()
    device.check_in()
    assert device.state.trust == newer

    token = envelope.sign(codec.write(older), envelope.TRUST, office.order_key)
    office.put_statement(token)
    device.check_in()
    device.check_in()
    office.collect()
    assert device.state.trust == newer
    assert [problem.problem for problem in admitted.said(RelayProblem)] == ["replayed"]


def test_leaving_is_said_and_ends_it(office: Office, enrol: Enrol) -> None:
    device, admitted = enrol()
    device.leave("sold the phone")
    office.collect()

    assert admitted.said(Leaving) == [Leaving(reason="sold the phone")]
    with pytest.raises(RefusedError, match="sold the phone"):
        device.check_in()


def test_the_password_of_its_settings_is_asked_for_before_the_agent_goes(
    office: Office, enrol: Enrol
) -> None:
    device, admitted = enrol()
    guarded = {"general": {"settings_password": "関所 1234"}}
    office.send(admitted, ApplyPolicy(policy=replace(policy(version=2), settings=guarded)))
    device.check_in()
    for wrong in ("", "1234"):
        with pytest.raises(ForbiddenError, match="password of the agent's settings"):
            device.leave("sold the phone", password=wrong)
    office.collect()
    assert admitted.said(Leaving) == []

    device.leave("sold the phone", password="関所 1234")
    office.collect()

    assert admitted.said(Leaving) == [Leaving(reason="sold the phone")]


def test_a_device_that_management_shut_out_hears_it(office: Office, enrol: Enrol) -> None:
    device, admitted = enrol()
    device.check_in()
    office.let(admitted, active=False)

    with pytest.raises(ForbiddenError, match="serves this device no longer"):
        device.check_in()


def test_the_memory_is_for_its_owner_only(enrol: Enrol) -> None:
    device, _ = enrol()

    assert stat.S_IMODE(device.file.path.stat().st_mode) == 0o600


def test_apps_come_and_go(office: Office, enrol: Enrol) -> None:
    device, admitted = enrol()
    device.install(APP, replace(APP, version="2.0"))
    device.check_in()
    device.uninstall(APP.package)
    device.check_in()
    office.collect()

    assert [[app.version for app in said.apps] for said in admitted.said(Apps)] == [["2.0"], []]
    with pytest.raises(NotFoundError, match="No app"):
        device.uninstall(APP.package)


def test_a_phone_refuses_what_no_phone_is(phone: SimulatedDevice) -> None:
    with pytest.raises(RefusedError, match="no colour"):
        phone.set(colour="red")
    phone.set(os_version="14", security_patch="unknown")
    assert phone.state.phone.posture.os_version == "14"
    assert phone.state.phone.posture.security_patch is None


def test_a_life_with_the_real_management(hq: Headquarters, phone: SimulatedDevice) -> None:
    phone.begin_enrolment(hq.invite(), DESCRIPTION)
    hq.visit()
    assert phone.finish_enrolment() is None
    phone.install(APP)
    phone.set(rooted="true")
    phone.check_in()
    hq.visit()
    assert hq.fact(phone.device_id, FactKind.ROOTED) is True
    assert hq.fact(phone.device_id, FactKind.PACKAGES) == [APP.package]

    lock = hq.command(phone.device_id, CommandKind.LOCK)
    phone.check_in()
    hq.visit()
    assert hq.state_of(lock) == "done"
    phone.check_in()
    assert phone.state.reports == []
    device_id = phone.device_id
    wipe = hq.command(device_id, CommandKind.WIPE)
    phone.check_in()
    hq.visit()
    assert hq.state_of(wipe) == "done"
    assert hq.device(device_id).enrolment_state == EnrolmentState.WIPED
    assert hq.incidents(device_id) == []

    phone.begin_enrolment(hq.invite(), DESCRIPTION)
    hq.visit()
    assert phone.finish_enrolment() is None
    assert phone.device_id != device_id, "new keys make a new device"
