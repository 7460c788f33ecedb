"""The walk over all pages: a number that counts things leads to its list, or is listed here."""

import re
from collections import Counter
from html import unescape
from pathlib import Path

from flask import Flask

from management.context import Context
from management.devices.models import Device
from runtime.clock import utc_now
from tests.browser import every_page
from tests.management.clients import ConsoleClient
from tests.management.fleet import fill

TEMPLATES = Path(__file__).parents[3] / "management/templates"
SHOWS = re.compile(r"\b(?:number|capped|counted)\(|ngettext\(")
LINK = re.compile(r'<a (?=[^>]*data-sk-count="(\d+)")[^>]*href="([^"]*)"')
LISTED = re.compile(r'id="sk-count">([\d,]+)')
LINKS = (("<a ", "</a>"), ("<button", "</button>"))

HERE = "the list stands on the same page"
MEASURE = "a measure or a limit: it counts nothing that a list could show"
ITSELF = "the number of the list that is shown"
PROGRESS = "how far work is"
UNLINKED: dict[str, tuple[int, str]] = {
    "administrators/recovery_left.html": (1, MEASURE),
    "administrators/roles.html": (1, "the list of administrators has no filter by role"),
    "apps/deep.html": (1, HERE),
    "apps/index.html": (3, "a size, and choices of the filter"),
    "apps/show.html": (4, HERE),
    "apps/trial.html": (7, "what a set did before it went live: named below, or kept as numbers"),
    "canary/show.html": (1, ITSELF),
    "commands/approve.html": (2, HERE),
    "commands/bulk.html": (1, "devices that were left out are kept as numbers"),
    "commands/bulk_counts.html": (2, HERE),
    "commands/bulk_draft.html": (3, HERE),
    "commands/list.html": (1, ITSELF),
    "consequences/index.html": (1, HERE),
    "devices/list.html": (1, ITSELF),
    "devices/missing.html": (1, HERE),
    "devices/numbers.html": (2, ITSELF),
    "devices/values.html": (1, HERE),
    "devices/why.html": (1, HERE),
    "directory/index.html": (1, "choices of the filter"),
    "directory/preview.html": (4, "of a file that is not imported yet; the first are named below"),
    "dry_run/progress.html": (1, PROGRESS),
    "dry_run/show.html": (
        5,
        "who stays as they are is not kept by name; verdicts and ways of management have no list",
    ),
    "enrolment/allow_list.html": (2, HERE),
    "enrolment/mail_parts.html": (1, "mails are not kept one by one"),
    "enrolment/reminders.html": (3, HERE),
    "enrolment/rows.html": (2, "the list of devices has no filter by invitation"),
    "enrolment/state.html": (2, "the list of devices has no filter by invitation"),
    "enrolment/terms.html": (2, "who agreed is on the page of each device"),
    "enrolment/unlisted_card.html": (2, "counted at one time and not kept by name"),
    "groups/show.html": (1, "the list takes the groups below along, as the linked number does"),
    "groups/move.html": (2, HERE),
    "groups/of_device.html": (1, HERE),
    "macros.html": (5, "within a chart whose legend leads on"),
    "mail_access/approve.html": (2, HERE),
    "mail_access/bulk.html": (1, HERE),
    "mail_access/connectors.html": (9, "what a connector says of itself"),
    "mail_access/list.html": (1, ITSELF),
    "mail_access/looking.html": (1, PROGRESS),
    "mail_access/settings.html": (
        1,
        "the first are named below; all would need a table of their own",
    ),
    "overview/cards.html": (4, "arguments of a macro that makes the link"),
    "policies/apple.html": (2, HERE),
    "policies/index.html": (1, HERE),
    "policies/settings.html": (1, HERE),
    "policies/show.html": (2, HERE),
    "policies/values.html": (2, MEASURE),
    "relays/delete.html": (5, "the list of devices has no filter by relay; some are named below"),
    "relays/expiry.html": (1, MEASURE),
    "relays/index.html": (4, "messages in transit are sealed; devices have no filter by relay"),
    "relays/show.html": (3, "messages in transit are sealed"),
    "updates/index.html": (3, MEASURE),
    "work/one.html": (2, PROGRESS),
}
"""Template -> how many of its numbers have no link, and why."""


def unlinked(text: str) -> int:
    """Return how many numbers of a template are no link: not by `leads`, and in no ``<a>``."""
    text = re.sub(r"\{#.*?#\}", "", text, flags=re.DOTALL)
    found = 0
    for block in re.finditer(r"\{\{(.*?)\}\}", text, re.DOTALL):
        before = text[: block.start()]
        within = any(before.rfind(start) > before.rfind(end) for start, end in LINKS)
        shows = bool(SHOWS.search(block[1]))
        found += shows and "leads(" not in block[1] and not within
    return found


def test_a_number_without_a_link_is_seen() -> None:
    assert unlinked("<td>{{ number(tally.changed) }}</td>") == 1
    assert unlinked("{{ capped(one) }} {{ ngettext('a', 'b', 2) }}") == 2
    assert unlinked('<a href="/x">{{ number(3) }}</a> {{ leads("/x", number(3)) }}') == 0
    assert unlinked('<a href="/x">x</a>{{ number(3) }}') == 1


def test_every_number_of_every_template_leads_to_its_list_or_says_why_not() -> None:
    found = Counter[str]()
    for path in TEMPLATES.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        found[path.relative_to(TEMPLATES).as_posix()] = unlinked(text)
    assert dict(+found) == {name: number for name, (number, _why) in UNLINKED.items()}


def test_every_linked_number_of_every_page_is_that_of_its_list(
    app: Flask, console: ConsoleClient, context: Context
) -> None:
    now = utc_now()
    fleet = fill(context, now, 30)
    given = every_page.fill(context, fleet, now)
    with context.database.transaction("some are in a group below") as session:
        for device in fleet.devices[4:7]:
            session.get_one(Device, device).group_id = given["group_id"]
    followed: dict[str, int] = {}
    for path in every_page.pages(app, given).values():
        page = console.get(path, headers={"HX-Request": "true"} if path == "/" else None)
        for count, href in LINK.findall(page.text):
            followed[unescape(href)] = int(count)
    assert len(followed) > 40
    assert followed[f"/devices?group={given['group_id']}&enrolment=enrolled"] == 3
    wrong = {href: number for href, number in followed.items() if listed(console, href) != number}
    assert wrong == {}


def listed(console: ConsoleClient, href: str) -> int | None:
    """Return how many things the list at *href* says that it holds."""
    found = LISTED.search(console.get(href).text)
    return int(found[1].replace(",", "")) if found else None
