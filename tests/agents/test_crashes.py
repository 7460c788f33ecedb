"""A device that dies at any step loses nothing and does nothing twice."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agents.simulator.device import SimulatedDevice
from contracts.agent import ApplyPolicy, CommandKind, CommandResult, Posture
from tests.agents.conftest import DESCRIPTION, Enrol
from tests.agents.office import Admitted, Office, command, policy

pytestmark = pytest.mark.servers
AT_A_CHECK_IN = ("token", "order", "report", "stored", "command")
POINTS = [
    *(f"{when} commit device {step}" for step in AT_A_CHECK_IN for when in ("before", "after")),
    "before effect device post",
    "after effect device post",
]


def _dies(folder: Path, point: str, *words: str) -> None:
    """Run a command in a process that is killed at *point*."""
    mark = folder.with_name(f"{folder.name}-crashed")
    crash = {"SEKISHO_CRASH_AT": point, "SEKISHO_CRASH_MARK": str(mark)}
    done = subprocess.run(
        [sys.executable, "-m", "sekisho", "simulate", *words, "--state", str(folder)],
        env={**os.environ, **crash},
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def _states(device: Admitted, command_id: object) -> list[str]:
    results = device.said(CommandResult)
    return [result.state for result in results if result.command_id == command_id]


@pytest.mark.parametrize("point", POINTS)
def test_a_check_in_that_dies_anywhere_is_finished_by_the_next(
    office: Office, enrol: Enrol, point: str
) -> None:
    device, admitted = enrol()
    device.set(rooted="true")
    message = command(CommandKind.MESSAGE, text="once")
    lock = command(CommandKind.LOCK)
    office.send(admitted, message, ApplyPolicy(policy=policy(version=2)), lock)
    _dies(device.file.folder, point, "check-in")
    device.check_in()
    device.check_in()
    office.collect()

    assert [shown.text for shown in device.state.phone.messages] == ["once"]
    assert _states(admitted, message.command_id) == ["acknowledged", "done"]
    assert _states(admitted, lock.command_id) == ["acknowledged", "done"]
    last = admitted.said(Posture)[-1]
    assert (last.rooted, last.applied_policy_version) == (True, 2)
    assert admitted.taken == device.state.member().report_seq
    assert office.strange == []


@pytest.mark.parametrize(
    "point",
    [
        "before commit device wipe",
        "after commit device wipe",
        "before effect device post",
        "before commit device wiped",
        "after commit device wiped",
    ],
)
def test_a_wipe_that_dies_anywhere_is_finished(office: Office, enrol: Enrol, point: str) -> None:
    device, admitted = enrol()
    device.check_in()
    wipe = command(CommandKind.WIPE)
    office.send(admitted, wipe)
    _dies(device.file.folder, point, "check-in")
    if device.state.membership is not None:
        device.check_in()
    office.collect()

    assert device.state.ended == "Wiped by management."
    assert _states(admitted, wipe.command_id) == ["acknowledged", "done"]


@pytest.mark.parametrize("step", ["ask", "answer"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_enrolment_that_dies_is_taken_up_again(
    office: Office, phone: SimulatedDevice, step: str, when: str
) -> None:
    point = f"{when} commit device {step}"
    words = ("enrol", "--qr", office.qr(), "--model", "K9", "--manufacturer", "Kumo")
    if step == "ask":
        _dies(phone.file.folder, point, *words)
        phone.begin_enrolment(office.qr(), DESCRIPTION)
        admitted = office.admit(office.requests()[0])
    else:
        phone.begin_enrolment(office.qr(), DESCRIPTION)
        admitted = office.admit(office.requests()[0])
        _dies(phone.file.folder, point, *words)
    if phone.state.membership is None:
        assert phone.finish_enrolment() is None

    assert phone.device_id == admitted.device_id
    assert len(office.devices) == 1


def test_a_torn_write_leaves_the_state_before(enrol: Enrol) -> None:
    device, _ = enrol()
    before = device.state
    device.file.path.with_suffix(".new").write_bytes(b'{"v":1,"signing_k')

    assert device.state == before
    device.set(rooted="true")
    assert device.state.phone.posture.rooted is True
