"""Management, the real relay and simulated phones, all with real sockets."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from agents.simulator.device import SimulatedDevice
from agents.simulator.relay_client import Identity, RelayClient
from contracts import keys
from contracts.agent import CommandKind, DeviceDescription, ReportPost
from management.check_in.visit import visit_all
from management.commands import work as commands_work
from management.commands.models import Command
from management.commands.service import queue_command
from management.compliance import work as compliance_work
from management.compliance.judgement import State
from management.compliance.queries import get_judgement
from management.context import Context
from management.devices.models import Device, DevicePoll, LiveDevice
from management.devices.polls import find_polled_at, note_polls
from management.devices.queries import get_device
from management.enrolment.service import invite, qr_content, retire
from management.policies.rules import Requirements
from management.policies.service import change_policy, ensure_default_policy
from management.relays.link_client import LinkClient
from management.relays.listing import list_now
from management.relays.models import KnownDeviceChange, OutboundMessage, Relay, RelayIncident
from management.relays.queries import find_trust, list_relays
from management.relays.service import ensure_local_relay
from runtime.clock import utc_now
from runtime.errors import ConfigurationError, ForbiddenError, UnavailableError
from tests.agents import relay_process
from tests.agents.relay_process import RelayProcess
from tests.management.phones import Phone

pytestmark = pytest.mark.servers
DAYS = timedelta(days=7)
KUMO = DeviceDescription(platform="android", model="K9", exchange_device_id="ABC123")


@dataclass
class Site:
    """Management and its relay."""

    context: Context
    relay: RelayProcess
    folder: Path

    def qr(self) -> str:
        with self.context.database.transaction("invite") as session:
            policy, now = ensure_default_policy(session, utc_now()), utc_now()
            _, key = invite(
                session, self.context.keys, "ada@example.com", "Ada", policy.id, DAYS, "keeper", now
            )
        thumbprint = keys.thumbprint(keys.read_public(self.context.signer.public_key()))
        return qr_content(key, self.relay.devices_url, thumbprint)

    def phone(self, name: str = "phone") -> SimulatedDevice:
        """Return a phone that enrolled and reported once."""
        phone = SimulatedDevice(self.folder / name, wait=lambda seconds: visit_all(self.context))
        phone.enrol(self.qr(), KUMO)
        self.meet(phone)
        return phone

    def meet(self, *phones: SimulatedDevice, times: int = 2) -> None:
        """Let phones and management speak until both have heard all."""
        for _ in range(times):
            for phone in phones:
                phone.check_in()
            visit_all(self.context)

    def reading(self) -> Session:
        return Session(self.context.database.engine)

    def state(self, phone: SimulatedDevice) -> State:
        with self.context.database.reading() as session:
            return get_judgement(session, phone.device_id).state

    def problem(self) -> str:
        with self.context.database.reading() as session:
            return list_relays(session)[0].problem


@pytest.fixture
def site(context: Context, tmp_path: Path) -> Iterator[Site]:
    with relay_process.running(tmp_path / "relay", context.keys) as relay:
        pair(context, relay, relay.link_certificate)
        visit_all(context)
        yield Site(context, relay, tmp_path)


def pair(context: Context, relay: RelayProcess, link_certificate: str) -> None:
    with context.database.transaction("set up") as session:
        ensure_default_policy(session, utc_now())
        ensure_local_relay(
            session,
            relay.link_url,
            link_certificate,
            relay.devices_url,
            relay.ca_certificate,
            utc_now(),
        )


def test_a_phone_that_somebody_waits_for_hurries(site: Site) -> None:
    phone, calm = site.phone(), site.phone("calm")
    with site.context.database.transaction("lock") as session:
        queue_command(session, phone.device_id, CommandKind.LOCATE, {}, "keeper", "", utc_now())
    visit_all(site.context)

    assert (phone.check_in().hold_seconds, calm.check_in().hold_seconds) == (55, 0)
    with site.context.database.transaction("later") as session:
        session.execute(update(LiveDevice).values(until=utc_now(), told_at=None))
    visit_all(site.context)
    with site.reading() as session:
        (live,) = session.scalars(select(LiveDevice)).all()
    assert live.told_at is None, "a time that is over is not told"


def test_who_polled_is_kept_apart_and_newest(site: Site) -> None:
    phone, now = site.phone(), utc_now()
    with site.context.database.transaction("polls") as session:
        note_polls(
            session, [(phone.device_id, now + timedelta(hours=hours)) for hours in (1, 3, 2)]
        )
        note_polls(session, [(phone.device_id, now), (uuid4(), now)])
    with site.reading() as session:
        assert find_polled_at(session, phone.device_id) == now + timedelta(hours=3)
        assert session.scalar(select(func.count()).select_from(DevicePoll)) == 1


def test_a_phone_enrols_reports_obeys_and_leaves(site: Site) -> None:
    phone = site.phone()
    assert site.state(phone) is State.HEALTHY

    phone.set(rooted="true")
    site.meet(phone)
    assert site.state(phone) is State.NON_COMPLIANT

    with site.context.database.transaction("lock") as session:
        command = queue_command(
            session, phone.device_id, CommandKind.LOCK, {}, "keeper", "lost", utc_now()
        )
    commands_work.dispatch(site.context, {}, print)
    visit_all(site.context)
    site.meet(phone, times=3)
    with site.reading() as session:
        assert session.get_one(Command, command.id).state == "done"
        assert get_device(session, phone.device_id).contact_at is not None

    device_id = phone.device_id
    phone.leave("goodbye")
    visit_all(site.context)
    with site.reading() as session:
        assert get_judgement(session, device_id).state is State.NOT_ENROLLED
    assert site.problem() == ""


def test_a_changed_policy_reaches_the_phones_and_judges_them_anew(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compliance_work, "CHUNK", 2)
    phones = [site.phone(f"phone{number}") for number in range(3)]
    asked = Requirements(minimum_os_version={"android": "99"})
    with site.context.database.transaction("change policy") as session:
        policy = ensure_default_policy(session, utc_now())
        change_policy(session, policy.id, asked, {}, "keeper", "newer", utc_now())

    told: list[str] = []
    compliance_work.spread_policy(site.context, {"policy_id": str(policy.id)}, told.append)
    compliance_work.spread_policy(site.context, {"policy_id": str(policy.id)}, told.append)

    assert told == [
        *("2 devices are judged.", "3 devices are judged."),
        *("2 devices are told of the policy.", "3 devices are told of the policy."),
    ]
    visit_all(site.context)
    site.meet(*phones)
    for phone in phones:
        assert site.state(phone) is State.NON_COMPLIANT
        assert phone.state.member().policy.version == 2


def test_a_retired_phone_is_locked_out_of_its_mailbox(site: Site) -> None:
    phone = site.phone()
    with site.context.database.transaction("retire") as session:
        retire(session, phone.device_id, "keeper", "lost", utc_now())
    visit_all(site.context)

    with pytest.raises(ForbiddenError):
        phone.check_in()


def test_a_relay_that_lost_everything_gets_everything_again(site: Site, tmp_path: Path) -> None:
    phone = site.phone()
    with site.context.database.transaction("lock") as session:
        queue_command(session, phone.device_id, CommandKind.LOCK, {}, "keeper", "", utc_now())
    commands_work.dispatch(site.context, {}, print)
    visit_all(site.context)

    with relay_process.running(tmp_path / "fresh", site.context.keys) as fresh:
        link = LinkClient(fresh.link_url, fresh.link_certificate, site.context.keys.link_key())
        pair(site.context, fresh, fresh.link_certificate)
        visit_all(site.context)
        with link:
            status = link.status()

    assert (status.devices_known, status.outbound_waiting) == (1, 2)
    assert site.problem() == ""


def test_a_relay_with_another_certificate_is_not_spoken_to(site: Site, tmp_path: Path) -> None:
    with relay_process.running(tmp_path / "other", site.context.keys) as other:
        with site.context.database.transaction("redirect") as session:
            list_relays(session)[0].link_url = other.link_url
        visit_all(site.context)

    assert "another certificate than at pairing" in site.problem()


def test_a_relay_of_another_management_refuses_and_the_reason_is_kept(site: Site) -> None:
    stranger = LinkClient(site.relay.link_url, site.relay.link_certificate, keys.new_key())

    with stranger, pytest.raises(UnavailableError, match="401"):
        stranger.status()


def test_a_relay_that_is_away_is_a_problem_until_it_is_back(site: Site) -> None:
    visit_all(site.context)
    with site.context.database.transaction("away") as session:
        list_relays(session)[0].link_url = "https://127.0.0.1:1"
    visit_all(site.context)
    first = site.problem()
    with site.reading() as session:
        since = session.scalars(select(Relay.problem_at)).one()
    visit_all(site.context)

    assert "does not answer" in first
    with site.reading() as session:
        assert session.scalars(select(Relay.problem_at)).one() == since
    with site.context.database.transaction("back") as session:
        list_relays(session)[0].link_url = site.relay.link_url
    visit_all(site.context)
    assert site.problem() == ""


def test_a_pinned_text_that_is_no_certificate_says_so(site: Site) -> None:
    with pytest.raises(ConfigurationError, match="pinned certificate"):
        LinkClient("https://localhost:1", "nonsense", keys.new_key())


def test_one_poisoned_message_does_not_block_the_queue(site: Site) -> None:
    phone, other = site.phone(), site.phone("other")
    forger = Phone(site, device_id=phone.device_id)  # type: ignore[arg-type]
    sealed = forger.seal(b"{}", key=keys.new_key())
    post_as(site, phone, sealed)
    other.set(rooted="true")

    site.meet(other)

    assert site.state(other) is State.NON_COMPLIANT
    with site.reading() as session:
        assert session.scalars(select(RelayIncident.problem)).all() == ["forged"]
        assert session.scalars(select(Relay.inbound_waiting)).all() == [0]


def post_as(site: Site, phone: SimulatedDevice, sealed: str) -> None:
    """Leave a message at the relay in the name of *phone*, with its real request signature."""
    state = phone.state
    identity = Identity(keys.read_private(state.signing_key), phone.device_id)
    client = RelayClient(state.relay_url, [site.relay.ca_certificate], utc_now)
    client.post_report(identity, ReportPost(epoch=state.member().epoch, seq=99, sealed=sealed))
    client.close()


CRASHES = [
    "before commit check the relay's memory",
    "before commit sign the trust statement",
    "after commit note the trust statement",
    "before commit take reports",
    "after commit take reports",
    "before effect taken",
    "after commit say which list comes",
    "after effect devices",
    "before commit note the devices",
    "after effect orders",
    "before commit note the orders",
    "after commit note the orders",
    "before commit note who polled",
    "before commit note the visit",
]


def test_a_crash_anywhere_loses_and_repeats_nothing(site: Site, tmp_path: Path) -> None:
    if site.context.database.engine.dialect.name != "sqlite":
        pytest.skip("one database is enough; the points are the same")
    phone = site.phone()
    for number, point in enumerate(CRASHES):
        rooted = number % 2 == 0
        phone.set(rooted=str(rooted).lower())
        with site.context.database.transaction("new relay data") as session:
            relay = list_relays(session)[0]
            relay.ca_certificate = site.relay.ca_certificate + "\n" * number
            list_now(session, relay, utc_now())
            session.add(
                KnownDeviceChange(
                    relay_id=relay.id, device_id=phone.device_id, changed_at=utc_now()
                )
            )
        phone.check_in()
        if point == "before commit note who polled":
            wait_for_poll(site)

        crash(site, tmp_path / f"mark{number}", point)
        assert (tmp_path / f"mark{number}").exists(), f"never came to: {point}"

        visit_all(site.context)
        phone.check_in()
        visit_all(site.context)
        wanted = State.NON_COMPLIANT if rooted else State.HEALTHY
        assert site.state(phone) is wanted, point
    with site.reading() as session:
        assert session.scalar(select(func.count()).select_from(RelayIncident)) == 0
        assert session.scalars(select(Device.inbound_seq)).one() == phone_seq(phone)
        trust = find_trust(session)
        assert trust is not None
        assert session.scalars(select(Relay.trust_issue)).one() == trust.issue
        waiting = session.scalars(select(OutboundMessage)).all()
        assert all(message.handed_at is not None for message in waiting)


def wait_for_poll(site: Site) -> None:
    """Wait until the relay tells of a poll that management does not know yet."""
    with site.reading() as session:
        relay = session.scalars(select(Relay)).one()
    link = LinkClient(relay.link_url, relay.link_certificate, site.context.keys.link_key())
    with link:
        for _ in range(200):
            if link.seen(relay.seen_until or relay.paired_at).devices:
                return
            time.sleep(0.1)
    raise AssertionError("the relay never told of the poll")


def phone_seq(phone: SimulatedDevice) -> int:
    return phone.state.member().report_seq


def crash(site: Site, mark: Path, point: str) -> None:
    """Visit the relay in a process of its own that dies at *point*."""
    program = (
        "from management.context import open_context\n"
        "from management.settings import load\n"
        "from management.check_in.visit import visit_all\n"
        "visit_all(open_context(load()))\n"
    )
    environment = {
        **os.environ,
        "SEKISHO_HOME": str(site.context.settings.home),
        "SEKISHO_DATABASE_URL": site.context.settings.database_url,
        "SEKISHO_CRASH_AT": point,
        "SEKISHO_CRASH_MARK": str(mark),
    }
    done = subprocess.run([sys.executable, "-c", program], env=environment, timeout=60)
    assert done.returncode != 0


def test_a_relay_that_does_not_answer_keeps_no_other_waiting(site: Site) -> None:
    """Its name comes first and it takes the call, but says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        with site.context.database.transaction("pair a mute relay") as session:
            ensure_local_relay(
                session,
                f"https://127.0.0.1:{mute.getsockname()[1]}",
                site.relay.link_certificate,
                "https://127.0.0.1:1",
                site.relay.ca_certificate,
                utc_now(),
                name="a mute one",
            )
        hung_up: list[datetime] = []

        def hold() -> None:
            connection, _ = mute.accept()
            with connection:
                while connection.recv(4096):
                    pass
            hung_up.append(utc_now())

        holding = threading.Thread(target=hold)
        holding.start()
        visit_all(site.context)
        holding.join()

    with site.context.database.reading() as session:
        by_name = {relay.name: relay for relay in list_relays(session)}
    contact_at = by_name["local"].contact_at
    assert contact_at is not None
    assert contact_at < hung_up[0], "the other was visited while this one was still dialled"
    assert "does not answer" in by_name["a mute one"].problem
