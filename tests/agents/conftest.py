"""A real relay, management's end of the protocol, and simulated devices."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from agents.simulator.device import SimulatedDevice
from agents.simulator.visit import Timing
from contracts.agent import DeviceDescription
from management import keys as management_keys
from management.keys import Keys
from runtime.clock import utc_now
from tests.agents import headquarters, relay_process
from tests.agents import office as offices
from tests.agents.headquarters import Headquarters
from tests.agents.office import Admitted, Office
from tests.agents.relay_process import RelayProcess
from tests.conftest import MakeUrl

DESCRIPTION = DeviceDescription(
    platform="android", manufacturer="Kumo", model="K9", serial="S1", exchange_device_id="ABC123"
)
Enrol = Callable[..., tuple[SimulatedDevice, Admitted]]


@pytest.fixture(scope="session")
def office_keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return management_keys.prepare(tmp_path_factory.mktemp("office") / "keys", utc_now())


@pytest.fixture(scope="session")
def relay(tmp_path_factory: pytest.TempPathFactory, office_keys: Keys) -> Iterator[RelayProcess]:
    with relay_process.running(tmp_path_factory.mktemp("relay"), office_keys) as started:
        yield started


@pytest.fixture
def office(relay: RelayProcess, office_keys: Keys) -> Iterator[Office]:
    """Management's end, with an order-signing key of its own for each test."""
    with offices.opened(relay, office_keys) as opened:
        opened.drop_old()
        yield opened


@pytest.fixture
def phone(tmp_path: Path) -> SimulatedDevice:
    """A device that is not enrolled."""
    return SimulatedDevice(tmp_path / "phone", wait=lambda seconds: None)


@pytest.fixture
def enrol(tmp_path: Path, office: Office) -> Enrol:
    """Return a function that enrols a new device and returns both ends."""

    def enrol(timing: Timing | None = None, **changes: object) -> tuple[SimulatedDevice, Admitted]:
        folder = tmp_path / f"phone-{uuid4().hex[:8]}"
        device = SimulatedDevice(folder, wait=lambda seconds: None, timing=timing)
        device.begin_enrolment(office.qr(), DESCRIPTION)
        (request,) = office.requests()
        admitted = office.admit(request, **changes)
        assert device.finish_enrolment() is None
        return device, admitted

    return enrol


@pytest.fixture(scope="session")
def hq(
    tmp_path_factory: pytest.TempPathFactory, new_database_url: MakeUrl
) -> Iterator[Headquarters]:
    """The real management, with a relay of its own."""
    folder = tmp_path_factory.mktemp("headquarters")
    with (
        headquarters.management(folder / "home", new_database_url()) as context,
        relay_process.running(folder / "relay", context.keys) as started,
    ):
        yield Headquarters(context, started, started.devices_url)
