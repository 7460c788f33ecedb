"""Each page tells who did what with its thing; pages of settings, what was before (rule 15)."""

import re
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import select

from management.access import Role
from management.administrators.models import Administrator
from management.audit.rules import HIDDEN, Change, differences, read_changes
from management.audit.service import record
from management.context import Context
from management.groups.models import ROOT_GROUP
from management.groups.service import create_group
from management.mail_access.models import Connector
from management.policies.service import ensure_default_policy
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, signed_in_client


def card(page: str, title: str) -> str:
    """Return the words of a card, without tags."""
    found = re.search(
        rf"<h2 class=.card-title.>(?:<i [^>]*></i>)?{title}</h2>(.*?)</section>", page, re.S
    )
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found[1])) if found else ""


@pytest.fixture
def policy(context: Context) -> UUID:
    with context.database.transaction("set up") as session:
        return ensure_default_policy(session, utc_now()).id


def tell(context: Context, action: str, subject: object, reason: str) -> None:
    with context.database.transaction("tell") as session:
        record(session, context.keys, "aiko", action, str(subject), reason)


def test_each_page_shows_who_did_what_with_its_thing(
    console: ConsoleClient, app: Flask, context: Context, policy: UUID
) -> None:
    with context.database.transaction("make things") as session:
        group = create_group(session, "Kyoto", ROOT_GROUP).id
        me = session.scalars(select(Administrator.id).where(Administrator.name == "keeper")).one()
    pages = {
        f"/groups/{group}": ("group.change", group),
        f"/policies/{policy}": ("policy.change", policy),
        f"/administrators/{me}": ("administrator.change_role", "keeper"),
    }
    for number, (path, (action, subject)) in enumerate(pages.items()):
        tell(context, action, subject, f"reason {number}")
        tell(context, action, uuid4(), "of another thing")
        said = card(console.get(path).text, "Activity")
        assert ("aiko", action, f"reason {number}") == tuple(
            word for word in ("aiko", action, f"reason {number}") if word in said
        )
        assert "of another thing" not in said
    helper = signed_in_client(app, context, "helper", Role.HELP_DESK)
    assert card(helper.get(f"/groups/{group}").text, "Activity") == ""  # may not read the trail


def test_pages_of_settings_show_who_changed_what_from_what_to_what(
    console: ConsoleClient, context: Context, policy: UUID
) -> None:
    form = {"schedule": "daily", "day": "1", "hour": "4", "window_minutes": "60"}
    assert console.post("/updates/schedule", data=form).status_code == 302
    console.post("/updates/schedule", data=form | {"hour": "5"})
    said = card(console.get("/updates/").text, "Last changes")
    assert "keeper" in said
    assert re.search(r"hour: 4 then 5", said)
    assert said.count("hour:") == 2

    console.post("/apps/from-devices/settings", data={"company": "on"})
    assert "company: False then True" in card(
        console.get("/apps/from-devices/settings").text, "Last changes"
    )
    console.post("/allow-list/setting", data={"unlisted": "group"})
    assert re.search(
        r"unlisted: allowed then group", card(console.get("/allow-list").text, "Last changes")
    )
    every = card(console.get("/settings").text, "Last changes")
    assert {"updates.schedule", "app.collecting", "allow_list.choose"} <= set(every.split())


def test_the_connectors_page_tells_of_each_connector(
    console: ConsoleClient, context: Context
) -> None:
    with context.database.transaction("pair one") as session:
        made = Connector(name="mail1", key={}, paired_at=utc_now(), version="1")
        session.add(made)
        session.flush()
        connector = made.id
    answer = console.post(f"/mail-access/connectors/{connector}/disable", data={"reason": "moved"})
    assert answer.status_code == 302
    page = console.get("/mail-access/connectors").text
    assert "Activity of mail1" in page
    said = card(page, "Activity")
    assert [word in said for word in ("keeper", "connector.disable", "moved")] == [True] * 3


def test_a_secret_is_never_kept_and_that_it_changed_is() -> None:
    details = differences({"smtp_password": "old", "port": 1}, {"smtp_password": "new", "port": 1})
    assert details == {"before": {"smtp_password": HIDDEN}, "after": {"smtp_password": HIDDEN}}
    assert read_changes(details) == [Change("smtp_password", HIDDEN, HIDDEN)]
    assert read_changes({"before": {"a": [1, 2]}, "after": {"a": []}}) == [Change("a", "1, 2", "")]
    assert read_changes({"version": 3}) == []
