"""An administrator who is limited to groups sees and changes nothing outside them, on any route."""

import csv
import re
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import delete, func, inspect, select, text, update
from sqlalchemy.orm import Session, aliased
from werkzeug.routing import Rule

from management import scope
from management.access import IN_GROUPS, PERMISSION, PUBLIC, Permission
from management.apps import holding
from management.commands.models import Command
from management.context import Context
from management.database import Base
from management.devices.models import Device, DeviceFacts
from management.limits import LIMIT, Limit, seeing_all
from management.listing.rules import DeviceFilter
from management.listing.service import bring_up
from management.mail_access.models import MailWipe, Partnership
from management.updates.service import install_shipped
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient
from tests.management.scoped import (
    FOREIGN,
    SHARED,
    Half,
    contents,
    fill,
    limited_browser,
    limited_program,
)

NO_CHANGE = (400, 403, 404, 409, 422)
WANTS_A_CHOICE = {"mail_access.bulk", "apps_actions_api.get_analysis"}
"""Pages that ask to tick something first, and what is there only when somebody asked for it."""
SHARED_HASH = SHARED.encode().hex().ljust(64, "0")
ANSWERS_AT_ONCE = {"jobs.events"}
"""Streams that do not end."""


@pytest.fixture
def halves(context: Context) -> tuple[Half, Half]:
    """Two halves of a company, as large and as mixed as chance with this seed wants."""
    return fill(context, 36, utc_now())


@pytest.fixture
def shipped(context: Context) -> None:
    """The shipped pattern set is active: pages of apps explain rules by it."""
    with context.database.transaction("install the shipped set") as session:
        install_shipped(session, context.settings, utc_now())


@pytest.fixture
def own(halves: tuple[Half, Half]) -> Half:
    """The half that the administrator sees."""
    return halves[0]


@pytest.fixture
def foreign(halves: tuple[Half, Half]) -> Half:
    """The half that must stay hidden."""
    return halves[1]


@pytest.fixture
def browser(app: Flask, context: Context, own: Half) -> ConsoleClient:
    """The console of an owner who is limited to the top group of their half."""
    return limited_browser(app, context, own.groups[:1])


@pytest.fixture
def program(app: Flask, context: Context, own: Half) -> ConsoleClient:
    """The same with an API token."""
    return limited_program(app, context, own.groups[:1])


def routes(app: Flask, *methods: str) -> list[Rule]:
    """Return the routes that ask for a permission and take one of the methods."""
    return [
        rule
        for rule in app.url_map.iter_rules()
        if set(methods) & (rule.methods or set())
        and hasattr(app.view_functions[rule.endpoint], PERMISSION)
        and rule.endpoint not in ANSWERS_AT_ONCE
    ]


def is_open(app: Flask, rule: Rule) -> bool:
    return bool(getattr(app.view_functions[rule.endpoint], IN_GROUPS))


def arguments(half: Half) -> dict[str, list[object]]:
    """Return what stands for each argument of a route."""
    return {
        "device_id": list(half.devices),
        "group_id": list(half.groups),
        "command_id": list(half.commands),
        "batch_id": list(half.batches),
        "invitation_id": list(half.invitations),
        "user_id": list(half.users),
        "partnership_id": list(half.partnerships),
        "policy_id": [half.policy],
        "claim_id": list(half.claims),
        "sha256": list(half.apps),
        "wipe_id": list(half.wipes),
    }


def addresses(app: Flask, rule: Rule, half: Half) -> list[str]:
    """Return addresses of the route with things of the half."""
    known, builder = arguments(half), app.url_map.bind("localhost")
    others = {"id_hash": "ab" * 32, "token_hash": "ab" * 32}
    most = max((len(known.get(name, [])) for name in rule.arguments), default=1) or 1
    found = []
    for number in range(most):
        given = {
            name: known[name][number % len(known[name])]
            if name in known
            else others.get(name, 1 if "int" in rule.rule else uuid4())
            for name in rule.arguments
        }
        found.append(builder.build(rule.endpoint, given, method_of(rule), append_unknown=False))
    return found


def method_of(rule: Rule) -> str:
    """Return the method that the route was made for."""
    return next(one for one in ("GET", "POST", "PUT", "DELETE") if one in (rule.methods or set()))


def leaks(text: str, path: str, foreign: Half) -> list[str]:
    """Return what of the foreign half stands in a text; the address itself may be repeated."""
    held = text.replace(path, "")
    words = re.findall(rf"{FOREIGN}[\w ]*", held, re.IGNORECASE)
    return words + [one for one in foreign.ids() if one in held and one not in path]


def who(rule: Rule, browser: ConsoleClient, program: ConsoleClient) -> ConsoleClient:
    return program if rule.rule.startswith("/api/") else browser


@pytest.mark.usefixtures("shipped")
def test_no_page_shows_anything_of_the_other_groups(
    app: Flask, own: Half, foreign: Half, browser: ConsoleClient, program: ConsoleClient
) -> None:
    found: dict[str, Any] = {}
    for rule in routes(app, "GET"):
        for path in (*addresses(app, rule, own), *addresses(app, rule, foreign)):
            answer = who(rule, browser, program).get(path)
            assert answer.status_code < 500, (path, answer.text)
            if problem := leaks(answer.text, path, foreign):
                found[path] = problem
            assert is_open(app, rule) or answer.status_code in (302, 403), path
    assert found == {}


@pytest.mark.usefixtures("shipped")
def test_one_s_own_pages_open_and_show_one_s_own_half(
    app: Flask, own: Half, browser: ConsoleClient, program: ConsoleClient
) -> None:
    shown = 0
    for rule in routes(app, "GET"):
        if not is_open(app, rule) or set(rule.arguments) - set(arguments(own)):
            continue
        if rule.endpoint in WANTS_A_CHOICE:
            continue
        for path in addresses(app, rule, own):
            answer = who(rule, browser, program).get(path)
            assert answer.status_code in (200, 302, 400) or "batch_id" in rule.arguments, path
            shown += own.word in answer.text
    assert shown > 30


def test_what_is_foreign_is_not_there(
    app: Flask, foreign: Half, browser: ConsoleClient, program: ConsoleClient
) -> None:
    for rule in routes(app, "GET"):
        if is_open(app, rule) and rule.arguments and set(rule.arguments) <= set(arguments(foreign)):
            for path in addresses(app, rule, foreign):
                assert who(rule, browser, program).get(path).status_code == 404, path


FORM = {
    "kind": "lock", "reason": "because", "because": "because", "policy": "", "code": "123456",
    "name": "name", "password": "x", "disabled": "yes", "disable": "yes", "device": "none",
}  # fmt: skip
APPROVAL = {"fingerprint": "a" * 64, "code": "123456"}
BODIES: dict[str, dict[str, Any]] = {
    "queue_command": {"kind": "lock", "reason": "because"},
    "confirm_bulk_command": {"devices": 1},
    "place_device": {"because": "because"},
    "retire_device": {"because": "because", "code": "123456"},
    "approve_commands": APPROVAL,
    "approve_mail_wipes": APPROVAL,
    "match_partnership": {"device_id": None, "because": "because"},
    "take_control_again": {"because": "because"},
    "mark_device_view": {"pinned": True, "opens": True},
    "set_user_reading": {"reading": "あべ"},
    "order_mail_wipe": {
        "exchange_device_id": "x",
        "account_only": True,
        "because": "because",
        "code": "123456",
    },
}


def test_nothing_foreign_is_changed(
    app: Flask,
    context: Context,
    own: Half,
    foreign: Half,
    browser: ConsoleClient,
    program: ConsoleClient,
) -> None:
    before = contents(context)
    for rule in routes(app, "POST", "PUT", "DELETE"):
        named = set(rule.arguments) & set(arguments(foreign))
        if not is_open(app, rule) or not named:
            continue
        method = method_of(rule)
        for path in addresses(app, rule, foreign):
            answer = _send(who(rule, browser, program), rule, method, path, own)
            assert answer.status_code == 404, (path, answer.status_code, answer.text[:500])
            assert leaks(answer.text, path, foreign) == []
    assert contents(context) == before


def _send(client: ConsoleClient, rule: Rule, method: str, path: str, own: Half) -> Any:
    if not rule.rule.startswith("/api/"):
        fields = {
            **FORM,
            "group": str(own.groups[0]),
            "policy": str(own.policy),
            "kind": "wipe" if rule.endpoint.endswith("wipe") else "lock",
        }
        return client.open(path, method=method, data=fields)
    name = rule.endpoint.partition(".")[2]
    body = dict(BODIES.get(name, {}))
    if name == "place_device":
        body["group_id"] = str(own.groups[0])
    return client.open(path, method=method, json=body)


def test_closed_routes_change_nothing(
    app: Flask,
    context: Context,
    own: Half,
    foreign: Half,
    browser: ConsoleClient,
    program: ConsoleClient,
) -> None:
    before = contents(context)
    for rule in routes(app, "POST", "PUT", "DELETE"):
        if is_open(app, rule):
            continue
        method = method_of(rule)
        for path in (*addresses(app, rule, own)[:1], *addresses(app, rule, foreign)[:1]):
            answer = _send(who(rule, browser, program), rule, method, path, own)
            assert answer.status_code == 403, (path, answer.status_code)
    assert contents(context) == before


def test_foreign_things_in_a_form_are_not_there(
    context: Context, own: Half, foreign: Half, browser: ConsoleClient, program: ConsoleClient
) -> None:
    mine, group = own.devices[0], str(foreign.groups[0])
    before = contents(context)
    place = {"group": group, "policy": "", "reason": "r"}
    assert browser.post(f"/groups/of-device/{mine}", data=place).status_code == 404
    policy = {"group": str(own.groups[0]), "policy": str(foreign.policy), "reason": "r"}
    assert browser.post(f"/groups/of-device/{mine}", data=policy).status_code == 404
    people = {"people": "new@example.org", "days": "14", "group": group}
    assert browser.post("/invitations", data=people).status_code == 404
    people = {**people, "group": str(own.groups[0]), "policy": str(foreign.policy)}
    assert browser.post("/invitations", data=people).status_code == 404
    assert (
        browser.post("/invitations", data={"people": "a@b.example", "days": "14"}).status_code
        == 404
    ), "root"
    user = {"name": "new", "address": "new@example.org", "group": group}
    assert browser.post("/enrolment-users", data=user).status_code == 404
    assert browser.post("/enrolment-users", data={**user, "group": ""}).status_code == 404
    body = {"group_id": group, "because": "r"}
    assert program.put(f"/api/v1/devices/{mine}/policy", json=body).status_code == 404
    body = {"address": "new@example.org", "group_id": group}
    assert program.post("/api/v1/invitations", json=body).status_code == 404
    assert contents(context) == before


def test_ticked_foreign_devices_are_left_out_of_a_bulk_command(
    own: Half, foreign: Half, browser: ConsoleClient, program: ConsoleClient
) -> None:
    ids = [str(one) for one in (*own.devices, *foreign.devices)]
    body = {"kind": "unlock", "reason": "because", "device_ids": ids}
    made = program.post("/api/v1/bulk-commands", json=body)
    assert made.status_code == 201
    assert made.json is not None
    assert made.json["devices"] + sum(made.json["left_out"].values()) == len(own.devices)
    drafted = browser.post("/commands/bulk", data={"kind": "unlock", "reason": "r", "all": "yes"})
    page = browser.get(drafted.headers["Location"]).text
    assert page.count("northmark") >= 1
    assert FOREIGN not in page


def test_holders_of_an_app_and_pasted_numbers_are_those_of_one_s_own_half(
    own: Half, foreign: Half, browser: ConsoleClient, program: ConsoleClient, context: Context
) -> None:
    mine = {str(one) for one in own.devices}
    with context.database.reading() as session:
        serials = list(session.scalars(select(Device.serial)))
        theirs = {session.get_one(Device, one).serial for one in foreign.devices}

    found = program.get(f"/api/v1/devices?app={SHARED_HASH}&limit=200").get_json()
    assert {one["id"] for one in found["items"]} == mine
    assert found["count"] == {"value": len(mine), "capped": False}
    assert foreign.word not in browser.get(f"/devices?app={SHARED_HASH}").text
    body = {"numbers": serials}
    found = program.post("/api/v1/devices/by-number", json=body).get_json()
    assert {one["id"] for one in found["items"]} == mine
    assert set(found["missing"]) == theirs


def test_every_count_is_that_of_one_s_own_half(
    own: Half, foreign: Half, browser: ConsoleClient, program: ConsoleClient
) -> None:
    for query in ("", "?mail=blocked", "?text=phone", "?sort=since", "?enrolment=enrolled"):
        page = program.get(f"/api/v1/devices{query}").json
        assert page is not None
        assert page["count"]["value"] == len(page["items"]), query
        assert {one["id"] for one in page["items"]} == {str(one) for one in own.devices}, query
    assert program.get(f"/api/v1/devices?group_id={foreign.groups[0]}").json["items"] == []  # type: ignore[index]
    assert program.get(f"/api/v1/devices?text={FOREIGN}").json["count"]["value"] == 0  # type: ignore[index]
    groups = program.get("/api/v1/groups").json
    assert groups is not None
    assert sum(one["devices"] for one in groups["items"]) == len(own.devices)
    cards = browser.get("/", headers={"HX-Request": "true"}).text
    counts = {int(one) for one in re.findall(r'data-sk-count="(\d+)"', cards)}
    assert max(counts) <= len(own.devices)
    bars = re.findall(r'os=(\d+)[^"]*" data-sk-count="(\d+)"', cards)
    assert sum(int(number) for _os, number in bars) == len(own.devices)


@pytest.mark.usefixtures("shipped")
def test_apps_are_those_of_one_s_own_devices_and_so_are_their_numbers(
    own: Half, foreign: Half, browser: ConsoleClient, program: ConsoleClient
) -> None:
    shared, here = SHARED.encode().hex().ljust(64, "0"), len(own.devices)
    items = program.get("/api/v1/apps").json["items"]  # type: ignore[index]
    assert {one["sha256"]: one["devices"] for one in items} == {
        shared: here, **dict.fromkeys(own.apps, 1),
    }  # fmt: skip
    details = program.get(f"/api/v1/apps/{shared}").json
    assert details is not None
    assert set(details["holders"]) == {str(one) for one in own.devices}
    assert (details["devices"], details["devices_or_more"]) == (here, False)
    assert browser.get(f"/apps/{shared}.json").json["devices"] == here  # type: ignore[index]
    page = browser.get("/apps/").text
    assert f"Malicious ({here + 1})" in page
    assert page.count("/apps/approvals") == 0, "no link to what is closed"
    for sha256 in foreign.apps:
        assert browser.get(f"/apps/{sha256}").status_code == 404
        assert program.get(f"/api/v1/apps?text={sha256}").json["items"] == []  # type: ignore[index]


def test_an_approval_covers_one_s_own_devices_or_is_refused(
    context: Context, own: Half, foreign: Half, browser: ConsoleClient
) -> None:
    looked = browser.get(f"/commands/{own.commands[0]}/approve")
    assert looked.status_code == 200
    assert own.word in looked.text
    assert browser.get(f"/mail-access/wipes/{own.wipes[0]}/approve").status_code == 200
    assert f"{len(own.commands)} commands" in browser.get("/commands/waiting").text
    with context.database.transaction("ask for both halves at once") as session:
        for half in (own, foreign):
            session.get_one(Command, half.commands[0]).batch_id = own.batches[0]
            session.get_one(MailWipe, half.wipes[0]).requested_by = "both"
    for path in (
        f"/commands/{own.commands[0]}/approve",
        f"/mail-access/wipes/{own.wipes[0]}/approve",
    ):
        for answer in (browser.get(path), browser.post(path, data={"code": "123456"})):
            assert answer.status_code == 403, path
            assert FOREIGN not in answer.text
            assert "outside of your groups" in answer.text


def test_mail_changes_reach_one_s_own_phones_and_no_others(
    context: Context, own: Half, foreign: Half, browser: ConsoleClient, program: ConsoleClient
) -> None:
    said = {"word": "allow", "reason": "agreed", "until": f"{utc_now() + timedelta(days=9):%F}"}
    word = {"word": "choose", "because": "agreed", "partnership_ids": foreign.partnerships}
    assert program.post("/api/v1/mail-access/words", json=word).status_code == 404
    alien = {**said, "partnership": [str(one) for one in foreign.partnerships]}
    assert browser.post("/mail-access/bulk", data=alien).status_code == 404
    both = {**said, "partnership": [str(one) for one in own.partnerships + foreign.partnerships]}
    preview = browser.get("/mail-access/bulk", query_string={**both, "word": "block"}).text
    assert own.word in preview
    assert FOREIGN not in preview
    held = [str(one) for one in own.partnerships]
    mixed = {"partnership": [*held, str(foreign.partnerships[0])], "reason": "seen"}
    mixed["confirm"] = str(len(held) + 1)
    assert browser.post("/mail-access/held/confirm", data=mixed).status_code == 409
    assert FOREIGN not in browser.get("/mail-access/held").text
    mine = {"partnership": held, "reason": "seen", "confirm": str(len(held))}
    assert browser.post("/mail-access/held/confirm", data=mine).status_code == 302
    with context.database.reading() as session:
        rows = {row.id: row for row in session.scalars(select(Partnership))}
    assert {one for one, row in rows.items() if row.held_at is None} == set(own.partnerships)
    assert browser.post("/mail-access/bulk", data=both).status_code == 302
    away = {"device": str(foreign.devices[0]), "reason": "mine"}
    assert (
        browser.post(
            f"/mail-access/partnerships/{own.partnerships[0]}/match", data=away
        ).status_code
        == 404
    )
    with context.database.reading() as session:
        rows = {row.id: row for row in session.scalars(select(Partnership))}
    assert {one for one, row in rows.items() if row.exception} == set(own.partnerships)
    assert {rows[one].device_id for one in own.partnerships} == set(own.devices)


def test_numbers_of_apps_are_counted_for_a_bounded_time(
    context: Context, own: Half, program: ConsoleClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "LOOKED_AT", 1)
    items = program.get("/api/v1/apps").json["items"]  # type: ignore[index]
    shared = next(one for one in items if one["package"] == f"org.{SHARED}")
    assert (shared["devices"], shared["devices_or_more"]) == (1, True)


def test_the_file_holds_one_s_own_half(own: Half, browser: ConsoleClient) -> None:
    for query in ("", "?q=phone", "?os=15", "?state=non_compliant"):
        text = browser.get(f"/devices/devices.csv{query}").text
        rows = list(csv.reader(StringIO(text)))[1:]
        assert {row[0] for row in rows} <= {str(one) for one in own.devices}
        assert FOREIGN not in text
    whole = list(csv.reader(StringIO(browser.get("/devices/devices.csv").text)))[1:]
    assert len(whole) == len(own.devices)


def test_groups_below_are_seen_and_a_change_holds_at_once(
    app: Flask, context: Context, own: Half, foreign: Half
) -> None:
    browser = limited_browser(app, context, own.groups[1:])
    with context.database.reading() as session:
        below = set(session.scalars(select(Device.id).where(Device.group_id == own.groups[1])))
    for device_id in own.devices:
        expected = 200 if device_id in below else 404
        assert browser.get(f"/devices/{device_id}").status_code == expected
    with context.database.transaction("move a device") as session:
        session.get_one(Device, foreign.devices[0]).group_id = own.groups[1]
    assert browser.get(f"/devices/{foreign.devices[0]}").status_code == 200


def test_without_a_group_nothing_is_seen(app: Flask, context: Context, own: Half) -> None:
    browser = limited_browser(app, context, [])
    page = browser.get("/devices").text
    assert own.word not in page
    assert browser.get(f"/devices/{own.devices[0]}").status_code == 404


def test_every_route_with_a_permission_says_whether_it_keeps_to_groups(app: Flask) -> None:
    for endpoint, view in app.view_functions.items():
        assert hasattr(view, PUBLIC) != (hasattr(view, PERMISSION) and hasattr(view, IN_GROUPS)), (
            endpoint
        )


def test_only_permissions_that_can_be_kept_to_groups_open_a_page_for_them(app: Flask) -> None:
    from management.access import IN_GROUPS_TOO

    asked: set[Permission] = {
        getattr(view, PERMISSION)
        for view in app.view_functions.values()
        if getattr(view, IN_GROUPS, False)
    }
    assert asked == IN_GROUPS_TOO


def test_every_table_that_names_a_device_has_its_condition() -> None:
    apart = {"device_listing", "device_token", "invitation", "stored_app", "enrolment_attempt"}
    known = {one.__tablename__ for one in (*scope.OF_DEVICE, *scope.OF_GROUP, *scope.ONLY_READ)}
    naming = {
        mapper.local_table.name  # type: ignore[attr-defined]
        for mapper in Base.registry.mappers
        if "device_id" in inspect(mapper.class_).columns
    }
    assert naming - known - apart == set()


def test_whoever_writes_a_device_of_the_groups_keeps_the_list_whole(
    context: Context, own: Half, foreign: Half, browser: ConsoleClient
) -> None:
    place = {"group": str(own.groups[1]), "policy": "", "reason": "r"}
    for device_id in own.devices:
        assert browser.post(f"/groups/of-device/{device_id}", data=place).status_code == 302
    with context.database.transaction("check") as session:
        everyone = [*own.devices, *foreign.devices]
        assert bring_up(session, everyone) == 0
    counts = {one["id"]: one["devices"] for one in _groups_of(browser)}
    assert counts[str(own.groups[1])] == len(own.devices)


def _groups_of(browser: ConsoleClient) -> list[dict[str, Any]]:
    link = r'href="/devices\?group=([0-9a-f-]+)&amp;enrolment=enrolled" data-sk-count="(\d+)"'
    rows = re.findall(link, browser.get("/groups").text)
    return [{"id": group, "devices": int(number)} for group, number in rows]


def test_a_limit_holds_for_every_kind_of_statement(
    session: Session, context: Context, own: Half, foreign: Half
) -> None:
    session.info[LIMIT] = Limit(frozenset(own.groups), "scout", reads_only=True)
    mine = {*own.devices}
    assert set(session.scalars(select(Device.id))) == mine
    assert session.scalar(select(func.count()).select_from(Device)) == len(mine)
    assert session.get(Device, foreign.devices[0]) is None
    inner = select(Device.id).where(Device.platform != "").subquery()
    assert session.scalar(select(func.count()).select_from(inner)) == len(mine)
    assert DeviceFilter().is_empty
    assert _unlimited(context) == len(mine) + len(foreign.devices)


def _unlimited(context: Context) -> int:
    with context.database.reading() as session:
        return session.scalar(select(func.count()).select_from(Device)) or 0


def test_ids_of_groups_stand_in_the_statement(session: Session) -> None:
    many = frozenset(UUID(int=one) for one in range(1, 1001))
    session.info[LIMIT] = Limit(many, "scout", reads_only=True)
    assert session.scalars(select(Device)).all() == []


def test_a_statement_that_names_a_table_and_not_its_class_is_refused(
    context: Context, own: Half, foreign: Half
) -> None:
    device, facts = (Base.metadata.tables[name] for name in ("device", "device_facts"))
    around = (
        select(device),
        select(device.c.id),
        select(device.alias("other").c.id),
        select(func.count()).select_from(device),
        select(DeviceFacts.device_id).where(device.c.id == DeviceFacts.device_id),
        select(Device.id).where(Device.id.in_(select(facts.c.device_id))),
        select(Device.id).join(facts, facts.c.device_id == Device.id),
        update(device).values(name="x"),
        delete(device),
        text("SELECT name FROM device"),
    )
    limit = Limit(frozenset(own.groups), "scout", reads_only=True)
    for statement in around:
        with context.database.reading() as session:
            session.info[LIMIT] = limit
            with pytest.raises(scope.EscapeError):
                session.execute(statement)
            with seeing_all(session):
                session.execute(select(device)).all()
    through = (
        select(Device.id),
        select(aliased(Device).id),
        select(Device.id).join(DeviceFacts, DeviceFacts.device_id == Device.id),
        select(select(Device.id).subquery().c.id),
    )
    for wanted in through:
        with context.database.reading() as session:
            session.info[LIMIT] = limit
            assert set(session.scalars(wanted)) == set(own.devices)


def test_nothing_goes_around_the_session() -> None:
    """What is executed on the connection itself gets no condition: only what no page calls may."""
    known = {
        "database.py",
        "relays/service.py",
        "devices/polls.py",
        "devices/fact_log.py",
        "upgrading.py",
    }
    folder = Path(scope.__file__).parent
    sources = (one for one in folder.rglob("*.py") if "migrations" not in one.parts)
    found = {
        one.relative_to(folder).as_posix()
        for one in sources
        if re.search(r"\.connection\(|exec_driver_sql|engine\.(begin|connect)\(", one.read_text())
    }
    assert found <= known | {"migrations"}, found - known


def test_a_policy_set_above_ones_groups_is_not_called_unused(
    app: Flask, context: Context, own: Half
) -> None:
    browser = limited_browser(app, context, own.groups[1:])
    page = browser.get(f"/groups/of-policy/{own.policy}").text
    assert "Holds in your groups, set above them." in page
    assert "Jobs of everybody" not in browser.get("/jobs").text
