"""ASVS 5 V8, authorization: what one may do.

| attack | also shown by |
|---|---|
| reaching a page, a widget or the API without signing in | every route: here |
| changing something with a role that only reads | every route: here |
| a view without a permission | `console/test_pages` |
| groups: devices of others | tests of roles and scope in `tests/management/console` |
| others' tokens, passkeys, views | here, `console/test_passkeys`, `test_devices_page` |
| more wipes than one may | `test_signer`, `test_signer_takeover`, `test_signer_approvals` |
"""

import pytest
from sqlalchemy import select

from management.administrators import service
from management.administrators.models import Administrator, ApiToken
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient
from tests.security.conftest import Target
from tests.security.walking import CHANGES, doors

OWN = (
    "/account", "/api/v1/sessions/", "/sign-out", "/language", "/theme", "/devices/views",
    "/api/v1/device-views",
)  # fmt: skip
"""What everybody may change of their own."""
NOT_HERE = (
    "/audit/verify", "/jobs/", "/deleted/",
    "/api/v1/audit/verify", "/api/v1/jobs/", "/api/v1/deleted/",
    "/devices/numbers", "/devices/devices.csv", "/api/v1/devices/by-number",
)  # fmt: skip
"""What only looks, and what asks for the permission of the job or of the deleted thing that it
finds first (`console/test_deleted`)."""


@pytest.mark.parametrize("fragment", [False, True])
def test_nothing_that_is_not_public_answers_a_stranger(target: Target, fragment: bool) -> None:
    stranger = target.stranger()
    headers = {"HX-Request": "true"} if fragment else {}
    tried = 0
    for door in doors(target.app):
        if door.public:
            continue
        tried += 1
        answer = stranger.open(door.path, method=door.method, headers=headers)
        refused = answer.status_code in {401, 403} or (
            answer.status_code == 302 and answer.headers["Location"].startswith("/sign-in")
        )
        assert refused, (door, answer.status_code)
        assert str(target.fleet.devices[0]) not in answer.text
    assert tried > 200


def test_what_is_public_is_a_short_list(target: Target) -> None:
    public = {door.path for door in doors(target.app) if door.public}
    assert len(public) < 40, sorted(public)
    assert not [path for path in public if path.startswith(("/devices", "/api/v1/devices"))]


def test_a_role_that_reads_changes_nothing(target: Target) -> None:
    token = _token(target, "reader")
    program = ConsoleClient(target.app, use_cookies=False)
    program.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    for door in doors(target.app):
        if door.public or door.method not in CHANGES or door.path.startswith(OWN + NOT_HERE):
            continue
        client = program if door.path.startswith("/api/") else target.reader
        answer = client.open(door.path, method=door.method, json={} if client is program else None)
        assert answer.status_code == 403, (door, answer.status_code)


def test_a_token_of_somebody_else_cannot_be_revoked(target: Target) -> None:
    _token(target, "keeper")
    with target.context.database.reading() as session:
        keeper = session.scalars(select(Administrator).where(Administrator.name == "keeper")).one()
        of_keeper = select(ApiToken).where(ApiToken.administrator_id == keeper.id)
        kept = session.scalars(of_keeper).all()[-1]
    target.reader.post(f"/account/tokens/{kept.token_hash}/revoke")
    with target.context.database.reading() as session:
        assert session.get_one(ApiToken, kept.token_hash).revoked_at is None


def _token(target: Target, name: str) -> str:
    with target.context.database.transaction("make a token") as session:
        owner = session.scalars(select(Administrator).where(Administrator.name == name)).one()
        return service.make_token(session, owner, "test", utc_now())
