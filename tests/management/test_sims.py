"""The SIM is a fact: which kind, since when, what was before, and never its number."""

import json
from dataclasses import asdict
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask

from agents.simulator.sims import SimCard, SimTray, insert, mark, remove, said
from contracts import codec
from contracts.agent import Apps, Posture, Report, Sim
from management.access import Role
from management.context import Context
from management.devices.queries import get_facts
from management.devices.rules import Fact, FactKind
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, NotFoundError, RefusedError
from tests.management.clients import ConsoleClient, api_client
from tests.management.phones import Office, Phone, office

ICCID = "8981100000000000001"
FIRST = Sim(mark=mark(b"secret", ICCID), operator="NTT DOCOMO", country="JP")
SECOND = Sim(mark=mark(b"secret", "8981200000000000002"), operator="KDDI", country="JP")


@pytest.fixture
def desk(context: Context) -> Office:
    return office(context)


def _reporting(desk: Office, *sims: Sim, **described: Any) -> Phone:
    phone = Phone(desk).enrol(**described)
    desk.take(phone.report(phone.good(sims=sims), Apps(apps=())))
    return phone


def _known(phone: Phone) -> Fact:
    with phone.office.context.database.reading() as session:
        return get_facts(session, phone.device_id)[FactKind.SIMS]


def test_a_changed_sim_is_news_and_another_slot_is_none(desk: Office) -> None:
    phone = _reporting(desk, FIRST, SECOND)
    before = _known(phone)
    desk.take(phone.report(phone.good(sims=(SECOND, FIRST))))
    same = _known(phone)
    desk.take(phone.report(phone.good(sims=(SECOND,))))
    after = _known(phone)

    assert same == before
    assert {one["operator"] for one in before.value} == {"NTT DOCOMO", "KDDI"}
    assert [one["operator"] for one in after.value] == ["KDDI"]
    assert after.said_at > before.said_at


def test_of_a_personal_device_no_operator_is_kept(desk: Office) -> None:
    phone = _reporting(desk, FIRST, ownership="personal")

    (kept,) = _known(phone).value
    assert kept == {"mark": FIRST.mark, "operator": "", "country": ""}


def test_page_api_and_history_say_which_sim_since_when(
    desk: Office, console: ConsoleClient, app: Flask, context: Context
) -> None:
    phone = _reporting(desk, FIRST)
    desk.take(phone.report(phone.good(sims=())))
    address = f"/devices/{phone.device_id}"
    api = api_client(app, context, "program", Role.READ_ONLY)

    page = console.get(address).text
    history = console.get(f"{address}/log", query_string={"kind": "sims"}).text
    answer = api.get(f"/api/v1/devices/{phone.device_id}/explanation").get_json()

    assert "no SIM" in page
    assert f"{address}/log?kind=sims" in page
    assert "NTT DOCOMO (JP)" in history
    assert "no SIM" in history
    assert "Screen lock set" not in history
    assert answer["facts"]["sims"]["value"] == []
    assert answer["facts"]["sims"]["source"] == "agent"
    assert answer["not_applicable"] == []


def test_an_iphone_cannot_say_it_and_that_is_said(
    desk: Office, console: ConsoleClient, app: Flask, context: Context
) -> None:
    phone = Phone(desk).enrol(platform="ios")
    desk.take(phone.report(phone.good(sims=None), Apps(apps=())))
    api = api_client(app, context, "program", Role.READ_ONLY)

    answer = api.get(f"/api/v1/devices/{phone.device_id}/explanation").get_json()
    page = console.get(f"/devices/{phone.device_id}").text

    assert "sims" in answer["not_applicable"]
    assert "rooted" not in answer["not_applicable"]
    assert "Cannot be said" in page


@pytest.mark.parametrize(
    "sims",
    [
        [{"mark": ICCID}],
        [{"mark": ICCID + "FFF\n"}],
        [{"mark": "a" * 23}],
        [{"mark": FIRST.mark, "operator": "x" * 65}],
        [{"mark": FIRST.mark, "country": "jp"}],
        [{"mark": FIRST.mark, "country": "JPN"}],
        [{"mark": FIRST.mark}] * 9,
        [{}],
        "none",
    ],
    ids=["iccid", "padded", "long", "operator", "small", "country", "many", "empty", "word"],
)
def test_what_is_no_mark_is_refused(sims: Any) -> None:
    report = Report(
        iss=uuid4(), aud="management", epoch=1, seq=1, ack=1, sent_at=utc_now(), items=(Posture(),)
    )
    fields = json.loads(codec.write(report))
    fields["items"][0]["sims"] = [asdict(FIRST)] * 8
    codec.read(Report, json.dumps(fields).encode())
    fields["items"][0]["sims"] = sims

    with pytest.raises(MalformedMessageError):
        codec.read(Report, json.dumps(fields).encode())


def test_the_number_stays_in_the_phone() -> None:
    tray = SimTray()
    insert(tray, SimCard(iccid=ICCID, operator="KDDI", country="JP"))

    company, personal = said(tray, "android", "company"), said(tray, "android", "personal")
    other = said(SimTray(cards=tray.cards), "android", "company")

    assert company is not None
    assert personal is not None
    assert other is not None
    assert ICCID not in str(company)
    assert company[0].operator == "KDDI"
    assert (personal[0].mark, personal[0].operator) == (company[0].mark, "")
    assert other[0].mark != company[0].mark, "another phone, or the same after a wipe"
    assert said(tray, "ios", "company") is None


def test_a_tray_has_an_end() -> None:
    tray = SimTray()
    for number in range(8):
        insert(tray, SimCard(iccid=f"898110000000000000{number}"))

    with pytest.raises(RefusedError, match="8 SIMs at most"):
        insert(tray, SimCard(iccid=ICCID + "9"))
    with pytest.raises(NotFoundError):
        remove(tray, "1")
    remove(tray, "8981100000000000000")
    assert len(tray.cards) == 7
