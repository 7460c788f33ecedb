"""The console in Debian's Chromium: every page, both themes, both languages, and the keyboard."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sqlalchemy.orm import Session

from management.access import Role
from management.administrators.sessions import COOKIE
from management.context import Context
from runtime.clock import utc_now
from tests.browser import every_page
from tests.browser.serving import CHROMIUM, FLAGS, https
from tests.management.clients import signed_in_client
from tests.management.conftest import *  # noqa: F403  (the console's own fixtures)
from tests.management.fleet import PEOPLE, Fleet, fill

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
SERIOUS = {"serious", "critical"}


@dataclass
class Visit:
    """A page and everything it complained about."""

    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        self.page.goto(self.address + path)
        self.page.wait_for_load_state("networkidle")

    def serious(self) -> list[str]:
        found = Axe().run(self.page).response["violations"]
        return [
            f"{one['id']}: {node['html'][:150]} {node['any'][0]['message'] if node['any'] else ''}"
            for one in found
            if one["impact"] in SERIOUS
            for node in one["nodes"][:5]
        ]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=60_000)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def fleet(context: Context) -> Fleet:
    return fill(context, utc_now(), 60)


@pytest.fixture
def address(app: Flask, context: Context, fleet: Fleet, tmp_path: Path) -> Iterator[str]:
    with https(app, context, tmp_path) as running:
        yield running


@pytest.fixture
def cookie(app: Flask, context: Context) -> str:
    found = signed_in_client(app, context, "keeper", Role.OWNER).get_cookie(COOKIE, "localhost")
    assert found is not None
    return found.value


def _visit(chromium: Browser, address: str, cookie: str, theme: str, language: str) -> Visit:
    opened = chromium.new_context(
        ignore_https_errors=True,
        locale=language,
        color_scheme="dark" if theme == "dark" else "light",
        viewport={"width": 1280, "height": 900},
    )
    opened.set_default_timeout(60_000)
    if cookie:
        opened.add_cookies([{"name": COOKIE, "value": cookie, "url": address, "secure": True}])
    visit = Visit(opened.new_page(), address)
    visit.page.on(
        "console",
        lambda said: (
            visit.complaints.append(said.text) if said.type in {"error", "warning"} else None
        ),
    )
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    return visit


COMBINATIONS = [("en", "light"), ("ja", "dark"), ("en", "dark"), ("ja", "light")]
BESIDE = [
    "/devices?rule=not_rooted&enrolment=enrolled&q=xperia",
    "/devices?q=nobody",
    "/jobs?by=server",
    "/devices/00000000-0000-4000-8000-000000000000",
]
"""Shown in other ways than a route alone says: a filter, nothing found, an error."""


def _pages(app: Flask, context: Context, fleet: Fleet, turn: int) -> list[str]:
    """Return what is visited in one of the four combinations: the main pages, and every other
    page in two of them, so that each is seen in both languages and both themes.
    """
    found = every_page.pages(app, every_page.fill(context, fleet, utc_now()))
    others = [path for endpoint, path in found.items() if endpoint not in every_page.MAIN] + BESIDE
    main = [found[endpoint] for endpoint in sorted(every_page.MAIN)]
    return main + [path for place, path in enumerate(others) if place % 2 == turn // 2]


TOO_WIDE = """() => {
  const root = document.documentElement;
  if (root.scrollWidth <= root.clientWidth) return [];
  const sticks = (one) => one.getBoundingClientRect().right > root.clientWidth + 1
    && !one.closest(".table-responsive");
  return [...document.querySelectorAll("body *")].filter(sticks).slice(0, 5)
    .map((one) => one.outerHTML.slice(0, 120)).concat("scrolls");
}"""


def too_wide(page: Page) -> list[str]:
    """Return what makes the page scroll sideways."""
    found: list[str] = page.evaluate(TOO_WIDE)
    return found


@pytest.mark.parametrize("turn", range(4), ids=["-".join(one) for one in COMBINATIONS])
def test_pages_are_quiet_and_accessible(
    chromium: Browser, app: Flask, context: Context, address: str, cookie: str, fleet: Fleet,
    turn: int,
) -> None:  # fmt: skip
    language, theme = COMBINATIONS[turn]
    visit = _visit(chromium, address, cookie, theme, language)
    found: list[str] = []
    for path in _pages(app, context, fleet, turn):
        visit.open(path)
        missing = path.endswith("00000000")
        heard = [one for one in visit.complaints if not (missing and "404" in one)]
        found += [f"{path}: {one}" for one in [*heard, *visit.serious()]]
        visit.complaints.clear()
        if not visit.page.locator("#main").count():
            found.append(f"{path} is no whole page")
        assert visit.page.locator("html").get_attribute("lang") == language
        assert visit.page.locator("html").get_attribute("data-bs-theme") == theme
        found += [f"{path} is too wide: {one}" for one in too_wide(visit.page)]
    assert found == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_sign_in_page_is_quiet_and_accessible(
    chromium: Browser, address: str, theme: str
) -> None:
    visit = _visit(chromium, address, "", theme, "ja")
    visit.open("/sign-in")
    assert visit.serious() == []
    assert visit.complaints == []


def test_the_list_is_worked_with_the_keyboard_alone(
    chromium: Browser, address: str, cookie: str, fleet: Fleet
) -> None:
    visit = _visit(chromium, address, cookie, "light", "en")
    page = visit.page
    visit.open("/devices")
    page.keyboard.press("Tab")
    expect(page.locator(".sk-skip")).to_be_focused()
    page.keyboard.press("/")
    expect(page.locator("#f-q")).to_be_focused()
    page.keyboard.type("Xperia")
    expect(page.locator("#sk-rows tr")).to_have_count(8)
    page.keyboard.press("Tab")
    page.locator("body").evaluate("() => document.activeElement.blur()")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("#sk-rows tr:nth-child(2) a")).to_be_focused()
    page.keyboard.press("k")
    expect(page.locator("#sk-rows tr:nth-child(1) a")).to_be_focused()
    page.keyboard.press("?")
    expect(page.locator("#sk-help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#sk-help")).to_be_hidden()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("Xperia")
    assert visit.complaints == []


def test_more_rows_come_without_leaving_the_page(
    chromium: Browser, address: str, cookie: str, fleet: Fleet
) -> None:
    visit = _visit(chromium, address, cookie, "light", "en")
    visit.open("/devices")
    expect(visit.page.locator("#sk-rows tr")).to_have_count(51)
    visit.page.locator("#sk-more a").click()
    expect(visit.page.locator("#sk-rows tr")).to_have_count(60)
    assert visit.complaints == []


def test_a_wipe_button_waits_for_the_devices_name(
    chromium: Browser, address: str, cookie: str, fleet: Fleet
) -> None:
    visit = _visit(chromium, address, cookie, "light", "en")
    page = visit.page
    number = 1 + 2 * len(PEOPLE)  # the first of its kind is being wiped already
    visit.open(f"/devices/{fleet.devices[number]}")
    page.get_by_text("Wipe or retire").click()
    page.locator("#wipe-reason").fill("stolen")
    page.locator("#wipe-confirm").fill("Xperia")
    expect(page.get_by_role("button", name="Wipe", exact=True)).to_be_disabled()
    page.locator("#wipe-confirm").fill(f"Xperia 1 VI {number + 1:03d}")
    page.get_by_role("button", name="Wipe", exact=True).click()
    expect(page.get_by_text("The command goes out in")).to_be_visible()
    assert visit.complaints == []


def test_pausing_enforcement_shows_the_banner(
    chromium: Browser, address: str, cookie: str, session: Session
) -> None:
    visit = _visit(chromium, address, cookie, "dark", "en")
    page = visit.page
    visit.open("/safety")
    page.locator("#f-reason").fill("too many devices fell out")
    page.get_by_role("button", name="Pause all enforcement").click()
    expect(page.locator(".sk-banner")).to_contain_text("too many devices fell out")
    visit.open("/devices")
    expect(page.locator(".sk-banner")).to_be_visible()
    assert visit.serious() == []


def test_theme_and_language_are_chosen_and_stay(
    chromium: Browser, address: str, cookie: str
) -> None:
    visit = _visit(chromium, address, cookie, "light", "en")
    page = visit.page
    visit.open("/policies")
    page.get_by_role("button", name="Dark theme").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.get_by_role("button", name="English").click()
    page.get_by_role("button", name="日本語").click()
    expect(page.locator("h1")).to_have_text("ポリシー")
    visit.open("/devices")
    expect(page.locator("html")).to_have_attribute("lang", "ja")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    assert visit.complaints == []


def test_filters_change_list_count_file_and_address_together(
    chromium: Browser, address: str, cookie: str, fleet: Fleet
) -> None:
    visit = _visit(chromium, address, cookie, "light", "en")
    page = visit.page
    visit.open("/devices")
    expect(page.locator("#sk-count")).to_have_text("60 devices")
    page.locator("#f-platform").select_option("ios")
    expect(page.locator("#sk-count")).to_have_text("15 devices")
    page.locator("#f-q").fill("ipad")
    expect(page.locator("#sk-count")).to_have_text("7 devices")
    expect(page.locator("#sk-rows tr")).to_have_count(7)
    assert "platform=ios" in page.url
    assert "q=ipad" in page.url
    file = page.get_by_role("link", name="CSV file").get_attribute("href") or ""
    assert "platform=ios" in file
    assert "q=ipad" in file
    page.go_back()
    expect(page.locator("#sk-count")).to_have_text("15 devices")
    assert visit.complaints == []


def test_a_view_is_saved_and_leads_back_to_its_filter(
    chromium: Browser, address: str, cookie: str, fleet: Fleet
) -> None:
    visit = _visit(chromium, address, cookie, "dark", "ja")
    page = visit.page
    visit.open("/devices?platform=ios")
    page.get_by_role("button", name="ビューとして保存").click()
    page.locator("#f-view").fill("営業の iPad")
    page.locator("#sk-save").get_by_role("button", name="保存", exact=True).click()
    page.wait_for_load_state("networkidle")
    visit.open("/devices")
    page.get_by_role("link", name="営業の iPad").click()
    expect(page.locator("#sk-count")).to_have_text("15 台")
    assert visit.serious() == []
    assert visit.complaints == []
