"""Takes the pictures of the console for the documentation, from a filled database.

``.venv/bin/python tools/screenshots.py [FOLDER]`` (default ``docs/images``); needs Debian's
Chromium and the packages of requirements/test.lock. Starts its own server on a free port.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, ViewportSize, sync_playwright

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from management.access import Role  # noqa: E402
from management.administrators import service, sessions  # noqa: E402
from management.app import create_app  # noqa: E402
from management.context import Context, open_context  # noqa: E402
from management.database import Base  # noqa: E402
from management.keys import prepare  # noqa: E402
from management.settings import Settings  # noqa: E402
from management.signer_rules import Limits  # noqa: E402
from management.signer_server import running  # noqa: E402
from runtime.clock import utc_now  # noqa: E402
from tests.browser.serving import CHROMIUM, FLAGS, https  # noqa: E402
from tests.management.fleet import fill  # noqa: E402

LONG = {"device", "policy-form", "account"}
SIZE: ViewportSize = {"width": 1440, "height": 1000}


@contextmanager
def filled(folder: Path) -> Iterator[Context]:
    """Give a context on a fresh data folder, with its signer running."""
    home = folder / "home"
    home.mkdir(mode=0o700)
    prepare(home / "keys", utc_now())
    with running(home / "signer", Limits()):
        context = open_context(Settings(home=home, public_name="localhost"))
        for path in ROOT.glob("management/*/models.py"):
            import_module(f"management.{path.parent.name}.models")
        Base.metadata.create_all(context.database.engine)
        yield context
        context.database.close()


def sign_in(context: Context) -> str:
    """Return the cookie of a signed-in owner."""
    with context.database.transaction("sign in") as session:
        owner = service.add_administrator(session, "keeper", Role.OWNER, utc_now())
        return service.begin_session(session, owner, "127.0.0.1", utc_now())


def take(browser: Browser, address: str, cookie: str, pages: dict[str, str], out: Path) -> None:
    """Take each page in English light, dark, and Japanese."""
    for suffix, theme, language in (
        ("", "light", "en"),
        ("-dark", "dark", "en"),
        ("-ja", "light", "ja"),
    ):
        visit = browser.new_context(
            ignore_https_errors=True,
            viewport=SIZE,
            locale=language,
            color_scheme=theme,  # type: ignore[arg-type]
        )
        visit.add_cookies(
            [{"name": sessions.COOKIE, "value": cookie, "url": address, "secure": True}]
        )
        page = visit.new_page()
        for name, path in pages.items():
            page.goto(address + path)
            page.wait_for_load_state("networkidle")
            page.screenshot(path=out / f"{name}{suffix}.png", full_page=name in LONG)
        visit.close()


def main(out: Path) -> None:
    """Fill a database, serve it, take the pictures."""
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, filled(Path(folder)) as context:
        fleet, cookie = fill(context, utc_now()), sign_in(context)
        pages = {
            "dashboard": "/",
            "devices": "/devices",
            "device": f"/devices/{fleet.devices[0]}",
            "commands": "/commands",
            "invitation": f"/invitations/{fleet.invitation_id}",
            "invitations": "/invitations",
            "policy": f"/policies/{fleet.policy_id}",
            "policy-form": f"/policies/{fleet.policy_id}/edit",
            "relays": "/relays",
            "audit": "/audit",
            "safety": "/safety",
            "administrators": "/administrators",
            "account": "/account",
        }
        with (
            https(create_app(context), context, Path(folder)) as address,
            sync_playwright() as play,
        ):
            browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            take(browser, address, cookie, pages, out)
            browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images")
