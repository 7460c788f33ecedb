"""The list of devices and the dashboard: one filter everywhere, every number leads to its list.

The numbers are those of the fifteen rules for the console (`docs/console.md`).
"""

import csv
import re
from html import unescape
from io import StringIO
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select

from management.access import Role
from management.apps.models import App, DeviceApp
from management.audit.models import AuditEntry
from management.commands.models import Command, CommandBatch, CommandBatchDevice
from management.context import Context
from management.devices.models import Device
from management.devices.rules import Fact, FactKind
from management.devices.service import record_facts
from management.listing import plan
from management.listing.address import own_query, read_filter, write_filter
from management.listing.rules import DeviceFilter
from management.mail_access.models import Partnership
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, api_client, signed_in_client
from tests.management.fleet import Fleet
from tests.management.fleet import fill as fill_fleet

HELD = "c5" * 32
"""An app on every third device."""
NUMBERS = "sk00000003,SK00000005 SK00000007 SK99999999"
FILTERS: list[dict[str, str]] = [
    {"state": "non_compliant"},
    {"state": "healthy", "platform": "android"},
    {"risk": "critical"},
    {"rule": "not_rooted", "enrolment": "enrolled"},
    {"platform": "ios", "os": "18"},
    {"ownership": "personal", "patch": "2026-10"},
    {"patterns": "2026.11.20", "q": "花子"},
    {"owner": "hanako.sato@example.org"},
    {"q": "xperia sk0000"},
    {"enrolment": "retired"},
    {"app": HELD},
    {"app": HELD, "platform": "android"},
    {"numbers": NUMBERS},
    {"command": "failed"},
    {"command": "waiting", "platform": "android"},
]


@pytest.fixture
def fleet(context: Context) -> Fleet:
    found = fill_fleet(context, utc_now(), 40)
    times = {"first_seen_at": utc_now(), "said_at": utc_now()}
    app = {"package": "org.app", "sha256": HELD, "name": "Held app", "version": "1"}
    with context.database.transaction("an app") as session:
        session.add(App(sha256=HELD, name="Held app", devices=14, first_seen_at=utc_now()))
        session.add_all(
            DeviceApp(device_id=device_id, **app, **times) for device_id in found.devices[::3]
        )
    return found


def listed(page: str) -> list[str]:
    return re.findall(r'<a class="fw-bold" href="/devices/([0-9a-f-]{36})"', page)


def counted(page: str) -> int:
    found = re.search(r'id="sk-count">([\d,]+)', page)
    assert found is not None
    return int(found[1].replace(",", ""))


@pytest.mark.parametrize("said", FILTERS, ids=lambda said: "+".join(said))
def test_list_count_file_api_bulk_and_view_select_the_same(
    console: ConsoleClient, app: Flask, context: Context, fleet: Fleet, said: dict[str, str]
) -> None:  # rule 1
    page = console.get("/devices", query_string=said).text
    ids = listed(page)
    assert 0 < len(ids) < 40
    assert counted(page) == len(ids)

    file = console.get("/devices/devices.csv", query_string=said).get_data(as_text=True)
    assert [row[0] for row in list(csv.reader(StringIO(file.removeprefix("\ufeff"))))[1:]] == ids

    program = api_client(app, context, "program", Role.READ_ONLY)
    names = {"q": "text", "policy": "policy_id", "group": "group_id", "owner": "owner_address"}
    asked = {names.get(name, name): value for name, value in said.items()}
    answer = program.get("/api/v1/devices", query_string={**asked, "limit": 200}).json
    assert answer is not None
    assert [one["id"] for one in answer["items"]] == ids
    assert answer["count"] == {"value": len(ids), "capped": False}

    form = {**said, "all": "yes", "kind": "message", "text": "hello", "reason": "told"}
    assert console.post("/commands/bulk", data=form).status_code == 302
    with context.database.reading() as session:
        batch = session.scalars(select(CommandBatch)).one()
        fixed = set(session.scalars(select(CommandBatchDevice.device_id)))
    assert fixed <= {UUID(one) for one in ids}
    assert len(fixed) + sum(batch.left_out.values()) == len(ids)

    console.post("/devices/views", data={"name": "mine", "query": own_query(said)})
    again = re.search(
        r'href="(/devices\?[^"]*)"[^>]*aria-current',
        console.get("/devices", query_string=said).text,
    )
    assert again is not None
    assert listed(console.get(unescape(again[1])).text) == ids


def test_a_bulk_command_keeps_its_devices_when_the_filter_finds_others_later(
    console: ConsoleClient, context: Context, fleet: Fleet
) -> None:  # rule 2
    said = {"platform": "ios", "all": "yes"}
    assert "What 10 devices get" in console.get("/commands/bulk/new", query_string=said).text
    form = {**said, "kind": "message", "text": "hello", "reason": "told"}
    draft = console.post("/commands/bulk", data=form).headers["Location"]
    shown = console.get(draft).text
    with context.database.transaction("a device turns") as session:
        for device in session.scalars(select(Device).where(Device.platform == "android")):
            device.platform = "ios"

    assert console.get(draft).text.count("list-group-item-action") == shown.count(
        "list-group-item-action"
    )
    assert counted(console.get("/devices?platform=ios").text) == 40


def test_the_filter_for_an_app_is_said_by_its_name(console: ConsoleClient, fleet: Fleet) -> None:
    page = console.get(f"/devices?app={HELD.upper()}").text

    assert counted(page) == 14
    assert "Held app <a" in page


def test_a_thousand_pasted_numbers_are_found_at_once(
    console: ConsoleClient, app: Flask, context: Context, fleet: Fleet
) -> None:
    with context.database.reading() as session:
        serials = list(session.scalars(select(Device.serial).where(Device.platform == "ios")))
    pasted = "\n".join([*serials, *(f"lost{one:08d}" for one in range(1000 - len(serials)))])

    short = console.post("/devices/numbers", data={"numbers": serials[0].lower()})
    assert counted(console.get(short.headers["Location"]).text) == 1
    page = console.post("/devices/numbers", data={"numbers": pasted})
    assert (page.status_code, counted(page.text)) == (200, len(serials))
    assert f"{1000 - len(serials)} numbers are of no device here" in page.text
    file = console.post("/devices/devices.csv", data={"numbers": pasted}).get_data(as_text=True)
    assert len(file.strip().splitlines()) == 1 + len(serials)
    chosen = console.post("/commands/bulk/new", data={"numbers": pasted, "all": "yes"})
    assert f"What {len(serials)} devices get" in chosen.text

    program = api_client(app, context, "program", Role.READ_ONLY)
    body = {"numbers": pasted.split()}
    answer = program.post("/api/v1/devices/by-number", json=body).json
    assert answer is not None
    assert [one["id"] for one in answer["items"]] == listed(page.text)
    assert len(answer["missing"]) == 1000 - len(serials)
    too_many = console.post("/devices/numbers", data={"numbers": pasted + " one-more"})
    assert too_many.status_code == 400
    assert console.post("/devices/numbers", data={"numbers": " , "}).status_code == 400
    view = {"name": "lost ones", "query": f"numbers={'+'.join(pasted.split()[:100])}"}
    refused = console.post("/devices/views", data=view)
    assert (refused.status_code, "a view takes 1000 at most" in refused.text) == (409, True)
    by_program = program.post("/api/v1/device-views", json=view)
    assert (by_program.status_code, "paste fewer numbers" in by_program.text) == (409, True)


@pytest.mark.parametrize(
    ("name", "query", "said"),
    [
        ("long word", f"q={'x' * 201}", "The filter q is 201 characters long; it takes 200"),
        ("n" * 101, "q=x", "This name is 101 characters long; the name of a view has 100"),
        ("many", f"numbers={'+'.join(f'SK{n:08d}' for n in range(2000))}", "2000 numbers are more"),
    ],
)
def test_a_view_that_is_too_long_is_refused_and_never_cut(
    console: ConsoleClient, app: Flask, context: Context, name: str, query: str, said: str
) -> None:
    refused = console.post("/devices/views", data={"name": name, "query": query})
    assert refused.status_code in (400, 409)
    assert said in unescape(refused.text)
    program = api_client(app, context, "robot", Role.OWNER)
    answer = program.post("/api/v1/device-views", json={"name": name, "query": query})
    assert answer.status_code in (400, 409)
    assert program.get("/api/v1/device-views").json == {"items": [], "next": None}

    console.set_cookie("language", "ja", domain="localhost")
    in_japanese = console.post("/devices/views", data={"name": name, "query": query}).text
    assert said not in unescape(in_japanese)
    assert re.search("文字|件", in_japanese)


def test_every_number_of_the_dashboard_leads_to_just_so_many_devices(
    console: ConsoleClient, fleet: Fleet
) -> None:
    page = console.get("/").text
    links = re.findall(r'href="(/devices[^"]*)" data-sk-count="(\d+)"', page)
    assert len(links) > 15
    kinds = set(re.findall(r"[?;&](\w+)=", unescape(" ".join(href for href, _count in links))))
    assert kinds >= {"state", "risk", "rule", "platform", "os", "patch", "patterns", "mail"}
    for href, count in links:
        assert counted(console.get(unescape(href)).text) == int(count), href


def test_no_number_of_the_dashboard_stands_without_its_list(
    console: ConsoleClient, context: Context, fleet: Fleet
) -> None:
    now = utc_now()
    with context.database.transaction("something to look at") as session:
        command = session.scalars(select(Command).where(Command.state == "queued")).first()
        assert command is not None
        command.waiting_for = "approval"
        phone = session.scalars(select(Partnership)).first()
        assert phone is not None
        phone.held_at, phone.wanted = now, "block"
        for number in range(15):  # more versions than a chart has room for
            device = session.get_one(Device, fleet.devices[number])
            said = {FactKind.OS_VERSION: Fact(f"{20 + number}", "agent", now)}
            record_facts(session, device.id, said, now)

    page = console.get("/", headers={"HX-Request": "true"}).text
    for link in (
        "/mail-access?only=held", "/commands?waiting=approval", "/relays?days=7#incidents",
        "/mail-access/connectors", "/jobs?by=all&amp;state=failed",
    ):  # fmt: skip
        assert f'href="{link}"' in page, link
    assert " more</summary>" in page
    unfolds = r"<summary>.*?</summary>"
    for linked in (r"<a .*?</a>", unfolds, r"<tr>.*?</tr>", r"<svg.*?</svg>", r"<time.*?</time>"):
        page = re.sub(linked, "", page, flags=re.S)  # each row of a chart begins with its link
    text = re.sub(r"<[^>]*>", " ", page)
    assert re.findall(r"\d+", text) == []


def test_filter_sort_and_place_are_in_the_address(console: ConsoleClient, fleet: Fleet) -> None:
    said = {"state": "healthy", "platform": "android", "sort": "contact"}  # rule 3
    page = console.get("/devices", query_string=said).text
    for name, value in (("state", "healthy"), ("platform", "android"), ("sort", "contact")):
        assert re.search(rf'<option value="{value}" selected', page), name
    assert "as of" in page  # rule 8
    without = re.search(r'href="(/devices[^"]*)" aria-label="Without State"', page)
    assert without is not None
    assert read_filter({"platform": "android"}) == DeviceFilter(platform="android")
    assert counted(console.get(unescape(without[1])).text) == counted(
        console.get("/devices?platform=android").text
    )


def test_an_address_says_all_of_a_filter_and_reads_back(fleet: Fleet) -> None:
    whole = DeviceFilter(
        state="healthy", risk="none", rule="attested", platform="ios", enrolment="enrolled",
        ownership="company", policy_id=fleet.policy_id, group_id=fleet.policy_id, mail="blocked",
        os="18", patch="2026-10", patterns="1", owner_address="a@b", text="花子 x", app="0" * 64,
        numbers="SK1 SK2", command="failed",
    )  # fmt: skip
    assert read_filter(write_filter(whole)) == whole
    assert "sort=since" in own_query({"sort": "since", "after": "x", "other": "y"})
    assert "after" not in own_query({"sort": "since", "after": "x"})


def test_views_are_ones_own_or_shared(
    console: ConsoleClient, app: Flask, context: Context, fleet: Fleet
) -> None:  # rule 4
    other = signed_in_client(app, context, "other", Role.READ_ONLY)
    console.post("/devices/views", data={"name": "私の", "query": "state=inactive&evil=1"})
    console.post("/devices/views", data={"name": "all of us", "query": "", "shared": "yes"})

    assert "私の" in console.get("/devices").text
    assert "私の" not in other.get("/devices").text
    assert "all of us" in other.get("/devices").text
    view = re.search(r"/devices/views/([0-9a-f-]+)/delete", console.get("/devices").text)
    assert view is not None
    assert other.post(f"/devices/views/{view[1]}/delete").status_code == 403
    assert console.post(f"/devices/views/{view[1]}/delete").status_code == 302
    assert console.post("/devices/views", data={"name": " ", "query": ""}).status_code == 400


def test_a_file_is_noted_in_the_audit_trail_with_its_filter(
    console: ConsoleClient, context: Context, fleet: Fleet
) -> None:  # rule 10
    answer = console.get("/devices/devices.csv?state=healthy")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="devices.csv"'
    with context.database.reading() as session:
        entry = session.scalars(
            select(AuditEntry).where(AuditEntry.action == "device.export")
        ).one()
    assert (entry.actor, entry.details["filter"]) == ("keeper", {"state": "healthy"})
    assert entry.details["shown"] == len(answer.get_data(as_text=True).strip().splitlines()) - 1


def test_nobody_gets_the_file_without_signing_in(visitor: ConsoleClient, fleet: Fleet) -> None:
    assert visitor.get("/devices/devices.csv").status_code in {302, 401}


def test_many_devices_are_counted_up_to_a_point_and_say_so(
    console: ConsoleClient, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "FEW", 1)
    monkeypatch.setattr(plan, "CUT", 2)
    page = console.get("/devices?q=xperia").text
    assert "2+ devices" in page
    assert len(listed(page)) == 2
    assert "these are the first that were found" in page
    assert "Other orders up to 10,000 devices." in page
    assert 'value="contact"' not in page
    file = console.get("/devices/devices.csv?q=xperia").get_data(as_text=True)
    assert len(file.strip().splitlines()) == 1 + 5


def test_an_empty_list_has_a_next_step(console: ConsoleClient, fleet: Fleet) -> None:
    page = console.get("/devices?q=nobody").text  # rule 13
    assert "No device matches." in page
    assert "Clear the filters" in page


@pytest.mark.parametrize(
    "address",
    ["/devices?after=x", "/devices?policy=1", "/devices?after=WyJhIiwiYiJd", "/devices?group=%00"],
)
def test_a_broken_address_is_told(console: ConsoleClient, fleet: Fleet, address: str) -> None:
    assert console.get(address).status_code in {400, 404}


def test_text_of_devices_is_only_text(
    console: ConsoleClient, context: Context, fleet: Fleet
) -> None:
    with context.database.transaction("hostile") as session:
        device = session.get_one(Device, fleet.devices[0])
        device.name = "<script>alert(1)</script>"
    page = console.get("/devices?q=alert").text
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
