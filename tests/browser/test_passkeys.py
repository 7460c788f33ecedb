"""Passkeys in Chromium with its virtual authenticator (CDP ``WebAuthn``)."""

import hashlib
import socket
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Page, Playwright, expect, sync_playwright
from sqlalchemy import select

from management.access import Role
from management.administrators.models import AdminSession
from management.administrators.sessions import COOKIE
from management.app import create_app
from management.context import Context
from tests.browser.serving import CHROMIUM, FLAGS, https
from tests.management.clients import PASSWORD, signed_in_client
from tests.management.conftest import *  # noqa: F403  (the console's own fixtures)

NAMES = "--host-resolver-rules=MAP console.test 127.0.0.1"
pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def play() -> Iterator[Playwright]:
    expect.set_options(timeout=60_000)
    with sync_playwright() as running:
        yield running


@pytest.fixture
def here(context: Context, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The console on the port that its settings say, and the cookie of somebody signed in."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    told = replace(context, settings=replace(context.settings, port=port))
    app = create_app(told)
    cookie = signed_in_client(app, told, "keeper", Role.OWNER).get_cookie(COOKIE, "localhost")
    assert cookie is not None
    with https(app, told, tmp_path, port) as address:
        yield address, cookie.value


@contextmanager
def _browser(play: Playwright, trusted: Path | None, complaints: list[str]) -> Iterator[Page]:
    """Open a page; *trusted*: the certificate that this browser believes, as an installed CA."""
    flags = [f"--ignore-certificate-errors-spki-list={_pin(trusted)}"] if trusted else []
    browser = play.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, NAMES, *flags])
    opened = browser.new_context(ignore_https_errors=trusted is None, locale="en")
    opened.set_default_timeout(60_000)
    page = opened.new_page()
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    browser.close()


def _pin(certificate: Path) -> str:
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b64encode(hashlib.sha256(spki).digest()).decode()


def _authenticator(page: Page) -> None:
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    made = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True}
    knows = {"hasUserVerification": True, "isUserVerified": True}
    options = {**made, **knows, "automaticPresenceSimulation": True}
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def _signed_in(page: Page, here: tuple[str, str]) -> None:
    cookie = {"name": COOKIE, "value": here[1], "url": here[0], "secure": True}
    page.context.add_cookies([cookie])  # type: ignore[list-item]
    page.goto(f"{here[0]}/account")


def _register(page: Page) -> None:
    page.get_by_label("Name of the new passkey").fill("This laptop")
    page.locator("#f-passkey_password").fill(PASSWORD)
    page.get_by_role("button", name="Register a passkey").click()


def _sign_out(page: Page) -> None:
    page.get_by_role("button", name="keeper").click()
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_label("Password")).to_be_visible()


def _forget_the_proof(context: Context) -> None:
    """As if ten minutes went by."""
    with context.database.transaction("forget that somebody signed in just now") as session:
        for row in session.scalars(select(AdminSession)):
            row.data = {}


def test_a_passkey_is_registered_signs_in_alone_proves_again_and_is_removed(
    play: Playwright, here: tuple[str, str], context: Context, tmp_path: Path
) -> None:
    complaints: list[str] = []
    with _browser(play, tmp_path / "tls.pem", complaints) as page:
        _authenticator(page)
        _signed_in(page, here)
        _register(page)
        expect(page.get_by_text("The passkey This laptop is registered.")).to_be_visible()
        found = Axe().run(page).response["violations"]
        assert [one["id"] for one in found if one["impact"] in {"serious", "critical"}] == []
        _sign_out(page)
        page.get_by_role("button", name="Sign in with a passkey").click()
        expect(page.get_by_role("button", name="keeper")).to_be_visible()

        page.goto(f"{here[0]}/account")
        _register(page)
        expect(page.get_by_text("This passkey is registered already.")).to_be_visible()
        _forget_the_proof(context)
        page.goto(f"{here[0]}/account")
        expect(page.get_by_role("button", name="Register a passkey")).to_have_count(0)
        page.get_by_label("What is the token for?").fill("backup")
        token = page.locator("form", has=page.get_by_label("What is the token for?"))
        token.get_by_role("button", name="Prove it by a passkey instead").click()
        expect(page.get_by_text("Copy this token now")).to_be_visible()
        page.goto(f"{here[0]}/account")
        page.get_by_label("Name of the passkey This laptop").fill("Old laptop")
        page.get_by_role("button", name="Rename").click()
        page.get_by_role("button", name="Remove", exact=True).click()
        expect(page.get_by_text("The passkey Old laptop opens nothing any more.")).to_be_visible()
        _sign_out(page)
        page.get_by_role("button", name="Sign in with a passkey").click()
        expect(page.get_by_text("This passkey is not known here (any more).")).to_be_visible()
    assert [one for one in complaints if "401" not in one] == []


def test_a_certificate_that_the_browser_does_not_trust_is_told_with_what_mends_it(
    play: Playwright, context: Context, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    name = "console.test"  # browsers forgive localhost
    told = replace(context, settings=replace(context.settings, public_name=name, port=port))
    complaints: list[str] = []
    with (
        https(create_app(told), told, tmp_path, port),
        _browser(play, None, complaints) as page,
    ):
        page.goto(f"https://{name}:{port}/sign-in")
        page.get_by_role("button", name="Sign in with a passkey").click()
        expect(page.get_by_text("does not trust the certificate of this console")).to_be_visible()
    assert complaints == []


def test_another_address_and_an_ip_address_say_why_passkeys_cannot_work(
    play: Playwright, here: tuple[str, str], context: Context, tmp_path: Path
) -> None:
    numbered = replace(context, settings=replace(context.settings, public_name="192.0.2.9"))
    with _browser(play, None, []) as page:
        page.goto(here[0].replace("localhost", "127.0.0.1") + "/sign-in")
        expect(page.get_by_text(f"Passkeys hold for {here[0]} only")).to_be_visible()
        expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_hidden()
        with https(create_app(numbered), numbered, tmp_path) as address:
            page.goto(f"{address}/sign-in")
            expect(page.get_by_text("Give this server a name")).to_be_visible()
            expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_hidden()
