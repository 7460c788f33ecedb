"""Every page renders with data behind it, in both languages, and changes go through."""

import re

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from management.access import PERMISSION, PUBLIC, Role
from management.audit.models import AuditEntry
from management.commands.models import Command
from management.context import Context
from management.devices.models import Device
from management.enrolment.models import Invitation
from management.policies.models import ROOT_GROUP, PolicyVersion
from management.safety.models import Enforcement
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, signed_in_client
from tests.management.fleet import Fleet, fill


@pytest.fixture
def fleet(context: Context) -> Fleet:
    return fill(context, utc_now(), 60)


def _pages(fleet: Fleet) -> list[str]:
    device = fleet.devices[0]
    return [
        "/",
        "/devices",
        "/devices?state=non_compliant&q=Pixel&platform=android",
        f"/devices/{device}",
        f"/devices/{device}/log",
        f"/devices/{device}/commands",
        "/commands",
        "/commands?state=queued&waiting=approval",
        "/invitations",
        "/invitations/new",
        f"/invitations/{fleet.invitation_id}",
        "/groups",
        f"/groups/{ROOT_GROUP}",
        f"/groups/of-device/{fleet.devices[1]}",
        f"/groups/of-policy/{fleet.policy_id}",
        "/policies",
        "/policies/new",
        f"/policies/{fleet.policy_id}",
        f"/policies/{fleet.policy_id}/edit",
        "/relays",
        "/audit",
        "/audit?actor=keeper&action=device.&since=2026-01-01",
        "/safety",
        "/deleted",
        "/verification",
        "/administrators",
        "/roles",
        "/account",
        "/api-reference",
        "/api-reference/devices",
    ]


@pytest.mark.parametrize("language", ["en", "ja"])
def test_every_page_shows_data(console: ConsoleClient, fleet: Fleet, language: str) -> None:
    console.post("/language", data={"language": language})
    for page in _pages(fleet):
        answer = console.get(page)
        assert answer.status_code == 200, page
        is_part = "/of-" in page or ("/commands" in page and not page.startswith("/commands"))
        if not is_part:
            assert f'<html lang="{language}"' in answer.text, page
        assert 'style="' not in answer.text, page
        assert "<script>" not in answer.text, page


def test_empty_lists_say_what_they_would_hold(console: ConsoleClient, context: Context) -> None:
    assert "No device has enrolled yet" in console.get("/devices").text
    assert "Nobody is invited yet" in console.get("/invitations").text
    assert "No relay is paired" in console.get("/relays").text


def test_every_view_says_who_may_use_it(app: Flask) -> None:
    open_views = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if not hasattr(app.view_functions[rule.endpoint], PERMISSION)
        and not hasattr(app.view_functions[rule.endpoint], PUBLIC)
    }
    assert open_views == set()


def test_visitors_are_led_to_the_sign_in_page_and_back(visitor: ConsoleClient) -> None:
    answer = visitor.get("/devices?state=inactive")
    assert answer.status_code == 302
    assert "next=/devices?state%3Dinactive" in answer.headers["Location"].replace(
        "%2F", "/"
    ).replace("%3F", "?")


def test_sign_in_leads_to_no_other_site(console: ConsoleClient) -> None:
    answer = console.get("/sign-in?next=//evil.example/")
    assert answer.headers["Location"] == "/"


@pytest.mark.parametrize(
    ("role", "path", "status"),
    [
        (Role.READ_ONLY, "/audit", 200),
        (Role.READ_ONLY, "/administrators", 403),
        (Role.OPERATOR, "/audit", 403),
        (Role.OPERATOR, "/invitations/new", 200),
        (Role.OPERATOR, "/policies/new", 403),
        (Role.ADMINISTRATOR, "/policies/new", 200),
        (Role.ADMINISTRATOR, "/administrators", 403),
    ],
)
def test_a_role_opens_its_pages_only(
    app: Flask, context: Context, fleet: Fleet, role: Role, path: str, status: int
) -> None:
    assert signed_in_client(app, context, "other", role).get(path).status_code == status


def test_read_only_sees_no_enrolment_key(app: Flask, context: Context, fleet: Fleet) -> None:
    page = signed_in_client(app, context, "other", Role.READ_ONLY).get(
        f"/invitations/{fleet.invitation_id}"
    )
    assert page.status_code == 200
    assert "sekisho://enrol" not in page.text


def test_the_list_pages_through_all_devices_once(console: ConsoleClient, fleet: Fleet) -> None:
    seen, address = [], "/devices"
    while address:
        page = console.get(address, headers={"HX-Request": "true"}).text
        seen += re.findall(r'href="/devices/([0-9a-f-]{36})"', page)
        more = re.search(r'hx-get="(/devices\?[^"]+)"', page)
        address = more[1].replace("&amp;", "&") if more else ""
    assert sorted(seen) == sorted(str(one) for one in fleet.devices)


def test_a_broken_place_in_a_list_is_told(console: ConsoleClient) -> None:
    assert console.get("/devices?after=nonsense").status_code == 404
    assert console.get("/audit?after=!!").status_code == 404


def test_a_command_is_queued_audited_and_taken_back(
    console: ConsoleClient, fleet: Fleet, session: Session
) -> None:
    device = fleet.devices[1]
    answer = console.post(f"/devices/{device}/commands", data={"kind": "lock", "reason": "lost"})
    assert answer.status_code == 302
    newest = select(Command).order_by(Command.queued_at.desc()).limit(1)
    command = session.scalars(newest).one()
    assert (command.kind, command.state, command.requested_by) == ("lock", "queued", "keeper")
    entry = session.scalars(select(AuditEntry).order_by(AuditEntry.seq.desc()).limit(1)).one()
    assert (entry.action, entry.subject, entry.reason) == ("device.lock", str(device), "lost")
    assert entry.address == "127.0.0.1"
    address = f"/commands/{command.id}/cancel"
    session.rollback()

    assert console.post(address).status_code == 302
    assert session.scalars(newest).one().state == "cancelled"
    session.rollback()
    assert console.post(address).status_code == 409


def test_a_wipe_needs_the_name_the_reason_and_the_permission(
    app: Flask, context: Context, console: ConsoleClient, fleet: Fleet, session: Session
) -> None:
    device = session.get_one(Device, fleet.devices[2])
    address = f"/devices/{device.id}/wipe"
    form = {"kind": "wipe", "reason": "stolen", "confirm": device.name}
    operator = signed_in_client(app, context, "other", Role.OPERATOR)

    assert console.post(address, data={**form, "confirm": "x"}).status_code == 409
    assert console.post(address, data={**form, "reason": ""}).status_code == 409
    assert console.post(f"/devices/{device.id}/commands", data=form).status_code == 400
    assert operator.post(address, data=form).status_code == 403
    assert console.post(address, data=form).status_code == 302


def test_people_are_invited_line_by_line(
    console: ConsoleClient, fleet: Fleet, session: Session
) -> None:
    form = {"people": "a@example.org; 青木 葵\nb@example.org", "policy": fleet.policy_id, "days": 7}
    assert console.post("/invitations", data=form).status_code == 302
    wrong = console.post("/invitations", data={**form, "people": "nobody"})
    assert wrong.status_code == 422
    assert "not a mail address: nobody" in wrong.text
    people = session.scalars(select(Invitation.person).where(Invitation.address == "a@example.org"))
    assert people.one() == "青木 葵"


def test_an_invitation_shows_code_link_and_key_until_it_is_cancelled(
    console: ConsoleClient, fleet: Fleet
) -> None:
    address = f"/invitations/{fleet.invitation_id}"
    page = console.get(address).text
    assert "sekisho://enrol?relay=https%3A%2F%2Fmdm.example.org%3A4343&amp;key=" in page
    typed = r"[0-9A-Z]{4}(-[0-9A-Z]{4}){6}\.[0-9A-Z]{4}(-[0-9A-Z]{4}){6}<"
    assert re.search(f'id="key">{typed}', page)
    assert re.search(f'id="alone">mdm.example.org/{typed}', page)

    console.post(f"{address}/cancel")
    assert "sekisho://enrol" not in console.get(address).text


def test_a_policy_is_changed_as_a_form_and_keeps_its_history(
    console: ConsoleClient, fleet: Fleet, session: Session
) -> None:
    address = f"/policies/{fleet.policy_id}"
    form = {
        "name": "Standard",
        "maximum_silence": "2",
        "inactive_after": "20",
        "encrypted": "yes",
        "minimum_android": "13",
        "forbidden_packages": "com.example.game\ncom.example.vpn",
        "because": "audit finding 12",
    }
    wrong = console.post(address, data={**form, "maximum_silence": "0", "minimum_android": "x"})
    assert wrong.status_code == 422
    assert "Enter a number of days" in wrong.text
    assert "numbers with dots" in wrong.text

    assert console.post(address, data=form).status_code == 302
    newest = select(PolicyVersion).where(PolicyVersion.policy_id == fleet.policy_id)
    version = session.scalars(newest.order_by(PolicyVersion.version.desc())).first()
    assert version is not None
    assert version.requirements["forbidden_packages"] == ["com.example.game", "com.example.vpn"]
    assert version.requirements["not_rooted"] is False
    assert "audit finding 12" in console.get(address).text


def test_pausing_shows_a_banner_on_every_page_until_resumed(
    console: ConsoleClient, fleet: Fleet, session: Session, context: Context
) -> None:
    assert console.post("/safety/pause", data={"reason": ""}).status_code == 400
    console.post("/safety/pause", data={"reason": "something is odd"})
    for page in ("/", "/devices", "/audit"):
        assert "Enforcement is paused." in console.get(page).text
        assert "something is odd" in console.get(page).text
    assert context.signer.status()["paused_because"] == "something is odd"

    console.post("/safety/resume", data={"reason": "it was a test"})
    assert session.get_one(Enforcement, 1).paused_at is None
    assert "something is odd" not in console.get("/").text


def test_the_trail_is_verified_and_a_changed_entry_named(
    console: ConsoleClient, fleet: Fleet, session: Session
) -> None:
    console.post("/audit/verify")
    assert "The audit trail is whole" in console.get("/audit").text
    entry = session.scalars(select(AuditEntry).order_by(AuditEntry.seq)).first()
    assert entry is not None
    entry.actor = "somebody else"
    session.commit()
    console.post("/audit/verify")
    assert "was changed" in console.get("/audit").text


def test_a_device_is_retired_with_its_name_and_a_reason(
    console: ConsoleClient, fleet: Fleet, session: Session
) -> None:
    address = f"/devices/{fleet.devices[3]}/retire"
    name = session.get_one(Device, fleet.devices[3]).name
    session.rollback()
    form = {"reason": "left the company", "confirm": name}
    assert console.post(address).status_code == 400
    assert console.post(address, data={**form, "confirm": "another"}).status_code == 409
    assert console.post(address, data=form).status_code == 302
    device = session.get_one(Device, fleet.devices[3])
    assert device.enrolment_state == "retired"
    assert console.post(address, data=form).status_code == 409


def test_what_does_not_exist_answers_with_a_page_and_a_next_step(console: ConsoleClient) -> None:
    answer = console.get("/devices/00000000-0000-4000-8000-000000000000")
    assert answer.status_code == 404
    assert "There is no such device." in answer.text
    assert "Start again from the menu" in answer.text
    assert console.get("/nothing").status_code == 404


def test_every_answer_carries_the_strict_policy(visitor: ConsoleClient) -> None:
    headers = visitor.get("/sign-in").headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"


def test_style_is_kept_for_a_year_under_an_address_of_its_content(visitor: ConsoleClient) -> None:
    found = re.search(r'href="(/static/[^"]+console.css)"', visitor.get("/sign-in").text)
    assert found
    answer = visitor.get(found[1])
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    answer.close()
    assert visitor.get("/static/0000000000000000/console.css").status_code == 404


def test_too_much_is_refused_as_too_large(console: ConsoleClient) -> None:
    answer = console.post("/safety/pause", data={"reason": "x" * 2_000_000})
    assert answer.status_code == 413
    assert "larger than" in answer.text


def test_the_address_of_the_old_console_leads_here(visitor: ConsoleClient) -> None:
    assert visitor.get("/mdm/web").headers["Location"] == "/"


@pytest.mark.parametrize(
    "address", ["/commands?by=a%00b", "/devices?q=a%00b", "/audit?actor=a%00b", "/?x=1&x=%00"]
)
def test_a_character_that_no_database_stores_is_refused_in_addresses(
    console: ConsoleClient, address: str
) -> None:
    answer = console.get(address)
    assert (answer.status_code, "U+0000" in answer.get_data(as_text=True)) == (400, True)


def test_and_in_forms(console: ConsoleClient, fleet: Fleet) -> None:
    for address, fields in (
        ("/safety/pause", {"reason": "a\0b"}),
        (f"/devices/{fleet.devices[1]}/commands", {"kind": "lock", "reason": "\0"}),
        ("/groups", {"name": "Sales", "parent": str(ROOT_GROUP), "reason": "a\0"}),
    ):
        answer = console.post(address, data=fields)
        assert (answer.status_code, "U+0000" in answer.get_data(as_text=True)) == (400, True)
