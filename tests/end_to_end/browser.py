"""Debian's Chromium, as an administrator would use it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.servers import needs

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Chromium without a screen."""
    path = needs.program("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def new_page(browser: Browser, folder: Path | None = None) -> Iterator[Page]:
    """Open a page that takes our CA's certificate; fail at the end if the page complained."""
    context = browser.new_context(ignore_https_errors=True, locale="en-GB", timezone_id="UTC")
    context.set_default_timeout(30_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield page
        if folder is not None:  # of use when the test failed
            page.screenshot(path=folder / "last.png", full_page=True)
    finally:
        context.close()
    unexpected = [text for text in complaints if "status of 4" not in text]
    assert not unexpected, unexpected
