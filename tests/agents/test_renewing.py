"""Real devices renew their keys, whatever dies or is lost on the way, and are never locked out."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from agents.simulator import renewing
from agents.simulator.device import SimulatedDevice
from agents.simulator.relay_client import Identity, RelayClient
from agents.simulator.visit import Timing
from contracts import keys
from contracts.agent import CommandKind, Digest, Receipt, Renewal, Renewed
from management.enrolment import epochs
from runtime.clock import utc_now
from runtime.errors import SekishoError, UnauthenticatedError
from tests.agents.conftest import Enrol
from tests.agents.headquarters import Headquarters
from tests.agents.office import Admitted, Office, command
from tests.agents.test_crashes import _dies
from tests.agents.test_epochs import Backup, enrolled, meet

pytestmark = pytest.mark.servers
AT_ONCE = Timing(resend_after=timedelta())


def in_use(phone: SimulatedDevice) -> dict[str, str]:
    return keys.public_jwk(keys.read_private(phone.state.signing_key))


def settled(hq: Headquarters, phone: SimulatedDevice, before: dict[str, str]) -> None:
    """Both sides use the same new keys, orders come, and nobody noticed anything strange."""
    device = hq.device(phone.device_id)
    assert device.signing_key == in_use(phone) != before
    assert device.encryption_key == keys.public_jwk(keys.read_private(phone.state.encryption_key))
    assert device.renewal == {} and phone.state.renewal is None
    assert hq.incidents(phone.device_id) == []
    lock = hq.command(phone.device_id, CommandKind.LOCK)
    meet(hq, phone)
    assert (hq.state_of(lock), phone.state.phone.locked) == ("done", True)


def test_a_device_renews_its_keys_when_it_is_told_to(hq: Headquarters, tmp_path: Path) -> None:
    phone = enrolled(hq, tmp_path / "phone")
    before = in_use(phone)
    shutil.copytree(phone.file.folder, tmp_path / "copy")
    ordered = hq.command(phone.device_id, CommandKind.RENEW_KEYS)

    meet(hq, phone)

    assert hq.state_of(ordered) == "done"
    settled(hq, phone, before)
    clone = SimulatedDevice(tmp_path / "copy", wait=lambda seconds: None)
    with pytest.raises(UnauthenticatedError):
        clone.check_in()


def test_a_certificate_is_renewed_when_a_third_of_its_life_is_left(
    hq: Headquarters, tmp_path: Path
) -> None:
    phone = enrolled(hq, tmp_path / "phone")
    before, due = in_use(phone), phone.state.member().renew_at
    assert due is not None
    assert timedelta(days=485) < due - utc_now() < timedelta(days=488)
    meet(hq, phone)
    assert in_use(phone) == before

    with phone.file.changing("years pass") as state:
        state.member().renew_at = utc_now() - timedelta(hours=1)
    meet(hq, phone)

    settled(hq, phone, before)
    assert hq.device(phone.device_id).renewed_at is not None
    again = phone.state.member().renew_at
    assert again is not None
    assert again >= due


DEATHS = [
    (1, "after commit device command"),
    (1, "before effect device post"),
    (1, "after effect device post"),
    (2, "before commit device order"),
    (2, "after commit device order"),
    (2, "after commit device report"),
    (2, "after effect device post"),
]
"""At the check-in that asks, and at the one that takes the answer."""


@pytest.mark.parametrize(("check_in", "point"), DEATHS)
def test_a_renewal_goes_on_wherever_the_device_dies(
    hq: Headquarters, tmp_path: Path, check_in: int, point: str
) -> None:
    phone = enrolled(hq, tmp_path / "phone")
    before = in_use(phone)
    hq.command(phone.device_id, CommandKind.RENEW_KEYS)
    if check_in == 2:
        phone.check_in()
        hq.visit()
    _dies(phone.file.folder, point, "check-in")

    for _ in range(2):
        meet(hq, phone)

    settled(hq, phone, before)


def test_a_renewal_goes_on_when_the_relay_dies_between_all_steps(
    hq: Headquarters, tmp_path: Path
) -> None:
    phone = enrolled(hq, tmp_path / "phone")
    before = in_use(phone)
    hq.command(phone.device_id, CommandKind.RENEW_KEYS)
    for step in (phone.check_in, hq.visit, phone.check_in, hq.visit):
        hq.relay.restart()
        step()
    meet(hq, phone)

    settled(hq, phone, before)


def test_two_renewals_in_a_row(hq: Headquarters, tmp_path: Path) -> None:
    phone = enrolled(hq, tmp_path / "phone")
    before = in_use(phone)
    for _ in range(2):
        hq.command(phone.device_id, CommandKind.RENEW_KEYS)
    meet(hq, phone)  # the second replaces the first, which is not answered yet
    settled(hq, phone, before)
    hq.command(phone.device_id, CommandKind.UNLOCK)
    hq.command(phone.device_id, CommandKind.RENEW_KEYS)
    second = in_use(phone)
    meet(hq, phone)
    settled(hq, phone, second)


def test_a_backup_from_before_the_renewal_locks_nobody_out(
    hq: Headquarters, tmp_path: Path
) -> None:
    phone = enrolled(hq, tmp_path / "phone")
    backup, before = Backup(hq.context), in_use(phone)
    hq.command(phone.device_id, CommandKind.RENEW_KEYS)
    meet(hq, phone)
    renewed = in_use(phone)
    assert renewed != before

    backup.restore()
    epochs.begin_epochs(hq.context, {}, lambda said: None)
    for _ in range(3):
        hq.visit()
        meet(hq, phone)

    assert phone.state.member().epoch > epochs.STEP
    assert in_use(phone) != renewed, "back to the keys that management knows, and then fresh ones"
    settled(hq, phone, before)


def test_a_new_epoch_in_the_middle_of_a_renewal(hq: Headquarters, tmp_path: Path) -> None:
    phone = enrolled(hq, tmp_path / "phone")
    before = in_use(phone)
    hq.command(phone.device_id, CommandKind.RENEW_KEYS)
    phone.check_in()
    hq.visit()
    epochs.begin_epochs(hq.context, {}, lambda said: None)  # the answer is worth nothing now

    for _ in range(2):
        meet(hq, phone)

    settled(hq, phone, before)


# --- with a management that says exactly what the test wants ---


def renewed(office: Office, admitted: Admitted, asked: Renewal, key: ECKey) -> Renewed:
    issued = office.own.issue_device_certificate(admitted.device_id, key, utc_now())
    ca = office.own.ca_certificate()
    return Renewed(renewal_id=asked.renewal_id, certificate=issued.pem, ca_certificate=ca)


def asks(office: Office, device: SimulatedDevice, admitted: Admitted) -> tuple[Renewal, ECKey]:
    """Let the device ask; return what it asks for and its new key."""
    office.send(admitted, command(CommandKind.RENEW_KEYS))
    device.check_in()
    office.collect()
    pending = device.state.renewal
    assert pending is not None
    return admitted.said(Renewal)[-1], keys.read_private(pending.signing_key)


def test_a_relay_that_was_not_told_of_the_new_key_lets_the_device_in(
    office: Office, enrol: Enrol
) -> None:
    device, admitted = enrol(timing=AT_ONCE)
    asked, key = asks(office, device, admitted)
    office.send(admitted, renewed(office, admitted, asked, key))

    device.check_in()  # takes the answer, reports with the new key through the old door
    admitted.signing_key = key
    office.collect()

    assert in_use(device) == keys.public_jwk(key)
    assert isinstance(admitted.reports[-1].items[0], Digest)


def test_both_keys_open_the_mailbox_and_then_only_the_new_one(office: Office, enrol: Enrol) -> None:
    device, admitted = enrol()
    _, key = asks(office, device, admitted)
    office.let(admitted, active=True, next_key=key)
    state = device.state
    assert state.trust is not None
    relay = RelayClient(state.relay_url, state.trust.relays[0].ca_certificates, utc_now)
    ours, theirs = (
        Identity(one, admitted.device_id) for one in (keys.read_private(state.signing_key), key)
    )
    stranger = Identity(keys.new_key(), admitted.device_id)
    for identity in (ours, theirs):
        relay.fetch_orders(identity, 1, 0)
    with pytest.raises(UnauthenticatedError):
        relay.fetch_orders(stranger, 1, 0)

    admitted.signing_key = key
    office.let(admitted, active=True)
    relay.fetch_orders(theirs, 1, 0)
    with pytest.raises(UnauthenticatedError):
        relay.fetch_orders(ours, 1, 0)
    relay.close()


def test_orders_sealed_to_the_former_key_are_still_read(office: Office, enrol: Enrol) -> None:
    device, admitted = enrol()
    asked, key = asks(office, device, admitted)
    office.let(admitted, active=True, next_key=key)
    lock = command(CommandKind.LOCK)
    office.send(admitted, renewed(office, admitted, asked, key), lock)  # both for the old key
    pending = device.state.renewal
    assert pending is not None
    box = keys.read_private(pending.encryption_key)
    device.check_in()
    admitted.signing_key, admitted.encryption_key = key, box
    office.send(admitted, command(CommandKind.UNLOCK))
    device.check_in()
    office.collect()

    assert device.state.phone.locked is False
    assert [one.what for one in device.state.diary if "lock" in one.what][-2:] == [
        "Command lock done: The screen is locked.",
        "Command unlock done: The screen is unlocked.",
    ]


def test_an_answer_that_is_not_ours_changes_nothing(office: Office, enrol: Enrol) -> None:
    device, admitted = enrol()
    asked, key = asks(office, device, admitted)
    before = in_use(device)
    answer = renewed(office, admitted, asked, keys.new_key())
    office.send(admitted, answer)  # for a key that is not the one asked for
    device.check_in()

    state = device.state
    assert (in_use(device), state.renewal) == (before, None)
    assert state.member().renew_at is not None
    assert not renewing.is_due(state, utc_now())
    assert renewing.is_due(state, utc_now() + timedelta(days=2))
    office.send(admitted, renewed(office, admitted, asked, key), Receipt())
    device.check_in()
    assert in_use(device) == before, "nothing is under way any more"
    assert device.state.member().order_seq == admitted.seq


def test_while_no_answer_comes_the_old_key_works_on(office: Office, enrol: Enrol) -> None:
    device, admitted = enrol(timing=AT_ONCE)
    asks(office, device, admitted)
    before = in_use(device)
    for _ in range(3):
        device.set(rooted="true" if device.state.phone.posture.rooted is False else "false")
        device.check_in()
    office.collect()

    assert in_use(device) == before
    assert len(admitted.said(Renewal)) == 1
    assert office.strange == [] or all("after" in one for one in office.strange)
    with pytest.raises(SekishoError):
        device.finish_enrolment()
