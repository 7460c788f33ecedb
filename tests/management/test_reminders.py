"""Invitations go out by mail, people are reminded, and what fails is tried again and told."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from management.access import Role
from management.audit.models import AuditEntry
from management.context import Context
from management.enrolment import letters, mail_work, service, work
from management.enrolment.mail_rules import MOST_MAILS, WAITS
from management.enrolment.models import Invitation
from management.groups.models import ROOT_GROUP
from management.groups.service import create_group
from management.outgoing_mail import service as outgoing_mail
from management.policies.models import PolicyVersion
from management.work.models import Job
from runtime.clock import utc_now
from runtime.errors import HopelessError
from tests.management.clients import ConsoleClient, api_client
from tests.management.mailing import entered_mail_server
from tests.management.phones import Office, Phone, office
from tests.management.scoped import limited_program
from tests.servers.smtp import Post

ADA, BEN, YUI = "ada@example.com", "ben@example.com", "yui@example.jp"
LOOK = "/registrations/reminders"


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_work, "PAUSE_SECONDS", 0.0)


@pytest.fixture
def desk(context: Context) -> Office:
    return office(context)


@pytest.fixture
def post(context: Context) -> Iterator[Post]:
    """A mail server, entered here already."""
    with entered_mail_server(context) as running:
        yield running


def _rows(session: Session) -> dict[str, Invitation]:
    session.rollback()
    session.expire_all()
    return {one.address: one for one in session.scalars(select(Invitation))}


def _jobs(session: Session) -> list[Job]:
    session.rollback()
    wanted = select(Job).where(Job.kind == "enrolment.mail").order_by(Job.queued_at)
    return list(session.scalars(wanted))


def _work(context: Context, session: Session) -> list[str]:
    """Do the newest job, as a worker does; return what it said."""
    said: list[str] = []
    mail_work.send(context, _jobs(session)[-1].payload, said.append)
    return said


def _look(console: ConsoleClient, asked: str = "all=yes") -> tuple[str, str]:
    page = console.get(f"{LOOK}?{asked}").text
    return page, page.partition('name="digest" value="')[2].partition('"')[0]


def _remind(console: ConsoleClient, asked: str = "all=yes", **fields: Any) -> str:
    _page, digest = _look(console, asked)
    form = {"digest": digest, "reason": "Rollout", **dict(p.split("=") for p in asked.split("&"))}
    return console.post(LOOK, data={**form, **fields}, follow_redirects=True).text


def _json(answer: TestResponse) -> Any:
    return answer.json


def _text(post: Post, index: int = -1) -> str:
    return str(post.mails[index].message.get_content()).replace("\r\n", "\n")


def _entries(session: Session, action: str) -> list[AuditEntry]:
    session.rollback()
    return list(session.scalars(select(AuditEntry).where(AuditEntry.action == action)))


def test_an_invitation_goes_out_with_all_that_its_reader_needs_and_no_other_secret(
    console: ConsoleClient, context: Context, session: Session, desk: Office, post: Post
) -> None:
    with context.database.transaction("test") as writing:
        version = writing.get(PolicyVersion, (desk.policy_id, 1))
        assert version is not None
        version.settings = {"general": {"support_contact": "IT, 0120-000-000"}}
    form = {"people": f"{YUI}; 高橋 結衣", "mail": "yes", "days": "14", "asks_user": "yes"}
    page = console.post("/invitations", data=form, follow_redirects=True).text
    assert "on its way" in page

    _work(context, session)

    row = _rows(session)[YUI]
    key = context.keys.unseal(row.key_sealed)
    mail = post.mails[0]
    assert (mail.receiver, mail.message["To"]) == (YUI, YUI)
    assert "Enrol your device with localhost / " in mail.message["Subject"]
    english, japanese = _text(post).split(letters.BETWEEN)
    for text in (english, japanese):
        assert f"&key={key}&fp=" in text
        assert "https://localhost:2/mobile" in text
        assert f"localhost:2/{key}." in text
        assert "IT, 0120-000-000" in text
        assert "高橋 結衣" in text
    assert f"{row.expires_at:%Y-%m-%d %H:%M} UTC" in english
    assert "your user name and password. Type them only there" in english
    begins = english.partition("key begins with ")[2].partition(". ")[0]
    assert (len(begins), f"{key}.{begins}" in english) == (14, True)
    assert "招待" in japanese
    assert (row.mails, row.mail_ask, row.mail_problem) == (1, None, "")
    assert row.mailed_at is not None
    (noted,) = _entries(session, "invitation.mail")
    assert (noted.actor, noted.subject, noted.details["reminder"]) == ("keeper", YUI, False)
    everything = [entry.details for entry in session.scalars(select(AuditEntry))]
    assert key not in str(everything) + str([job.payload for job in _jobs(session)])
    assert "not mailed" not in console.get(f"/invitations/{row.id}").text


def test_those_awaited_are_reminded_once_a_day_after_a_look_with_a_reason(
    console: ConsoleClient, context: Context, session: Session, desk: Office, post: Post
) -> None:
    for address in (ADA, BEN, YUI):
        key = desk.invite(address)
    Phone(desk).enrol(key)  # YUI is there
    desk.invite("gone@example.com")
    row = _rows(session)["gone@example.com"]
    console.post(f"/invitations/{row.id}/cancel")

    page, digest = _look(console)
    assert "2 people get a mail." in page
    assert (ADA in page, BEN in page, YUI in page, "gone@" in page) == (True, True, False, False)
    assert console.post(LOOK, data={"all": "yes", "digest": digest}).status_code == 400
    assert "2 mails go out now" in _remind(console)
    assert "is on its way already" in _look(console)[0]
    said = _work(context, session)

    assert sorted(one.receiver for one in post.mails) == [ADA, BEN]
    assert said[-1] == "2 of 2 mails are done."
    (asked,) = _entries(session, "invitation.remind")
    assert (asked.reason, asked.details["people"]) == ("Rollout", 2)
    assert asked.subject == str(_jobs(session)[0].id)

    page, _digest = _look(console)
    assert "Nobody gets a mail." in page
    assert "2: This person got a mail within the last day." in page
    assert "got a mail within the last day" in _remind(console)
    assert len(_jobs(session)) == 1
    assert "1 mails go out" in _remind(console, f"id={_rows(session)[ADA].id}&insists=yes")
    _work(context, session)
    assert (post.mails[-1].receiver, len(post.mails)) == (ADA, 3)
    assert "Reminder: " in post.mails[-1].message["Subject"]
    assert "it is sent once more" in _text(post)
    assert _rows(session)[ADA].mails == 2
    assert [one.details["reminder"] for one in _entries(session, "invitation.mail")][-1] is True


def test_who_enrols_or_is_not_invited_any_more_while_mails_wait_gets_none(
    console: ConsoleClient, context: Context, session: Session, desk: Office, post: Post
) -> None:
    keys = {address: desk.invite(address) for address in (ADA, BEN, YUI)}
    _remind(console)
    Phone(desk).enrol(keys[ADA])
    with context.database.transaction("test") as writing:
        one = writing.scalars(select(Invitation).where(Invitation.address == BEN)).one()
        one.expires_at = utc_now() - timedelta(seconds=1)
    _work(context, session)
    assert [one.receiver for one in post.mails] == [YUI]
    assert {row.mail_ask for row in _rows(session).values()} == {None}


def test_a_device_that_came_by_another_invitation_ends_the_reminders(
    console: ConsoleClient, session: Session, desk: Office, post: Post
) -> None:
    desk.invite(ADA)
    Phone(desk).enrol(desk.invite(ADA))
    page, _digest = _look(console, "all=yes&insists=yes")
    assert "1: A device of this person enrolled after the invitation was made." in page


def test_a_choice_that_changed_since_it_was_shown_mails_nobody(
    console: ConsoleClient, session: Session, desk: Office, post: Post
) -> None:
    desk.invite(ADA)
    _page, digest = _look(console)
    desk.invite(BEN)
    form = {"all": "yes", "digest": digest, "reason": "Rollout"}
    assert (
        "has changed since you looked" in console.post(LOOK, data=form, follow_redirects=True).text
    )
    form.pop("digest")
    assert "has changed since" in console.post(LOOK, data=form, follow_redirects=True).text
    assert _jobs(session) == []


def test_a_refused_address_is_tried_again_with_growing_delay_and_then_told(
    console: ConsoleClient, context: Context, session: Session, desk: Office, post: Post
) -> None:
    desk.invite(ADA)
    desk.invite(BEN)
    post.answers[f"RCPT {BEN}"] = b"550 5.1.1 No such user\r\n"
    _remind(console)
    began = utc_now()
    for number, wait in enumerate(WAITS, 1):
        _work(context, session)
        jobs = _jobs(session)
        assert len(jobs) == number + 1
        assert jobs[-1].run_after >= began + wait
        assert jobs[-1].asked_by == "" or jobs[-1].asked_by == "keeper"
    row = _rows(session)[BEN]
    since = row.mail_problem_at
    page = console.get("/registrations?which=awaited").text
    assert f"answered RCPT TO {BEN}: 550 5.1.1 No such user" in page
    assert ("Tried again:" in page, "Outgoing mail" in page) == (True, True)

    with pytest.raises(HopelessError, match=r"after 5 attempts.*No such user"):
        _work(context, session)

    row = _rows(session)[BEN]
    assert (row.mail_ask, row.mail_next_at, row.mails) == (None, None, 0)
    assert row.mail_problem_at == since
    assert "Given up." in console.get("/registrations?which=awaited").text
    assert [one.receiver for one in post.mails] == [ADA]
    post.answers.clear()
    _remind(console)
    _work(context, session)
    row = _rows(session)[BEN]
    assert (row.mails, row.mail_problem, row.mail_problem_at) == (1, "", None)


def test_a_mail_server_that_lets_nobody_in_is_asked_once_not_for_each_person(
    console: ConsoleClient, context: Context, session: Session, desk: Office, post: Post
) -> None:
    for address in (ADA, BEN, YUI):
        desk.invite(address)
    post.answers["MAIL"] = b"530 5.7.0 Sign in first\r\n"
    _remind(console)
    said = _work(context, session)
    assert said == ["3 mails failed and are tried again later."]
    assert len([one for one in post.heard if one.startswith("MAIL")]) == 1
    assert {"530 5.7.0" in row.mail_problem for row in _rows(session).values()} == {True}

    post.answers.clear()
    with context.database.transaction("test") as writing:
        outgoing_mail.forget(writing)
    _work(context, session)
    rows = _rows(session).values()
    assert {row.mail_problem for row in rows} == {"No mail server is entered yet."}
    page = console.get("/registrations?which=awaited").text
    assert "Enter a mail server" in page
    assert "Remind all" not in page


def test_a_long_request_is_done_in_shifts_so_that_other_work_comes_between(
    console: ConsoleClient, context: Context, session: Session, desk: Office, post: Post,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(mail_work, "SHIFT_SECONDS", 0.0)
    for address in (ADA, BEN, YUI):
        desk.invite(address)
    refused = sorted((row.id, address) for address, row in _rows(session).items())[0][1]
    post.answers[f"RCPT {refused}"] = b"550 5.1.1 No such user\r\n"
    _remind(console)
    for number in range(3):
        _work(context, session)
        assert len(_jobs(session)) == number + 2
    assert {one.receiver for one in post.mails} == {ADA, BEN, YUI} - {refused}
    asked = [one for one in post.heard if one.lower().startswith(f"rcpt to:<{refused}>")]
    assert len(asked) == 1, "once a round, however many shifts it has"
    last = _jobs(session)[-1]
    assert (last.payload["failures"], "began" in last.payload) == (1, False)
    assert last.run_after > utc_now()
    post.answers.clear()
    _work(context, session)
    assert {one.receiver for one in post.mails} == {ADA, BEN, YUI}


def test_a_server_that_hangs_up_at_every_receiver_is_not_asked_for_each(
    console: ConsoleClient, context: Context, session: Session, desk: Office, post: Post,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(mail_work, "SHIFT_SECONDS", 0.0)
    for address in (ADA, BEN, YUI):
        desk.invite(address)
    post.answers["RCPT"] = b""
    _remind(console)
    _work(context, session)
    _work(context, session)
    assert len([one for one in post.heard if one.lower().startswith("rcpt")]) == 2
    assert all(row.mail_problem for row in _rows(session).values())
    assert "silent" not in _jobs(session)[-1].payload


def test_a_receiver_at_whom_the_server_hangs_up_stops_nobody_else(
    console: ConsoleClient, context: Context, session: Session, desk: Office, post: Post
) -> None:
    for address in (ADA, BEN, YUI):
        desk.invite(address)
    hung = sorted((row.id, address) for address, row in _rows(session).items())[0][1]
    post.answers[f"RCPT {hung}"] = b""
    _remind(console)
    _work(context, session)
    assert {one.receiver for one in post.mails} == {ADA, BEN, YUI} - {hung}
    assert _rows(session)[hung].mail_problem


def test_a_cancelled_job_mails_nobody_else(
    console: ConsoleClient, context: Context, session: Session, desk: Office, post: Post
) -> None:
    desk.invite(ADA)
    _remind(console)
    (job,) = _jobs(session)
    assert console.post(f"/jobs/{job.id}/cancel").status_code in (302, 303)
    _work(context, session)
    assert post.mails == []
    row = _rows(session)[ADA]
    assert (row.mail_ask, row.mail_next_at) == (None, None)
    assert "1 person gets a mail." in _look(console)[0]


def test_a_mail_whose_job_is_gone_for_good_is_told_and_can_be_sent_again(
    console: ConsoleClient, context: Context, session: Session, desk: Office, post: Post
) -> None:
    desk.invite(ADA)
    _remind(console)
    with context.database.transaction("test") as writing:
        one = writing.scalars(select(Invitation)).one()
        one.mail_next_at = utc_now() - timedelta(days=2)
    work.forget(context, {}, lambda _: None)
    assert "The job that had to send it ended" in console.get("/registrations?which=awaited").text
    assert _work(context, session) == []  # should it come back all the same
    assert post.mails == []
    assert "1 mails go out now" in _remind(console)


def test_what_a_mail_server_repeats_of_the_mail_tells_the_key_to_nobody(
    console: ConsoleClient, context: Context, session: Session, desk: Office, post: Post
) -> None:
    key = desk.invite(ADA)
    post.answers["end of data"] = f"554 5.7.1 Spam: sekisho://enrol?key={key}&x\r\n".encode()
    _remind(console)
    _work(context, session)
    problem = _rows(session)[ADA].mail_problem
    assert ("554 5.7.1 Spam" in problem, key in problem) == (True, False)


def test_an_address_that_could_be_more_than_one_is_never_mailed(
    console: ConsoleClient, context: Context, session: Session, desk: Office, post: Post
) -> None:
    hostile = ["a@b\r\nBcc:c@d", "a@b>\r\nDATA", "あ@example.jp", "a@b,c@d"]
    for _ in hostile:
        desk.invite(ADA)
    with context.database.transaction("test") as writing:
        for one, address in zip(writing.scalars(select(Invitation)), hostile, strict=True):
            one.address = address
    page, _digest = _look(console)
    assert "4: Mail cannot go to this address." in page


def test_a_name_is_one_line_and_no_header(
    console: ConsoleClient, context: Context, session: Session, desk: Office, post: Post
) -> None:
    desk.invite(ADA)
    with context.database.transaction("test") as writing:
        one = writing.scalars(select(Invitation)).one()
        one.person = "Ada\r\nBcc: c@example.com\r\n\r\nPay here:\u2028now %(key)s"
        one.language = "en"
    _remind(console)
    _work(context, session)
    assert post.mails[0].message["Bcc"] is None
    assert "Pay here" not in _text(post), "what leads away is no name"
    assert "招待" not in _text(post)


@pytest.mark.parametrize(
    ("person", "first"),
    [
        ("Ada\u2028Lovelace %(key)s", "To Ada Lovelace %(key)s"),
        ("you are locked out, see https://evil.example", ""),
        ("see WWW.evil.example", ""),
    ],
)
def test_the_first_line_is_a_name_or_nothing(
    console: ConsoleClient, context: Context, session: Session, desk: Office, post: Post,
    person: str, first: str,
) -> None:  # fmt: skip
    desk.invite(ADA)
    with context.database.transaction("test") as writing:
        one = writing.scalars(select(Invitation)).one()
        one.person, one.language = person, "en"
    _remind(console)
    _work(context, session)
    assert _text(post).startswith(first)
    assert "evil" not in _text(post)


def test_ten_mails_are_enough_for_one_invitation_also_when_somebody_insists(
    console: ConsoleClient, context: Context, desk: Office, post: Post
) -> None:
    desk.invite(ADA)
    with context.database.transaction("test") as writing:
        writing.scalars(select(Invitation)).one().mails = MOST_MAILS
    page, _digest = _look(console, "all=yes&insists=yes")
    assert "was mailed 10 times. Invite the person again." in page


def test_the_api_does_the_same(
    console: ConsoleClient, context: Context, session: Session, desk: Office, post: Post
) -> None:
    robot = api_client(console.application, context, "robot", Role.ADMINISTRATOR)
    made = _json(
        robot.post("/api/v1/invitations", json={"address": ADA, "mail": True, "language": "ja"})
    )["invitation"]
    assert made["mail_next_at"] is not None
    _work(context, session)
    told = _json(robot.get(f"/api/v1/invitations/{made['id']}"))
    assert (told["mails"], told["mail_next_at"], told["mail_problem"]) == (1, None, "")
    assert "JST" in _text(post)

    desk.invite(BEN)
    asked = {"text": "", "insists": False}
    seen = _json(robot.post("/api/v1/reminders/preview", json=asked))
    assert (seen["people"], seen["missing"]) == (1, "")
    assert seen["left_out"] == {"This person got a mail within the last day.": 1}
    why = {"reason": "Rollout"}
    assert robot.post("/api/v1/reminders", json=asked | why).status_code == 409
    answer = robot.post("/api/v1/reminders", json=asked | why | {"digest": seen["digest"]})
    assert (answer.status_code, _json(answer)["people"]) == (202, 1)
    assert UUID(_json(answer)["job_id"]) == _jobs(session)[-1].id
    _work(context, session)
    assert post.mails[-1].receiver == BEN
    again = {"invitation_ids": [made["id"]], "insists": True, "reason": "Lost the first"}
    assert robot.post("/api/v1/reminders", json=again).status_code == 202
    (row,) = [
        one
        for one in _json(robot.get("/api/v1/registrations?which=awaited"))["items"]
        if one["address"] == BEN
    ]
    assert (row["mails"], row["mail_problem"]) == (1, "")


def test_without_a_mail_server_the_pages_say_so_and_nothing_is_asked_for(
    console: ConsoleClient, session: Session, desk: Office
) -> None:
    desk.invite(ADA)
    row = _rows(session)[ADA]
    for page in ("/invitations/new", f"/invitations/{row.id}", "/registrations?which=awaited"):
        text = console.get(page).text
        assert "No mail server is entered yet." in text, page
        assert 'href="/settings/outgoing-mail"' in text, page
    assert "No mail server is entered yet." in _remind(console)
    form = {"people": BEN, "mail": "yes", "days": "14"}
    refused = console.post("/invitations", data=form)
    assert (refused.status_code, "No mail server" in refused.text) == (422, True)
    assert (set(_rows(session)), _jobs(session)) == ({ADA}, [])


def test_who_may_not_invite_may_not_remind(
    app: Flask, context: Context, session: Session, desk: Office, post: Post
) -> None:
    desk.invite(ADA)
    reader = api_client(app, context, "reader", Role.READ_ONLY)
    for path in ("/api/v1/reminders", "/api/v1/reminders/preview"):
        assert reader.post(path, json={"reason": "x"}).status_code == 403
    assert _jobs(session) == []


def test_who_is_limited_to_groups_reminds_nobody_outside_of_them(
    app: Flask, context: Context, session: Session, desk: Office, post: Post
) -> None:
    desk.invite(ADA)
    with context.database.transaction("test") as writing:
        north = create_group(writing, "north", ROOT_GROUP).id
        for address in (ADA, BEN):
            wanted = (writing, context.keys, address, "", None, timedelta(days=1), "keeper")
            service.invite(*wanted, utc_now(), north)
        foreign = writing.scalars(select(Invitation).where(Invitation.group_id == ROOT_GROUP)).one()
        foreign.mailed_at = utc_now()
    robot = limited_program(app, context, [north])

    seen = _json(robot.post("/api/v1/reminders/preview", json={}))
    assert seen["people"] == 1
    assert seen["left_out"] == {"This person got a mail within the last day.": 1}
    for insists in (False, True):
        body = {"invitation_ids": [str(foreign.id)], "reason": "x", "insists": insists}
        assert robot.post("/api/v1/reminders", json=body).status_code == 409
    body = {"digest": seen["digest"], "reason": "Rollout"}
    assert robot.post("/api/v1/reminders", json=body).status_code == 202
    _work(context, session)
    assert [one.receiver for one in post.mails] == [BEN]
