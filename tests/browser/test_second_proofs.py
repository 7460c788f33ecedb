"""Recovery codes in Chromium: kept, copied, downloaded, and used instead of the app."""

from pathlib import Path

import pyotp
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Playwright, expect

from management.administrators import service
from management.app import create_app
from management.context import Context
from runtime.clock import utc_now
from tests.browser.serving import https
from tests.browser.test_passkeys import _browser, play, pytestmark
from tests.management.clients import PASSWORD
from tests.management.conftest import *  # noqa: F403  (the console's own fixtures)

__all__ = ["play", "pytestmark"]


def _set_up(page: Page, link: str) -> None:
    page.goto(link)
    page.get_by_label("Name").fill("keeper")
    page.get_by_label("Password").fill(PASSWORD)
    secret = page.locator(".sk-key").inner_text().replace(" ", "")
    page.get_by_label("Code").fill(pyotp.TOTP(secret).now())
    page.get_by_role("button", name="Finish").click()


def _is_accessible(page: Page) -> None:
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == []


def test_recovery_codes_are_kept_after_setting_up_and_sign_in_once(
    play: Playwright, context: Context, tmp_path: Path
) -> None:
    complaints: list[str] = []
    with context.database.transaction("make a link") as session:
        token = service.make_setup_link(session, utc_now())
    with (
        https(create_app(context), context, tmp_path) as address,
        _browser(play, None, complaints) as page,
    ):
        _set_up(page, f"{address}/setup?token={token}")
        expect(page.locator("#codes li")).to_have_count(10)
        _is_accessible(page)
        codes = page.locator("#codes code").all_inner_texts()
        with page.expect_download() as kept:
            page.get_by_role("link", name="Download").click()
        assert kept.value.suggested_filename == "sekisho-recovery-codes.txt"
        assert codes[0] in Path(kept.value.path()).read_text()
        page.get_by_role("link", name="I have kept them").click()
        expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()
        page.get_by_role("button", name="keeper").click()
        page.get_by_role("button", name="Sign out", exact=True).click()
        page.get_by_label("Name").fill("keeper")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_label("Code").fill(codes[0])
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_text("9 recovery codes are left.")).to_be_visible()
        _is_accessible(page)
        page.goto(f"{address}/account#second-proofs")
        page.get_by_role("button", name="Replace the app").click()
        expect(page.get_by_label("Code of the new app")).to_be_visible()
        _is_accessible(page)
    assert [one for one in complaints if "certificate" not in one.lower()] == []
