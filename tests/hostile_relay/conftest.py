"""Real management, a real relay, one in front of it that lies, and simulated devices."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from agents.simulator.device import SimulatedDevice
from agents.simulator.visit import Timing
from contracts.agent import DeviceDescription
from tests.agents import headquarters, relay_process
from tests.agents.headquarters import Headquarters
from tests.conftest import MakeUrl
from tests.hostile_relay import lying_relay
from tests.hostile_relay.lying_relay import LyingRelay
from tests.hostile_relay.mailbox_thief import MailboxThief

PHONE = DeviceDescription(platform="android", model="Honest phone")
Enrol = Callable[..., SimulatedDevice]


@pytest.fixture(scope="session")
def _both(
    tmp_path_factory: pytest.TempPathFactory, new_database_url: MakeUrl
) -> Iterator[tuple[Headquarters, LyingRelay]]:
    folder = tmp_path_factory.mktemp("hostile")
    with (
        headquarters.management(folder / "home", new_database_url()) as context,
        relay_process.running(folder / "relay", context.keys) as relay,
        lying_relay.running(folder / "liar", relay, context.keys) as liar,
    ):
        yield Headquarters(context, relay, liar.url), liar


@pytest.fixture
def hq(_both: tuple[Headquarters, LyingRelay]) -> Headquarters:
    return _both[0]


@pytest.fixture
def liar(_both: tuple[Headquarters, LyingRelay]) -> Iterator[LyingRelay]:
    _both[1].be_honest()
    yield _both[1]
    _both[1].be_honest()


@pytest.fixture
def thief(hq: Headquarters) -> MailboxThief:
    return MailboxThief(hq.relay.folder)


@pytest.fixture
def phone(tmp_path: Path) -> SimulatedDevice:
    """A device that is not enrolled."""
    return SimulatedDevice(tmp_path / "new", wait=lambda seconds: None)


@pytest.fixture
def enrol(tmp_path: Path, hq: Headquarters, liar: LyingRelay) -> Enrol:
    """Return a function that enrols a device, which has reported once and been heard."""

    def enrol(timing: Timing | None = None) -> SimulatedDevice:
        folder = tmp_path / uuid4().hex[:8]
        device = SimulatedDevice(folder, wait=lambda seconds: None, timing=timing)
        device.begin_enrolment(hq.invite(), PHONE)
        hq.visit()
        assert device.finish_enrolment() is None
        device.check_in()
        hq.visit()
        device.check_in()
        assert device.state.reports == [], "management holds the first report"
        return device

    return enrol


def copy_of(device: SimulatedDevice) -> SimulatedDevice:
    """Return a device with the same memory: a backup, or a thief's copy."""
    folder = device.file.folder.with_name(f"{device.file.folder.name}-copy")
    shutil.copytree(device.file.folder, folder)
    return SimulatedDevice(folder, wait=lambda seconds: None)
