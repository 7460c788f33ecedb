"""Checkpoints go to mailboxes: nothing is lost, nothing comes twice unsaid, a saved mail proves."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import delete
from sqlalchemy.orm import Session

from management.audit import checkpoints, outside, outside_mail, queries, service, work
from management.audit.models import AuditEntry, Checkpoint
from management.audit_cli import audit
from management.context import Context
from management.migrations.release import VERSION, head
from management.outgoing_mail import service as outgoing_mail
from management.outgoing_mail import smtp
from management.outgoing_mail.queries import find_outgoing_mail
from management.outgoing_mail.rules import Encryption, MailServer
from management.outgoing_mail.writing import Mail
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, UnavailableError
from tests.servers.smtp import Post, smtp_server

AOI, BEN = "aoi@example.com", "ben@example.com"


@pytest.fixture
def context(context: Context) -> Context:
    """On a database that carries this release's revision, as commands ask for."""
    with context.database.engine.begin() as connection:
        VERSION.create(connection)
        connection.execute(VERSION.insert().values(version_num=head()))
    return context


@pytest.fixture
def post() -> Iterator[Post]:
    with smtp_server() as running:
        yield running


def _enter(context: Context, post: Post, *receivers: str, **changed: Any) -> None:
    entered: dict[str, Any] = {
        "host": "localhost",
        "port": post.port,
        "encryption": Encryption.STARTTLS,
        "sender": "sekisho@example.com",
        "ca": post.ca,
    }
    server = MailServer(**{**entered, **changed})
    with context.database.transaction("test") as session:
        outgoing_mail.save(session, context.keys, server, receivers, "keeper", utc_now())


def _write(context: Context, number: int = 1) -> None:
    with context.database.transaction("test") as session:
        for index in range(number):
            service.record(session, context.keys, "aoi", "device.lock", f"phone {index}")


def _run(context: Context) -> None:
    _write(context)
    work.checkpoint(context, {}, lambda _: None)


def _rows(context: Context) -> list[Checkpoint]:
    with context.database.reading() as session:
        return list(reversed(queries.list_checkpoints(session)))


def test_each_receiver_gets_each_checkpoint_and_it_is_signed(context: Context, post: Post) -> None:
    post.users = {"sekisho": "secret"}
    _enter(context, post, AOI, BEN, user="sekisho", password="secret")
    _run(context)
    _run(context)

    assert [one.receiver for one in post.mails] == [AOI, BEN, AOI, BEN]
    rows = _rows(context)
    assert [one.attached.strip() for one in post.mails[::2]] == [row.token for row in rows]
    assert [(row.told, row.begun, row.waiting) for row in rows] == [
        ([f"mail {AOI}", f"mail {BEN}"], [], False)
    ] * 2
    body = post.mails[0].message.get_body()
    assert body is not None
    assert "was signed up to entry 1" in body.get_content()
    assert "1 番目" in body.get_content()
    assert "entry 1 (localhost)" in post.mails[0].message["Subject"]


def test_while_the_mail_server_is_away_nothing_is_lost_and_one_mail_brings_all(
    context: Context, post: Post
) -> None:
    _enter(context, post, AOI)
    post.answers["connect"] = b"421 4.3.2 Going down\r\n"
    for _ in range(3):
        with pytest.raises(UnavailableError, match=r"connect: 421 4\.3\.2 Going down"):
            _run(context)
    assert [(row.told, row.begun, row.waiting) for row in _rows(context)] == [([], [], True)] * 3
    assert "Going down" in _rows(context)[0].problem
    post.answers.clear()

    _run(context)

    (mail,) = post.mails
    assert mail.attached.split() == [row.token for row in _rows(context)]
    body = mail.message.get_body()
    assert body is not None
    assert "may have come before" not in body.get_content()
    assert {row.problem for row in _rows(context)} == {""}


def test_many_go_in_several_mails_at_once(
    context: Context, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        _write(context)
        checkpoints.make(context)
    _enter(context, post, AOI)
    monkeypatch.setattr(outside, "AT_ONCE_BY_MAIL", 2)
    monkeypatch.setattr(checkpoints, "AT_ONCE", 4)

    assert checkpoints.hand_out(context) == []

    assert [len(one.attached.split()) for one in post.mails] == [2, 2, 1]
    assert {row.waiting for row in _rows(context)} == {False}


def test_two_who_send_at_once_do_not_both_say_it_is_new(
    context: Context, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second has looked what waits before the first has sent it."""
    _enter(context, post, AOI)
    _write(context)
    checkpoints.make(context)
    real = queries.checkpoints_to_tell

    def meanwhile(session: Session, limit: int) -> list[Checkpoint]:
        waiting = real(session, limit)
        session.expunge_all()
        session.rollback()
        monkeypatch.setattr(queries, "checkpoints_to_tell", real)
        checkpoints.hand_out(context)
        return waiting

    monkeypatch.setattr(queries, "checkpoints_to_tell", meanwhile)
    assert checkpoints.hand_out(context) == []
    assert len(post.mails) == 1


def test_who_sends_while_another_does_sends_nothing_and_says_so(
    context: Context, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `sekisho audit checkpoint` does during the hourly job."""
    _enter(context, post, AOI, BEN)
    _write(context)
    checkpoints.make(context)
    real = smtp.send
    said: list[list[str]] = []

    def slowly(server: MailServer, mail: Mail) -> None:
        if not said:
            said.append([])
            said[0] = checkpoints.hand_out(context)
        real(server, mail)

    monkeypatch.setattr(smtp, "send", slowly)
    assert checkpoints.hand_out(context) == []
    assert [one.receiver for one in post.mails] == [AOI, BEN]
    assert said == [[checkpoints.BUSY]]
    assert checkpoints.hand_out(context) == []


def test_a_mail_server_that_is_away_is_tried_once_not_for_each_mailbox(
    context: Context, post: Post
) -> None:
    _enter(context, post, AOI, BEN)
    post.answers["EHLO"] = b""
    with pytest.raises(UnavailableError, match="cannot be reached"):
        _run(context)
    assert len(post.heard) == 1
    assert [(row.told, row.begun, row.waiting) for row in _rows(context)] == [([], [], True)]
    post.answers.clear()
    _run(context)
    assert [one.receiver for one in post.mails] == [AOI, BEN]


def test_one_refused_receiver_keeps_it_from_nobody_else(context: Context, post: Post) -> None:
    _enter(context, post, BEN, AOI)
    post.answers[f"RCPT {BEN}"] = b"550 5.1.1 No such user\r\n"
    with pytest.raises(UnavailableError, match=f"RCPT TO {BEN}: 550"):
        _run(context)
    post.answers.clear()

    checkpoints.hand_out(context)

    assert [one.receiver for one in post.mails] == [AOI, BEN]
    assert checkpoints.hand_out(context) == []
    assert len(post.mails) == 2


def test_a_mail_that_may_have_arrived_comes_again_and_says_so(context: Context, post: Post) -> None:
    _enter(context, post, AOI)
    post.answers["end of data"] = b""  # taken, but the connection ends
    with pytest.raises(UnavailableError, match="it may arrive"):
        _run(context)
    post.answers = {"connect": b"421 Going down\r\n"}
    assert checkpoints.hand_out(context)
    assert [row.begun for row in _rows(context)] == [[f"mail {AOI}"]]
    post.answers.clear()

    checkpoints.hand_out(context)

    first, second = (one.message for one in post.mails)
    bodies = [str(one.get_body()) for one in (first, second)]
    assert ["may have come before" in _words(one) for one in (first, second)] == [False, True]
    assert bodies[0] != bodies[1]
    assert first["Message-ID"] == second["Message-ID"]
    assert [row.begun for row in _rows(context)] == [[]]


def _words(message: EmailMessage) -> str:
    body = message.get_body()
    assert body is not None
    return " ".join(str(body.get_content()).split())


def test_a_death_after_sending_is_known_and_said(
    context: Context, post: Post, tmp_path: Path
) -> None:
    _enter(context, post, AOI)
    _write(context)
    command = [sys.executable, "-m", "sekisho", "audit", "checkpoint"]
    dying = {
        **os.environ,
        "SEKISHO_HOME": str(context.settings.home),
        "SEKISHO_DATABASE_URL": context.settings.database_url,
        "SEKISHO_CRASH_MARK": str(tmp_path / "died"),
        "SEKISHO_CRASH_AT": "after effect checkpoints told",
    }
    died = subprocess.run(command, env=dying, capture_output=True, timeout=120, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert [(row.told, row.begun) for row in _rows(context)] == [([], [f"mail {AOI}"])]

    checkpoints.hand_out(context)

    assert ["may have come before" in _words(one.message) for one in post.mails] == [False, True]


def test_a_password_that_does_not_open_is_told_and_keeps_no_other_place_waiting(
    context: Context, post: Post, tmp_path: Path
) -> None:
    _enter(context, post, AOI, user="a", password="b")
    with context.database.transaction("tamper") as session:
        row = find_outgoing_mail(session)
        assert row is not None
        row.password = "broken"
    file = tmp_path / "kept"
    there = replace(context, settings=replace(context.settings, audit_file=str(file)))
    with pytest.raises(UnavailableError, match="sealed text was altered"):
        _run(there)
    assert len(file.read_text().splitlines()) == 1


# --- a saved mail is a witness ---


def _verify(context: Context, *files: Path) -> tuple[int, str]:
    arguments = ["verify", *(word for file in files for word in ("--checkpoints", str(file)))]
    home, url = str(context.settings.home), context.settings.database_url
    environment = {"SEKISHO_HOME": home, "SEKISHO_DATABASE_URL": url}
    done = CliRunner().invoke(audit, arguments, env=environment)
    return done.exit_code, done.output


def _forwarded(raw: bytes) -> bytes:
    outer = EmailMessage()
    outer["From"], outer["To"], outer["Subject"] = "a@example.com", "b@example.com", "Fwd"
    outer.set_content("see there")
    outer.add_attachment(message_from_bytes(raw, policy=default))
    return outer.as_bytes()


def test_a_saved_mail_proves_what_the_trail_held(
    context: Context, post: Post, tmp_path: Path
) -> None:
    _enter(context, post, AOI)
    _write(context, 3)
    _run(context)
    saved = {
        "plain.eml": post.mails[0].raw,
        "unix.eml": post.mails[0].raw.replace(b"\r\n", b"\n"),
        "mbox.eml": b"From sekisho@example.com Sun Nov 22\n" + post.mails[0].raw,
        "received.eml": b"Received: by post.example; now\r\n" + post.mails[0].raw,
        "forwarded.eml": _forwarded(post.mails[0].raw),
    }
    for name, content in saved.items():
        (tmp_path / name).write_bytes(content)
    files = [tmp_path / name for name in saved]

    assert _verify(context, *files) == (
        0,
        "The audit trail is whole: 4 entries, 7 checkpoints are in it.\n",
    )

    context.signer.forget_checkpoint("the attacker owns this machine")
    with context.database.transaction("tamper") as session:
        session.execute(delete(AuditEntry).where(AuditEntry.seq > 2))
        session.execute(delete(Checkpoint))
    assert _verify(context)[0] == 0
    for file in files:
        status, said = _verify(context, file)
        assert (status, "it ended at entry 4: entries were removed" in said) == (1, True), file


def test_a_forged_mail_is_believed_nothing_and_another_mail_is_named(
    context: Context, post: Post, tmp_path: Path
) -> None:
    _enter(context, post, AOI)
    _run(context)
    (row,) = _rows(context)
    forged = EmailMessage()
    forged["From"], forged["To"] = "a@example.com", "b@example.com"
    forged.set_content("hello")
    file = tmp_path / "forged.eml"
    file.write_bytes(forged.as_bytes())
    with pytest.raises(MalformedMessageError, match="no attached file"):
        checkpoints.read_file(file, context.signer)
    forged.add_attachment(
        f"{row.token}\nnot.signed.here\n", filename=outside_mail.ATTACHED, cte="base64"
    )
    file.write_bytes(forged.as_bytes())

    read = checkpoints.read_file(file, context.signer)

    assert [mark.seq for mark in read.marks] == [1]
    assert [one.partition(" is no")[0] for one in read.problems] == ["Line 2"]


def test_a_mail_of_boxes_in_boxes_breaks_nothing(tmp_path: Path) -> None:
    head = b"From: a@b.c\nMIME-Version: 1.0\n"
    deep = head + b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(1200)
    )
    wide = head + b'Content-Type: multipart/mixed; boundary="x"\n\n' + b"--x\n\nhello\n" * 1200
    for content in (deep, wide, head + b"Content-Type: multipart/mixed\n\n"):
        assert outside_mail.is_mail(content)
        with pytest.raises(MalformedMessageError):
            outside_mail.checkpoint_lines(content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"eyJhbGciOiJFUzI1NiJ9.e30.x\n",
        b"<109>1 2026-11-22T12:00:00Z host sekisho - audit-checkpoint - a.b.c\n",
        b"2026-11-22T12:00:00+09:00 host sekisho - - a.b.c\n",
        b"Nov 22 12:00:00 host sekisho: a.b.c\n",
    ],
)
def test_a_log_is_no_mail(content: bytes) -> None:
    assert not outside_mail.is_mail(content)
