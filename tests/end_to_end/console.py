"""What an administrator does in the console, by the words that they see."""

import re
from contextlib import suppress
from pathlib import Path

import pyotp
from playwright.sync_api import Error, Page, expect

NAME, PASSWORD = "ada", "correct horse battery staple"


class Console:
    """One administrator at one browser."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address
        self.secret = ""

    def open(self, path: str) -> None:
        self.page.goto(self.address + path)

    def set_up(self, link: str) -> None:
        """Become the first administrator."""
        self.page.goto(link)
        shown = self.page.locator(".sk-key").inner_text()
        self.secret = re.sub(r"\s", "", shown)
        self.page.get_by_label("Name").fill(NAME)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_label("Code").fill(self.code())
        self.page.get_by_role("button", name="Finish").click()
        self.page.get_by_role("link", name="I have kept them").click()
        expect(self.page.get_by_role("heading", name="Dashboard")).to_be_visible()

    def sign_in(self, code: str) -> None:
        self.open("/sign-in")
        self.page.get_by_label("Name").fill(NAME)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_label("Code").fill(code)
        self.page.get_by_role("button", name="Sign in", exact=True).click()
        expect(self.page.get_by_role("heading", name="Dashboard")).to_be_visible()

    def sign_out(self) -> None:
        self.page.get_by_role("button", name=NAME).click()
        self.page.get_by_role("button", name="Sign out").click()
        expect(self.page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()

    def code(self) -> str:
        """Return the code of this moment."""
        return pyotp.TOTP(self.secret).now()

    def invite(self, address: str, person: str) -> str:
        """Invite a person; return what the QR code says."""
        self.open("/invitations/new")
        self.page.get_by_label("Whom").fill(f"{address}; {person}")
        self.page.get_by_role("button", name="Invite").click()
        if not self.page.locator("#link").count():
            self.page.get_by_role("link", name=address).click()
        expect(self.page.locator(".sk-qr svg")).to_be_visible()
        return self.page.locator("#link").inner_text().strip()

    def open_device(self, owner: str) -> None:
        self.open("/devices/")
        self.page.locator("tr", has_text=owner).get_by_role("link").first.click()

    def upload(self, apk: Path) -> None:
        """Upload an APK and wait for its verdict."""
        self.open("/apps/")
        self.page.get_by_label("Android package (.apk)").set_input_files(apk)
        self.page.get_by_role("button", name="Upload and scan").click()
        expect(self.page.get_by_text("History of verdicts")).to_be_visible()

    def shows(self, words: str, seconds: float = 60) -> None:
        """Reload the page until it shows *words*."""
        for _ in range(int(seconds)):
            if words.lower() in self.text().lower():
                return
            self.page.wait_for_timeout(1000)
            with suppress(Error):  # the page may be loading itself anew just now
                self.page.reload()
        raise AssertionError(f"{self.page.url} does not show {words!r}:\n{self.text()}")

    def text(self) -> str:
        return self.page.locator(".page-wrapper").inner_text()
