"""Nothing is done twice and no change is lost: Idempotency-Key, ETag, pages of every list."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import select, update

from management.access import Role
from management.administrators.models import Administrator, SignInFailure
from management.api.models import ApiAnswer
from management.api.operations import OPERATION, Operation
from management.api.work import forget
from management.context import Context
from management.enrolment.models import Invitation
from management.groups.models import ROOT_GROUP
from management.policies.rules import Requirements
from management.policies.service import create_policy
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, api_client, own_code
from tests.management.fleet import Fleet, fill

INVITE = {"address": "aoi@example.org", "days": 3}


@pytest.fixture
def fleet(context: Context) -> Fleet:
    return fill(context, utc_now(), 3)


@pytest.fixture
def owner(app: Flask, context: Context) -> ConsoleClient:
    return api_client(app, context, "program", Role.OWNER)


def operations(app: Flask) -> Iterator[Operation]:
    for view in app.view_functions.values():
        found = getattr(view, OPERATION, None)
        if found is not None:
            yield found


def invitations(context: Context) -> int:
    with context.database.reading() as session:
        mine = select(Invitation).where(Invitation.address == INVITE["address"])
        return len(session.scalars(mine).all())


# --- every operation ---


def test_every_list_is_paged(app: Flask) -> None:
    unpaged = {
        one.rule
        for one in operations(app)
        if one.method == "GET"
        and "items" in getattr(one.answer, "__dataclass_fields__", {})
        and not (
            "next" in one.answer.__dataclass_fields__
            and {"after", "limit"} <= set(getattr(one.query, "__dataclass_fields__", {}))
        )
    }
    assert unpaged == set()


def test_every_post_takes_a_key_and_every_change_of_an_object_a_version(
    app: Flask, visitor: ConsoleClient
) -> None:
    documented = visitor.get("/api/v1/openapi.json").get_json()["paths"]
    without_version = set()
    for path, methods in documented.items():
        for method, said in methods.items():
            headers = {one["name"] for one in said["parameters"] if one["in"] == "header"}
            assert ("Idempotency-Key" in headers) == (method == "post"), path
            if method in {"put", "delete"} and "If-Match" not in headers:
                without_version.add((method, path))
            if "If-Match" in headers:
                assert "412" in said["responses"], path
    assert without_version == set()


# --- Idempotency-Key ---


def test_a_repeated_post_is_done_once_and_answered_alike(
    owner: ConsoleClient, context: Context, fleet: Fleet
) -> None:
    key = {"Idempotency-Key": f'"{uuid4()}"'}
    first = owner.post("/api/v1/invitations", json=INVITE, headers=key)
    again = owner.post("/api/v1/invitations", json=INVITE, headers=key)

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.get_json() == again.get_json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert invitations(context) == 1
    with context.database.reading() as session:
        (kept,) = session.scalars(select(ApiAnswer)).all()
    assert first.get_json()["key"] not in kept.answer


def test_an_answer_that_holds_a_secret_is_kept_for_nobody(
    owner: ConsoleClient, context: Context
) -> None:
    key = {"Idempotency-Key": "one"}
    draft = {"name": "Hanako", "role": "operator", "code": own_code(context, "program")}
    first = owner.post("/api/v1/administrators", json=draft, headers=key)
    again = owner.post("/api/v1/administrators", json=draft, headers=key)

    assert (first.status_code, again.status_code) == (201, 409)
    assert "shown once" in again.get_json()["detail"]
    assert "link" not in again.get_json()
    with context.database.reading() as session:
        (kept,) = session.scalars(select(ApiAnswer)).all()
        assert (kept.status, kept.answer) == (201, "")


def test_links_codes_passwords_and_secret_profiles_are_among_those(app: Flask) -> None:
    assert {one.name for one in operations(app) if one.answers_secret} == {
        "add_administrator",
        "add_user",
        "make_apple_profile_with_secrets",
        "make_connector_code",
        "new_password",
        "recover_administrator",
    }


def test_the_key_with_another_request_is_refused(
    owner: ConsoleClient, context: Context, fleet: Fleet
) -> None:
    key = {"Idempotency-Key": "one"}
    owner.post("/api/v1/invitations", json=INVITE, headers=key)
    other = owner.post("/api/v1/invitations", json={**INVITE, "days": 4}, headers=key)

    assert (other.status_code, invitations(context)) == (422, 1)
    assert other.mimetype == "application/problem+json"


def test_a_refused_request_may_be_tried_again_under_its_key(
    owner: ConsoleClient, context: Context, fleet: Fleet
) -> None:
    key = {"Idempotency-Key": "one"}
    wrong = {**INVITE, "policy_id": str(uuid4())}
    assert owner.post("/api/v1/invitations", json=wrong, headers=key).status_code == 404
    assert owner.post("/api/v1/invitations", json=INVITE, headers=key).status_code == 201


def test_a_wrong_code_does_not_use_up_the_key(owner: ConsoleClient, context: Context) -> None:
    """Its failure is noted, but what was asked for is not done."""
    key = {"Idempotency-Key": "one"}
    draft = {"name": "Sales", "permissions": ["view"], "code": "000000"}
    context.signer.begin_totp(whose(context, "program"), "program")
    tries = [owner.post("/api/v1/roles", json=draft, headers=key) for _ in range(2)]

    assert [one.status_code for one in tries] == [403, 403]
    with context.database.reading() as session:
        assert session.scalars(select(SignInFailure)).all() != []
        assert session.scalars(select(ApiAnswer)).all() == []


def whose(context: Context, name: str) -> UUID:
    with context.database.reading() as session:
        return session.scalars(select(Administrator.id).where(Administrator.name == name)).one()


def test_keys_belong_to_who_sends_them(
    app: Flask, owner: ConsoleClient, context: Context, fleet: Fleet
) -> None:
    other = api_client(app, context, "another", Role.OWNER)
    key = {"Idempotency-Key": "one"}
    for client in owner, other:
        assert client.post("/api/v1/invitations", json=INVITE, headers=key).status_code == 201
    assert invitations(context) == 2


def test_done_without_a_kept_answer_is_said_and_not_done_again(
    owner: ConsoleClient, context: Context, fleet: Fleet
) -> None:
    """As after a crash between the change and the answer."""
    key = {"Idempotency-Key": "one"}
    owner.post("/api/v1/invitations", json=INVITE, headers=key)
    with context.database.transaction("lose the answer") as session:
        session.execute(update(ApiAnswer).values(status=0, answer=""))

    again = owner.post("/api/v1/invitations", json=INVITE, headers=key)

    assert (again.status_code, invitations(context)) == (409, 1)
    assert "Look at the result" in again.get_json()["detail"]


def test_a_key_is_forgotten_after_a_day(
    owner: ConsoleClient, context: Context, fleet: Fleet
) -> None:
    key = {"Idempotency-Key": "one"}
    owner.post("/api/v1/invitations", json=INVITE, headers=key)
    with context.database.transaction("a day passes") as session:
        session.execute(update(ApiAnswer).values(made_at=utc_now() - timedelta(days=1)))

    assert owner.post("/api/v1/invitations", json=INVITE, headers=key).status_code == 201
    assert invitations(context) == 2
    with context.database.transaction("another day passes") as session:
        session.execute(update(ApiAnswer).values(made_at=utc_now() - timedelta(days=1)))
    forget(context, {}, lambda said: None)
    with context.database.reading() as session:
        assert session.scalars(select(ApiAnswer)).all() == []


@pytest.mark.parametrize("key", ["", "two words", "x" * 256], ids=["empty", "space", "long"])
def test_a_key_that_is_none_is_refused(owner: ConsoleClient, fleet: Fleet, key: str) -> None:
    answer = owner.post("/api/v1/invitations", json=INVITE, headers={"Idempotency-Key": key})
    assert answer.status_code == 400


@pytest.mark.timeout(300)
def test_many_at_once_with_one_key_do_it_once(
    app: Flask, owner: ConsoleClient, context: Context, fleet: Fleet
) -> None:
    token = owner.environ_base["HTTP_AUTHORIZATION"]
    statuses: list[int] = []

    def send() -> None:
        client = app.test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = token
        headers = {"Idempotency-Key": "storm", "X-CSRFToken": ""}
        found = client.post("/api/v1/invitations", json=INVITE, headers=headers, forged=True)
        statuses.append(found.status_code)

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)

    assert set(statuses) <= {201, 409}
    assert (len(statuses), 201 in statuses, invitations(context)) == (6, True, 1)


# --- versions ---


def test_a_change_on_what_was_read_passes_and_a_stale_one_does_not(
    owner: ConsoleClient, fleet: Fleet
) -> None:
    address = f"/api/v1/policies/{fleet.policy_id}"
    read = owner.get(address).headers["ETag"]
    change: dict[str, Any] = {"requirements": {"not_rooted": False}, "because": "test"}
    made = owner.put(f"{address}/requirements", json=change, headers={"If-Match": read})
    assert made.status_code == 200
    assert made.headers["ETag"] == owner.get(address).headers["ETag"] != read

    change["requirements"]["encrypted"] = False
    stale = owner.put(f"{address}/requirements", json=change, headers={"If-Match": read})

    assert stale.status_code == 412
    assert "Somebody changed this" in stale.get_json()["detail"]
    now = owner.get(address).get_json()
    assert (now["version"], now["requirements"]["encrypted"]) == (made.get_json()["version"], True)


def test_groups_settings_and_devices_have_versions(owner: ConsoleClient, fleet: Fleet) -> None:
    group = f"/api/v1/groups/{ROOT_GROUP}"
    policy = str(fleet.policy_id)
    change: dict[str, Any] = {
        "name": "Everybody",
        "android_policy_id": policy,
        "ios_policy_id": policy,
    }
    change["parent_id"] = None
    read = owner.get(group).headers["ETag"]
    guard = {"If-Match": read}
    assert owner.put(group, json={**change, "because": "x"}, headers=guard).status_code == 200
    assert owner.put(group, json={**change, "because": "x"}, headers=guard).status_code == 412

    for address, body in {
        "/api/v1/enforcement": {"paused": False, "because": "x"},
        f"/api/v1/policies/{policy}/settings": {"settings": {}, "because": "x"},
    }.items():
        stale = owner.put(address, json=body, headers={"If-Match": '"old"'})
        assert stale.status_code == 412, address
        now = owner.get(address).headers["ETag"]
        assert owner.put(address, json=body, headers={"If-Match": now}).status_code == 200


def test_what_the_caller_has_already_is_not_sent_again(owner: ConsoleClient, fleet: Fleet) -> None:
    address = f"/api/v1/policies/{fleet.policy_id}"
    etag = owner.get(address).headers["ETag"]
    again = owner.get(address, headers={"If-None-Match": f'W/"x", W/{etag}'})
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize("said", ["nonsense", '"a" "b"', ""], ids=["bare", "two", "empty"])
def test_a_condition_that_is_none_is_refused(owner: ConsoleClient, fleet: Fleet, said: str) -> None:
    body = {"requirements": {}, "because": "test"}
    address = f"/api/v1/policies/{fleet.policy_id}/requirements"
    assert owner.put(address, json=body, headers={"If-Match": said}).status_code == 400


@pytest.mark.timeout(300)
def test_of_changes_on_the_same_version_one_wins(
    app: Flask, owner: ConsoleClient, fleet: Fleet
) -> None:
    address = f"/api/v1/policies/{fleet.policy_id}"
    read = owner.get(address).headers["ETag"]
    token = owner.environ_base["HTTP_AUTHORIZATION"]
    statuses: list[int] = []

    def change(days: int) -> None:
        client = app.test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = token
        body = {"requirements": {"maximum_silence_seconds": days * 86_400}, "because": "race"}
        found = client.put(
            f"{address}/requirements", json=body, headers={"If-Match": read}, forged=True
        )
        statuses.append(found.status_code)

    threads = [threading.Thread(target=change, args=(4 + day,)) for day in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)

    assert sorted(statuses) == [200, 412, 412, 412, 412]


# --- pages ---


def test_a_bounded_list_pages_through_all_once(
    owner: ConsoleClient, context: Context, fleet: Fleet
) -> None:
    with context.database.transaction("make policies") as session:
        for number in range(7):
            create_policy(session, f"P{number}", Requirements(), {}, "keeper", "test", utc_now())
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = owner.get(f"/api/v1/policies?limit=3&after={after}").get_json()
        assert len(page["items"]) <= 3
        seen += [item["name"] for item in page["items"]]
        after = page["next"]
    assert len(seen) == len(set(seen)) == 9
    assert seen[:7] == [f"P{number}" for number in range(7)]


def test_a_page_after_something_that_is_gone_is_not_found(
    owner: ConsoleClient, fleet: Fleet
) -> None:
    from management.paging import write_cursor

    place = write_cursor(UUID(int=5))
    assert owner.get(f"/api/v1/policies?after={place}").status_code == 404
