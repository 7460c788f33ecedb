"""Files by API: what the console hands out, a program gets with a token that may."""

import csv
from io import StringIO
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from management.access import ASKED_BY, Role
from management.administrators.models import Administrator
from management.audit import checkpoints
from management.audit.models import AuditEntry
from management.audit.queries import list_entries
from management.context import Context
from management.devices.models import Device
from management.mail_access.models import Connector, ConnectorLog
from management.relays.models import Relay, RelayLog
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, api_client, signed_in_client
from tests.management.fleet import Fleet, fill
from tests.management.scoped import FOREIGN, limited_program
from tests.management.scoped import fill as fill_halves

ZIP = b"PK\x03\x04 what a process of ours sent"
NAME = "relay.example.org_1.0_20261122T101112Z.zip"


@pytest.fixture
def fleet(context: Context) -> Fleet:
    return fill(context, utc_now(), 24)


@pytest.fixture
def owner(app: Flask, context: Context) -> ConsoleClient:
    return api_client(app, context, "program", Role.OWNER)


def rows(text: str) -> list[list[str]]:
    assert text.startswith("\ufeff")
    return list(csv.reader(StringIO(text.removeprefix("\ufeff"))))


def newest(context: Context) -> AuditEntry:
    with context.database.reading() as session:
        return list_entries(session, None, 1)[0]


def test_the_server_in_front_learns_whose_file_it_is(
    app: Flask, context: Context, owner: ConsoleClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Places for files are counted by administrator."""
    environs, inner = list[dict[str, Any]](), app.wsgi_app

    def front(environ: dict[str, Any], start_response: Any) -> Any:
        environs.append(environ)
        return inner(environ, start_response)

    browser = signed_in_client(app, context, "somebody else", Role.READ_ONLY)
    monkeypatch.setattr(app, "wsgi_app", front)
    assert owner.get("/api/v1/devices/list.csv").status_code == 200
    assert browser.get("/allow-list/list.csv").status_code == 200
    app.test_client().get("/allow-list/list.csv", base_url="https://localhost")
    by_token, by_session, by_nobody = [environ.get(ASKED_BY) for environ in environs]
    with context.database.reading() as session:
        assert session.get_one(Administrator, by_token).name == "program"
        assert session.get_one(Administrator, by_session).name == "somebody else"
    assert by_nobody is None


def test_the_csv_file_holds_just_the_devices_of_the_list(
    owner: ConsoleClient, fleet: Fleet
) -> None:
    for filters in {}, {"state": "healthy"}, {"platform": "ios", "text": "tanaka"}:
        listed = owner.get("/api/v1/devices", query_string={**filters, "limit": "200"}).get_json()
        file = owner.get("/api/v1/devices/list.csv", query_string=filters)
        assert file.content_type == "text/csv; charset=utf-8"
        assert file.headers["Content-Disposition"] == 'attachment; filename="devices.csv"'
        assert listed["items"]
        assert [row[0] for row in rows(file.text)[1:]] == [one["id"] for one in listed["items"]]
    for wrong in ("stat=healthy", "after=x", "limit=5", "state=unheard-of"):
        assert owner.get(f"/api/v1/devices/list.csv?{wrong}").status_code == 400, wrong


def test_the_file_of_the_api_is_that_of_the_console(
    app: Flask, context: Context, owner: ConsoleClient, fleet: Fleet
) -> None:
    with context.database.transaction("name a device") as session:
        session.get_one(Device, fleet.devices[5]).name = '=HYPERLINK("http://x")'
    browser = signed_in_client(app, context, "keeper", Role.OWNER)
    by_console = browser.get("/devices/devices.csv?q=tanaka&platform=ios").data
    answer = owner.get("/api/v1/devices/list.csv?text=tanaka&platform=ios")
    assert answer.data == by_console
    assert '\'=HYPERLINK("http://x")' in [row[1] for row in rows(answer.text)[1:]]
    entry = newest(context)
    assert (entry.actor, entry.action) == ("program", "device.export")
    assert "tanaka" in str(entry.details)


def test_a_limited_administrator_s_file_holds_their_half(app: Flask, context: Context) -> None:
    own, _foreign = fill_halves(context, 7, utc_now())
    program = limited_program(app, context, own.groups[:1])
    text = program.get("/api/v1/devices/list.csv").text
    assert {row[0] for row in rows(text)[1:]} == {str(one) for one in own.devices}
    assert FOREIGN not in text


def test_logs_are_answered_as_they_came_and_404_before(
    app: Flask, context: Context, owner: ConsoleClient, fleet: Fleet
) -> None:
    with context.database.reading() as session:
        relay = session.scalars(select(Relay.id)).one()
        connector = session.scalars(select(Connector.id)).first()
    places = (f"/api/v1/relays/{relay}/log", f"/api/v1/mail-access/connectors/{connector}/log")
    assert [owner.get(place).status_code for place in places] == [404, 404]
    assert [owner.post(place).status_code for place in places] == [202, 202]
    assert "Order it first" in owner.get(places[0]).get_json()["detail"]
    with context.database.transaction("the logs come") as session:
        for row in (*session.scalars(select(RelayLog)), *session.scalars(select(ConnectorLog))):
            row.name, row.content, row.came_at = NAME, ZIP, utc_now()

    reader = api_client(app, context, "reader", Role.READ_ONLY)
    for place in places:
        answer = owner.get(place)
        assert (answer.content_type, answer.data) == ("application/zip", ZIP)
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{NAME}"'
        assert reader.get(place).status_code == 403


def test_checkpoints_and_the_allow_list_are_those_of_the_console(
    app: Flask, context: Context, owner: ConsoleClient, fleet: Fleet
) -> None:
    checkpoints.make(context)
    browser = signed_in_client(app, context, "keeper", Role.OWNER)
    answer = owner.get("/api/v1/audit/checkpoints.txt")
    assert answer.content_type == "text/plain; charset=utf-8"
    assert newest(context).action == "audit.checkpoints"
    assert answer.data == browser.get("/audit/checkpoints.txt").data
    assert len(answer.text.splitlines()) == 1
    operator = api_client(app, context, "operator", Role.OPERATOR)
    assert operator.get("/api/v1/audit/checkpoints.txt").status_code == 403

    one = {"imei_or_meid": "490154203237518", "note": "first"}
    assert owner.post("/api/v1/allow-list", json=one).status_code == 201
    listed = owner.get("/api/v1/allow-list/list.csv")
    assert listed.data == browser.get("/allow-list/list.csv").data
    assert rows(listed.text)[1][0] == one["imei_or_meid"]


def test_the_document_says_which_kind_of_file_comes(visitor: ConsoleClient) -> None:
    paths = visitor.get("/api/v1/openapi.json").get_json()["paths"]
    said = {
        path: next(iter(methods["get"]["responses"]["200"]["content"].items()))
        for path, methods in paths.items()
        if "get" in methods
    }
    files = {path: kind for path, (kind, schema) in said.items() if schema["schema"].get("format")}
    assert files == {
        "/api/v1/allow-list/list.csv": "text/csv; charset=utf-8",
        "/api/v1/audit/checkpoints.txt": "text/plain; charset=utf-8",
        "/api/v1/commands/list.csv": "text/csv; charset=utf-8",
        "/api/v1/devices/list.csv": "text/csv; charset=utf-8",
        "/api/v1/dry-runs/{run_id}/devices.csv": "text/csv; charset=utf-8",
        "/api/v1/mail-access/connectors/{connector_id}/log": "application/zip",
        "/api/v1/relays/{relay_id}/log": "application/zip",
    }
