"""The main walk by keyboard alone, and lock and wipe on a phone."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy.orm import Session

from management.commands.models import Command, CommandBatch
from management.context import Context
from tests.browser.test_console import (
    _visit,
    address,
    chromium,
    cookie,
    fleet,
    too_wide,
)
from tests.management.clients import grow_old, own_code
from tests.management.conftest import *  # noqa: F403  (the console's own fixtures)
from tests.management.fleet import PEOPLE, Fleet

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
__all__ = ["address", "chromium", "cookie", "fleet"]


def _press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def _tab_to(page: Page, selector: str, most: int = 40) -> None:
    """Press Tab until *selector* has the focus, which must be seen."""
    for _ in range(most):
        if page.locator(selector).evaluate("one => one === document.activeElement"):
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not lead to {selector}")


def test_search_tick_send_and_follow_a_bulk_command_by_keyboard_alone(
    chromium: Browser, address: str, cookie: str, fleet: Fleet, session: Session
) -> None:
    visit = _visit(chromium, address, cookie, "light", "en")
    page = visit.page
    visit.open("/")
    _press(page, "m")
    _press(page, "Tab", "Enter")  # the entry after the dashboard: devices
    expect(page.locator("h1")).to_have_text("Devices")
    _press(page, "/")
    page.keyboard.type("Pixel 9")
    expect(page.locator("#sk-count")).to_have_text("8 devices")
    _press(page, "ArrowDown")
    expect(page.locator("#sk-rows tr:nth-child(1) a")).to_be_focused()
    _press(page, "x", "j", "x")
    expect(page.locator("[data-sk-ticked]")).to_have_text("(2)")
    _press(page, "x")
    expect(page.locator("[data-sk-ticked]")).to_have_text("(1)")
    _press(page, "a")
    expect(page.locator("[data-sk-ticked]")).to_have_text("(8)")
    expect(page.locator("[data-sk-tick-all]")).to_be_checked()
    _press(page, "a", "x", "b")
    expect(page.get_by_role("heading", name="What 1 devices get")).to_be_visible()

    _tab_to(page, "#f-kind")
    page.keyboard.type("Lock")
    _tab_to(page, "#f-reason")
    page.keyboard.type("left in a taxi")
    _press(page, "Enter")
    expect(page.get_by_text("1 devices get it.")).to_be_visible()
    _tab_to(page, "#f-confirm")
    page.keyboard.type("1")
    _press(page, "Enter")
    expect(page.get_by_text("The commands are being queued; until they go out")).to_be_visible()
    assert session.query(CommandBatch).one().kind == "lock"
    assert visit.complaints == []


def test_all_that_match_are_chosen_by_keyboard_and_escape_leaves_a_field(
    chromium: Browser, address: str, cookie: str, fleet: Fleet
) -> None:
    visit = _visit(chromium, address, cookie, "dark", "en")
    page = visit.page
    visit.open("/devices?q=xperia")
    _press(page, "/")
    expect(page.locator("#f-q")).to_be_focused()
    _press(page, "Escape")
    expect(page.locator("#main")).to_be_focused()
    expect(page.locator("#f-q")).to_have_value("xperia")
    _press(page, "?")
    expect(page.locator("#sk-help")).to_contain_text("Tick the row")
    _press(page, "Escape")
    expect(page.locator("#sk-help")).to_be_hidden()
    _press(page, "B")
    expect(page.get_by_role("heading", name="What 8 devices get")).to_be_visible()
    assert visit.complaints == []


def test_the_focus_stays_when_rows_come_or_a_job_goes_on(
    chromium: Browser, address: str, cookie: str, fleet: Fleet
) -> None:
    visit = _visit(chromium, address, cookie, "light", "en")
    page = visit.page
    visit.open("/devices")
    page.locator("#sk-more a").focus()
    _press(page, "Enter")
    expect(page.locator("#sk-rows tr")).to_have_count(60)
    expect(
        page.locator("#sk-rows tr:nth-child(51) a, #sk-rows tr:nth-child(51) input").first
    ).to_be_focused()
    visit.open("/jobs?by=all")
    link = page.locator(f"#job-{fleet.job_id}-link")
    link.focus()
    page.evaluate(f"htmx.trigger('#job-{fleet.job_id}', 'sk:job')")
    page.wait_for_load_state("networkidle")
    expect(link).to_be_focused()
    assert visit.complaints == []


def test_the_key_for_bulk_commands_chooses_no_word_about_phones(
    chromium: Browser, address: str, cookie: str
) -> None:
    visit = _visit(chromium, address, cookie, "light", "en")
    visit.open("/mail-access")
    visit.page.locator("h1").click()
    _press(visit.page, "b")
    expect(visit.page.locator("#sk-bulk button").first).to_be_focused()
    expect(visit.page).to_have_url(re.compile("/mail-access$"))
    assert visit.complaints == []


def test_a_lost_phone_is_locked_and_wiped_from_another_phone(
    chromium: Browser, address: str, cookie: str, context: Context, fleet: Fleet, session: Session
) -> None:
    """Signed in long ago, so that the wipe asks for a code; the lock does not."""
    grow_old(context)
    visit = _visit(chromium, address, cookie, "light", "en")
    page = visit.page
    page.set_viewport_size({"width": 390, "height": 844})
    number = 1 + 2 * len(PEOPLE)
    name = f"Xperia 1 VI {number + 1:03d}"
    visit.open("/devices")
    assert too_wide(page) == []
    page.locator("#f-q").fill(name)
    page.get_by_role("link", name=name).click()
    expect(page.locator("h1")).to_contain_text(name)
    page.wait_for_load_state("networkidle")
    assert too_wide(page) == []
    page.get_by_role("button", name="Lock", exact=True).click()
    expect(page.get_by_text(re.compile("^Lock"))).not_to_have_count(0)
    page.get_by_text("Wipe or retire").click()
    page.locator("#wipe-reason").fill("stolen")
    page.locator("#wipe-confirm").fill(name)
    page.locator("#wipe [name=own_code]").fill(own_code(context, "keeper"))
    button = page.get_by_role("button", name="Wipe", exact=True)
    box = button.bounding_box()
    assert box is not None
    assert box["height"] >= 24  # WCAG 2.2, 2.5.8
    assert box["x"] + box["width"] <= 390
    button.click()
    expect(page.get_by_text("The command goes out in")).to_be_visible()
    assert too_wide(page) == []
    kinds = {one.kind for one in session.query(Command).filter_by(device_id=fleet.devices[number])}
    assert kinds >= {"lock", "selective_wipe"}
    assert visit.complaints == []
