"""The main job, end to end: real processes, real sockets, a real browser.

Only Exchange is a stand-in, which speaks PowerShell Remoting. README describes the same walk.
"""

import hashlib
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import patterns
from patterns import pattern_set
from tests.end_to_end.browser import chromium, new_page
from tests.end_to_end.console import Console
from tests.end_to_end.product import Product, until
from tests.scanner.build_apk import App, build_apk
from tests.scanner.corpus import real_apk
from tests.servers.exchange import PASSWORD, USER, Exchange
from tests.servers.exchange_wsman import listening
from tests.updater import feed
from updater import publish
from updater.repository import Repository

pytestmark = [pytest.mark.alone, pytest.mark.browser, pytest.mark.timeout(900)]

MARKER = "marker of the end-to-end test 52c9: a family that only the second set knows"
SECOND_RULE = feed.RULE.format(name="end_to_end_second_set", marker=MARKER)
OWNER, MAILBOX, PHONE = "hanako@corp.test", "hanako", "androidA1B2C3D4"
OTHER_PHONE, STRANGER = "ApplOTHERPHONE1", "UnmanagedTablet9"


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    running = Product(tmp_path / "home")
    try:
        running.start()
        yield running
    finally:
        print(running.said(), running.logs())  # pytest shows it when the test fails
        status = running.stop()
    assert status == 0, running.said()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with chromium() as browser, new_page(browser, tmp_path) as opened:
        yield opened


@pytest.fixture
def exchange() -> Exchange:
    directory = Exchange()
    directory.add_phone(MAILBOX, PHONE, model="Pixel 8", system="Android 15")
    directory.add_phone(MAILBOX, OTHER_PHONE, first_sync_at=datetime.now(UTC))
    directory.add_phone("stranger", STRANGER, first_sync_at=datetime.now(UTC) - timedelta(days=90))
    return directory


def test_the_main_job(product: Product, page: Page, exchange: Exchange, tmp_path: Path) -> None:
    console = Console(page, product.console)
    first_administrator(product, console)
    phone = tmp_path / "phone"
    enrol(product, console, phone)
    shown_healthy(product, console, phone)
    innocent = apps_are_judged(console, tmp_path)
    with listening(exchange, {USER: PASSWORD}) as address:
        pair_connector(product, console, address)
        switch_mail_control_on(console, exchange)
        root_costs_mail(product, console, exchange, phone)
        unmanaged_phones_lose_mail_after_their_grace(console, exchange)
        new_patterns_find_an_old_app(product, console, exchange, phone, innocent)
    a_lock_is_done(product, console, phone)


def first_administrator(product: Product, console: Console) -> None:
    """The one-time link works once; from then on name, password and code open the console."""
    link = product.setup_link()
    console.set_up(link)
    console.sign_out()
    console.page.goto(link)
    assert "/setup" in console.page.url
    expect(console.page.get_by_role("button", name="Finish")).to_have_count(0)
    used = console.code()
    console.sign_in(until("the next code", lambda: _other(used, console.code()), 40))


def _other(used: str, now: str) -> str | None:
    return now if now != used else None


def enrol(product: Product, console: Console, phone: Path) -> None:
    """A simulated phone enrols with what the QR code says, and gets certificate and policy."""
    code = console.invite(OWNER, "Hanako")
    product.sekisho(
        "simulate", "enrol", "--state", str(phone), "--qr", code, "--exchange-device-id", PHONE,
        "--manufacturer", "Google", "--model", "Pixel 8",
    )  # fmt: skip
    shown = product.sekisho("simulate", "show", "--state", str(phone), "--json")
    assert "BEGIN CERTIFICATE" in shown
    assert '"policy": "Standard"' in shown
    console.page.reload()
    console.shows("Used")


def shown_healthy(product: Product, console: Console, phone: Path) -> None:
    """It reports; the console shows it healthy, with the facts behind that word."""
    signer = hashlib.sha256(b"some signer").hexdigest()
    product.sekisho(
        "simulate", "install", "--state", str(phone), "--package", "com.example.chat",
        "--name", "Chat", "--version", "2.1", "--sha256", hashlib.sha256(b"chat").hexdigest(),
        "--signer", signer,
    )  # fmt: skip
    check_in(product, phone)
    console.open_device(OWNER)
    console.shows("Healthy")
    for fact in ("Rooted", "Encrypted", "Signed report"):
        assert fact.lower() in console.text().lower(), fact
    assert "com.example.chat" in console.page.content()


def apps_are_judged(console: Console, folder: Path) -> Path:
    """A real app is nothing above unwanted; one that carries a shipped pattern is malicious."""
    console.upload(real_apk())
    console.shows("com.github.uiautomator")
    text = console.text()
    assert any(word in text for word in ("Clean", "Unwanted"))
    assert "android.permission." in text
    assert "CN=Android Debug" in text
    eicar = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
    bad = build_apk(
        folder / "bad.apk", App(package="org.example.bad", files={"assets/x.bin": eicar})
    )
    console.upload(bad)
    console.shows("Malicious")
    for word in ("assets/x.bin", "EICAR", "test-file"):
        assert word.lower() in console.text().lower(), word
    innocent = build_apk(
        folder / "innocent.apk", App(package="org.example.innocent", strings=(MARKER,))
    )
    console.upload(innocent)
    console.shows("Clean")
    return innocent


def pair_connector(product: Product, console: Console, exchange_address: str) -> None:
    console.open("/mail-access/connectors")
    console.page.get_by_role("button", name="Pair a connector").click()
    code = console.page.locator("#code").inner_text().strip()
    product.sekisho(
        "exchange-connector", "pair", "--management", product.console, "--code", code,
        "--exchange-url", exchange_address, "--exchange-user", USER, "--exchange-auth", "basic",
        "--password-stdin", "--name", "mail", input=PASSWORD,
    )  # fmt: skip
    console.open("/mail-access/connectors")
    console.shows("Normal")


def switch_mail_control_on(console: Console, exchange: Exchange) -> None:
    """Nothing is blocked before somebody saw who would lose mail, and said what silence means."""
    for step in ("refused", "looked at", "on"):
        if step != "on":
            console.open("/mail-access/settings")
        console.page.get_by_label("Allow and block by itself").check()
        shall = console.page.get_by_label("A connector that hears nothing from here shall")
        shall.select_option("hold")
        console.page.get_by_label("Reason for the change").fill("the works council agreed")
        if step == "looked at":
            console.page.get_by_role("button", name="Who would lose mail?").first.click()
            console.shows("phones would lose mail")
            console.shows("From when on")
            assert not exchange.blocked() and not exchange.called("Set-CASMailbox")
        else:
            console.page.get_by_role("button", name="Save").first.click()
            said = "First look" if step == "refused" else "The settings hold from now on."
            console.shows(said)


def root_costs_mail(product: Product, console: Console, exchange: Exchange, phone: Path) -> None:
    """Root: exactly this DeviceId of this mailbox is blocked, and the console says why and when."""
    until("the healthy phone may read mail", lambda: (MAILBOX, PHONE) in exchange.allowed())
    product.sekisho("simulate", "set", "--state", str(phone), "rooted=true")
    check_in(product, phone)
    until("the rooted phone is blocked", lambda: (MAILBOX, PHONE) in exchange.blocked())
    assert exchange.access_of(MAILBOX, OTHER_PHONE)[0] == "Allowed"
    assert {pair for pair in exchange.blocked() if pair[0] == MAILBOX} == {(MAILBOX, PHONE)}
    console.open_device(OWNER)
    console.shows("Not compliant")
    console.shows("root access found")
    open_partnership(console, PHONE)
    console.shows("Block")
    console.shows("root")
    product.sekisho("simulate", "set", "--state", str(phone), "rooted=false")
    check_in(product, phone)
    until("mail is back", lambda: (MAILBOX, PHONE) not in exchange.blocked())
    assert exchange.access_of(MAILBOX, PHONE)[0] == "Allowed"


def unmanaged_phones_lose_mail_after_their_grace(console: Console, exchange: Exchange) -> None:
    """A partnership that nobody manages is left alone for its grace, then blocked."""
    assert ("stranger", STRANGER) not in exchange.blocked()
    console.open("/mail-access/settings")
    console.page.get_by_label("Grace (days)").fill("0")
    console.page.get_by_label("Reason for the change").fill("the grace is over")
    console.page.get_by_role("button", name="Save").first.click()
    until("the stranger is blocked", lambda: ("stranger", STRANGER) in exchange.blocked())
    open_partnership(console, STRANGER)
    console.shows("Block")


def new_patterns_find_an_old_app(
    product: Product, console: Console, exchange: Exchange, phone: Path, innocent: Path
) -> None:
    """A second pattern set turns a stored app malicious; the phone that holds it loses mail."""
    product.sekisho("simulate", "install", "--state", str(phone), str(innocent))
    check_in(product, phone)
    console.open_device(OWNER)
    console.shows("Healthy")
    with feed.running(product.home.parent / "feed") as source:
        version = publish_second_set(source.repository, product.home.parent)
        enter_source(console, source.url, source.root)
        console.page.get_by_role("button", name="Update now").click()
        console.shows(f"→ {version}")
        console.open("/apps/")
        row = console.page.locator("tr", has_text="org.example.innocent")
        row.get_by_role("link").first.click()
        console.shows("Malicious")
    console.shows(OWNER.partition("@")[0])
    console.open_device(OWNER)
    console.shows("Not compliant")
    until("the phone with the app is blocked", lambda: (MAILBOX, PHONE) in exchange.blocked())


def publish_second_set(repository: Repository, folder: Path) -> str:
    """Publish a set that knows the marker, and return its version."""
    sources = folder / "second-set"
    shutil.copytree(Path(patterns.__file__).parent / "base", sources)
    (sources / "yara" / "second.yar").write_text(SECOND_RULE, encoding="utf-8")
    archive = folder / "second.zip"
    version = f"{datetime.now(UTC):%Y.%m.%d}.7"
    pattern_set.build(sources, archive, version)
    publish.publish(repository, archive, datetime.now(UTC))
    return version


def enter_source(console: Console, url: str, root: bytes) -> None:
    console.open("/updates/")
    console.page.get_by_label("Address").fill(url)
    console.page.get_by_label("root.json", exact=True).fill(root.decode())
    console.page.get_by_role("button", name="Save the source").click()


def a_lock_is_done(product: Product, console: Console, phone: Path) -> None:
    """A lock goes through every state, each with its time."""
    console.open_device(OWNER)
    console.page.get_by_role("button", name="Lock", exact=True).click()
    console.open_device(OWNER)
    console.shows("sent")
    check_in(product, phone)
    check_in(product, phone)
    console.shows("Done")
    for state in ("queued", "sent", "acknowledged", "done"):
        assert state in console.text().lower(), state
    assert "locked" in product.sekisho("simulate", "show", "--state", str(phone)).lower()


def open_partnership(console: Console, device_id: str) -> None:
    console.open("/mail-access")
    console.page.locator("tr", has_text=device_id).get_by_role("link").first.click()


def check_in(product: Product, phone: Path) -> None:
    product.sekisho("simulate", "check-in", "--state", str(phone))
