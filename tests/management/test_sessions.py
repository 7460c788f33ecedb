"""Where administrators are signed in: seen, ended one by one or all, own and others', audited."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from management.access import Role
from management.administrators import browsers, queries, service
from management.administrators.models import Administrator, AdminSession, ApiToken
from management.administrators.recovery_codes import SHOWN_ONCE
from management.administrators.sessions import COOKIE
from management.audit.models import AuditEntry
from management.context import Context
from management.database import locked
from runtime.clock import utc_now
from tests.management.clients import (
    PASSWORD,
    ConsoleClient,
    api_client,
    own_code,
    signed_in_client,
)

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
ANDROID = (
    "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/141.0.0.0 Mobile Safari/537.36"
)


def another(app: Flask, context: Context, name: str, browser: str, address: str) -> ConsoleClient:
    """Sign an administrator, who is there already, in from another browser."""
    with context.database.transaction("sign in elsewhere") as session:
        mine = queries.find_administrator(session, name)
        assert mine is not None
        raw_id = service.begin_session(session, mine, address, utc_now(), browser=browser)
    client = ConsoleClient(app, use_cookies=True)
    client.set_cookie(COOKIE, raw_id, domain="localhost", secure=True)
    return client


def id_of(session: Session, address: str) -> str:
    session.rollback()
    return session.scalars(select(AdminSession.id_hash).filter_by(address=address)).one()


def audited(session: Session, action: str) -> AuditEntry:
    session.rollback()
    return session.scalars(select(AuditEntry).where(AuditEntry.action == action)).one()


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        (FIREFOX, "Firefox 140 · Linux"),
        (ANDROID, "Chrome 141 · Android"),
        (f"{ANDROID} EdgA/141.0", "Edge 141 · Android"),
        ("(Windows NT 10.0) Chrome/141.0 Safari/537.36 Edg/141.0", "Edge 141 · Windows"),
        ("(iPhone; like Mac OS X) Version/26.0 Mobile Safari/604.1", "Safari 26 · iPhone"),
        ("(Macintosh; Intel Mac OS X 10_15_7) Version/26.1 Safari/605", "Safari 26 · macOS"),
        ("curl/8.5", "curl/8.5"),
        ("x" * 300, "x" * browsers.SHOWN),
        ("", ""),
    ],
)  # fmt: skip
def test_a_browser_is_named_by_what_it_claims(claim: str, says: str) -> None:
    assert browsers.shown(claim) == says


def test_signing_in_keeps_what_the_browser_calls_itself(
    app: Flask, context: Context, session: Session, visitor: ConsoleClient
) -> None:
    signed_in_client(app, context, "mika", Role.READ_ONLY)
    form = {"name": "mika", "password": PASSWORD, "code": own_code(context, "mika")}
    headers = {"User-Agent": f"{FIREFOX}<script>{'x' * 400}"}
    assert visitor.post("/sign-in", data=form, headers=headers).status_code == 302
    page = visitor.get("/account").text
    assert "Firefox 140 · Linux" in page
    assert "<script>xxx" not in page
    kept = session.scalars(select(AdminSession.browser)).all()
    assert max(map(len, kept)) == 300


def test_one_of_ones_own_is_ended_and_this_one_is_marked(
    app: Flask, context: Context, session: Session, console: ConsoleClient
) -> None:
    phone = another(app, context, "keeper", ANDROID, "192.0.2.7")
    laptop = another(app, context, "keeper", FIREFOX, "192.0.2.8")
    page = console.get("/account").text
    assert page.count("(this browser)") == 1
    assert "Chrome 141 · Android" in page
    assert "192.0.2.7" in page
    assert console.post(f"/account/sessions/{id_of(session, '192.0.2.7')}/end").status_code == 302
    assert phone.get("/account").status_code == 302
    assert laptop.get("/account").status_code == 200
    entry = audited(session, "session.end")
    assert entry.details == {"address": "192.0.2.7", "browser": ANDROID}
    console.post("/account/sign-out-others")
    assert laptop.get("/account").status_code == 302
    assert console.get("/account").status_code == 200


def test_ending_this_one_signs_out(console: ConsoleClient, session: Session) -> None:
    answer = console.post(f"/account/sessions/{id_of(session, '127.0.0.1')}/end")
    assert answer.headers["Location"] == "/sign-in"
    assert console.get_cookie(COOKIE, "localhost") is None
    assert console.get("/account").status_code == 302


def test_nobody_ends_a_session_of_somebody_else_as_their_own(
    app: Flask, context: Context, session: Session, console: ConsoleClient
) -> None:
    mika = signed_in_client(app, context, "mika", Role.READ_ONLY)
    victim = another(app, context, "keeper", FIREFOX, "192.0.2.8")
    place = id_of(session, "192.0.2.8")
    assert mika.post(f"/account/sessions/{place}/end").status_code == 404
    other = queries.find_administrator(session, "mika")
    assert other is not None
    form = {"session": place}
    assert console.post(f"/administrators/{other.id}/sessions/end", data=form).status_code == 404
    assert victim.get("/account").status_code == 200


def test_an_owner_sees_and_ends_those_of_others(
    app: Flask, context: Context, session: Session, console: ConsoleClient
) -> None:
    signed_in_client(app, context, "mika", Role.OPERATOR)
    phone = another(app, context, "mika", ANDROID, "192.0.2.7")
    laptop = another(app, context, "mika", FIREFOX, "192.0.2.8")
    person = queries.find_administrator(session, "mika")
    assert person is not None
    path = f"/administrators/{person.id}/sessions"
    assert path in console.get(f"/administrators/{person.id}").text
    assert "Firefox 140 · Linux" in console.get(path).text
    one = {"session": id_of(session, "192.0.2.7")}
    assert console.post(f"{path}/end", data=one).status_code == 302
    assert (phone.get("/account").status_code, laptop.get("/account").status_code) == (302, 200)
    assert audited(session, "session.end").subject == "mika"
    assert console.post(f"{path}/end", data=one).status_code == 404, "it is gone already"
    assert console.post(f"{path}/end", data={"session": "all"}).status_code == 302
    assert laptop.get("/account").status_code == 302
    assert audited(session, "session.end_all").subject == "mika"
    assert "Not signed in anywhere now." in console.get(path).text


def test_who_may_not_change_an_administrator_does_not_end_their_sessions(
    app: Flask, context: Context, session: Session, console: ConsoleClient
) -> None:
    keeper = queries.find_administrator(session, "keeper")
    assert keeper is not None
    path = f"/administrators/{keeper.id}/sessions"
    deputy = signed_in_client(app, context, "mika", Role.ADMINISTRATOR)
    assert deputy.get(path).status_code == 403
    assert deputy.post(f"{path}/end", data={"session": "all"}).status_code == 403
    assert console.post(f"{path}/end", data={"session": "all"}).status_code == 409, "oneself"
    assert "under My account" in console.get(path).text


def test_the_api_lists_and_ends_with_a_code(
    app: Flask, context: Context, session: Session, console: ConsoleClient
) -> None:
    robot = api_client(app, context, "robot", Role.OWNER)
    keeper = queries.find_administrator(session, "keeper")
    assert keeper is not None
    path = f"/api/v1/administrators/{keeper.id}/sessions"
    (listed,) = robot.get(path).get_json()["items"]
    assert listed["address"] == "127.0.0.1"
    refused = robot.post(f"{path}/{listed['id']}/end", json={"code": "000000"})
    assert refused.status_code == 403
    assert console.get("/account").status_code == 200
    code = {"code": own_code(context, "robot")}
    ended = robot.post(f"{path}/{listed['id']}/end", json=code)
    assert (ended.status_code, ended.get_json()["id"]) == (200, listed["id"])
    assert console.get("/account").status_code == 302
    mine = another(app, context, "robot", FIREFOX, "192.0.2.8")
    assert [one["browser"] for one in robot.get("/api/v1/sessions").get_json()["items"]] == [
        FIREFOX
    ]
    code = {"code": own_code(context, "robot")}
    assert len(robot.post("/api/v1/sessions/end", json=code).get_json()["items"]) == 1
    assert mine.get("/account").status_code == 302
    assert robot.get("/api/v1/sessions").get_json()["items"] == []


def test_a_read_does_not_wait_for_a_busy_database_only_to_say_that_somebody_was_here(
    app: Flask, context: Context, session: Session
) -> None:
    """The page needs nothing of that note; it is made with the next request."""
    reader = signed_in_client(app, context, "Aoi", Role.OWNER)
    program = api_client(app, context, "Robot", Role.OWNER)
    assert reader.get("/account").status_code == 200  # the token of its forms is kept from now on
    long_ago = utc_now() - timedelta(minutes=5)
    with context.database.transaction("be here long ago") as earlier:
        for row in earlier.scalars(select(AdminSession)):
            row.seen_at = long_ago

    def seen() -> datetime:
        session.rollback()
        return session.scalars(select(AdminSession.seen_at)).one()

    with _sessions_are_held(context):
        assert reader.get("/account").status_code == 200
        assert program.get("/api/v1/groups").status_code == 200
        assert seen() == long_ago
    assert reader.get("/account").status_code == 200
    assert seen() > long_ago


def test_what_a_session_carries_on_is_worth_the_wait(
    app: Flask, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token of the page's forms, or codes that were shown this once, must not get lost."""
    reader = signed_in_client(app, context, "Aoi", Role.OWNER)
    waited = list[float]()
    transaction = context.database.transaction

    def noted(name: str, patience: float = 30.0) -> Any:
        if name == "keep the browser session":
            waited.append(patience)
        return transaction(name, patience)

    monkeypatch.setattr(context.database, "transaction", noted)
    assert reader.get("/account").status_code == 200  # has forms: their token is new
    with transaction("be here long ago") as earlier:
        for row in earlier.scalars(select(AdminSession)):
            row.seen_at = utc_now() - timedelta(minutes=5)
    assert reader.get("/account").status_code == 200
    with transaction("codes to show") as earlier:
        for row in earlier.scalars(select(AdminSession)):
            row.data = {**row.data, SHOWN_ONCE: context.keys.seal("[]")}
    assert reader.get("/account/recovery-codes").status_code == 200
    assert waited == [30.0, 0.25, 30.0]


@contextmanager
def _sessions_are_held(context: Context) -> Iterator[None]:
    """Let nobody else write sessions and tokens, as a long job of the database does."""
    with pytest.raises(RuntimeError), context.database.transaction("hold sessions") as session:
        for table in (AdminSession, ApiToken):
            session.execute(locked(select(table), table)).all()
        yield
        raise RuntimeError


def test_looking_where_somebody_else_is_signed_in_is_noted(
    app: Flask, context: Context, console: ConsoleClient, session: Session
) -> None:
    signed_in_client(app, context, "ren", Role.OPERATOR)
    program = api_client(app, context, "robot", Role.OWNER)
    other = session.scalars(select(Administrator).where(Administrator.name == "ren")).one()
    assert console.get(f"/administrators/{other.id}/sessions").status_code == 200
    assert program.get(f"/api/v1/administrators/{other.id}/sessions").status_code == 200
    session.rollback()  # what came since
    wanted = select(AuditEntry).where(AuditEntry.action == "look.sessions")
    first, second = session.scalars(wanted.order_by(AuditEntry.seq)).all()
    assert [(one.actor, one.subject) for one in (first, second)] == [
        ("keeper", "ren"),
        ("robot", "ren"),
    ]
    assert first.details == {"by": "console"}
    assert second.details["token"].startswith("test (")


def test_what_a_token_does_names_it(app: Flask, context: Context, session: Session) -> None:
    program = api_client(app, context, "robot", Role.OWNER)
    assert program.post("/api/v1/audit/verify").status_code == 200
    entry = audited(session, "audit.verify")
    kept = session.scalars(select(ApiToken)).one()
    assert entry.details["token"] == f"test ({kept.token_hash[:12]})"
