"""The fifteen rules for pages (docs/console.md): those that no other test proves, and the table."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from management import words
from management.commands.models import Command
from management.commands.rules import CommandState
from management.context import Context
from management.words import Word
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient
from tests.management.fleet import Fleet, fill

ROOT = Path(__file__).parents[3]
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


@pytest.mark.parametrize("path", ["/", "/devices", "/relays", "/updates/", "/mail-access"])
def test_every_page_of_a_state_says_of_when_it_is(
    console: ConsoleClient, fleet: Fleet, path: str
) -> None:
    page = console.get(path).text.partition("<main")[2]
    assert re.search(r"<time datetime=.20\d\d-\d\d-\d\dT", page)


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


def test_a_device_shows_who_did_what_with_it(console: ConsoleClient, fleet: Fleet) -> None:
    device = fleet.devices[9]
    console.post(f"/devices/{device}/retire", data={"reason": "sold to its user"})
    activity = console.get(f"/devices/{device}").text
    assert "sold to its user" in activity
    assert "keeper" in activity.partition("<main")[2]
