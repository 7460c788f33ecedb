"""The main task of each page that no other browser test walks; each ends without a complaint.

Chromium reports what the content security policy refuses as an error of the console, so one
collector (`Visit.complaints`) hears both.
"""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy.orm import Session

from management.administrators.models import CustomRole
from management.audit.models import AuditEntry
from management.context import Context
from management.dry_run import work
from management.dry_run.models import DryRun
from management.policies.queries import current_version
from tests.browser.test_console import Visit, _visit, address, chromium, cookie, fleet
from tests.management.conftest import *  # noqa: F403  (the console's own fixtures)
from tests.management.fleet import Fleet

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
__all__ = ["address", "chromium", "cookie", "fleet"]
Open = Callable[..., Visit]


@pytest.fixture
def visiting(chromium: Browser, address: str, cookie: str) -> Iterator[Open]:
    """Open pages; at the end nothing may have complained."""
    opened: list[Visit] = []

    def visit(path: str, language: str = "en", theme: str = "light") -> Visit:
        opened.append(_visit(chromium, address, cookie, theme, language))
        opened[-1].open(path)
        return opened[-1]

    yield visit
    for one in opened:
        assert one.complaints == []
        one.page.context.close()


def test_the_collector_hears_what_the_content_policy_refuses(
    chromium: Browser, address: str, cookie: str
) -> None:
    visit = _visit(chromium, address, cookie, "light", "en")
    visit.open("/groups")
    visit.page.evaluate(
        "() => { const s = document.createElement('script');"
        " s.textContent = 'window.skRan = 1'; document.body.append(s); }"
    )
    assert any("Content Security Policy" in one for one in visit.complaints)
    assert visit.page.evaluate("window.skRan") is None


def test_commands_are_filtered_with_the_keyboard_alone(visiting: Open) -> None:
    page = visiting("/commands").page
    said = page.locator("#sk-as-of").get_attribute("datetime")
    page.locator("#f-state").focus()
    page.keyboard.press("ArrowDown")
    expect(page).to_have_url(re.compile("state=queued"))
    expect(page.locator("#f-state")).to_be_focused()
    page.keyboard.type("Failed")
    expect(page).to_have_url(re.compile("state=failed"))
    expect(page.locator("#sk-rows tr")).to_have_count(1)
    expect(page.locator("#sk-rows")).to_contain_text("The user switched the device off.")
    expect(page.locator("#sk-as-of")).not_to_have_attribute("datetime", said or "")


def test_a_policy_is_changed_after_a_dry_run(
    visiting: Open, context: Context, session: Session, fleet: Fleet
) -> None:
    visit = visiting(f"/policies/{fleet.policy_id}/edit", theme="dark")
    page = visit.page
    page.locator("#f-minimum_android").fill("16")
    page.get_by_role("button", name="Try on the fleet first").click()
    expect(page.get_by_role("heading", name="It goes on")).to_be_visible()
    work.run(context, {"run_id": str(session.query(DryRun).one().id)}, lambda _: None)
    page.reload()
    expect(page.get_by_text(re.compile("devices? would change in some way"))).to_be_visible()
    expect(page.get_by_text("system version 15, asked 16").first).to_be_visible()
    assert visit.serious() == []
    page.locator("#f-because").fill("Old systems get no patches.")
    page.get_by_role("button", name="Let it hold for everybody now").click()
    expect(page.locator("main")).to_contain_text("Old systems get no patches.")
    session.rollback()
    version = current_version(session, fleet.policy_id)
    assert version.requirements["minimum_os_version"]["android"] == "16"


def test_a_role_is_made_and_an_administrator_gets_it(visiting: Open, session: Session) -> None:
    visit = visiting("/roles")
    page = visit.page
    page.get_by_label("Name").fill("Warehouse")
    page.get_by_label("See everything but the audit trail").check()
    page.get_by_role("button", name="Make the role").click()
    expect(page.get_by_role("cell", name="Warehouse")).to_be_visible()
    role = session.query(CustomRole).one()
    assert (role.name, role.permissions) == ("Warehouse", ["view"])
    visit.open("/administrators")
    page.get_by_label("Name").fill("storekeeper")
    page.locator("#f-role").select_option(label="Warehouse")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#new-link")).to_contain_text("/setup?token=")
    row = page.get_by_role("row").filter(has_text="storekeeper")
    expect(row).to_contain_text("Warehouse")
    expect(row).to_contain_text("Has a link")


def test_the_audit_trail_is_filtered_and_verified(visiting: Open, session: Session) -> None:
    visit = visiting("/audit")
    page = visit.page
    page.locator("#f-action").fill("device.lock")
    expect(page.locator("#sk-rows tr")).to_have_count(1)
    expect(page.locator("#sk-rows")).to_contain_text("left in a taxi")
    expect(page).to_have_url(re.compile("action=device.lock"))
    page.get_by_role("button", name="Verify the trail").click()
    expect(page.get_by_role("status").first).to_contain_text("The audit trail is whole")
    entry = session.query(AuditEntry).filter_by(action="device.lock").one()
    entry.reason = "nothing happened"
    session.commit()
    page.get_by_role("button", name="Verify the trail").click()
    expect(page.locator(".sk-alert-bad").first).to_contain_text(f"Audit entry {entry.seq}")


def test_every_check_of_the_verification_says_what_it_found(visiting: Open) -> None:
    visit = visiting("/verification", "ja", "dark")
    page = visit.page
    expect(page.locator("main .spinner-border")).to_have_count(0)
    assert page.locator("tbody tr").count() >= 8
    assert page.locator("tbody .sk-word").count() == page.locator("tbody tr").count()
    expect(page.locator("tbody time")).to_have_count(page.locator("tbody tr").count())
    assert visit.serious() == []


def test_pairing_a_relay_that_is_not_there_says_why_and_keeps_what_was_typed(
    visiting: Open,
) -> None:
    visit = visiting("/relays/pair", "ja")
    page = visit.page
    page.locator("#f-name").fill("大阪")
    page.locator("#f-link_url").fill("https://127.0.0.1:9")
    page.locator("#f-code").fill("ABCDE-FGHJK-LMNPQ-RSTUV")
    page.get_by_role("button", name="ペアリング", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("127.0.0.1:9")
    expect(page.locator("#f-name")).to_have_value("大阪")
    assert re.search(r"[ぁ-ん]", page.get_by_role("alert").inner_text())
    assert visit.serious() == []
    assert all("422" in one for one in visit.complaints)  # Chromium's word for a refused form
    visit.complaints.clear()
