"""The mail server is entered on a page or by API, tried, audited; its password stays inside."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from management.access import Role
from management.audit.models import AuditEntry
from management.context import Context
from management.outgoing_mail import service
from management.outgoing_mail.models import OutgoingMail
from management.verification import outer_checks
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, api_client, own_code, signed_in_client
from tests.servers.smtp import Post, smtp_server

PAGE = "/settings/outgoing-mail"
API = "/api/v1/outgoing-mail"
PASSWORD = "a secret of the mail server"


@pytest.fixture
def post() -> Iterator[Post]:
    with smtp_server() as running:
        running.users = {"sekisho": PASSWORD}
        yield running


def _form(post: Post, **changed: Any) -> dict[str, Any]:
    form = {
        "host": "localhost",
        "port": post.port,
        "encryption": "starttls",
        "sender": "sekisho@example.com",
        "user": "sekisho",
        "password": PASSWORD,
        "ca": post.ca,
        "checkpoints_to": "aoi@example.com\nben@example.com",
    }
    return {**form, **changed}


def _row(session: Session) -> OutgoingMail:
    session.rollback()
    return session.scalars(select(OutgoingMail)).one()


def _entries(session: Session, action: str) -> list[AuditEntry]:
    session.rollback()
    return list(session.scalars(select(AuditEntry).where(AuditEntry.action == action)))


def test_a_mail_server_is_entered_tried_and_forgotten(
    console: ConsoleClient, context: Context, session: Session, post: Post
) -> None:
    assert console.post(PAGE, data=_form(post)).headers["Location"] == PAGE
    row = _row(session)
    assert row.checkpoints_to == ["aoi@example.com", "ben@example.com"]
    assert (PASSWORD in row.password, context.keys.unseal(row.password)) == (False, PASSWORD)

    tried = console.post(f"{PAGE}/test", data={"to": "keeper@example.com"}).text

    assert post.mails[0].receiver == "keeper@example.com"
    assert "keeper sent this from localhost" in str(post.mails[0].message.get_content())
    assert "250 2.0.0 Ok: queued as 4F2A1" in tried
    assert "235 2.7.0 Authentication successful" in tried
    (kept,) = _entries(session, "outgoing_mail.save")
    assert PASSWORD not in str(kept.details)
    assert kept.details["after"]["password"] == "•••"
    assert [one.details for one in _entries(session, "outgoing_mail.test")] == [{"sent": True}]
    assert PASSWORD not in tried + console.get(PAGE).text

    console.post(f"{PAGE}/forget")

    assert len(_entries(session, "outgoing_mail.forget")) == 1
    assert list(session.scalars(select(OutgoingMail))) == []
    assert console.post(f"{PAGE}/test", data={"to": "a@example.com"}).status_code == 409


def test_what_the_mail_server_refuses_is_shown_in_its_words(
    console: ConsoleClient, session: Session, post: Post
) -> None:
    console.post(PAGE, data=_form(post, password="not this one"))
    page = console.post(f"{PAGE}/test", data={"to": "a@example.com"})
    assert page.status_code == 200
    assert "answered AUTH: 535 5.7.8 Authentication credentials invalid" in page.text
    said = console.post(
        f"{PAGE}/test", data={"to": "a@example.com"}, headers={"Accept-Language": "ja"}
    ).text
    assert "は AUTH に対してこう答えました: 535 5.7.8" in said
    assert [one.details for one in _entries(session, "outgoing_mail.test")] == [{"sent": False}] * 2


def test_a_mail_server_that_asks_to_come_back_is_told_from_one_that_refuses(
    console: ConsoleClient, post: Post
) -> None:
    console.post(PAGE, data=_form(post))
    told = "This is not a refusal for good"
    for answer, is_postponed in ((b"451 4.7.1 Greylisted\r\n", True), (b"550 No\r\n", False)):
        post.answers["RCPT"] = answer
        page = console.post(f"{PAGE}/test", data={"to": "a@example.com"}).text
        assert (answer.decode().strip() in page, told in page) == (True, is_postponed)
    post.answers["RCPT"] = b"451 4.7.1 Greylisted\r\n"
    japanese = {"Accept-Language": "ja"}
    page = console.post(f"{PAGE}/test", data={"to": "a@example.com"}, headers=japanese).text
    assert "恒久的な拒否ではありません" in page


def test_one_at_a_time_tries_the_mail_server(
    console: ConsoleClient, context: Context, session: Session, post: Post
) -> None:
    console.post(PAGE, data=_form(post))
    robot = api_client(console.application, context, "robot", Role.ADMINISTRATOR)
    with service.trying():
        page = console.post(f"{PAGE}/test", data={"to": "a@example.com"})
        assert (page.status_code, "is being tried already" in page.text) == (409, True)
        refused = robot.post(f"{API}/test", json={"to": "a@example.com"})
        assert (refused.status_code, "half a minute" in refused.text) == (409, True)
        found = outer_checks.outgoing_mail(context, utc_now())
        assert (found.tone, "somebody else" in str(found.said)) == ("warn", True)
    assert post.mails == []
    assert robot.post(f"{API}/test", json={"to": "a@example.com"}).status_code == 200
    assert outer_checks.outgoing_mail(context, utc_now()).tone == "ok"


def test_wrong_settings_are_named_and_nothing_is_kept(
    console: ConsoleClient, session: Session, post: Post
) -> None:
    wrong = _form(post, host="mail.example", encryption="none", sender="x", checkpoints_to="a b")
    page = console.post(PAGE, data=wrong)
    assert page.status_code == 422
    for sentence in (
        "goes only to a server on this machine",
        "like audit@example.com",
        "address: a",
    ):
        assert sentence in page.text
    assert PASSWORD not in page.text
    assert list(session.scalars(select(OutgoingMail))) == []


def test_a_kept_password_goes_to_nobody_else(
    console: ConsoleClient, context: Context, session: Session, post: Post
) -> None:
    console.post(PAGE, data=_form(post))
    kept = _form(post, password="", sender="b@example.com")
    assert console.post(PAGE, data=kept).status_code == 302
    row = _row(session)
    assert (row.sender, context.keys.unseal(row.password)) == ("b@example.com", PASSWORD)
    assert set(_entries(session, "outgoing_mail.save")[-1].details["after"]) == {"sender"}
    for changed in (
        {"host": "127.0.0.1"},
        {"port": 2525},
        {"encryption": "tls"},
        {"user": "other"},
        {"ca": ""},
    ):
        page = console.post(PAGE, data={**kept, **changed})
        assert page.status_code == 422, changed
        assert "has to be entered again" in page.text


def test_it_takes_a_fresh_proof_and_the_right(app: Flask, context: Context, post: Post) -> None:
    operator = signed_in_client(app, context, "op", Role.OPERATOR)
    assert operator.get(PAGE).status_code == 403
    assert operator.post(f"{PAGE}/test", data={"to": "a@example.com"}).status_code == 403
    stale = signed_in_client(app, context, "stale", Role.OWNER)
    with stale.session_transaction(base_url="https://localhost") as held:
        held["proved_at"] = int(utc_now().timestamp()) - 3600
    for path in (PAGE, f"{PAGE}/forget"):
        assert stale.post(path, data=_form(post)).status_code == 403


def test_a_program_does_the_same(
    console: ConsoleClient, context: Context, session: Session, post: Post
) -> None:
    robot = api_client(console.application, context, "robot", Role.ADMINISTRATOR)
    nothing = robot.get(API).json
    assert nothing is not None
    assert (nothing["host"], nothing["has_password"]) == ("", False)
    body = _form(post, checkpoints_to=["aoi@example.com"])
    assert robot.put(API, json={**body, "code": "000000"}).status_code == 403

    saved = robot.put(API, json={**body, "code": own_code(context, "robot")})

    assert saved.status_code == 200, saved.text
    assert saved.json is not None
    assert (saved.json["checkpoints_to"], saved.json["has_password"]) == (["aoi@example.com"], True)
    assert PASSWORD not in saved.text
    sent = robot.post(f"{API}/test", json={"to": "aoi@example.com"}).json
    assert sent is not None
    assert (sent["sent"], sent["problem"]) == (True, "")
    assert sent["said"][-1] == {"asked": "the mail", "answered": "250 2.0.0 Ok: queued as 4F2A1"}
    wrong = {**body, "sender": "x", "code": own_code(context, "robot")}
    refused = robot.put(API, json=wrong)
    assert (refused.status_code, "sender: Enter a mail address" in refused.text) == (409, True)
    gone = robot.post(f"{API}/forget", json={"code": own_code(context, "robot")})
    assert gone.json is not None
    assert gone.json["host"] == ""
    assert robot.post(f"{API}/test", json={"to": "a@example.com"}).status_code == 409
