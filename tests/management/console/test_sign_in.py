"""Set-up link, sign-in, sessions, lockout and cross-site requests, through the front door."""

import re
from datetime import timedelta

import pyotp
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from management.access import Role
from management.administrators import service
from management.administrators.models import Administrator, AdminSession, SignInFailure
from management.administrators.sessions import COOKIE
from management.context import Context
from runtime.clock import utc_now
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
    assert visitor.post("/setup", data=form).headers["Location"] == "/"
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


def test_failures_make_account_and_address_wait_longer_but_not_for_ever(
    visitor: ConsoleClient, console: ConsoleClient, session: Session
) -> None:
    form = {"name": "keeper", "password": "wrong", "code": "123456"}
    answers = [visitor.post("/sign-in", data=form).status_code for _ in range(4)]

    assert answers == [401, 401, 429, 429]
    owner = session.scalars(select(Administrator)).one()
    assert owner.locked_until is not None
    assert owner.locked_until < utc_now() + timedelta(minutes=15)
    assert session.scalars(select(SignInFailure)).one().failures == 3, "waiting is not counted"
    assert console.get("/").status_code == 200, "who is signed in stays signed in"


def test_failures_of_long_ago_are_forgotten_at_the_next_sign_in(
    console: ConsoleClient, session: Session
) -> None:
    now, keeper = utc_now(), session.scalars(select(Administrator)).one()
    service.note_failure(session, "nobody", "2001:db8::1", now - timedelta(hours=13))
    service.note_failure(session, "nobody", "2001:db8::2", now)

    service.begin_session(session, keeper, "127.0.0.1", now)

    assert session.scalars(select(SignInFailure.address)).all() == ["2001:db8::2"]


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
    assert service.password_matches(session.scalars(select(Administrator)).one(), new["password"])


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
    found = re.search(r'id="new-link">https://localhost(/setup\?token=[^<]+)<', page)
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
