"""A first visit: how much is sent, and that nothing moves once it is drawn."""

import pytest
from playwright.sync_api import Browser

from tests.browser.test_console import _visit, address, chromium, cookie, fleet
from tests.management.conftest import *  # noqa: F403  (the console's own fixtures)
from tests.management.fleet import Fleet

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
__all__ = ["address", "chromium", "cookie", "fleet"]
MOST_BYTES = 300_000
MOST_SHIFT = 0.02
"""0.1 counts as good (web.dev, "Cumulative Layout Shift"); ours is next to nothing."""
SHIFTS = """
window.skShifts = [];
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) {
    const moved = one.sources.map((source) => source.node?.outerHTML?.slice(0, 90));
    window.skShifts.push([one.value, moved]);
  }
}).observe({ type: "layout-shift", buffered: true });
"""


def test_a_first_visit_is_small_and_nothing_moves(
    chromium: Browser, address: str, cookie: str, fleet: Fleet
) -> None:
    device = f"/devices/{fleet.devices[0]}"
    found: list[str] = []
    for path in ("/", "/devices", device, "/policies", "/mail-access", "/jobs?by=all", "/audit"):
        visit = _visit(chromium, address, cookie, "dark", "en")
        page = visit.page
        page.add_init_script(SHIFTS)
        network = page.context.new_cdp_session(page)
        sizes: list[float] = []
        network.on(
            "Network.loadingFinished", lambda one, to=sizes: to.append(one["encodedDataLength"])
        )
        network.send("Network.enable")
        visit.open(path)
        moved = page.evaluate("window.skShifts")
        if sum(sizes) > MOST_BYTES or not sizes:
            found.append(f"{path}: {sum(sizes):.0f} bytes in {len(sizes)} answers")
        if sum(value for value, _ in moved) > MOST_SHIFT:
            found.append(f"{path} moves: {moved}")
        page.context.close()
    assert found == []
