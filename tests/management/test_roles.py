"""Roles from named permissions, who may give what, and proving again who one is."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pyotp
import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from management.access import PERMISSIONS_OF, Permission, Role
from management.administrators import rules
from management.administrators.models import Administrator, AdminSession, CustomRole
from management.audit.models import AuditEntry
from management.context import Context
from management.policies.service import ensure_default_policy
from management.words import PERMISSIONS, ROLES
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, api_client, signed_in_client
from tests.management.scoped import limit_to

ROOT = UUID(int=1)


@pytest.fixture(autouse=True)
def _groups(context: Context) -> None:
    with context.database.transaction("set up") as session:
        ensure_default_policy(session, utc_now())


def person(session: Session, name: str) -> Administrator:
    """Return an administrator as they are now."""
    session.rollback()
    found = session.scalars(select(Administrator).where(Administrator.name == name)).one()
    session.refresh(found)
    return found


def make_role(client: ConsoleClient, name: str, *permissions: str) -> Any:
    return client.post("/roles", data={"name": name, "permission": ["view", *permissions]})


def role_id(session: Session, name: str) -> UUID:
    session.rollback()
    return session.scalars(select(CustomRole.id).where(CustomRole.name == name)).one()


def give(client: ConsoleClient, who: Administrator, role: object, **more: Any) -> int:
    form = {"role": str(role), "sees": "all", **more}
    return client.post(f"/administrators/{who.id}/role", data=form).status_code


def test_every_permission_and_role_has_its_words() -> None:
    assert set(PERMISSIONS) == set(Permission)
    assert set(ROLES) == set(Role)


def test_help_desk_destroys_nothing_and_read_only_changes_nothing() -> None:
    assert PERMISSIONS_OF[Role.HELP_DESK] == {Permission.VIEW, Permission.SEND_COMMANDS}
    assert PERMISSIONS_OF[Role.READ_ONLY] == {Permission.VIEW, Permission.READ_AUDIT}


def test_a_role_is_made_given_changed_and_holds_at_once(
    app: Flask, context: Context, session: Session, console: ConsoleClient
) -> None:
    other = signed_in_client(app, context, "mika", Role.READ_ONLY)
    assert make_role(console, "監査 Auditors", "read_audit").status_code == 302
    made = role_id(session, "監査 Auditors")
    assert give(console, person(session, "mika"), made) == 302
    assert other.get("/audit").status_code == 200
    assert other.get("/invitations/new").status_code == 403
    form = {"name": "監査 Auditors", "permission": ["view", "invite"]}
    assert console.post(f"/roles/{made}", data=form).status_code == 302
    assert other.get("/audit").status_code == 403
    assert other.get("/invitations/new").status_code == 200
    session.rollback()
    entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "role.change")).one()
    assert entry.details["before"]["permissions"] == ["read_audit", "view"]
    assert entry.details["after"]["permissions"] == ["invite", "view"]


def test_a_token_follows_a_change_at_once(
    app: Flask, context: Context, session: Session, console: ConsoleClient
) -> None:
    program = api_client(app, context, "robot", Role.READ_ONLY)
    assert program.get("/api/v1/audit").status_code == 200
    assert give(console, person(session, "robot"), "help_desk") == 302
    assert program.get("/api/v1/audit").status_code == 403
    session.rollback()
    before = session.scalars(
        select(AuditEntry).where(AuditEntry.action == "administrator.change_role")
    ).one()
    assert before.details["before"] == {"role": "read_only", "groups": None}
    assert before.details["after"] == {"role": "help_desk", "groups": None}


def test_a_role_that_somebody_has_is_not_deleted(
    app: Flask, context: Context, session: Session, console: ConsoleClient
) -> None:
    signed_in_client(app, context, "mika", Role.READ_ONLY)
    make_role(console, "Sales")
    made = role_id(session, "Sales")
    give(console, person(session, "mika"), made)
    assert console.post(f"/roles/{made}/delete").status_code == 409
    give(console, person(session, "mika"), "operator")
    assert console.post(f"/roles/{made}/delete").status_code == 302
    assert console.get(f"/roles/{made}").status_code == 404


@pytest.mark.parametrize("name", ["owner", "SALES", "Ｓales", " ", "x", "a\u200bb\n"])
def test_names_of_roles_that_look_like_another_are_refused(
    console: ConsoleClient, name: str
) -> None:
    assert make_role(console, "Sales").status_code == 302
    assert make_role(console, name).status_code in (409, 422)


def test_a_role_without_seeing_is_refused(console: ConsoleClient) -> None:
    answer = console.post("/roles", data={"name": "Blind", "permission": ["invite"]})
    assert answer.status_code == 422
    assert console.post("/roles", data={"name": "Odd", "permission": "fly"}).status_code == 400


def test_nobody_gives_or_takes_what_they_do_not_hold(
    app: Flask, context: Context, session: Session, console: ConsoleClient
) -> None:
    make_role(console, "Deputy", "manage_administrators", "invite")
    deputy = signed_in_client(app, context, "deputy", Role.READ_ONLY)
    signed_in_client(app, context, "mika", Role.READ_ONLY)
    give(console, person(session, "deputy"), role_id(session, "Deputy"))
    make_role(console, "Wipers", "wipe_devices")
    wipers = role_id(session, "Wipers")
    mika, keeper = person(session, "mika"), person(session, "keeper")
    assert make_role(deputy, "Mine", "wipe_devices").status_code == 403
    assert give(deputy, mika, wipers) == 403, "more than the deputy holds"
    assert give(console, mika, "invite") == 404
    form = {"name": "Wipers", "permission": ["view"]}
    assert deputy.post(f"/roles/{wipers}", data=form).status_code == 403
    assert deputy.post(f"/roles/{wipers}/delete").status_code == 403
    for path in ("role", "access", "recover"):
        answer = deputy.post(f"/administrators/{keeper.id}/{path}", data={"role": "read_only"})
        assert answer.status_code == 403, path
    assert deputy.post("/administrators", data={"name": "new", "role": "owner"}).status_code == 403
    assert make_role(deputy, "Guests", "invite").status_code == 302
    assert person(session, "keeper").role == "owner"


def test_an_owner_who_sees_all_devices_is_always_left(
    app: Flask, context: Context, session: Session, console: ConsoleClient
) -> None:
    second = signed_in_client(app, context, "second", Role.OWNER)
    keeper = person(session, "keeper")
    assert give(second, keeper, "owner", sees="groups") == 302, "the second one is left"
    assert console.get("/administrators").status_code == 403
    with context.database.transaction("recover") as writing:
        writing.get_one(Administrator, keeper.id).limited = False
    assert give(console, person(session, "second"), "owner", sees="groups") == 302
    with context.database.transaction("third") as writing:
        third = writing.scalars(select(Administrator).where(Administrator.name == "second")).one()
        third.limited, third.role = False, Role.ADMINISTRATOR.value
    manager = signed_in_client(app, context, "manager", Role.OWNER)
    assert give(console, person(session, "manager"), "read_only") == 302
    assert manager.get("/administrators").status_code == 403
    assert give(console, keeper, "read_only") == 409, "nobody changes their own role"


def test_the_only_owner_keeps_the_role(
    app: Flask, context: Context, session: Session, console: ConsoleClient
) -> None:
    make_role(console, "All", *(one.value for one in Permission if one != Permission.VIEW))
    other = signed_in_client(app, context, "other", Role.READ_ONLY)
    give(console, person(session, "other"), role_id(session, "All"))
    keeper = person(session, "keeper")
    assert give(other, keeper, "administrator") == 409
    assert give(other, keeper, "owner", sees="groups") == 409
    access = f"/administrators/{keeper.id}/access"
    assert other.post(access, data={"enable": "no"}).status_code == 409
    assert person(session, "keeper").disabled_at is None


def test_groups_are_chosen_and_told(
    app: Flask, context: Context, session: Session, console: ConsoleClient
) -> None:
    other = signed_in_client(app, context, "mika", Role.ADMINISTRATOR)
    mika = person(session, "mika")
    strange = "12345678-1234-4234-8234-123456789abc"
    assert give(console, mika, "operator", sees="groups", group=[strange]) == 404
    assert give(console, mika, "operator", sees="groups", group=[]) == 302
    assert other.get("/relays").status_code == 403
    menu = other.get("/").text
    assert 'href="/devices"' in menu
    assert 'href="/relays"' not in menu
    assert "None: no group is chosen" in console.get("/administrators").text


# --- proving again who one is ---


def grow_old(context: Context, by: timedelta) -> None:
    """Let all proofs be made earlier."""
    with context.database.transaction("wait") as session:
        for row in session.scalars(select(AdminSession)):
            row.data = {**row.data, "proved_at": row.data["proved_at"] - int(by.total_seconds())}


def code_of(context: Context, session: Session, name: str) -> str:
    """Let the administrator's app know a seed and return what it shows now."""
    owner = person(session, name)
    uri = context.signer.begin_totp(owner.id, name)
    return pyotp.parse_uri(uri).now()  # type: ignore[attr-defined, no-any-return]


DOORS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/account/tokens", {"name": "robot"}),
    ("/account/passkeys", {"passkey_name": "x", "credential": "{}"}),
    ("/account/passkeys/proof", {}),
    ("/account/passkeys/x/remove", {}),
    ("/roles", {"name": "Sales", "permission": ["view"]}),
    ("/administrators", {"name": "new one", "role": "operator"}),
    ("/relays/pair", {"name": "x", "link_url": "https://127.0.0.1:9", "code": "x" * 20}),
    (f"/relays/{ROOT}/certificate", {}),
    (f"/relays/{ROOT}/certificate/private", {}),
    ("/mail-access/connectors/code", {}),
    (f"/administrators/{ROOT}/role", {"role": "owner"}),
    (f"/administrators/{ROOT}/access", {}),
    (f"/administrators/{ROOT}/recover", {}),
    (f"/administrators/{ROOT}/sessions/end", {"session": "all"}),
    (f"/roles/{ROOT}", {"name": "x"}),
    (f"/roles/{ROOT}/delete", {}),
    (f"/policies/{ROOT}/apple", {"secrets": "yes"}),
    ("/agent-package/key", {}),
    (f"/agent-package/{'0' * 64}/release", {}),
    ("/updates/source", {"address": "https://u.example", "root": "{}"}),
)


def test_what_opens_doors_asks_again_after_ten_minutes(
    context: Context, console: ConsoleClient
) -> None:
    grow_old(context, rules.FRESH)
    for path, form in DOORS:
        answer = console.post(path, data=form)
        assert answer.status_code == 403, path
        assert "Prove again that it is you" in answer.text, path
    assert 'name="own_code"' in console.get("/account").text


def test_a_right_code_opens_and_counts_for_ten_minutes(
    context: Context, session: Session, console: ConsoleClient
) -> None:
    grow_old(context, rules.FRESH)
    form = {"name": "robot", "own_code": code_of(context, session, "keeper")}
    assert "sekisho_" in console.post("/account/tokens", data=form).text
    again = console.post("/account/tokens", data=form | {"own_code": ""})
    assert again.status_code == 200
    grow_old(context, rules.FRESH)
    used = console.post("/account/tokens", data=form)
    assert used.status_code == 403, "a code counts once"
    assert "was used already" in used.text


def test_codes_cannot_be_tried_out(context: Context, console: ConsoleClient) -> None:
    grow_old(context, rules.FRESH)
    form = {"name": "robot", "own_code": "000000"}
    said = [console.post("/account/tokens", data=form).text for _ in range(9)]
    assert any("Too many wrong codes" in one for one in said)


def test_the_api_asks_for_a_code_with_each_change_of_roles(
    app: Flask, context: Context, session: Session
) -> None:
    program = api_client(app, context, "robot", Role.OWNER)
    draft = {"name": "Sales", "permissions": ["view", "invite"], "code": "000000"}
    assert program.post("/api/v1/roles", json=draft).status_code == 403
    code = code_of(context, session, "robot")
    made = program.post("/api/v1/roles", json={**draft, "code": code})
    assert made.status_code == 201, made.text
    assert made.json is not None
    assert made.json["permissions"] == ["invite", "view"]
    listed = program.get("/api/v1/roles").json
    assert listed is not None
    assert [one["role"] for one in listed["items"]][:5] == list(Role)
    people = program.get("/api/v1/administrators").json
    assert people is not None
    assert people["items"][0]["group_ids"] is None


def test_a_limit_of_a_token_holds_for_the_next_request(app: Flask, context: Context) -> None:
    program = api_client(app, context, "robot", Role.OWNER)
    assert program.get("/api/v1/relays").status_code == 200
    limit_to(context, "robot", [])
    assert program.get("/api/v1/relays").status_code == 403
    page = program.get("/api/v1/devices").json
    assert page is not None
    assert page["items"] == []
