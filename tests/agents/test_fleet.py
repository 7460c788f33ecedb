"""A fleet is many different devices, and the same ones for the same seed."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agents.simulator.fleet import enrol_fleet, profiles
from contracts.agent import Apps, Posture
from tests.agents.office import Office

COUNT = 12


def test_profiles_are_the_same_for_the_same_seed_and_others_for_another() -> None:
    assert profiles(50, seed=3) == profiles(50, seed=3)
    assert profiles(50, seed=3) != profiles(50, seed=4)
    assert profiles(60, seed=3)[:50] == profiles(50, seed=3), "a larger fleet begins the same"


def test_a_fleet_is_varied() -> None:
    fleet = profiles(200, seed=1)
    descriptions = [profile.description for profile in fleet]

    assert {description.platform for description in descriptions} == {"android", "ios"}
    assert {description.ownership for description in descriptions} == {"company", "personal"}
    assert len({description.model for description in descriptions}) >= 8
    for unique in ("serial", "imei", "exchange_device_id"):
        assert len({getattr(one, unique) for one in descriptions}) == 200
    for trouble in ("rooted", "passcode_set", "encrypted", "developer_options"):
        assert any(trouble in profile.posture for profile in fleet), trouble
    in_order = [p for p in fleet if p.reports and "rooted" not in p.posture]
    assert len(in_order) > 120
    assert 0 < sum(not profile.reports for profile in fleet) < 30


@contextmanager
def _admitting(office: Office) -> Iterator[None]:
    stop = threading.Event()

    def admit() -> None:
        while not stop.wait(0.1):
            for request in office.requests():
                office.admit(request)

    thread = threading.Thread(target=admit)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.servers
def test_a_fleet_enrols_over_the_real_protocol_once(office: Office, tmp_path: Path) -> None:
    codes = [office.qr(f"key {number}") for number in range(COUNT)]
    told: list[int] = []
    with _admitting(office):
        devices = enrol_fleet(codes, tmp_path, seed=1, told=told.append)
        again = enrol_fleet(codes, tmp_path, seed=1)
    office.collect()

    assert told[-1] == COUNT
    assert [device.device_id for device in again] == [device.device_id for device in devices]
    assert len(office.devices) == COUNT
    for device, profile in zip(devices, profiles(COUNT, seed=1), strict=True):
        admitted = office.devices[device.device_id]
        assert admitted.request.device == profile.description
        assert bool(admitted.said(Posture)) is profile.reports
        if profile.reports:
            assert admitted.said(Apps)[0].apps == profile.apps
