"""A device comes as often as its policy, its place and the relay say, and never in a crowd."""

import threading
import time
from uuid import UUID

import pytest

from agents.simulator import rhythm
from agents.simulator.device import CheckIn
from agents.simulator.relay_client import Polled
from agents.simulator.state import DeviceState, Membership, new_state
from contracts.agent import CommandKind, PolicyDocument
from contracts.link import LiveDevices
from runtime.errors import SekishoError
from tests.agents.conftest import Enrol
from tests.agents.office import Office, command, policy

GENERAL = {"poll_minutes": 30, "roaming_report_minutes": 240}


def _state(roaming: bool, settings: dict[str, object]) -> DeviceState:
    state = new_state()
    document = PolicyDocument(policy_id=UUID(int=1), version=1, name="Phones", settings=settings)
    state.membership = Membership(
        device_id=UUID(int=2),
        enrolment_id=UUID(int=3),
        certificate="",
        ca_certificate="",
        poll_seconds=900,
        digest_seconds=43_200,
        policy=document,
        epoch=1,
        order_seq=1,
    )
    posture = state.phone.posture
    state.phone.posture = type(posture)(os_version="15", roaming=roaming)
    return state


@pytest.mark.parametrize(
    ("roaming", "settings", "seconds"),
    [
        (False, {}, 900),
        (False, {"general": GENERAL}, 1800),
        (True, {"general": GENERAL}, 14_400),
        (True, {"general": {"poll_minutes": 30}}, 1800),
        (True, {"general": GENERAL | {"roaming_report_minutes": 10_080}}, 43_200),
        (False, {"general": {"poll_minutes": "often"}}, 900),
        (False, {"general": [1]}, 900),
    ],
)
def test_policy_and_place_say_how_often(
    roaming: bool, settings: dict[str, object], seconds: int
) -> None:
    assert rhythm.interval(_state(roaming, settings)) == seconds


def test_a_relay_cannot_make_a_device_ask_without_end() -> None:
    assert rhythm.next_poll(Polled(False, 0.0), 900) == 900
    assert rhythm.next_poll(Polled(False, 0.5), 900) == 1
    assert rhythm.next_poll(Polled(False, None), 900) == 900


def test_a_device_comes_never_sooner_than_it_was_asked_to_and_not_with_the_others() -> None:
    waits = {rhythm.later(60.0, 5.0) for _ in range(200)}

    assert 60 <= min(waits) < max(waits) <= 75
    assert len(waits) > 100
    assert 5 <= rhythm.later(None, 5.0) <= 6.25


@pytest.mark.servers
def test_a_device_says_how_often_it_is_to_come_and_comes_when_it_is_told(
    office: Office, enrol: Enrol
) -> None:
    device, _ = enrol(policy=policy(), poll_seconds=3600)

    assert 1799 <= device.check_in().poll_after_seconds <= 5401


@pytest.mark.servers
def test_a_device_somebody_waits_for_hangs_on_and_obeys_at_once(
    office: Office, enrol: Enrol
) -> None:
    device, admitted = enrol()
    office.hurry(LiveDevices(devices=(admitted.device_id,), seconds=600))
    stop, hangs = threading.Event(), threading.Event()
    problems: list[SekishoError] = []

    def told(outcome: CheckIn | SekishoError) -> None:
        if isinstance(outcome, SekishoError):
            problems.append(outcome)
        elif outcome.hold_seconds:
            hangs.set()

    thread = threading.Thread(target=device.run, args=(stop, None, told))
    thread.start()
    try:
        assert hangs.wait(120)
        office.send(admitted, command(CommandKind.LOCK))
        give_up = time.monotonic() + 50  # well before the poll itself would end
        while not device.state.phone.locked and time.monotonic() < give_up:
            stop.wait(0.1)
        locked = device.state.phone.locked
    finally:
        stop.set()
        office.hurry(LiveDevices(devices=(admitted.device_id,), seconds=1))
        office.send(admitted, command(CommandKind.UNLOCK))  # ends the poll that hangs
        thread.join(120)
    assert locked
    assert problems == []
