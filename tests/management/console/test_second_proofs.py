"""Recovery codes, and the authenticator app of an account: replaced, taken off."""

import re
from datetime import timedelta

import pyotp
import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from management.access import Role
from management.administrators import recovery_codes, service
from management.administrators.models import (
    Administrator,
    AdminSession,
    Passkey,
    RecoveryCode,
    SignInFailure,
)
from management.audit.models import AuditEntry
from management.context import Context
from runtime.clock import utc_now
from tests.management.clients import PASSWORD, ConsoleClient

CODES = "/account/recovery-codes"


def _secret_on(page: str) -> str:
    found = re.search(r'class="sk-key">([^<]+)<', page)
    assert found, page
    return found[1].replace(" ", "")


def _codes_on(page: str) -> list[str]:
    return re.findall(r'<li><code class="sk-key">([\d ]{19})</code>', page)


@pytest.fixture
def secret(visitor: ConsoleClient, context: Context) -> str:
    """Set the first owner up in `visitor`; return the secret of their app."""
    with context.database.transaction("make a link") as session:
        token = service.make_setup_link(session, utc_now())
    secret = _secret_on(visitor.get(f"/setup?token={token}").text)
    form = {"name": "Keeper", "password": PASSWORD, "code": pyotp.TOTP(secret).now()}
    assert visitor.post("/setup", data={"token": token, **form}).headers["Location"] == CODES
    return secret


@pytest.fixture
def codes(visitor: ConsoleClient, secret: str) -> list[str]:
    return _codes_on(visitor.get(CODES).text)


def _sign_in(browser: ConsoleClient, code: str, password: str = PASSWORD) -> int:
    form = {"name": "keeper", "password": password, "code": code, "next": "/devices"}
    return browser.post("/sign-in", data=form).status_code


def _next_code(secret: str) -> str:
    return pyotp.TOTP(secret).at(utc_now() + timedelta(seconds=30))


def _forget_the_proof(context: Context) -> None:
    with context.database.transaction("as if ten minutes went by") as session:
        for row in session.scalars(select(AdminSession)):
            row.data = {}


def test_ten_codes_are_shown_once_after_setting_up(
    visitor: ConsoleClient, secret: str, session: Session
) -> None:
    page = visitor.get(CODES).text
    codes = _codes_on(page)
    assert len(set(codes)) == recovery_codes.HOW_MANY
    assert codes[0].replace(" ", "%20") in page.partition("data:text/plain")[2]
    again = visitor.get(CODES).text
    assert _codes_on(again) == []
    assert "10 recovery codes are left." in again
    kept = {row.mac for row in session.scalars(select(RecoveryCode))}
    stored = " ".join([*kept, *(str(row.data) for row in session.scalars(select(AdminSession)))])
    assert not any(code.replace(" ", "") in stored for code in codes)


def test_a_code_signs_in_once_with_the_password_and_says_how_many_are_left(
    visitor: ConsoleClient, codes: list[str], session: Session
) -> None:
    visitor.post("/sign-out")
    assert _sign_in(visitor, codes[0], "wrong") == 401
    form = {"name": "keeper", "password": PASSWORD, "code": codes[0].replace(" ", "")}
    answer = visitor.post("/sign-in", data={**form, "next": "/devices"})
    assert answer.headers["Location"] == f"{CODES}?next=/devices"
    page = visitor.get(answer.headers["Location"]).text
    assert "9 recovery codes are left." in page
    assert 'href="/devices"' in page
    visitor.post("/sign-out")
    assert _sign_in(visitor, codes[0]) == 401, "it was used"
    wide = codes[1].translate({ord(str(n)): chr(0xFF10 + n) for n in range(10)})
    assert _sign_in(visitor, wide) == 302, "full-width digits are digits"
    used = session.scalars(select(AuditEntry).where(AuditEntry.action == "recovery_code.use"))
    assert [one.details["left"] for one in used] == [9, 8]


def test_new_codes_end_the_old_ones(visitor: ConsoleClient, codes: list[str]) -> None:
    assert visitor.post(CODES).status_code == 302
    new = _codes_on(visitor.get(CODES).text)
    assert set(new).isdisjoint(codes)
    visitor.post("/sign-out")
    assert _sign_in(visitor, codes[3]) == 401
    assert _sign_in(visitor, new[3]) == 302


def test_new_codes_ask_for_a_fresh_proof_and_no_recovery_code_is_one(
    visitor: ConsoleClient, codes: list[str], context: Context
) -> None:
    _forget_the_proof(context)
    visitor.token = ""
    assert visitor.post(CODES).status_code == 403
    answer = visitor.post(CODES, data={"own_code": codes[0]})
    assert (answer.status_code, len(_codes_on(visitor.get(CODES).text))) == (403, 0)


def test_guessing_recovery_codes_waits_as_for_other_codes(
    visitor: ConsoleClient, codes: list[str], session: Session
) -> None:
    visitor.post("/sign-out")
    guesses = [_sign_in(visitor, f"{guess:016}") for guess in range(4)]
    assert guesses == [401, 401, 429, 429]
    assert _sign_in(visitor, codes[0]) == 429, "the right one waits too"
    assert session.scalars(select(SignInFailure)).all() != []


def test_somebody_elses_code_opens_nothing(
    console: ConsoleClient, app: Flask, context: Context, session: Session
) -> None:
    keeper = session.scalars(select(Administrator)).one()
    with context.database.transaction("a second administrator") as other:
        added = service.add_administrator(other, "aoi", Role.READ_ONLY, utc_now())
        codes = recovery_codes.make(other, context.keys, added.id, utc_now())
    assert recovery_codes.find(session, context.keys, keeper.id, codes[0]) == ""
    assert _sign_in(ConsoleClient(app, use_cookies=True), codes[0]) == 401


def test_a_disabled_account_and_a_recovered_one_have_no_codes(
    visitor: ConsoleClient, codes: list[str], context: Context, session: Session, app: Flask
) -> None:
    with context.database.transaction("disable") as other:
        other.scalars(select(Administrator)).one().disabled_at = utc_now()
    assert _sign_in(ConsoleClient(app, use_cookies=True), codes[0]) == 401
    with context.database.transaction("recover") as other:
        person = other.scalars(select(Administrator)).one()
        service.make_recovery_link(other, context.signer, person, utc_now())
    assert session.scalars(select(RecoveryCode)).all() == []


def test_two_who_use_one_code_at_once_do_not_both_get_in(
    codes: list[str], context: Context, session: Session
) -> None:
    owner = session.scalars(select(Administrator)).one()
    found = recovery_codes.find(session, context.keys, owner.id, codes[0])
    session.rollback()
    spent = []
    for _ in range(2):
        with context.database.transaction("use a code") as other:
            spent.append(recovery_codes.spend(other, found, utc_now()))
    assert spent == [True, False]


# --- the authenticator app ---


def test_the_app_is_replaced_and_the_old_one_counts_until_then(
    visitor: ConsoleClient, secret: str, context: Context, session: Session
) -> None:
    new = _secret_on(visitor.post("/account/app").text)
    assert new != secret
    wrong = visitor.post("/account/app/confirm", data={"code": "000000"})
    assert (wrong.status_code, _secret_on(wrong.text)) == (422, new)
    _forget_the_proof(context)
    visitor.token = ""
    sent = {"code": pyotp.TOTP(new).now(), "own_code": _next_code(secret)}
    assert visitor.post("/account/app/confirm", data=sent).status_code == 302, "the old one proves"
    visitor.post("/sign-out")
    assert _sign_in(visitor, _next_code(secret)) == 401
    assert _sign_in(visitor, _next_code(new)) == 302
    third = _secret_on(visitor.post("/account/app").text)
    assert third not in (secret, new)
    assert session.scalars(select(AuditEntry).where(AuditEntry.action == "code_app.replace")).one()


def test_beginning_a_new_app_asks_for_a_fresh_proof(
    visitor: ConsoleClient, secret: str, context: Context
) -> None:
    _forget_the_proof(context)
    visitor.token = ""
    for path in ("/account/app", "/account/app/confirm", "/account/app/remove"):
        assert visitor.post(path).status_code == 403, path


def test_the_app_is_not_taken_off_when_it_is_the_last_second_proof(
    visitor: ConsoleClient, secret: str, session: Session
) -> None:
    refused = visitor.post("/account/app/remove")
    assert refused.status_code == 409
    assert "only second proof" in refused.text
    assert session.scalars(select(Administrator)).one().uses_codes


def test_the_app_is_taken_off_beside_a_passkey_which_then_cannot_go(
    visitor: ConsoleClient, secret: str, session: Session
) -> None:
    owner, now = session.scalars(select(Administrator)).one(), utc_now()
    key = Passkey(id_hash="a" * 64, administrator_id=owner.id, name="Laptop", credential_id="AA",
                  public_key="AA", counter=0, synced=False, created_at=now)  # fmt: skip
    session.add(key)
    session.commit()
    assert visitor.post("/account/app/remove").status_code == 302
    assert "no authenticator app" in visitor.get("/account").text
    assert visitor.post(f"/account/passkeys/{key.id_hash}/remove").status_code == 409
    visitor.post("/sign-out")
    assert _sign_in(visitor, _next_code(secret)) == 401
