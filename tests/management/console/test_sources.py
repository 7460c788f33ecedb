"""Every way in asks the source that the account names; one that nobody knows lets nobody in."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import update
from sqlalchemy.orm import Session

import management
from management.access import Role
from management.administrators import queries, recovery_codes, service, sources
from management.administrators.cli import admin
from management.administrators.models import LOCAL, Administrator
from management.administrators.sources import Source
from management.context import Context
from management.migrations.release import VERSION, head
from management.verification import checks
from runtime.clock import utc_now
from runtime.errors import RefusedError
from tests.management import passkey_maker
from tests.management.clients import PASSWORD, ConsoleClient, own_code, signed_in_client
from tests.management.console.test_passkeys import register, sign_in

ROOT = Path(management.__file__).parent
DIRECTORY, THEIRS = "directory", "what only the directory knows"
UNKNOWN = "keeper is proved by directory, which this release does not know"

Key = passkey_maker.Passkey


@pytest.fixture
def key(console: ConsoleClient) -> Key:
    made = passkey_maker.Passkey()
    assert register(console, made).status_code == 302
    return made


def _form(browser: ConsoleClient, password: str, code: str) -> Any:
    form = {"name": "keeper", "password": password, "code": code}
    return browser.post("/sign-in", data=form)


def _password_and_code(browser: ConsoleClient, context: Context, key: Key, password: str) -> Any:
    return _form(browser, password, own_code(context, "keeper"))


def _password_and_recovery_code(
    browser: ConsoleClient, context: Context, key: Key, password: str
) -> Any:
    with context.database.transaction("test") as session:
        mine = queries.find_administrator(session, "keeper")
        assert mine is not None
        code = recovery_codes.make(session, context.keys, mine.id, utc_now())[0]
    return _form(browser, password, code)


def _passkey_and_password(browser: ConsoleClient, context: Context, key: Key, password: str) -> Any:
    key.verifies = False
    return sign_in(browser, key, name="keeper", password=password)


def _passkey_alone(browser: ConsoleClient, context: Context, key: Key, password: str) -> Any:
    key.verifies = True
    return sign_in(browser, key)


def _link(browser: ConsoleClient, context: Context, key: Key, password: str) -> Any:
    """A link that was sent before its owner got another source."""
    with context.database.transaction("test") as session:
        mine = queries.find_administrator(session, "keeper")
        assert mine is not None
        token = service.make_join_link(session, mine, utc_now())
    form = {"token": token, "password": "rain over the eastern gate"}
    return browser.post("/setup", data={**form, "code": own_code(context, "keeper")})


Door = Callable[[ConsoleClient, Context, Key, str], Any]
WITH_PASSWORD: tuple[Door, ...] = (
    _password_and_code,
    _password_and_recovery_code,
    _passkey_and_password,
)
DOORS: dict[tuple[str, str], tuple[Door, ...]] = {
    ("administrators/sign_in_views.py", "_by_code"): (_password_and_code,),
    ("administrators/sign_in_views.py", "_by_recovery_code"): (_password_and_recovery_code,),
    ("administrators/sign_in_views.py", "_by_passkey"): (_passkey_and_password, _passkey_alone),
    ("administrators/views.py", "_finish_setup"): (_link,),
}
"""Function that begins a session: the ways through it."""
ALL = [door for ways in DOORS.values() for door in ways]


def _callers(name: str, *, of: str = "**/*.py") -> set[tuple[str, str]]:
    """Return (file, function) of every call of *name*."""
    found = set()
    for file in ROOT.glob(of):
        text = file.read_text("utf-8")
        if f"{name}(" in text:
            found |= {
                (file.relative_to(ROOT).as_posix(), function.name)
                for function in ast.walk(ast.parse(text))
                if isinstance(function, ast.FunctionDef) and _calls(function, name)
            }
    return found


def _calls(function: ast.FunctionDef, name: str) -> bool:
    called = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
    return any(name == getattr(one, "attr", getattr(one, "id", "")) for one in called)


def test_every_function_that_begins_a_session_is_walked_here() -> None:
    begins = _callers("begin_session") - {("administrators/sign_in_views.py", "_begin")}
    assert begins | _callers("_begin", of="administrators/sign_in_views.py") == set(DOORS)


def test_only_the_seam_compares_administrators_passwords() -> None:
    assert _callers("matches", of="administrators/*.py") == {
        ("administrators/sources.py", "_matches_own"),
        ("administrators/sources.py", "password_matches"),
    }
    asked = _callers("password_matches")
    assert asked == {
        ("administrators/sign_in_views.py", "_by_code"),
        ("administrators/sign_in_views.py", "_refused_password"),
        ("administrators/step_up.py", "prove_password"),
    }


def _move(context: Context, source: str) -> None:
    with context.database.transaction("test") as session:
        session.execute(update(Administrator).values(source=source))


def _stranger(app: Flask, number: int) -> ConsoleClient:
    """Return a browser at an address of its own, where nobody failed before."""
    browser = ConsoleClient(app, use_cookies=True)
    browser.environ_base["REMOTE_ADDR"] = f"198.51.100.{number}"
    return browser


def test_an_unknown_source_lets_nobody_in(
    app: Flask, console: ConsoleClient, context: Context, key: Key
) -> None:
    strangers = [(door, _stranger(app, number)) for number, door in enumerate(ALL)]
    _move(context, DIRECTORY)
    for door, browser in strangers:
        answer = door(browser, context, key, PASSWORD)
        assert answer.status_code in (401, 409), door.__name__
        assert browser.get("/account").status_code == 302, door.__name__
        if door in (_password_and_code, _password_and_recovery_code):
            assert DIRECTORY not in answer.text, "a stranger is told nothing of the name"
        else:  # who it is, is proved
            assert UNKNOWN in answer.text, door.__name__
    assert console.get("/account").status_code == 302, "who was in is out"
    _move(context, LOCAL)
    for door, browser in strangers:
        assert door(browser, context, key, PASSWORD).status_code == 302, door.__name__


def test_an_unknown_source_is_told_and_mended_on_the_server(
    console: ConsoleClient, context: Context, app: Flask
) -> None:
    with context.database.engine.begin() as connection:
        VERSION.create(connection)
        connection.execute(VERSION.insert().values(version_num=head()))
    with context.database.transaction("test") as session:
        mine = queries.find_administrator(session, "keeper")
        assert mine is not None
        token = service.make_token(session, mine, "test", utc_now())
    program = ConsoleClient(app, use_cookies=False)
    program.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    assert program.get("/api/v1/enforcement").status_code == 200
    _move(context, DIRECTORY)

    assert program.get("/api/v1/enforcement").status_code == 401
    check = checks.find("administrators")
    assert check is not None
    found = checks.run(check, context, utc_now())
    assert (found.tone.value, UNKNOWN in str(found.said)) == ("bad", True)
    home, url = str(context.settings.home), context.settings.database_url
    there = {"SEKISHO_HOME": home, "SEKISHO_DATABASE_URL": url}
    refused = CliRunner().invoke(admin, ["token", "keeper"], env=there)
    assert isinstance(refused.exception, RefusedError)
    assert CliRunner().invoke(admin, ["recover", "keeper"], env=there).exit_code == 0
    with context.database.reading() as session:
        mine = queries.find_administrator(session, "keeper")
        assert mine is not None
        assert mine.source == LOCAL


def test_another_source_is_one_row_and_the_second_proof_stays(
    app: Flask, context: Context, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    def proves(administrator: Administrator | None, password: str) -> bool:
        return administrator is not None and password == THEIRS

    known = {**sources.SOURCES, DIRECTORY: Source(proves)}
    monkeypatch.setattr(sources, "SOURCES", known)
    _move(context, DIRECTORY)
    for number, door in enumerate(WITH_PASSWORD):
        browser = _stranger(app, number)
        assert door(browser, context, key, PASSWORD).status_code == 401, door.__name__
        assert _form(browser, THEIRS, "000000").status_code == 401
        assert door(browser, context, key, THEIRS).status_code == 302, door.__name__


def test_the_last_owner_whom_this_server_proves_stays(
    console: ConsoleClient, context: Context, app: Flask, session: Session
) -> None:
    signed_in_client(app, context, "other", Role.OWNER)
    other = queries.find_administrator(session, "other")
    mine = queries.find_administrator(session, "keeper")
    assert other is not None
    assert mine is not None
    other.source = DIRECTORY
    session.commit()
    with pytest.raises(RefusedError, match="only owner"):
        service.disable(session, mine, utc_now())
