"""Invitations by mail: nobody floods one address, no account or token floods many."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from management import rates
from management.access import Role
from management.administrators import service as administrators
from management.administrators.queries import find_administrator
from management.audit.models import AuditEntry
from management.context import Context
from management.enrolment import mail_work
from management.enrolment.mail_rules import MOST_TO_ONE, MOST_WAITING
from management.enrolment.models import Invitation
from management.policies.rules import Requirements
from management.policies.service import create_policy
from management.rates import Rate
from management.work.models import Job
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, api_client, signed_in_client
from tests.management.mailing import entered_mail_server
from tests.management.phones import Office, office
from tests.servers.smtp import Post

ADA, BEN = "ada@example.com", "ben@example.com"
SAID = "This address got 3 mails since "


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_work, "PAUSE_SECONDS", 0.0)


@pytest.fixture
def desk(context: Context) -> Office:
    return office(context)


@pytest.fixture
def post(context: Context, desk: Office) -> Iterator[Post]:
    """A mail server, entered here already; a relay is there too."""
    with entered_mail_server(context) as running:
        yield running


@pytest.fixture
def robot(app: Flask, context: Context, post: Post) -> ConsoleClient:
    return api_client(app, context, "robot", Role.OPERATOR)


def _invite(program: ConsoleClient, address: str) -> tuple[int, str]:
    answer = program.post("/api/v1/invitations", json={"address": address, "mail": True})
    return answer.status_code, str((answer.get_json() or {}).get("detail", ""))


def _work(context: Context, session: Session) -> None:
    """Do every job of mail that waits, as a worker does."""
    session.rollback()
    for job in session.scalars(select(Job).where(Job.kind == "enrolment.mail")).all():
        mail_work.send(context, job.payload, lambda _: None)


def _number(session: Session) -> int:
    session.rollback()
    return session.scalar(select(func.count()).select_from(Invitation)) or 0


def test_new_invitations_do_not_mail_one_address_again_and_again(
    app: Flask, context: Context, session: Session, post: Post, robot: ConsoleClient
) -> None:
    for _ in range(MOST_TO_ONE - 1):
        assert _invite(robot, ADA)[0] == 201
        _work(context, session)
    assert _invite(robot, ADA.upper())[0] == 201, "the third, however it is spelt"
    status, said = _invite(robot, ADA)
    assert (status, said.startswith(SAID)) == (409, False), "one is still on its way"
    _work(context, session)
    status, said = _invite(robot, ADA)
    assert (status, said.startswith(SAID), "The next can go out after" in said) == (409, True, True)
    other = api_client(app, context, "another robot", Role.OPERATOR)
    assert _invite(other, ADA)[0] == 409, "whoever asks: it is one mailbox"
    assert _invite(robot, BEN)[0] == 201, "others get theirs"
    assert len(post.mails) == MOST_TO_ONE

    with context.database.transaction("test") as writing:
        writing.execute(update(Invitation).values(cancelled_at=utc_now()))
    assert _invite(robot, ADA)[0] == 409, "cancelling makes none undone"
    early = utc_now() - timedelta(days=1, minutes=1)
    with context.database.transaction("test") as writing:
        writing.execute(update(AuditEntry).where(AuditEntry.subject == ADA).values(at=early))
    assert _invite(robot, ADA)[0] == 201, "a day later the next goes out"


def test_who_insists_mails_one_address_three_times_a_day(
    context: Context, session: Session, post: Post, robot: ConsoleClient
) -> None:
    made = robot.post("/api/v1/invitations", json={"address": ADA, "mail": True}).get_json()
    _work(context, session)
    again = {"invitation_ids": [made["invitation"]["id"]], "insists": True, "reason": "Lost"}
    answers = []
    for _ in range(4):
        answers.append(robot.post("/api/v1/reminders", json=again).status_code)
        _work(context, session)
    assert answers == [202, 202, 409, 409]
    assert len(post.mails) == MOST_TO_ONE


def test_one_list_that_names_an_address_often_mails_it_no_more(
    console: ConsoleClient, session: Session, post: Post
) -> None:
    form = {"people": "\n".join([ADA] * 9), "mail": "yes", "days": "14"}
    assert "3 invitations go out" in console.post(
        "/invitations", data=form, follow_redirects=True
    ).text  # fmt: skip


def test_a_roll_out_to_five_thousand_people_goes_through(
    app: Flask, context: Context, session: Session, post: Post
) -> None:
    """Request after request, as the page takes a thousand lines; sent over time."""
    browser = signed_in_client(app, context, "tired", Role.ADMINISTRATOR)
    for part in range(3):
        people = "\n".join(f"person{part * 1000 + one}@example.com" for one in range(1000))
        form = {"people": people, "mail": "yes", "days": "14"}
        assert browser.post("/invitations", data=form).status_code == 302, part
    session.rollback()
    waiting = select(func.count()).select_from(Invitation).where(Invitation.mail_ask.is_not(None))
    assert session.scalar(waiting) == 3000
    assert min(rates.MAILS.most, MOST_WAITING) >= 5000, "so do the two requests after these"


def test_an_account_that_mails_without_end_is_told_why_since_when_and_until_when(
    app: Flask,
    context: Context,
    session: Session,
    post: Post,
    robot: ConsoleClient,
    console: ConsoleClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rates, "MAILS", Rate("mails", 5, timedelta(minutes=10)))
    for number in range(5):
        assert _invite(robot, f"{number}@example.com")[0] == 201
    before = _number(session)
    refused = robot.post("/api/v1/invitations", json={"address": ADA, "mail": True})
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "600")
    said = refused.get_json()["detail"]
    assert "Your account had 5 invitations mailed since 20" in said
    assert "can go out after 20" in said
    assert _number(session) == before, "nobody is invited half"
    ids = [str(one) for one in session.scalars(select(Invitation.id))]
    again = {"invitation_ids": ids[:2], "insists": True, "reason": "Lost"}
    _work(context, session)
    assert robot.post("/api/v1/reminders", json=again).status_code == 429
    assert robot.post("/api/v1/invitations", json={"address": ADA}).status_code == 201, "no mail"
    status, _ = _invite(another(app, context, "robot"), BEN)
    assert status == 429, "all tokens of an account together"

    form = {"people": "\n".join(f"{one}@example.org" for one in range(6)), "mail": "yes"}
    page = console.post("/invitations", data={**form, "days": "14"})
    assert page.status_code == 422
    assert "Many more at once would be taken for spam" in page.text
    assert "5@example.org" in page.text, "what was typed is still there"


def another(app: Flask, context: Context, name: str) -> ConsoleClient:
    with context.database.transaction("another token") as session:
        person = find_administrator(session, name)
        assert person is not None
        token = administrators.make_token(session, person, "another", utc_now())
    client = ConsoleClient(app, use_cookies=False)
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {token}"
    return client


def test_one_invitation_whose_contact_cannot_be_read_stops_no_other(
    context: Context, session: Session, desk: Office, post: Post, console: ConsoleClient
) -> None:
    """Its policy lost the version that says whom users may ask."""
    form = {"people": f"{ADA}\n{BEN}", "mail": "yes", "days": "14"}
    console.post("/invitations", data=form)
    with context.database.transaction("test") as writing:
        broken = writing.scalars(select(Invitation).order_by(Invitation.id).limit(1)).one()
        policy = create_policy(writing, "Lost", Requirements(), {}, "test", "", utc_now())
        policy.current_version, broken.policy_id = 99, policy.id
        address = broken.address
    _work(context, session)
    assert {one.receiver for one in post.mails} == {ADA, BEN} - {address}
    session.rollback()
    rows = {one.address: one for one in session.scalars(select(Invitation))}
    assert rows[address].mail_problem
    assert rows[address].mail_ask is not None, "it is tried again"
