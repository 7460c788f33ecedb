"""ASVS 5 V3, web frontend security: what a browser is made to do.

| attack | also shown by |
|---|---|
| change sent by another site (CSRF) | every route: here; single ones: `console/test_sign_in` |
| stored XSS | every page: here, parsed; the richest ones in Chromium |
| open redirect | here; after signing in: `console/test_pages` |
| framing, sniffing, foreign script | headers: here; every page: `browser/test_console` |
| answers read by other sites (CORS) | here |
| cookies | `test_v07_session_management` |
"""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from sqlalchemy import String, Unicode, UnicodeText, select, update
from sqlalchemy.orm import Session

from management.administrators.sessions import COOKIE
from management.app import SIGNED_OTHERWISE
from management.database import Base
from management.devices.rules import Fact, FactKind
from management.devices.service import record_facts
from management.listing import service
from runtime.clock import utc_now
from tests.browser.serving import CHROMIUM, FLAGS, https
from tests.management.fleet import SPYWARE
from tests.security.conftest import Target
from tests.security.walking import CHANGES, doors

EVIL = "'\"><sk-evil></sk-evil><img src=x onerror=alert(1)><script>alert(1)</script>{{7*7}}"
FREE_TEXTS = frozenset(
    {"name", "owner_name", "owner_address", "manufacturer", "model", "serial", "imei", "reason"}
    | {"detail", "because", "note", "description", "problem", "version", "subject", "actor"}
    | {"mailbox", "device_type", "user_agent", "os", "title", "text", "comment", "label"}
    | {"paused_because", "sentence", "message", "summary", "person", "recipient"}
    | {"requested_by", "created_by", "device_model", "device_os", "friendly_name"}
)
KEPT = {"administrator", "update_run", "policy_version", "installed_pattern_set", "job"}
"""Tables whose texts nobody outside brings, or which are compared with something."""


class _Tags(HTMLParser):
    """Finds elements and attributes that only an attacker writes."""

    def __init__(self) -> None:
        super().__init__()
        self.evil: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "sk-evil" or any(name.startswith("on") for name, _ in attrs):
            self.evil.append(f"<{tag} {dict(attrs)}>")


def _evil(page: str) -> list[str]:
    found = _Tags()
    found.feed(page)
    return found.evil


def poison(session: Session, target: Target) -> None:
    """Put markup into every free text that devices, connectors and administrators bring."""
    for table in Base.metadata.sorted_tables:
        free = [
            column
            for column in table.columns
            if column.name in FREE_TEXTS
            and isinstance(column.type, (Unicode, UnicodeText, String))
            and not column.primary_key
            and not column.foreign_keys
        ]
        keys = list(table.primary_key.columns)
        if not free or table.name in KEPT:
            continue
        for number, row in enumerate(session.execute(select(*keys)).all()):
            length = min(getattr(column.type, "length", None) or 255 for column in free)
            text = f"{number}{EVIL}"[:length]
            same = [key == value for key, value in zip(keys, row, strict=True)]
            session.execute(update(table).where(*same).values({one.name: text for one in free}))
    now = utc_now()
    apps = [{**SPYWARE, "name": EVIL, "package": EVIL, "family": EVIL, "rule": EVIL}]
    said = {FactKind.BAD_APPS: apps, FactKind.OS_VERSION: EVIL, FactKind.AGENT_VERSION: EVIL}
    facts = {kind: Fact(value, "agent", now) for kind, value in said.items()}
    record_facts(session, target.fleet.devices[0], facts, now)


@pytest.fixture(scope="module")
def poisoned(target: Target) -> Iterator[Target]:
    service.forget_meanings()  # of shapes, which are poisoned in the tables
    with target.context.database.transaction("a hostile fleet") as session:
        poison(session, target)
    yield target
    service.forget_meanings()


def _pages(target: Target) -> Iterator[str]:
    for door in doors(target.app):
        whole = "0000-4000" not in door.path and "aaaa" not in door.path
        if door.method == "GET" and whole and not door.path.startswith(SIGNED_OTHERWISE):
            yield door.path
    fleet = target.fleet
    yield from (f"/devices/{one}" for one in fleet.devices[:2])
    yield f"/devices/{fleet.devices[0]}/log"
    yield f"/devices/{fleet.devices[0]}/why"
    yield f"/invitations/{fleet.invitation_id}"
    yield f"/policies/{fleet.policy_id}"


def test_markup_in_any_free_text_is_only_text_on_every_page(poisoned: Target) -> None:
    seen, shown = 0, 0
    for path in _pages(poisoned):
        answer = poisoned.owner.get(path)
        if answer.status_code != 200 or answer.mimetype != "text/html":
            continue
        seen, shown = seen + 1, shown + ("sk-evil" in answer.text)
        assert _evil(answer.text) == [], path
    assert seen > 25
    assert shown > 8, "the poison is really on the pages"


@pytest.mark.browser
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a file not sent
def test_markup_does_nothing_in_a_browser(poisoned: Target, tmp_path: Path) -> None:
    cookie = poisoned.owner.get_cookie(COOKIE, "localhost")
    assert cookie is not None
    heard: list[str] = []
    with https(poisoned.app, poisoned.context, tmp_path) as address, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        opened = browser.new_context(ignore_https_errors=True)
        opened.set_default_timeout(60_000)
        signed_in = {"name": COOKIE, "value": cookie.value, "url": address, "secure": True}
        opened.add_cookies([signed_in])  # type: ignore[list-item]
        page = opened.new_page()
        page.on("dialog", lambda dialog: heard.append(f"dialog {dialog.message}"))
        page.on("console", lambda said: heard.append(said.text) if said.type == "error" else None)
        device = f"/devices/{poisoned.fleet.devices[0]}"
        for path in (
            "/",
            "/devices",
            device,
            f"{device}/log",
            "/commands",
            "/mail-access",
            "/audit",
        ):
            page.goto(address + path)
            page.wait_for_load_state("networkidle")
            assert page.locator("sk-evil").count() == 0, path
        browser.close()
    assert heard == []


def test_no_change_is_taken_from_another_site_or_without_the_token(target: Target) -> None:
    tried = 0
    for door in doors(target.app):
        if door.method not in CHANGES or door.path.startswith(SIGNED_OTHERWISE):
            continue
        tried += 1
        for headers, says in (({}, 400), ({"Sec-Fetch-Site": "cross-site"}, 403)):
            answer = target.owner.open(door.path, method=door.method, forged=True, headers=headers)
            assert answer.status_code == says, (door, headers)
        foreign = {"Origin": "https://evil.example"}
        answer = target.owner.open(door.path, method=door.method, forged=True, headers=foreign)
        assert answer.status_code == 403, door
    assert tried > 60


def test_a_cookie_changes_nothing_where_no_token_guards(target: Target) -> None:
    for door in doors(target.app):
        if door.method in CHANGES and door.path.startswith(SIGNED_OTHERWISE):
            answer = target.owner.open(door.path, method=door.method, json={})
            assert answer.status_code in {400, 401}, door


def test_every_page_forbids_foreign_script_framing_and_sniffing(target: Target) -> None:
    for client, path in (
        (target.owner, "/"),
        (target.stranger(), "/sign-in"),
        (target.owner, "/no"),
    ):
        headers = client.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "includeSubDomains" not in headers["Strict-Transport-Security"], "others' names"


def test_no_page_runs_script_or_style_of_its_own(target: Target) -> None:
    for path in ("/", "/devices", f"/devices/{target.fleet.devices[0]}", "/account", "/sign-in"):
        page = target.owner.get(path).text
        assert "<style" not in page
        assert " style=" not in page
        assert "<script>" not in page


@pytest.mark.parametrize(
    "evil",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
    ],
)
def test_nothing_leads_to_another_site(target: Target, evil: str) -> None:
    for path in ("/language", "/theme"):
        form = {"language": "en", "theme": "light", "next": evil}
        assert target.owner.post(path, data=form).headers["Location"] == "/"
    assert target.owner.get("/sign-in", query_string={"next": evil}).headers["Location"] == "/"


def test_other_sites_may_read_no_answer(target: Target) -> None:
    for path in ("/", "/api/v1/devices", "/healthz"):
        answer = target.program.get(path, headers={"Origin": "https://evil.example"})
        assert "Access-Control-Allow-Origin" not in answer.headers
