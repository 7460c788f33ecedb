"""ASVS 5 V9, tokens: API tokens, and what is signed by itself.

| attack | also shown by |
|---|---|
| token: expired, revoked, of a disabled owner, in the wrong place | here |
| token with more than its owner's permissions | `console/test_api`, `test_v08_authorization` |
| orders and reports: forged, altered, replayed, of another kind | `tests/hostile_relay` |
| signed requests: replayed, altered | `test_mail_access_api`, `tests/communication` |
| checkpoints of the audit trail | `test_audit_checkpoints` |
"""

from datetime import timedelta

import pytest
from sqlalchemy import select

from management.administrators import queries, service
from management.administrators.models import Administrator
from runtime.clock import utc_now
from tests.management.clients import BASE, ConsoleClient
from tests.security.conftest import Target


def _made(target: Target, lives: timedelta) -> tuple[str, Administrator]:
    with target.context.database.transaction("make a token") as session:
        owner = session.scalars(select(Administrator).where(Administrator.name == "reader")).one()
        return service.make_token(session, owner, "test", utc_now(), lives), owner


def _ask(target: Target, **headers: str) -> int:
    client = ConsoleClient(target.app, use_cookies=False)
    return client.get("/api/v1/devices", headers=headers, base_url=BASE).status_code


def test_a_token_ends(target: Target) -> None:
    old, _ = _made(target, timedelta(seconds=-1))
    assert _ask(target, Authorization=f"Bearer {old}") == 401
    fresh, owner = _made(target, timedelta(days=1))
    assert _ask(target, Authorization=f"Bearer {fresh}") == 200
    with target.context.database.transaction("revoke") as session:
        service.revoke_token(session, owner.id, queries.hash_of(fresh), utc_now())
    assert _ask(target, Authorization=f"Bearer {fresh}") == 401


def test_a_token_ends_with_its_owners_access(target: Target) -> None:
    token, owner = _made(target, timedelta(days=1))
    for disabled, says in ((utc_now(), 401), (None, 200)):
        with target.context.database.transaction("disable") as session:
            session.get_one(Administrator, owner.id).disabled_at = disabled
        assert _ask(target, Authorization=f"Bearer {token}") == says


@pytest.mark.parametrize("kind", ["Basic", "bearer x", "", "Bearer,", "Token"])
def test_a_token_counts_as_bearer_only(target: Target, kind: str) -> None:
    token, _ = _made(target, timedelta(days=1))
    assert _ask(target, Authorization=f"{kind} {token}") == 401


def test_a_token_opens_no_page_and_counts_in_no_address(target: Target) -> None:
    token, _ = _made(target, timedelta(days=1))
    client = ConsoleClient(target.app, use_cookies=False)
    bearer = {"Authorization": f"Bearer {token}"}
    assert client.get("/account", headers=bearer).status_code == 302
    for name in ("token", "access_token", "api_key"):
        asked = client.get("/api/v1/devices", query_string={name: token})
        assert asked.status_code in {400, 401}
