"""Passkeys through the front door: registered, used, copied, stolen, replayed."""

import re
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from management.access import Role
from management.administrators import challenges, passkey_proofs, service, sources
from management.administrators.models import (
    Administrator,
    AdminSession,
    Passkey,
    SignInFailure,
    UsedChallenge,
)
from management.administrators.passkey_proofs import Site
from management.audit.models import AuditEntry
from management.context import Context
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError
from tests.management import passkey_maker
from tests.management.clients import PASSWORD, ConsoleClient, signed_in_client
from tests.management.scoped import limit_to


def _question(browser: ConsoleClient, path: str) -> dict[str, Any]:
    answer = browser.post(path)
    assert answer.status_code == 200
    asked: dict[str, Any] = answer.json or {}
    return asked


def register(browser: ConsoleClient, key: passkey_maker.Passkey, name: str = "Key") -> Any:
    said = key.create(_question(browser, "/account/passkeys/question"))
    form = {"passkey_name": name, "passkey_password": PASSWORD, "credential": said}
    return browser.post("/account/passkeys", data=form)


def sign_in(browser: ConsoleClient, key: passkey_maker.Passkey, **form: str) -> Any:
    said = key.get(_question(browser, "/sign-in/passkey"))
    return browser.post("/sign-in", data={"credential": said, **form})


@pytest.fixture
def key(console: ConsoleClient) -> passkey_maker.Passkey:
    """A passkey that is registered for the owner of `console`."""
    made = passkey_maker.Passkey()
    assert register(console, made).status_code == 302
    return made


def test_a_passkey_alone_signs_in_where_it_knows_the_person(
    key: passkey_maker.Passkey, visitor: ConsoleClient, session: Session
) -> None:
    answer = sign_in(visitor, key, next="/devices")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/devices")
    assert visitor.get("/account").status_code == 200
    begun = select(AuditEntry).where(AuditEntry.action == "session.begin")
    assert session.scalars(begun).one().details == {"by": "passkey", "passkey": "Key"}


def test_a_passkey_that_asks_nobody_needs_the_password_of_its_owner_too(
    key: passkey_maker.Passkey, visitor: ConsoleClient, app: Flask, context: Context
) -> None:
    signed_in_client(app, context, "other", Role.READ_ONLY)
    key.verifies = False
    assert sign_in(visitor, key).status_code == 401
    assert sign_in(visitor, key, name="keeper", password="wrong").status_code == 401
    other = sign_in(visitor, key, name="other", password=PASSWORD)
    assert other.status_code == 401, "the same password, but of somebody else"
    assert "name and password are needed too" in other.text
    assert sign_in(visitor, key, name="keeper", password=PASSWORD).status_code == 302


def test_passwords_beside_such_a_passkey_are_not_guessed(
    key: passkey_maker.Passkey, visitor: ConsoleClient, session: Session
) -> None:
    key.verifies = False
    guess = {"name": "keeper", "password": "wrong"}
    assert [sign_in(visitor, key, **guess).status_code for _ in range(3)] == [401] * 3
    assert sign_in(visitor, key, name="keeper", password=PASSWORD).status_code == 429


def test_such_an_answer_serves_one_password(
    key: passkey_maker.Passkey, visitor: ConsoleClient
) -> None:
    key.verifies = False
    question = _question(visitor, "/sign-in/passkey")
    kept = visitor.get_cookie("__Host-sekisho-visitor", "localhost")
    assert kept is not None
    said = {"credential": key.get(question), "name": "keeper"}
    wrong = visitor.post("/sign-in", data={**said, "password": "wrong"})
    assert "name and password are needed too" in wrong.text
    visitor.set_cookie("__Host-sekisho-visitor", kept.value, domain="localhost", secure=True)
    again = visitor.post("/sign-in", data={**said, "password": PASSWORD})
    assert again.status_code == 401
    assert "too late" in again.text


def test_an_answer_counts_once_although_the_cookie_is_replayed(
    key: passkey_maker.Passkey, visitor: ConsoleClient, app: Flask
) -> None:
    question = _question(visitor, "/sign-in/passkey")
    kept = visitor.get_cookie("__Host-sekisho-visitor", "localhost")
    said = {"credential": key.get(question)}
    assert kept is not None
    assert visitor.post("/sign-in", data=said).status_code == 302

    thief = ConsoleClient(app, use_cookies=True)
    thief.set_cookie("__Host-sekisho-visitor", kept.value, domain="localhost", secure=True)
    thief.token = visitor.token
    again = thief.post("/sign-in", data=said)
    assert again.status_code in {400, 401}, "the token or the question is used up"
    assert thief.get("/account").status_code == 302


def test_an_answer_to_another_browsers_question_is_refused(
    key: passkey_maker.Passkey, visitor: ConsoleClient, app: Flask
) -> None:
    other = ConsoleClient(app, use_cookies=True)
    said = key.get(_question(other, "/sign-in/passkey"))
    assert visitor.post("/sign-in", data={"credential": said}).status_code == 401
    _question(visitor, "/sign-in/passkey")
    assert visitor.post("/sign-in", data={"credential": said}).status_code == 401
    assert other.post("/sign-in", data={"credential": said}).status_code == 302


def test_a_question_is_answered_within_minutes(
    key: passkey_maker.Passkey, visitor: ConsoleClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = key.get(_question(visitor, "/sign-in/passkey"))
    later = utc_now() + challenges.LIVES
    monkeypatch.setattr("management.administrators.sign_in_views.utc_now", lambda: later)
    late = visitor.post("/sign-in", data={"credential": said})
    assert late.status_code == 401
    assert "too late" in late.text


@pytest.mark.parametrize(
    "wrong", ["https://evil.example", "https://localhost", "http://localhost:8443"]
)
def test_an_imitated_page_gets_nothing(
    key: passkey_maker.Passkey, visitor: ConsoleClient, wrong: str
) -> None:
    key.origin = wrong
    assert sign_in(visitor, key).status_code == 401
    assert visitor.get("/account").status_code == 302


def test_the_host_header_decides_nothing(key: passkey_maker.Passkey, app: Flask) -> None:
    stranger = ConsoleClient(app, use_cookies=True)
    there = {"base_url": "https://evil.example"}
    page = stranger.get("/sign-in", **there).text
    token = re.search(r'"X-CSRFToken": "([^"]+)"', page)
    assert token is not None
    sent = {"headers": {"X-CSRFToken": token[1]}, "forged": True, **there}
    asked = stranger.post("/sign-in/passkey", **sent).json or {}
    assert asked["rpId"] == "localhost"
    key.origin, key.site = "https://evil.example", "evil.example"
    answer = stranger.post("/sign-in", data={"credential": key.get(asked)}, **sent)
    assert answer.status_code == 401


def test_a_copy_is_refused_and_audited(
    console: ConsoleClient, visitor: ConsoleClient, session: Session
) -> None:
    key = passkey_maker.Passkey(counter=5)
    register(console, key)
    copy = key.copied()
    assert sign_in(visitor, key).status_code == 302
    visitor.post("/sign-out")
    refused = sign_in(visitor, copy)
    assert refused.status_code == 401
    assert "counter went back" in refused.text
    noted = session.scalars(select(AuditEntry).where(AuditEntry.action == "passkey.went_back"))
    assert [one.details for one in noted] == [{"kept": 6, "came": 6}]


def test_another_key_under_the_same_id_is_refused(
    key: passkey_maker.Passkey, visitor: ConsoleClient
) -> None:
    forged = passkey_maker.Passkey(identifier=key.identifier, owner=key.owner)
    assert sign_in(visitor, forged).status_code == 401


def test_registering_takes_the_password_and_each_key_once(
    console: ConsoleClient, session: Session
) -> None:
    key = passkey_maker.Passkey()
    said = key.create(_question(console, "/account/passkeys/question"))
    form = {"passkey_name": "Key", "passkey_password": "wrong", "credential": said}
    assert console.post("/account/passkeys", data=form).status_code == 422
    assert register(console, key).status_code == 302
    asked = _question(console, "/account/passkeys/question")
    assert asked["excludeCredentials"][0]["id"] == passkey_maker.text(key.identifier)
    assert asked["authenticatorSelection"]["residentKey"] == "required"
    assert register(console, key).status_code == 409
    assert len(session.scalars(select(Passkey)).all()) == 1


def test_several_are_named_renamed_and_removed_by_their_owner_only(
    console: ConsoleClient, app: Flask, context: Context, session: Session, visitor: ConsoleClient
) -> None:
    keys = [passkey_maker.Passkey() for _ in range(2)]
    for key, name in zip(keys, ("Laptop", "Safe"), strict=True):
        register(console, key, name)
    first = session.scalars(select(Passkey).where(Passkey.name == "Laptop")).one()
    other = signed_in_client(app, context, "other", Role.OWNER)
    assert other.post(f"/account/passkeys/{first.id_hash}/remove").status_code == 404
    assert (
        other.post(f"/account/passkeys/{first.id_hash}/name", data={"name": "x"}).status_code == 404
    )

    console.post(f"/account/passkeys/{first.id_hash}/name", data={"name": "Old laptop"})
    assert "Old laptop" in console.get("/account").text
    console.post(f"/account/passkeys/{first.id_hash}/remove")
    assert sign_in(visitor, keys[0]).status_code == 401
    assert sign_in(visitor, keys[1]).status_code == 302


def test_the_last_second_proof_stays(
    key: passkey_maker.Passkey, console: ConsoleClient, session: Session
) -> None:
    owner = session.scalars(select(Administrator)).one()
    owner.uses_codes = False
    session.commit()
    mine = session.scalars(select(Passkey)).one()
    refused = console.post(f"/account/passkeys/{mine.id_hash}/remove")
    assert refused.status_code == 409
    assert "last second proof" in refused.text


def test_a_disabled_administrators_passkey_opens_nothing(
    key: passkey_maker.Passkey, visitor: ConsoleClient, session: Session
) -> None:
    session.scalars(select(Administrator)).one().disabled_at = utc_now()
    session.commit()
    assert sign_in(visitor, key).status_code == 401


def test_recovering_an_account_ends_its_passkeys(
    key: passkey_maker.Passkey, context: Context, session: Session
) -> None:
    with context.database.transaction("recover") as changing:
        owner = changing.scalars(select(Administrator)).one()
        service.make_recovery_link(changing, context.signer, owner, utc_now())
    assert session.scalars(select(Passkey)).all() == []


def test_failed_answers_leave_nothing_behind(visitor: ConsoleClient, session: Session) -> None:
    for _ in range(3):
        assert sign_in(visitor, passkey_maker.Passkey()).status_code == 401
    assert session.scalars(select(UsedChallenge)).all() == []


def test_failed_answers_count_for_the_address_and_never_for_a_typed_name(
    visitor: ConsoleClient, session: Session
) -> None:
    for number in range(3):
        form = {"credential": "{}", "name": f"name {number}"}
        assert visitor.post("/sign-in", data=form).status_code == 401
    counted = session.scalars(select(SignInFailure.failures)).all()
    assert sorted(counted) == [2, 3], "the address, and how often the audit trail was told"


@given(st.text(max_size=300) | st.dictionaries(st.text(max_size=9), st.text(max_size=40)).map(str))
def test_no_answer_breaks_the_reader(said: str) -> None:
    for read in (passkey_proofs.read_answer, _as_new):
        with pytest.raises(MalformedMessageError):
            read(said)


@given(st.integers(0, 600), st.integers(0, 255))
def test_no_changed_byte_is_believed_or_breaks_the_reader(at: int, byte: int) -> None:
    key = passkey_maker.Passkey()
    asked = {"challenge": passkey_maker.text(b"c" * 32), "user": {"id": "YWJj"}}
    said = bytearray(key.create(asked).encode())
    said[at % len(said)] = byte
    try:
        made = _as_new(said.decode(errors="replace"))
    except MalformedMessageError:
        return
    assert len(made.credential_id) <= passkey_proofs.LONGEST_ID


def _as_new(said: str) -> passkey_proofs.NewPasskey:
    return passkey_proofs.read_new(Site("https://localhost:8443"), b"c" * 32, said)


def _stale(session: Session) -> None:
    for row in session.scalars(select(AdminSession)):
        row.data = {name: value for name, value in row.data.items() if name != "proved_at"}
    session.commit()


def test_a_passkey_proves_again_that_it_is_oneself(
    key: passkey_maker.Passkey,
    console: ConsoleClient,
    app: Flask,
    context: Context,
    session: Session,
) -> None:
    other_key = passkey_maker.Passkey()
    other = signed_in_client(app, context, "other", Role.OWNER)
    register(other, other_key)
    _stale(session)
    token = {"name": "backup"}
    assert console.post("/account/tokens", data=token).status_code == 403

    asked = _question(console, "/account/passkeys/again")
    assert [one["id"] for one in asked["allowCredentials"]] == [passkey_maker.text(key.identifier)]
    foreign = {**token, "credential": other_key.get(asked)}
    assert console.post("/account/tokens", data=foreign).status_code == 403
    signed_in = {**token, "credential": key.get(_question(console, "/sign-in/passkey"))}
    assert console.post("/account/tokens", data=signed_in).status_code == 409, "another purpose"
    said = key.get(_question(console, "/account/passkeys/again"))
    assert console.post("/account/tokens", data={**token, "credential": said}).status_code == 200
    assert console.post("/account/tokens", data=token).status_code == 200, "for ten minutes"
    _stale(session)
    assert console.post("/account/tokens", data={**token, "credential": said}).status_code == 409


def test_a_stale_session_neither_registers_nor_removes_a_passkey(
    key: passkey_maker.Passkey, console: ConsoleClient, session: Session
) -> None:
    _stale(session)
    mine = session.scalars(select(Passkey)).one()
    assert register(console, passkey_maker.Passkey()).status_code == 403
    assert console.post(f"/account/passkeys/{mine.id_hash}/remove").status_code == 403
    page = console.get("/account").text
    assert "/account/passkeys/proof" in page
    assert f"/account/passkeys/{mine.id_hash}/remove" not in page

    said = key.get(_question(console, "/account/passkeys/again"))
    assert console.post("/account/passkeys/proof", data={"credential": said}).status_code == 302
    assert register(console, passkey_maker.Passkey(), "Second").status_code == 302
    assert console.post(f"/account/passkeys/{mine.id_hash}/remove").status_code == 302


def test_who_is_limited_to_groups_proves_by_a_passkey_too(
    key: passkey_maker.Passkey, console: ConsoleClient, context: Context, session: Session
) -> None:
    limit_to(context, "keeper", [])
    _stale(session)
    said = key.get(_question(console, "/account/passkeys/again"))
    answer = console.post("/account/tokens", data={"name": "backup", "credential": said})
    assert answer.status_code == 200


def test_a_password_changed_meanwhile_registers_nothing(
    console: ConsoleClient, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sources.password_matches

    def recovered_meanwhile(owner: Administrator, password: str) -> bool:
        right = real(owner, password)
        with context.database.transaction("change") as changing:
            found = changing.scalars(select(Administrator)).one()
            service.change_password(found, "rain over the eastern gate")
        return right

    monkeypatch.setattr(sources, "password_matches", recovered_meanwhile)
    assert register(console, passkey_maker.Passkey()).status_code == 422
