"""The list of commands: one filter for page, count, file and API, all of it in the address."""

import csv
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from io import StringIO
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select, update

from management.access import Role
from management.audit.models import AuditEntry
from management.commands.list_views import FILTERS
from management.commands.models import Command
from management.context import Context
from management.devices.models import Device
from management.groups.service import create_group
from management.policies.models import ROOT_GROUP
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, api_client
from tests.management.fleet import Fleet
from tests.management.fleet import fill as fill_fleet
from tests.management.orders import add_orders
from tests.management.scoped import limit_to

ASKED: list[dict[str, str]] = [
    {"q": "花子"},
    {"owner": "hanako.sato@example.org"},
    {"device": "DEVICE"},
    {"kind": "unlock"},
    {"state": "failed"},
    {"waiting": "approval"},
    {"by": "scout", "kind": "wipe"},
    {"by": "me", "state": "done"},
    {"bulk": "BULK"},
    {"since": "2026-03-05", "until": "2026-03-06"},
    {"q": "xperia", "state": "done", "since": "2026-03-05"},
]
NOW = datetime(2026, 3, 8, 6, tzinfo=UTC)
API = {"q": "text", "owner": "owner_address", "device": "device_id", "waiting": "waiting_for",
       "by": "requested_by", "bulk": "batch_id"}  # fmt: skip


@pytest.fixture
def fleet(context: Context) -> Fleet:
    return fill_fleet(context, utc_now(), 40)


@pytest.fixture
def bulk(context: Context, fleet: Fleet) -> UUID:
    """A bulk command among 200 commands of March."""
    with context.database.transaction("orders") as session:
        return add_orders(session, fleet.devices, NOW, 200)


def counted(page: str) -> int:
    found = re.search(r'id="sk-count">([\d,]+)', page)
    assert found is not None
    return int(found[1].replace(",", ""))


def ids_of(file: str) -> list[str]:
    return [row[0] for row in csv.reader(StringIO(file.removeprefix("\ufeff")))][1:]


@pytest.mark.parametrize("said", ASKED, ids=lambda said: "+".join(said))
def test_page_count_file_and_api_select_the_same(
    console: ConsoleClient, app: Flask, context: Context, fleet: Fleet, bulk: UUID,
    said: dict[str, str],
) -> None:  # fmt: skip
    names = {"DEVICE": str(fleet.devices[3]), "BULK": str(bulk)}
    said = {name: names.get(value, value) for name, value in said.items()}
    console.set_cookie("zone", "Asia/Tokyo", domain="localhost")
    page = console.get("/commands", query_string=said).text
    file = console.get("/commands/commands.csv", query_string=said).get_data(as_text=True)
    ids = ids_of(file)
    assert 0 < len(ids) < 200
    assert counted(page) == len(ids)
    while more := re.search(r'hx-get="(/commands\?[^"]*after=[^"]*)"', page.split("sk-rows")[-1]):
        rows = console.get(unescape(more[1]), headers={"HX-Request": "true"}).text
        page = page.replace(more[0], "") + rows
    assert len(re.findall(r'<a class="fw-bold" href="/devices/', page)) == len(ids)

    program = api_client(app, context, "program", Role.READ_ONLY)
    asked = {API.get(name, name): _instant(name, value) for name, value in said.items()}
    answer: Any = program.get("/api/v1/commands", query_string={**asked, "limit": 200}).json
    assert [one["id"] for one in answer["items"]] == ids
    assert answer["count"] == {"value": len(ids), "capped": False}
    assert program.get("/api/v1/commands/list.csv", query_string=asked).text == file


def _instant(name: str, value: str) -> str:
    """Return what the API is asked for what the page is asked in Japan."""
    if name not in ("since", "until"):
        return "keeper" if value == "me" else value
    day = datetime.fromisoformat(value).replace(tzinfo=ZoneInfo("Asia/Tokyo"))
    return (day + timedelta(days=name == "until")).isoformat()


def test_days_are_those_of_who_asks(console: ConsoleClient, context: Context, bulk: UUID) -> None:
    at = datetime(2026, 3, 4, 15, 0, tzinfo=UTC)  # the 5th has just begun in Japan
    with context.database.transaction("one command then") as session:
        one = session.scalars(select(Command.id).where(Command.queued_at < NOW)).first()
        session.execute(update(Command).values(queued_at=NOW + timedelta(days=9)))
        session.execute(update(Command).where(Command.id == one).values(queued_at=at))

    def found(since: str, until: str) -> int:
        return counted(console.get(f"/commands?since={since}&until={until}").text)

    assert (found("2026-03-04", "2026-03-04"), found("2026-03-05", "2026-03-05")) == (1, 0)
    console.set_cookie("zone", "Asia/Tokyo", domain="localhost")
    assert (found("2026-03-04", "2026-03-04"), found("2026-03-05", "2026-03-05")) == (0, 1)
    assert "your time zone, Asia/Tokyo" in console.get("/commands").text
    for wrong in ("yesterday", "9999-12-31", "0001-01-01"):
        assert console.get(f"/commands?since={wrong}&until={wrong}").status_code in (200, 400)
    assert console.get("/commands?since=yesterday").status_code == 400
    assert console.get("/commands?device=1").status_code == 400


def test_every_filter_has_a_chip_that_takes_it_off(
    console: ConsoleClient, fleet: Fleet, bulk: UUID
) -> None:
    said = {
        "q": "example", "owner": "a@b", "device": str(fleet.devices[0]), "kind": "lock",
        "state": "queued", "waiting": "undo", "by": "me", "bulk": str(bulk),
        "since": "2026-03-01", "until": "2026-03-09",
    }  # fmt: skip
    page = console.get("/commands", query_string=said).text
    assert set(said) == set(FILTERS)
    assert page.count('aria-label="Without ') == len(said)
    links = [unescape(one) for one in re.findall(r'href="(/commands\?[^"]*)" aria-label', page)]
    assert [set(said) - set(parse_qs(urlsplit(one).query)) for one in links] == [
        {name} for name in said
    ]
    assert "No command matches." in page
    assert 'href="/commands">Clear the filters' in page
    assert "as of" in page


def test_how_many_devices_have_a_failed_or_waiting_command_leads_to_just_those(
    console: ConsoleClient, app: Flask, context: Context, fleet: Fleet, bulk: UUID
) -> None:
    page = console.get("/commands").text
    links = re.findall(r'href="(/devices\?command=(\w+))" [^>]*data-sk-count="(\d+)"', page)
    assert {which for _href, which, _count in links} == {"failed", "waiting"}
    program = api_client(app, context, "program", Role.READ_ONLY)
    for href, which, count in links:
        listed = console.get(href).text
        assert counted(listed) == int(count) > 0
        answer: Any = program.get(f"/api/v1/devices?command={which}&limit=200").json
        assert answer["count"]["value"] == int(count)
    assert 'href="/devices?command=failed"' in console.get("/").text
    assert program.get("/api/v1/devices?command=strange").status_code == 400


def test_a_limited_administrator_counts_and_exports_their_devices_commands_only(
    app: Flask, context: Context, fleet: Fleet, bulk: UUID, own_group: Callable[..., Any]
) -> None:
    group, devices = own_group(fleet.devices[:6])
    program = api_client(app, context, "ranger", Role.OWNER)
    limit_to(context, "ranger", [group])
    with context.database.reading() as session:
        every = session.execute(select(Command.id, Command.device_id, Command.state)).all()
    for state in ("", "failed", "done"):
        meant = {str(one) for one, device, how in every if device in devices and state in ("", how)}
        answer: Any = program.get(f"/api/v1/commands?state={state}&limit=200").json
        assert {one["id"] for one in answer["items"]} == meant != set()
        assert answer["count"] == {"value": len(meant), "capped": False}
        assert set(ids_of(program.get(f"/api/v1/commands/list.csv?state={state}").text)) == meant
    failed: Any = program.get("/api/v1/devices?command=failed&limit=200").json
    meant = {str(device) for _one, device, how in every if device in devices and how == "failed"}
    assert {one["id"] for one in failed["items"]} == meant
    assert failed["count"]["value"] == len(meant)
    outside = next(one for one in fleet.devices if one not in devices)
    assert program.get(f"/api/v1/commands?device_id={outside}").json["items"] == []  # type: ignore[index]


@pytest.fixture
def own_group(context: Context) -> Callable[..., Any]:
    """Move devices into a group of their own."""

    def move(device_ids: list[UUID]) -> tuple[UUID, set[UUID]]:
        with context.database.transaction("a group") as session:
            group = create_group(session, "Depot", ROOT_GROUP)
            for device_id in device_ids:
                session.get_one(Device, device_id).group_id = group.id
            return group.id, set(device_ids)

    return move


def test_looks_and_files_are_noted_with_their_filter(
    console: ConsoleClient, context: Context, bulk: UUID
) -> None:
    said = {"state": "failed", "since": "2026-03-01"}
    console.get("/commands", query_string=said)
    file = console.get("/commands/commands.csv", query_string=said)
    assert file.headers["Content-Disposition"] == 'attachment; filename="commands.csv"'
    with context.database.reading() as session:
        noted = select(AuditEntry).where(AuditEntry.subject == "commands").order_by(AuditEntry.seq)
        look, export = session.scalars(noted).all()
    assert (look.action, export.action) == ("look.list", "command.export")
    assert export.details["filter"] == said | {"zone": "UTC"}
    assert export.details["shown"] == len(ids_of(file.get_data(as_text=True)))


def test_nothing_in_the_file_is_taken_for_a_formula_and_no_passcode_is_in_it(
    console: ConsoleClient, context: Context, bulk: UUID
) -> None:
    with context.database.transaction("a passcode") as session:
        one = session.scalars(select(Command)).first()
        assert one is not None
        one.kind, one.arguments, one.reason = "reset_passcode", {"passcode": "48151623"}, "=1+1"
    file = console.get("/commands/commands.csv").get_data(as_text=True)
    assert "'=1+1" in file
    assert "48151623" not in file
