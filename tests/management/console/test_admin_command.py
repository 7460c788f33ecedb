"""``sekisho admin``: what gives access back from the machine itself."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select
from sqlalchemy.orm import Session

from management.access import Role
from management.administrators import service
from management.administrators.cli import admin
from management.administrators.models import NO_PASSWORD, Administrator, AdminSession
from management.audit.models import AuditEntry
from management.context import Context
from management.migrations.run import upgrade
from runtime.errors import RefusedError
from tests.management.clients import ConsoleClient


@pytest.fixture
def machine(context: Context, home: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """The environment in which the command runs on `context`."""
    monkeypatch.setenv("SEKISHO_HOME", str(home))
    monkeypatch.setenv("SEKISHO_DATABASE_URL", str(context.settings.database_url))
    monkeypatch.setenv("SEKISHO_PUBLIC_NAME", "mdm.example.org")
    return context


@pytest.fixture
def migrated(database_url: object, context: Context) -> None:
    with context.database.engine.begin() as connection:
        from management.database import Base

        Base.metadata.drop_all(connection)
    upgrade(context.database.engine.url)


def _run(*words: str) -> Result:
    return CliRunner().invoke(admin, words, catch_exceptions=False)


def test_the_first_link_is_made_until_there_is_an_administrator(
    migrated: None, machine: Context
) -> None:
    assert _run("setup-link").output.startswith("https://mdm.example.org:8443/setup?token=")


def test_recovering_ends_password_code_and_sessions_and_is_audited(
    migrated: None, machine: Context, console: ConsoleClient, session: Session
) -> None:
    with pytest.raises(RefusedError, match="administrator already"):
        _run("setup-link")
    assert _run("recover").output.startswith("For keeper: https://mdm.example.org:8443/setup?")
    assert session.scalars(select(AdminSession)).all() == []
    owner = session.scalars(select(Administrator)).one()
    assert owner.password_hash == NO_PASSWORD
    entry = session.scalars(select(AuditEntry).order_by(AuditEntry.seq.desc())).first()
    assert entry is not None
    assert (entry.actor, entry.action) == ("command line", "administrator.recover")
    assert console.get("/").status_code == 302


def test_a_token_from_the_command_line_opens_the_api(
    migrated: None, machine: Context, console: ConsoleClient, visitor: ConsoleClient
) -> None:
    token = _run("token", "keeper", "--for", "nightly export").output.strip()
    answer = visitor.get("/api/v1/devices", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    assert "keeper\towner\tactive" in _run("list").output


def test_a_token_from_the_command_line_carries_what_was_named(
    migrated: None, machine: Context, console: ConsoleClient, visitor: ConsoleClient
) -> None:
    made = _run("token", "keeper", "--may", "view", "--may", "invite").output.strip()
    told = visitor.get("/api/v1/token", headers={"Authorization": f"Bearer {made}"}).get_json()
    assert told["permissions"] == ["invite", "view"]
    with pytest.raises(RefusedError, match="keeper may not: fly"):
        _run("token", "keeper", "--may", "fly")


def test_recovering_ends_api_tokens_too(
    migrated: None, machine: Context, console: ConsoleClient, visitor: ConsoleClient
) -> None:
    token = _run("token", "keeper").output.strip()

    _run("recover")

    answer = visitor.get("/api/v1/devices", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


def test_with_two_owners_one_must_be_named(
    migrated: None, machine: Context, console: ConsoleClient, context: Context
) -> None:
    from runtime.clock import utc_now

    with context.database.transaction("a second owner") as session:
        service.add_administrator(session, "hanako", Role.OWNER, utc_now())
    with pytest.raises(RefusedError, match="2 owners"):
        _run("recover")
    assert "For hanako:" in _run("recover", "Hanako").output


def test_without_an_owner_recovering_names_the_first_link(migrated: None, machine: Context) -> None:
    with pytest.raises(RefusedError, match="sekisho admin setup-link"):
        _run("recover")
