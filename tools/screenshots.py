"""Takes the screenshots of the documentation from the demonstration's data.

python tools/screenshots.py               starts the demonstration in a temporary folder (minutes)
python tools/screenshots.py FOLDER PORT   takes them from one that runs already
"""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from management.access import Role
from management.administrators.queries import find_administrator
from management.administrators.service import add_administrator, begin_session
from management.administrators.sessions import COOKIE
from management.context import open_context
from management.settings import Settings
from runtime import settings
from runtime.clock import utc_now
from tools.generated import ROOT

TARGET = ROOT / "docs/images"
CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--hide-scrollbars"]
FILLED = "the console is filled"
MOST_BYTES = 3_500_000
NAME = "keeper"
PORTS = (
    "PORT",
    "DEVICES_PORT",
    "LINK_PORT",
    "JOBS_HEALTH_PORT",
    "SIGNER_HEALTH_PORT",
    "COMMUNICATION_HTTP_PORT",
    "COMMUNICATION_HEALTH_PORT",
    "CONNECTOR_HEALTH_PORT",
)


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture."""

    name: str
    path: str
    theme: str = "light"
    language: str = "en"
    follow: str = ""
    """Selector of a link that leads on from *path*."""
    height: int = 900


SHOTS = (
    Shot("dashboard", "/"),
    Shot("dashboard-dark", "/", "dark"),
    Shot("devices", "/devices"),
    Shot("devices-dark", "/devices", "dark"),
    Shot("devices-ja", "/devices", "light", "ja"),
    Shot("device", "/devices?state=non_compliant", follow="#sk-rows tr a", height=1100),
    Shot("device-dark", "/devices?state=non_compliant", "dark", follow="#sk-rows tr a"),
    Shot("app", "/apps/?verdict=malicious", follow="tbody tr a"),
    Shot("app-dark", "/apps/?verdict=malicious", "dark", follow="tbody tr a", height=1100),
    Shot("policy", "/policies", follow="tbody tr a"),
    Shot("policy-dark", "/policies", "dark", follow="tbody tr a"),
    Shot("mail-access", "/mail-access"),
    Shot("mail-access-dark", "/mail-access", "dark"),
    Shot("audit", "/audit"),
    Shot("audit-dark", "/audit", "dark"),
    Shot("jobs", "/jobs?by=server"),
    Shot("jobs-dark", "/jobs?by=server", "dark"),
)


def main() -> int:
    """Take all; exit status 1 when they are too large together."""
    if len(sys.argv) > 2:
        take_all(Path(sys.argv[1]).absolute(), int(sys.argv[2]))
    else:
        with demonstration() as (folder, port):
            take_all(folder, port)
    size = sum(path.stat().st_size for path in TARGET.glob("*.png"))
    print(f"{size / 1000:.0f} kB in {TARGET.relative_to(ROOT)}")
    return 1 if size > MOST_BYTES else 0


@contextmanager
def demonstration() -> Iterator[tuple[Path, int]]:
    """Run `sekisho demo` on free ports until its console is filled; give data folder and port."""
    ports = dict(zip(PORTS, _free(len(PORTS)), strict=True))
    with tempfile.TemporaryDirectory() as name:
        own = {f"SEKISHO_{key}": str(port) for key, port in ports.items()}
        process = subprocess.Popen(
            [sys.executable, "-m", "sekisho", "demo"],
            env={**os.environ, **own, "SEKISHO_HOME": f"{name}/demo"},
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        try:
            _wait_until_filled(process)
            yield Path(name) / "demo", ports["PORT"]
        finally:
            process.terminate()
            process.wait(120)


def _wait_until_filled(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        if FILLED in line:
            return
    raise SystemExit("The demonstration ended before its console was filled.")


def take_all(folder: Path, port: int) -> None:
    """Take every picture from the server on *port* whose data is in *folder*."""
    TARGET.mkdir(exist_ok=True)
    cookie = _sign_in(folder)
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for shot in SHOTS:
            _take(browser, f"https://localhost:{port}", cookie, shot)
        browser.close()


def _take(browser: Browser, base: str, cookie: str, shot: Shot) -> None:
    context = browser.new_context(
        ignore_https_errors=True,
        locale=shot.language,
        timezone_id="Asia/Tokyo" if shot.language == "ja" else "UTC",
        color_scheme="dark" if shot.theme == "dark" else "light",
        viewport={"width": 1280, "height": shot.height},
    )
    context.add_cookies([{"name": COOKIE, "value": cookie, "url": base, "secure": True}])
    page = context.new_page()
    page.set_default_timeout(120_000)
    _open(page, base + shot.path)  # once for the time zone, which the page tells the server
    _open(page, base + shot.path)
    if shot.follow:
        while not page.locator(shot.follow).count():  # the new patterns still judge the apps
            page.wait_for_timeout(3000)
            page.reload()
        page.locator(shot.follow).first.click()
        page.wait_for_load_state("networkidle")
    page.screenshot(path=TARGET / f"{shot.name}.png", animations="disabled")
    context.close()
    print(shot.name, flush=True)


def _open(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_load_state("networkidle")


def _sign_in(folder: Path) -> str:
    """Return the session cookie of an administrator made for the pictures."""
    context = open_context(settings.load(Settings, environment={}, home=folder))
    with context.database.transaction("sign in for screenshots") as session:
        keeper = find_administrator(session, NAME) or add_administrator(
            session, NAME, Role.OWNER, utc_now()
        )
        session.flush()
        cookie = begin_session(session, keeper, "127.0.0.1", utc_now())
    context.database.close()
    return cookie


def _free(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


if __name__ == "__main__":
    sys.exit(main())
