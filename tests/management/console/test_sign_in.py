"""Set-up link, sign-in, sessions, lockout and cross-site requests, through the front door."""

import re
from datetime import timedelta

import pyotp
import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from management.access import Role
from management.administrators import known_browsers, rules, service, sources, waiting
from management.administrators.models import Administrator, AdminSession, SignInFailure
from management.administrators.sessions import COOKIE
from management.audit.models import AuditEntry
from management.context import Context
from runtime.clock import utc_now
from runtime.errors import RefusedError
from tests.management.clients import PASSWORD, ConsoleClient


def _setup_link(context: Context) -> str:
    with context.database.transaction("make a link") as session:
        return service.make_setup_link(session, utc_now())


def _secret_on(page: str) -> str:
    found = re.search(r'class="sk-key">([^<]+)<', page)
    assert found
    return found[1].replace(" ", "")


def _set_up(visitor: ConsoleClient, context: Context) -> str:
    token = _setup_link(context)
    secret = _secret_on(visitor.get(f"/setup?token={token}").text)
    code = pyotp.TOTP(secret).now()
    form = {"token": token, "name": "Keeper", "password": PASSWORD, "code": code}
    assert visitor.post("/setup", data=form).status_code == 302
    return secret


def _next_code(secret: str) -> str:
    """The code of the next half minute: the signer takes each only once."""
    return pyotp.TOTP(secret).at(utc_now() + timedelta(seconds=30))


def test_the_setup_link_makes_an_owner_and_is_dead_afterwards(
    visitor: ConsoleClient, context: Context, session: Session
) -> None:
    token = _setup_link(context)
    secret = _secret_on(visitor.get(f"/setup?token={token}").text)
    form = {
        "token": token,
        "name": "Keeper",
        "password": PASSWORD,
        "code": pyotp.TOTP(secret).now(),
    }
    assert visitor.post("/setup", data=form).headers["Location"] == "/account/recovery-codes"
    assert visitor.get("/").status_code == 200

    dead = visitor.get(f"/setup?token={token}")
    assert dead.status_code == 410
    assert "works once" in dead.text
    assert visitor.post("/setup", data=form).status_code == 410
    owner = session.scalars(select(Administrator)).one()
    assert (owner.name, owner.role) == ("keeper", Role.OWNER)


@pytest.mark.parametrize(
    ("password", "says"),
    [("short", "at least 12"), ("password1234", "first that"), ("111111111111", "simple")],
)
def test_the_setup_form_says_what_is_wrong_with_a_password(
    visitor: ConsoleClient, context: Context, password: str, says: str
) -> None:
    token = _setup_link(context)
    secret = _secret_on(visitor.get(f"/setup?token={token}").text)
    form = {"token": token, "name": "Keeper", "password": password, "code": "000000"}
    answer = visitor.post("/setup", data=form)

    assert answer.status_code == 422
    assert says in answer.text
    assert _secret_on(answer.text) == secret, "the app scanned it already"


def test_signing_in_takes_password_and_code_and_each_code_once(
    visitor: ConsoleClient, context: Context
) -> None:
    secret = _set_up(visitor, context)
    visitor.post("/sign-out")
    assert visitor.get("/").status_code == 302

    code = _next_code(secret)
    form = {"name": " KEEPER", "password": PASSWORD, "code": code}
    wrong_password = visitor.post("/sign-in", data={**form, "password": PASSWORD + "!"})
    assert wrong_password.status_code == 401
    assert visitor.post("/sign-in", data={**form, "code": "123456"}).status_code == 401
    assert visitor.post("/sign-in", data=form).status_code == 302
    assert visitor.get("/").status_code == 200

    visitor.post("/sign-out")
    assert visitor.post("/sign-in", data=form).status_code == 401, "the code was used"


def _fail(app: Flask, address: str, name: str = "keeper", times: int = 1) -> list[int]:
    """Try from *address* in a browser that nobody knows; return the answers' statuses."""
    stranger = ConsoleClient(app, use_cookies=True)
    stranger.environ_base["REMOTE_ADDR"] = address
    form = {"name": name, "password": "wrong", "code": "123456"}
    return [stranger.post("/sign-in", data=form).status_code for _ in range(times)]


def test_failures_make_a_name_wait_longer_at_their_address_but_not_for_ever(
    app: Flask, console: ConsoleClient, session: Session
) -> None:
    assert _fail(app, "192.0.2.1", times=4) == [401, 401, 429, 429]
    rows = session.scalars(select(SignInFailure)).all()
    until = [row.locked_until for row in rows if row.locked_until]
    assert len(until) == 1
    assert until[0] < utc_now() + timedelta(minutes=15)
    assert max(row.failures for row in rows) == 3, "waiting is not counted"
    assert _fail(app, "192.0.2.1", "nobody", times=4) == [401, 401, 429, 429], "names look alike"
    assert console.get("/").status_code == 200, "who is signed in stays signed in"


def test_a_stranger_keeps_nobody_waiting_elsewhere(
    visitor: ConsoleClient, context: Context, app: Flask
) -> None:
    secret = _set_up(visitor, context)
    visitor.post("/sign-out")
    _fail(app, "192.0.2.1", times=4)
    form = {"name": "keeper", "password": PASSWORD, "code": _next_code(secret)}
    assert visitor.post("/sign-in", data=form).status_code == 302


def test_above_the_ceiling_only_known_browsers_and_passkeys_get_in(
    visitor: ConsoleClient, context: Context, app: Flask, session: Session
) -> None:
    secret = _set_up(visitor, context)
    visitor.post("/sign-out")
    now = utc_now()
    for number in range(rules.FREE_FAILURES_EVERYWHERE):
        waiting.note_failure(session, waiting.Attempt("keeper", f"198.51.100.{number}"), now)
    session.commit()

    assert _fail(app, "203.0.113.1") == [429], "a browser that nobody knows waits"
    form = {"name": "keeper", "password": PASSWORD, "code": _next_code(secret)}
    assert visitor.post("/sign-in", data=form).status_code == 302, "this one is known"


def test_a_known_browser_waits_for_its_own_failures_and_proves_nothing_for_others(
    visitor: ConsoleClient, context: Context, app: Flask
) -> None:
    _set_up(visitor, context)
    visitor.post("/sign-out")
    form = {"name": "keeper", "password": "wrong", "code": "123456"}
    answers = [visitor.post("/sign-in", data=form).status_code for _ in range(4)]
    assert answers == [401, 401, 429, 429]
    cookie = visitor.get_cookie(known_browsers.COOKIE, "localhost")
    assert cookie is not None
    for forged in (cookie.value[:-1] + "0", cookie.value.replace(".", "", 1), "a.b.c.d", "\u00e9."):
        thief = ConsoleClient(app, use_cookies=True)
        thief.set_cookie(known_browsers.COOKIE, forged, domain="localhost", secure=True)
        answers = [thief.post("/sign-in", data=form).status_code for _ in range(4)]
        assert answers[3] == 429, "counted as a stranger's"


def test_failures_of_long_ago_are_forgotten(session: Session, context: Context) -> None:
    now = utc_now()
    waiting.note_failure(session, waiting.Attempt("a", "2001:db8::1"), now - timedelta(hours=13))
    waiting.note_failure(session, waiting.Attempt("a", "2001:db8::2"), now)
    assert max(row.failures for row in session.scalars(select(SignInFailure))) == 1


def test_a_customer_of_ipv6_is_one_address(session: Session, context: Context) -> None:
    now = utc_now()
    for host in range(rules.FREE_FAILURES_OF_ADDRESS):
        attempt = waiting.Attempt(f"name {host}", f"2001:db8::{host:x}")
        waiting.note_failure(session, attempt, now)
    assert waiting.wait_for(session, waiting.Attempt("x", "2001:db8::ffff"), now)
    assert not waiting.wait_for(session, waiting.Attempt("x", "2001:db8:0:1::1"), now)


def test_strangers_fill_neither_the_audit_trail_nor_the_table(
    app: Flask, session: Session, monkeypatch: pytest.MonkeyPatch, console: ConsoleClient
) -> None:
    monkeypatch.setattr(waiting, "MOST_KEPT", 100)
    now = utc_now().replace(minute=30)
    told = [
        waiting.note_failure(session, waiting.Attempt(f"name {number}", f"10.0.{number}.1"), now)
        for number in range(150)
    ]
    kept = [one for one in told if one is not None]
    assert len(kept) <= waiting.MOST_TOLD_AN_HOUR + 3
    assert {one.subject for one in kept[:20]} == {waiting.UNKNOWN_NAME}, "it may be a password"
    assert len(session.scalars(select(SignInFailure)).all()) <= 101


def test_a_full_table_keeps_strangers_waiting_but_no_known_browser(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MOST_KEPT", 10)
    now = utc_now()
    for number in range(100):
        waiting.note_failure(session, waiting.Attempt(f"name {number}", f"10.0.{number}.1"), now)
    assert waiting.wait_for(session, waiting.Attempt("new", "192.0.2.1"), now)
    known = waiting.Attempt("keeper", "192.0.2.1", "again and again")
    assert not waiting.wait_for(session, known, now)
    for _ in range(2):
        waiting.note_failure(session, known, now)
    assert not waiting.wait_for(session, known, now), "two are free"
    waiting.note_failure(session, known, now)
    assert waiting.wait_for(session, known, now)


def test_the_signers_own_delay_does_not_tell_that_the_password_was_right(
    visitor: ConsoleClient, context: Context, session: Session
) -> None:
    secret = _set_up(visitor, context)
    visitor.post("/sign-out")
    owner = session.scalars(select(Administrator)).one()
    with pytest.raises(RefusedError):
        for _ in range(20):
            context.signer.check_totp(owner.id, "000000")
    form = {"name": "keeper", "password": PASSWORD, "code": _next_code(secret)}
    answer = visitor.post("/sign-in", data=form)
    assert answer.status_code == 401
    assert "Name, password or code is wrong" in answer.text
    session.rollback()
    assert session.scalars(select(SignInFailure.failures)).all() != [], "it is counted"


def test_a_name_that_is_tried_again_and_again_is_told_of_ever_more_rarely(
    app: Flask, session: Session, console: ConsoleClient
) -> None:
    now, attempt = utc_now(), waiting.Attempt("keeper", "192.0.2.1")
    told = [waiting.note_failure(session, attempt, now) for _ in range(20)]
    assert [one.failures for one in told if one] == [1, 2, 4, 8, 16]
    assert {one.subject for one in told if one} == {"keeper"}


def test_a_session_ends_when_idle_and_when_signed_out(
    console: ConsoleClient, session: Session
) -> None:
    assert console.get("/").status_code == 200
    row = session.scalars(select(AdminSession)).one()
    row.seen_at = utc_now() - timedelta(minutes=31)
    session.commit()
    assert console.get("/").headers["Location"].startswith("/sign-in")


def test_a_session_ends_ten_hours_after_signing_in(
    console: ConsoleClient, session: Session
) -> None:
    row = session.scalars(select(AdminSession)).one()
    row.created_at = utc_now() - timedelta(hours=10, seconds=1)
    session.commit()
    assert console.get("/").status_code == 302


def test_the_session_cookie_is_secure_strict_and_new_at_each_sign_in(
    visitor: ConsoleClient, context: Context
) -> None:
    token = _setup_link(context)
    secret = _secret_on(visitor.get(f"/setup?token={token}").text)
    code = pyotp.TOTP(secret).now()
    form = {"token": token, "name": "Keeper", "password": PASSWORD, "code": code}
    cookies = visitor.post("/setup", data=form).headers.getlist("Set-Cookie")

    cookie = next(text for text in cookies if text.startswith(f"{COOKIE}="))
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_change_sent_by_another_site_is_refused(console: ConsoleClient, site: str) -> None:
    answer = console.post("/theme", data={"theme": "dark"}, headers={"Sec-Fetch-Site": site})
    assert answer.status_code == 403
    assert "another site" in answer.text


def test_a_change_without_the_csrf_token_is_refused(console: ConsoleClient) -> None:
    assert console.post("/theme", data={"theme": "dark"}, forged=True).status_code == 400


def test_the_password_is_changed_with_the_old_one_and_signs_others_out(
    console: ConsoleClient, context: Context, session: Session
) -> None:
    owner = session.scalars(select(Administrator)).one()
    with context.database.transaction("another browser") as other:
        service.begin_session(other, owner, "192.0.2.7", utc_now())
    new = {"old_password": PASSWORD, "password": "rain over the eastern gate"}
    assert console.post("/account/password", data={**new, "old_password": "x"}).status_code == 422
    assert console.post("/account/password", data=new).status_code == 302
    session.rollback()
    assert len(session.scalars(select(AdminSession)).all()) == 1
    assert sources.password_matches(session.scalars(select(Administrator)).one(), new["password"])


def test_an_open_session_guesses_no_password(console: ConsoleClient, session: Session) -> None:
    new = {"old_password": "x", "password": "rain over the eastern gate"}
    said = [console.post("/account/password", data=new).status_code for _ in range(4)]
    assert said == [422, 422, 422, 403]
    right = console.post("/account/password", data={**new, "old_password": PASSWORD})
    assert right.status_code == 403
    assert "Too many wrong passwords" in right.text
    passkey = {"passkey_password": PASSWORD, "credential": "{}"}
    console.post("/account/passkeys/question")
    answer = console.post("/account/passkeys", data=passkey)
    assert "Too many wrong passwords" in answer.text, "they are counted together"
    told = session.scalars(select(AuditEntry).where(AuditEntry.action == "session.not_proved"))
    assert [one.details["failures"] for one in told] == [1, 2]


def test_the_only_owner_can_neither_step_down_nor_be_disabled(
    console: ConsoleClient, session: Session
) -> None:
    owner = session.scalars(select(Administrator)).one()
    answer = console.post(f"/administrators/{owner.id}/role", data={"role": "read_only"})
    assert answer.status_code == 409


def test_a_new_administrator_joins_with_a_link(
    console: ConsoleClient, visitor: ConsoleClient, session: Session
) -> None:
    page = console.post("/administrators", data={"name": "Hanako", "role": "operator"}).text
    found = re.search(r'id="new-link">https://localhost:8443(/setup\?token=[^<]+)<', page)
    assert found
    form_page = visitor.get(found[1])
    assert "hanako" in form_page.text
    code = pyotp.TOTP(_secret_on(form_page.text)).now()
    token = found[1].partition("token=")[2]
    answer = visitor.post("/setup", data={"token": token, "password": PASSWORD, "code": code})

    assert answer.status_code == 302
    assert visitor.get("/administrators").status_code == 403
    names = session.scalars(select(Administrator.name).order_by(Administrator.name)).all()
    assert names == ["hanako", "keeper"]
