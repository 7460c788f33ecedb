"""Views that one pins and opens the list with; what is deleted comes back (rules 4 and 7)."""

import re
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import select

from management.access import Role
from management.administrators.models import CustomRole
from management.allow_list import service as allow_list
from management.allow_list.models import AllowedDevice
from management.allow_list.rules import Identifiers
from management.audit.models import AuditEntry
from management.context import Context
from management.deleted import service
from management.deleted.models import DeletedThing
from management.groups.models import ROOT_GROUP, Group
from management.groups.service import create_group
from management.listing.models import SavedView
from management.policies.service import ensure_default_policy
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, signed_in_client

UNDO = {"reason": "it was needed after all"}


@pytest.fixture(autouse=True)
def _groups(context: Context) -> None:
    """The policy and the groups made at set-up."""
    with context.database.transaction("set up") as session:
        ensure_default_policy(session, utc_now())


MENU = re.compile(r'class="nav-link" href="(/devices[^"]*)"')


def save(console: ConsoleClient, context: Context, name: str, query: str, shared: str = "") -> UUID:
    console.post("/devices/views", data={"name": name, "query": query, "shared": shared})
    with context.database.reading() as session:
        return session.scalars(select(SavedView.id).where(SavedView.name == name)).one()


def test_each_administrator_pins_views_and_opens_the_list_with_one(
    console: ConsoleClient, app: Flask, context: Context
) -> None:  # rule 4
    other = signed_in_client(app, context, "other", Role.READ_ONLY)
    sick = save(console, context, "sick", "state=inactive", "yes")
    late = save(console, context, "late", "sort=contact")
    assert MENU.findall(console.get("/").text) == ["/devices"]

    console.post(f"/devices/views/{sick}/mark", data={"pinned": "yes", "opens": "yes"})
    assert MENU.findall(console.get("/").text) == ["/devices?state=inactive"] * 2
    console.post(f"/devices/views/{late}/mark", data={"opens": "yes"})
    assert MENU.findall(console.get("/").text) == [
        "/devices?sort=contact",
        "/devices?state=inactive",
    ]
    assert MENU.findall(other.get("/").text) == ["/devices"]

    every = console.get("/devices").text  # the address wins: no filter in it, none on
    assert re.search(r'href="/devices" aria-current="true">All devices', every)
    assert not re.search(r'aria-current="true">All devices', console.get("/devices?q=x").text)
    assert other.post(f"/devices/views/{late}/mark", data={"pinned": "yes"}).status_code == 404

    console.post("/devices/views", data={"name": "sick", "query": "state=inactive"})
    other.post(f"/devices/views/{sick}/mark", data={"opens": "yes"})
    assert MENU.findall(other.get("/").text) == ["/devices"]  # its owner shares it no more


def test_a_deleted_view_comes_back_pinned_and_only_to_its_owner(
    console: ConsoleClient, app: Flask, context: Context
) -> None:
    other = signed_in_client(app, context, "other", Role.OWNER)
    view = save(console, context, "mine", "state=inactive")
    console.post(f"/devices/views/{view}/mark", data={"pinned": "yes", "opens": "yes"})
    console.post(f"/devices/views/{view}/delete")
    assert MENU.findall(console.get("/").text) == ["/devices"]
    assert "mine" not in other.get("/deleted").text
    assert other.post(f"/deleted/{view}/restore", data=UNDO).status_code == 404

    assert f"/deleted/{view}/restore" in console.get("/deleted").text
    save(console, context, "mine", "state=healthy")
    assert console.post(f"/deleted/{view}/restore", data=UNDO).status_code == 409
    with context.database.transaction("free the name") as session:
        session.delete(session.scalars(select(SavedView).where(SavedView.name == "mine")).one())
    assert console.post(f"/deleted/{view}/restore", data=UNDO).status_code == 302
    assert MENU.findall(console.get("/").text) == ["/devices?state=inactive"] * 2
    assert "mine" not in console.get("/deleted").text.partition("<main")[2].partition("<table")[2]
    with context.database.reading() as session:
        told = session.scalars(select(AuditEntry).where(AuditEntry.action == "view.restore")).one()
    assert (told.actor, told.subject, told.details["name"]) == ("keeper", str(view), "mine")


def night() -> CustomRole:
    return CustomRole(
        id=uuid4(), name="Night", name_key="night", permissions=["view"], changed_at=utc_now()
    )


def made(context: Context, kind: str) -> UUID:
    with context.database.transaction("make it") as session:
        if kind == "groups":
            return create_group(session, "Kyoto", ROOT_GROUP).id
        if kind == "roles":
            role = night()
            session.add(role)
            return role.id
        allow_list.add(session, Identifiers(serial="SER-1"), "", "keeper", utc_now())
        return session.scalars(select(AllowedDevice.id)).one()


@pytest.mark.parametrize(
    ("kind", "model", "path"),
    [
        ("groups", Group, "/groups/{}/delete"),
        ("roles", CustomRole, "/roles/{}/delete"),
        ("allow_list", AllowedDevice, "/allow-list/{}/remove"),
    ],
    ids=["group", "role", "allow_list"],
)
def test_what_is_deleted_comes_back_as_it_was(
    console: ConsoleClient, context: Context, kind: str, model: type, path: str
) -> None:  # rule 7
    thing = made(context, kind)
    with context.database.reading() as session:
        before = service._written(session.get_one(model, thing))
    assert console.post(path.format(thing), data={"reason": "tidy"}).status_code in {302, 303}
    with context.database.reading() as session:
        assert session.get(model, thing) is None
    page = console.get("/deleted").text
    assert f"/deleted/{thing}/restore" in page
    assert "keeper" in page
    assert console.post(f"/deleted/{thing}/restore").status_code == 400, "no reason"
    assert console.post(f"/deleted/{thing}/restore", data=UNDO).status_code == 302
    with context.database.reading() as session:
        assert service._written(session.get_one(model, thing)) == before
        assert session.get(DeletedThing, thing) is None


def test_nothing_comes_back_that_the_rules_would_refuse_now(
    console: ConsoleClient, app: Flask, context: Context
) -> None:
    group, role, listed = (made(context, kind) for kind in ("groups", "roles", "allow_list"))
    console.post(f"/groups/{group}/delete", data={"reason": "tidy"})
    console.post(f"/roles/{role}/delete")
    console.post(f"/allow-list/{listed}/remove")
    for kind in ("groups", "allow_list"):
        made(context, kind)
    with context.database.transaction("take the name") as session:
        session.add(night())
    answers = [console.post(f"/deleted/{one}/restore", data=UNDO) for one in (group, role, listed)]
    assert [one.status_code for one in answers] == [409, 409, 409]
    helper = signed_in_client(app, context, "helper", Role.HELP_DESK)
    assert helper.post(f"/deleted/{group}/restore", data=UNDO).status_code == 404
    assert "Kyoto" not in helper.get("/deleted").text


def test_after_thirty_days_it_is_gone_for_good(console: ConsoleClient, context: Context) -> None:
    group = made(context, "groups")
    console.post(f"/groups/{group}/delete", data={"reason": "tidy"})
    with context.database.transaction("let time pass") as session:
        thing = session.get(DeletedThing, group)
        assert thing is not None
        thing.deleted_at -= timedelta(days=30)
    assert "Kyoto" not in console.get("/deleted").text
    assert console.post(f"/deleted/{group}/restore", data=UNDO).status_code == 404
    with context.database.transaction("forget") as session:
        service.forget(session, utc_now())
        assert session.get(DeletedThing, group) is None
