"""Policies that nothing uses can be deleted, and come back."""

import re
from datetime import timedelta
from uuid import UUID

import pytest
from flask import Flask

from management.access import Role
from management.compliance.explaining import explain
from management.context import Context
from management.enrolment.service import invite
from management.groups.models import ROOT_GROUP
from management.groups.queries import get_group
from management.groups.service import create_group, give_own_policy
from management.policies.queries import get_policy, list_policies
from management.policies.rules import Requirements
from management.policies.service import change_policy, create_policy
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, api_client
from tests.management.fleet import Fleet, fill

WHY = {"because": "test"}


@pytest.fixture
def fleet(context: Context) -> Fleet:
    return fill(context, utc_now(), 3)


@pytest.fixture
def owner(app: Flask, context: Context) -> ConsoleClient:
    return api_client(app, context, "program", Role.OWNER)


@pytest.fixture
def strict(context: Context, fleet: Fleet) -> UUID:
    with context.database.transaction("make a policy") as session:
        made = create_policy(session, "Strict", Requirements(), {}, "keeper", "test", utc_now())
        return made.id


def names(context: Context) -> list[str]:
    with context.database.reading() as session:
        return [one.name for one in list_policies(session) if one.name in ("Standard", "Strict")]


def test_a_policy_that_a_group_uses_stays_and_the_group_is_named(
    context: Context, owner: ConsoleClient, strict: UUID
) -> None:
    with context.database.transaction("give it to a group") as session:
        group = create_group(session, "Field", ROOT_GROUP)
        get_group(session, group.id).ios_policy_id = strict

    answer = owner.post(f"/api/v1/policies/{strict}/delete", json=WHY)

    assert answer.status_code == 409
    assert "groups Field" in answer.get_json()["detail"]
    assert "Strict" in names(context)


def test_devices_invitations_and_children_keep_it_too(
    context: Context, owner: ConsoleClient, strict: UUID, fleet: Fleet
) -> None:
    now = utc_now()
    with context.database.transaction("use it") as session:
        give_own_policy(session, fleet.devices[0], strict, "keeper", now)
        a_day = timedelta(days=1)
        invite(session, context.keys, "a@example.org", "A", strict, a_day, "keeper", now)

    detail = owner.post(f"/api/v1/policies/{strict}/delete", json=WHY).get_json()["detail"]

    assert "1 devices" in detail
    assert "1 open invitations" in detail


def test_a_deleted_policy_is_given_to_nobody_and_comes_back(
    context: Context, owner: ConsoleClient, strict: UUID, fleet: Fleet
) -> None:
    gone = owner.post(f"/api/v1/policies/{strict}/delete", json=WHY).get_json()
    assert (gone["is_deleted"], names(context)) == (True, ["Standard"])

    place = {"group_id": str(ROOT_GROUP), "policy_id": str(strict), **WHY}
    refused = owner.put(f"/api/v1/devices/{fleet.devices[0]}/policy", json=place)
    assert "was deleted" in refused.get_json()["detail"]
    change = {"requirements": {}, **WHY}
    assert owner.put(f"/api/v1/policies/{strict}/requirements", json=change).status_code == 409

    again = owner.post(f"/api/v1/policies/{strict}/restore", json=WHY).get_json()
    assert (again["name"], again["is_deleted"]) == ("Strict", False)
    assert owner.put(f"/api/v1/devices/{fleet.devices[0]}/policy", json=place).status_code == 200


def test_a_long_name_comes_back_whole(context: Context, owner: ConsoleClient) -> None:
    long = "x" * 100
    with context.database.transaction("make a policy") as session:
        made = create_policy(session, long, Requirements(), {}, "keeper", "test", utc_now()).id

    gone = owner.post(f"/api/v1/policies/{made}/delete", json=WHY).get_json()
    again = owner.post(f"/api/v1/policies/{made}/restore", json=WHY).get_json()

    assert gone["name"] == f"{long} (deleted {made.hex[:8]})"
    assert again["name"] == long


def test_the_name_is_free_and_the_first_waits_until_it_is_again(
    context: Context, owner: ConsoleClient, strict: UUID
) -> None:
    owner.post(f"/api/v1/policies/{strict}/delete", json=WHY)
    with context.database.transaction("make another") as session:
        create_policy(session, "Strict", Requirements(), {}, "keeper", "test", utc_now())

    refused = owner.post(f"/api/v1/policies/{strict}/restore", json=WHY)

    assert "policy called Strict meanwhile" in refused.get_json()["detail"]


def test_the_past_is_told_with_a_deleted_policy(
    context: Context, owner: ConsoleClient, strict: UUID, fleet: Fleet
) -> None:
    device, start = fleet.devices[0], utc_now()
    with context.database.transaction("give and take") as session:
        give_own_policy(session, device, strict, "keeper", start)
        give_own_policy(session, device, None, "keeper", start + timedelta(seconds=2))
    assert owner.post(f"/api/v1/policies/{strict}/delete", json=WHY).status_code == 200

    with context.database.reading() as session:
        then = explain(session, device, start + timedelta(seconds=1), start + timedelta(days=1))
    assert then.asked.name.startswith("Strict (deleted")


def test_the_console_deletes_and_restores(
    context: Context, console: ConsoleClient, strict: UUID
) -> None:
    page = console.get(f"/policies/{strict}")
    assert "Nothing uses it." in page.text
    console.post(f"/policies/{strict}/delete", data=WHY)
    assert names(context) == ["Standard"]
    assert "1 deleted policy" in console.get("/policies").text
    assert "This policy was deleted" in console.get(f"/policies/{strict}").text

    assert console.post(f"/policies/{strict}/restore").status_code == 400, "no reason"
    console.post(f"/policies/{strict}/restore", data=WHY)

    assert names(context) == ["Standard", "Strict"]


def test_the_policy_of_the_set_up_stays(owner: ConsoleClient, fleet: Fleet) -> None:
    answer = owner.post(f"/api/v1/policies/{fleet.policy_id}/delete", json=WHY)
    assert "stays" in answer.get_json()["detail"]


# --- forms that somebody else overtook ---


def _hidden(page: str) -> str:
    found = re.search(r'name="based_on" value="([^"]*)"', page)
    assert found is not None
    return found[1]


def test_a_form_that_was_overtaken_shows_the_other_change_and_keeps_what_was_typed(
    context: Context, console: ConsoleClient, strict: UUID
) -> None:
    old = _hidden(console.get(f"/policies/{strict}/edit").text)
    with context.database.transaction("somebody else") as session:
        other = Requirements(encrypted=False)
        change_policy(session, strict, other, {}, "Grace", "old models", utc_now())
    typed = {"name": "Mine", "because": "my reason", "based_on": old, "not_rooted": "yes"}
    typed |= {"maximum_silence": "5", "inactive_after": "30"}

    stale = console.post(f"/policies/{strict}", data=typed)

    assert stale.status_code == 422
    assert "Somebody changed this policy meanwhile" in stale.text
    assert "old models" in stale.text
    assert 'value="Mine"' in stale.text
    with context.database.reading() as session:
        assert get_policy(session, strict).name == "Strict"
    saved = console.post(f"/policies/{strict}", data={**typed, "based_on": _hidden(stale.text)})
    assert saved.status_code == 302
    with context.database.reading() as session:
        assert get_policy(session, strict).name == "Mine"


def test_a_groups_form_that_was_overtaken_is_shown_again(
    context: Context, console: ConsoleClient, strict: UUID
) -> None:
    page = f"/groups/{ROOT_GROUP}"
    old, policy = _hidden(console.get(page).text), str(strict)
    form = {"name": "Mine", "android": policy, "ios": policy, "reason": "x", "based_on": old}
    assert console.post(page, data={**form, "name": "Theirs"}).status_code == 302

    stale = console.post(page, data=form)

    assert stale.status_code == 422
    assert "Somebody changed this group meanwhile" in stale.text
    assert "Theirs" in stale.text
    assert 'value="Mine"' in stale.text
    again = console.post(page, data={**form, "based_on": _hidden(stale.text)})
    assert again.status_code == 302
    with context.database.reading() as session:
        assert get_group(session, ROOT_GROUP).name == "Mine"
