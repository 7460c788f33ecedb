"""Management is away for a day; devices go on reporting to the real relay, which dies meanwhile.

The day passes by moving what was noted before it into the past: 24 reports a device, one an hour.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from agents.simulator.device import SimulatedDevice
from agents.simulator.relay_client import AskLaterError
from management.check_in.visit import visit_all
from management.compliance.judgement import State
from management.compliance.service import rejudge
from management.context import Context
from management.devices.models import Device, DeviceFacts, Fact
from management.devices.rules import FactKind
from management.policies.treatment import Consequence
from management.relays.link_client import LinkClient
from management.relays.models import RelayIncident
from management.relays.queries import list_relays
from runtime.clock import utc_now
from tests.agents import relay_process
from tests.management.test_consequences import (
    DAY,
    HOUR,
    NOTICE,
    asking,
    done,
    follow,
    held,
    look_now,
)
from tests.management.test_visit import Site, crash, pair, phone_seq

pytestmark = pytest.mark.servers
MOST = 20
"""Reports of one device that the relay takes before management comes."""
HOURS = 24


@pytest.fixture
def site(context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("SEKISHO_COMMUNICATION_DEVICE_MESSAGES", str(MOST))
    asking(context, Consequence(kind=NOTICE), grace=HOUR)
    with relay_process.running(tmp_path / "relay", context.keys) as relay:
        pair(context, relay, relay.link_certificate)
        visit_all(context)
        yield Site(context, relay, tmp_path)


def a_day_passes(site: Site) -> None:
    """Move into the past when management was last here and what it knows."""
    with site.context.database.transaction("a day passes") as session:
        for relay in list_relays(session):
            relay.contact_at = utc_now() - DAY
        for device in session.scalars(select(Device)):
            device.contact_at = utc_now() - DAY
        ids = []
        for row in session.scalars(select(DeviceFacts)):
            said = utc_now() - DAY
            row.facts = {
                kind: fact | {"said_at": said.isoformat()} for kind, fact in row.facts.items()
            }
            ids.append(row.device_id)
        session.flush()
        rejudge(session, ids, utc_now())


def waiting(site: Site) -> int:
    with site.reading() as session:
        relay = list_relays(session)[0]
    key = site.context.keys.link_key()
    with LinkClient(relay.link_url, relay.link_certificate, key) as link:
        return link.status().inbound_waiting


def said(session: Session, phone: SimulatedDevice) -> list[str]:
    found = (
        select(Fact.value)
        .where(Fact.device_id == phone.device_id, Fact.kind == FactKind.OS_VERSION.value)
        .order_by(Fact.id)
    )
    return [value["value"] for value in session.scalars(found)]


def test_a_day_without_management_loses_nothing_counts_each_once_and_cuts_nobody_off(
    site: Site, tmp_path: Path
) -> None:
    talker, mended = site.phone("talker"), site.phone("mended")
    mended.set(usb_debugging="true")
    site.meet(mended)
    assert site.state(mended) is State.NON_COMPLIANT
    refused = 0
    for hour in range(HOURS):
        talker.set(os_version=f"14.0.{hour}")
        try:
            talker.check_in()
        except AskLaterError as error:
            refused += "429" in str(error) or "reports" in str(error)
        if hour == 3:
            mended.set(usb_debugging="false")
            mended.check_in()
        if hour == HOURS // 2:
            site.relay.restart()
    assert waiting(site) == MOST + 1, "all that was acknowledged, within the limit"
    assert refused == HOURS - MOST

    a_day_passes(site)
    follow(site.context)
    look_now(site.context)
    assert done(site.context) == []
    assert "was last reached at" in held(site.context)[mended.device_id]

    crash(site, tmp_path / "died", "before effect taken")  # so the relay delivers a second time
    visit_all(site.context)
    site.meet(talker, mended)
    follow(site.context)
    look_now(site.context)

    assert (site.state(mended), done(site.context)) == (State.HEALTHY, [])
    with site.reading() as session:
        told = said(session, talker)[1:]  # the first was said before
        assert told[:MOST] == [f"14.0.{hour}" for hour in range(MOST)], "each acknowledged one"
        assert (told[-1], len(set(told))) == (f"14.0.{HOURS - 1}", len(told))
        for phone in (talker, mended):
            assert session.get_one(Device, phone.device_id).inbound_seq == phone_seq(phone)
        assert session.scalar(select(func.count()).select_from(RelayIncident)) == 0
    assert (waiting(site), talker.state.reports) == (0, [])
