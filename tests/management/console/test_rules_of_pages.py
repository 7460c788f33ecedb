"""The fifteen rules for pages (docs/console.md): those that no other test proves, and the table."""

import json
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from management import words
from management.commands.models import Command
from management.commands.rules import CommandState
from management.context import Context
from management.devices.models import Device
from management.words import Word
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient
from tests.management.fleet import Fleet, fill
from tests.management.test_scope import routes

ROOT = Path(__file__).parents[3]
LISTS = {
    "/devices": "/devices?q=nobodyatall",
    "/commands": "/commands?state=expired&by=nobody",
    "/registrations": "/registrations?q=nobodyatall",
    "/invitations": "/invitations?q=nobodyatall",
    "/enrolment-users": "/enrolment-users?q=nobodyatall",
    "/allow-list": "/allow-list?q=nobodyatall",
    "/directory": "/directory?q=nobodyatall",
    "/mail-access": "/mail-access?q=nobodyatall",
    "/audit": "/audit?actor=nobodyatall",
    "/jobs": "/jobs?by=all&state=cancelled",
    "/apps/": "",
    "/groups": "",
    "/policies": "",
    "/relays": "",
    "/updates/": "",
    "/returned": "",
    "/consequences": "",
    "/verification": "",
}
"""Each list, and a filter of it that finds nothing."""
NEEDS_MORE = ("/certificates", "/healthz", "/metrics")
EMPTY = re.compile(r'<div class="sk-empty">(.*?)</div>', re.DOTALL)
NEXT = re.compile(r'<a class="btn"|<p class="text-secondary">')
TONES = {"ok", "warn", "bad", "idle", "info"}


@pytest.fixture
def fleet(context: Context) -> Fleet:
    return fill(context, utc_now(), 16)


def test_the_table_of_rules_is_whole_and_its_tests_exist() -> None:
    text = (ROOT / "docs/console.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+)\. [^|]+ \| `(test_\w+)` \|$", text, re.MULTILINE)
    assert sorted({int(number) for number, _ in rows}) == list(range(1, 16))
    tests = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/test_*.py"))
    assert [name for _, name in rows if f"def {name}(" not in tests] == []


def test_a_state_is_always_icon_word_and_colour() -> None:
    tables = [table for table in vars(words).values() if isinstance(table, dict)]
    states = [one for table in tables for one in table.values() if isinstance(one, Word)]
    assert len(states) > 40
    assert all(one.tone in TONES and one.icon and str(one.label) for one in states)


def test_every_page_of_a_state_says_of_when_it_is(console: ConsoleClient, fleet: Fleet) -> None:
    said = re.compile(r"<main.*As of <time [^>]*datetime=.20\d\d-\d\d-\d\dT", re.DOTALL)
    assert [path for path in ("/", *LISTS) if not said.search(console.get(path).text)] == []


def test_rows_that_come_anew_say_of_when_they_are(console: ConsoleClient, fleet: Fleet) -> None:
    answer = console.get("/commands", headers={"HX-Request": "true", "HX-Target": "sk-rows"})
    told = json.loads(answer.headers["HX-Trigger"])["sk:as-of"]
    assert datetime.fromisoformat(told["at"]) <= utc_now()
    assert told["shown"].endswith(" UTC")
    more = console.get("/commands", headers={"HX-Request": "true", "HX-Target": "sk-more"})
    assert "HX-Trigger" not in more.headers


def test_empty_lists_say_what_to_do_next(app: Flask, console: ConsoleClient) -> None:
    """Every page without an argument, in a console without anything."""
    pages = [rule.rule for rule in routes(app, "GET") if not rule.arguments]
    found = {
        path: EMPTY.findall(console.get(path).text)
        for path in sorted(pages)
        if not path.startswith(("/api/", *NEEDS_MORE))
    }
    assert sum(len(blocks) for blocks in found.values()) >= 15
    bare = {path: one for path, blocks in found.items() for one in blocks if not NEXT.search(one)}
    assert bare == {}


def test_a_filter_that_finds_nothing_can_be_cleared(console: ConsoleClient, fleet: Fleet) -> None:
    filters = [path for path in LISTS.values() if path]
    assert [path for path in filters if "Clear the filters" not in console.get(path).text] == []


def test_times_carry_their_zone(console: ConsoleClient, fleet: Fleet) -> None:
    console.set_cookie("zone", "Asia/Tokyo", domain="localhost")
    times = re.findall(
        r"<time [^>]*>([^<]+)</time>", console.get(f"/devices/{fleet.devices[0]}").text
    )
    exact = [text for text in times if "202" in text]
    assert exact
    assert all(text.endswith(" JST") for text in exact)


def test_a_failed_command_shows_on_device_and_list_with_its_reason(
    console: ConsoleClient, session: Session, fleet: Fleet
) -> None:
    command = session.query(Command).order_by(Command.queued_at).first()
    assert command is not None
    command.state, command.detail = CommandState.FAILED, "The screen lock refused a new passcode."
    command.finished_at = utc_now() - timedelta(minutes=1)
    session.commit()

    for path in (f"/devices/{command.device_id}", "/commands?state=failed"):
        page = console.get(path).text
        assert "The screen lock refused a new passcode." in page
        assert "bi-x-octagon" in page


def test_a_device_shows_who_did_what_with_it(
    console: ConsoleClient, session: Session, fleet: Fleet
) -> None:
    device = fleet.devices[9]
    name = session.get_one(Device, device).name
    session.rollback()
    console.post(f"/devices/{device}/retire", data={"reason": "sold to its user", "confirm": name})
    activity = console.get(f"/devices/{device}").text
    assert "sold to its user" in activity
    assert "keeper" in activity.partition("<main")[2]
