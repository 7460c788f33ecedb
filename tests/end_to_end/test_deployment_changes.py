"""Every certificate, CA, address and port changes under a running fleet, and no device is lost."""

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import update

from agents.simulator.device import SimulatedDevice
from agents.simulator.relay_client import UnreachableError
from agents.simulator.visit import Timing
from contracts.agent import CommandKind, DeviceDescription
from management.relays import changes, tls
from management.relays.models import Relay, RelayListing
from management.relays.queries import list_relays
from runtime.clock import utc_now
from tests.agents import headquarters, relay_process
from tests.agents.headquarters import Headquarters
from tests.communication.authority import company
from tests.communication.relay import free_ports
from tests.conftest import MakeUrl

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]
PHONE = DeviceDescription(platform="android", model="Fleet phone")
AT_ONCE = Timing(trust_refresh=timedelta(0))


@pytest.fixture
def hq(tmp_path: Path, new_database_url: MakeUrl) -> Iterator[Headquarters]:
    with (
        headquarters.management(tmp_path / "home", new_database_url()) as context,
        relay_process.running(tmp_path / "relay", context.keys) as relay,
    ):
        yield Headquarters(context, relay, relay.devices_url)


class Fleet:
    """Phones that check in all the time, and a sleeper that does not."""

    def __init__(self, hq: Headquarters, folder: Path, count: int) -> None:
        self.hq, self.versions = hq, itertools.count(1)
        self.phones = [self._enrolled(folder / str(number)) for number in range(count)]

    def _enrolled(self, folder: Path) -> SimulatedDevice:
        phone = SimulatedDevice(folder, wait=lambda seconds: None, timing=AT_ONCE)
        phone.begin_enrolment(self.hq.invite(), PHONE)
        self.hq.visit()
        assert phone.finish_enrolment() is None
        return phone

    def reports(self, *phones: SimulatedDevice) -> None:
        """Let each phone say something new, and see that management hears all of it."""
        version = f"1{next(self.versions)}"
        for phone in phones:
            phone.set(os_version=version)
            for attempt in range(3):
                try:
                    phone.check_in()
                    break
                except UnreachableError:
                    assert attempt < 2, phone.state.diary[-5:]
        self.hq.visit()
        for phone in phones:
            assert self.heard(phone) == version

    def heard(self, phone: SimulatedDevice) -> object:
        from management.devices.queries import get_facts
        from management.devices.rules import FactKind

        with self.hq.context.database.reading() as session:
            facts = get_facts(session, phone.device_id)
        return facts[FactKind.OS_VERSION].value


def relay_row(hq: Headquarters) -> Relay:
    with hq.context.database.reading() as session:
        return list_relays(session)[0]


def import_certificate(hq: Headquarters, host: str, now: datetime) -> str:
    """Import a `.pfx` of a CA made just now, as the console does; return its CA."""
    data, _ = company(host)
    checked = tls.read_pfx(data, "secret", host, now, ())
    with hq.context.database.transaction("import") as session:
        relay = list_relays(session)[0]
        changes.set_certificate(session, hq.context.keys, relay, checked, changes.IMPORTED, now)
    return checked.ca


def settle(hq: Headquarters) -> None:
    """Visit until the relay shows what it is to show."""
    for _ in range(4):
        hq.visit()
    row = relay_row(hq)
    assert row.tls_shown == row.tls_sha256


def test_every_certificate_address_and_port_changes_and_every_device_still_reports(
    hq: Headquarters, tmp_path: Path
) -> None:
    fleet = Fleet(hq, tmp_path, 4)
    *awake, sleeper = fleet.phones
    fleet.reports(*fleet.phones)
    now = utc_now()

    first = import_certificate(hq, "localhost", now)
    settle(hq)
    fleet.reports(*awake)
    second = import_certificate(hq, "localhost", now)
    settle(hq)
    fleet.reports(*awake)
    told = awake[0].state.known_trust().relays[0].ca_certificates
    assert set(told) == {first, second, hq.relay.ca_certificate}

    (port,) = free_ports(1)
    with hq.context.database.transaction("move") as session:
        relay = list_relays(session)[0]
        wish = replace(
            changes.places_of(relay), devices_url=f"https://localhost:{port}", devices_port=port
        )
        changes.set_places(session, hq.context.keys, relay, wish, now)
    settle(hq)
    fleet.reports(*awake)
    assert {urlsplit(phone.state.relay_url).port for phone in awake} == {port}

    fleet.reports(sleeper)
    assert urlsplit(sleeper.state.relay_url).port == port


def test_a_device_that_slept_through_the_overlap_learns_of_the_new_ca_all_the_same(
    hq: Headquarters, tmp_path: Path
) -> None:
    fleet = Fleet(hq, tmp_path, 1)
    fleet.reports(*fleet.phones)
    import_certificate(hq, "localhost", utc_now())
    settle(hq)
    with hq.context.database.transaction("a month later") as session:
        session.execute(
            update(RelayListing)
            .where(RelayListing.ends_at.is_not(None))
            .values(ends_at=utc_now() - timedelta(days=1))
        )
    hq.visit()

    fleet.reports(*fleet.phones)

    (entry,) = fleet.phones[0].state.known_trust().relays
    assert hq.relay.ca_certificate not in entry.ca_certificates


def test_the_link_moves_to_another_port_and_the_old_one_closes(
    hq: Headquarters, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    with hq.context.database.transaction("move the link") as session:
        relay = list_relays(session)[0]
        wish = replace(
            changes.places_of(relay), link_url=f"https://localhost:{port}", link_port=port
        )
        changes.set_places(session, hq.context.keys, relay, wish, utc_now())
    for _ in range(4):
        hq.visit()

    row = relay_row(hq)
    assert row.link_url_before == ""
    assert row.told_settings is not None
    assert row.told_settings["link_ports"] == [port]
    Fleet(hq, tmp_path, 1)


def test_a_relay_that_lost_its_disk_gets_its_certificate_again(
    hq: Headquarters, tmp_path: Path
) -> None:
    import_certificate(hq, "localhost", utc_now())
    settle(hq)
    before = relay_row(hq).tls_shown
    chain, key = hq.context.keys.issue_server_certificate(["localhost"], utc_now())
    (hq.relay.folder / "tls.pem").write_text(chain)
    (hq.relay.folder / "tls.key").write_text(key)
    hq.relay.restart()

    settle(hq)

    assert relay_row(hq).tls_shown == before
    Fleet(hq, tmp_path, 1)


def test_a_relay_set_back_to_a_backup_loses_and_repeats_nothing(
    hq: Headquarters, tmp_path: Path
) -> None:
    """What it forgot it gets again; what it gives again counts once."""
    fleet = Fleet(hq, tmp_path, 2)
    fleet.reports(*fleet.phones)
    for phone in fleet.phones:
        phone.set(os_version="in the backup")
        phone.check_in()
    _back_up(hq.relay.folder, tmp_path / "backup.db")
    hq.visit()
    fleet.reports(*fleet.phones)
    late = fleet._enrolled(tmp_path / "late")
    lock = hq.command(late.device_id, CommandKind.LOCK)

    for name in ("mailbox.db-wal", "mailbox.db-shm"):
        (hq.relay.folder / name).unlink(missing_ok=True)
    (tmp_path / "backup.db").replace(hq.relay.folder / "mailbox.db")
    hq.relay.restart()
    hq.visit()
    hq.visit()

    fleet.reports(*fleet.phones, late)
    late.check_in()
    hq.visit()
    assert hq.state_of(lock) == "done"


def _back_up(folder: Path, path: Path) -> None:
    with (
        closing(sqlite3.connect(folder / "mailbox.db")) as live,
        closing(sqlite3.connect(path)) as kept,
    ):
        live.backup(kept)
