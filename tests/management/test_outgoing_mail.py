"""Mail goes out over TLS or to this machine only, in bounded time, and says what was answered."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from management.outgoing_mail import rules, smtp, writing
from management.outgoing_mail.rules import Encryption, MailServer
from management.outgoing_mail.smtp import Step, UncertainError, UnreachableError
from management.outgoing_mail.writing import Mail
from runtime.errors import MalformedMessageError, TooLargeError, UnavailableError
from tests.servers.smtp import Post, smtp_server
from tests.servers.tardy import silent_port

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MAIL = Mail(
    to="audit@example.com",
    subject="監査証跡 up to 7",
    text="Hello.\n.one dot at the beginning\nこんにちは\n",
    message_id="abc@example.com",
    at=NOW,
    attachment=("kept.txt", "one\n.two\n"),
)


@pytest.fixture
def post() -> Iterator[Post]:
    with smtp_server() as running:
        yield running


def _server(post: Post, **changed: Any) -> MailServer:
    server = MailServer(
        host="localhost",
        port=post.port,
        encryption=Encryption.STARTTLS,
        sender="sekisho@example.com",
        ca=post.ca,
    )
    return replace(server, **changed)


# --- what arrives ---


@pytest.mark.parametrize("ways", ["PLAIN LOGIN", "LOGIN"])
def test_a_mail_arrives_over_starttls_signed_in_as_it_was_written(post: Post, ways: str) -> None:
    post.users, post.ways = {"sekisho": "pässword"}, ways
    said: list[Step] = []

    smtp.send(_server(post, user="sekisho", password="pässword"), MAIL, said)

    (got,) = post.mails
    assert (got.encrypted, got.user) == (True, "sekisho")
    assert (got.sender, got.receiver) == ("sekisho@example.com", "audit@example.com")
    message = got.message
    assert (message["Subject"], message["To"]) == (MAIL.subject, MAIL.to)
    assert message["Message-ID"] == "<abc@example.com>"
    assert message["Auto-Submitted"] == "auto-generated"
    body = message.get_body()
    assert body is not None
    assert body.get_content().replace("\r\n", "\n") == MAIL.text
    assert got.attached.replace("\r\n", "\n") == "one\n.two\n"
    assert said[-1] == Step("the mail", "250 2.0.0 Ok: queued as 4F2A1")
    assert "pässword" not in str(said)


def test_tls_from_the_first_byte_and_none_to_this_machine(post: Post) -> None:
    smtp.send(_server(post, encryption=Encryption.NONE), MAIL)
    post.implicit = True
    smtp.send(_server(post, encryption=Encryption.TLS), MAIL)
    assert [one.encrypted for one in post.mails] == [False, True]


def test_signing_in_to_see_whether_that_goes_names_nobody(post: Post) -> None:
    post.users = {"sekisho": "right"}
    smtp.greet(_server(post, user="sekisho", password="right"))
    verbs = [line[:4] for line in post.heard]
    assert "AUTH" in verbs
    assert {"MAIL", "RCPT", "DATA"}.isdisjoint(verbs)
    assert "@" not in "".join(line for line in post.heard if line[:4] not in ("AUTH", "EHLO"))


@pytest.mark.parametrize("verb", ["connect", "EHLO", "MAIL", "RCPT", "DATA", "end of data"])
def test_come_back_later_is_told_from_no(post: Post, verb: str) -> None:
    post.answers[verb] = b"451 4.7.1 Greylisted, come back later\r\n"
    with pytest.raises(smtp.PostponedError, match="Greylisted"):
        smtp.send(_server(post), MAIL)
    post.answers[verb] = b"550 5.7.1 Never\r\n"
    with pytest.raises(UnavailableError, match="Never") as refused:
        smtp.send(_server(post), MAIL)
    assert not isinstance(refused.value, smtp.PostponedError)


# --- what is refused, with the server's words ---


@pytest.mark.parametrize(
    ("verb", "answer", "says"),
    [
        ("connect", b"554 5.7.1 Not from here\r\n", "connect: 554 5.7.1 Not from here"),
        ("MAIL", b"553 5.1.8 Not yours\r\n", "MAIL FROM sekisho@example.com: 553 5.1.8 Not yours"),
        ("RCPT", b"550-No\r\n550 such user\r\n", "RCPT TO audit@example.com: 550 No / such user"),
        ("DATA", b"452 4.3.1 Disk is full\r\n", "DATA: 452 4.3.1 Disk is full"),
        ("end of data", b"552 5.3.4 Too big\r\n", "the mail: 552 5.3.4 Too big"),
        ("RCPT", b"550 \x1b[31m\x00red\r\n", "550 [31mred"),
        ("connect", b"SSH-2.0-OpenSSH_9.2\r\n", "is no mail server"),
        ("connect", b"", "it closed the connection"),
        ("EHLO", b"250-more\r\n" * 20_000, "answers without end"),
        ("EHLO", b"x" * 200_000, "answers without end"),
    ],
)
def test_a_refusal_is_told_in_the_servers_words(
    post: Post, verb: str, answer: bytes, says: str
) -> None:
    post.answers[verb] = answer
    with pytest.raises(UnavailableError) as caught:
        smtp.send(_server(post), MAIL)
    assert says in str(caught.value)
    assert not isinstance(caught.value, UncertainError)
    assert post.mails == []


def test_a_wrong_password_is_told_and_never_shown(post: Post) -> None:
    post.users = {"sekisho": "right"}
    said: list[Step] = []
    with pytest.raises(UnavailableError, match=r"AUTH: 535 5\.7\.8") as caught:
        smtp.send(_server(post, user="sekisho", password="wrong one"), MAIL, said)
    assert "wrong one" not in f"{caught.value} {said} {_server(post, password='wrong one')!r}"
    post.ways = "GSSAPI"
    with pytest.raises(UnavailableError, match=r"no sign-in by password .*: GSSAPI"):
        smtp.send(_server(post, user="sekisho", password="right"), MAIL)


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n"])
def test_a_mail_whose_end_nobody_confirmed_may_have_arrived(post: Post, answer: bytes) -> None:
    post.answers["end of data"] = answer
    with pytest.raises(UncertainError, match="it may arrive"):
        smtp.send(_server(post), MAIL)


# --- nothing secret in the clear ---


def test_without_tls_nothing_is_said(post: Post) -> None:
    post.offers_tls = False
    with pytest.raises(UnavailableError, match="offers no STARTTLS"):
        smtp.send(_server(post, user="a", password="b"), MAIL)
    assert [line[:4] for line in post.heard] == ["ehlo"]


def test_what_somebody_slips_in_before_tls_ends_it(post: Post) -> None:
    post.answers["STARTTLS"] = b"220 Ready\r\n250-forged\r\n250 AUTH LOGIN\r\n"
    with pytest.raises(UnavailableError, match="somebody in between"):
        smtp.send(_server(post), MAIL)


@pytest.mark.parametrize("implicit", [False, True])
def test_a_strange_certificate_is_refused(post: Post, implicit: bool) -> None:
    post.implicit = implicit
    how = Encryption.TLS if implicit else Encryption.STARTTLS
    with pytest.raises(UnavailableError, match="is not trusted"):
        smtp.send(_server(post, encryption=how, ca=""), MAIL)
    assert post.mails == []


def test_a_certificate_for_another_name_is_refused() -> None:
    with (
        smtp_server(("mail.example",)) as post,
        pytest.raises(UnavailableError, match="is not trusted: Hostname mismatch"),
    ):
        smtp.send(_server(post), MAIL)


# --- limits ---


@contextmanager
def _slow(pieces: bytes) -> Iterator[int]:
    """Somebody who says *pieces*, one byte after the other, and never an end."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = Thread(target=_trickle, args=(listener, pieces))
        thread.start()
        yield listener.getsockname()[1]
        thread.join(60)


def _trickle(listener: socket.socket, pieces: bytes) -> None:
    connection, _ = listener.accept()
    connection.settimeout(0.02)
    with connection:
        for _ in range(10_000):
            try:
                connection.sendall(pieces)
                if not connection.recv(1):
                    return
            except TimeoutError:
                continue
            except OSError:
                return


@pytest.mark.parametrize("pieces", [b"2", b"220-x\r\n"])
def test_who_answers_without_end_is_left(monkeypatch: pytest.MonkeyPatch, pieces: bytes) -> None:
    monkeypatch.setattr(smtp, "SECONDS", 0.3)
    with smtp_server() as post, _slow(pieces) as port:
        server = _server(post, port=port)
        with pytest.raises(UnavailableError, match=r"did not answer in time|without end"):
            smtp.greet(server)


def _named(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """Let every name lead to these ports of this machine."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


def test_silent_addresses_leave_time_for_one_that_answers(
    monkeypatch: pytest.MonkeyPatch, post: Post
) -> None:
    monkeypatch.setattr(smtp, "SECONDS", 8.0)
    with silent_port() as port:
        _named(monkeypatch, port, post.port)
        smtp.greet(_server(post, port=port))
        assert "STARTTLS" in post.heard


def test_all_addresses_together_have_one_time(monkeypatch: pytest.MonkeyPatch, post: Post) -> None:
    monkeypatch.setattr(smtp, "SECONDS", 0.5)
    before = time.monotonic()
    with silent_port() as port:
        _named(monkeypatch, *[port] * 60)
        with pytest.raises(UnreachableError, match="did not answer in time"):
            smtp.greet(_server(post))
    assert time.monotonic() - before < 20  # each its own time: 30


def test_a_name_that_nobody_looks_up_is_left_in_time(
    monkeypatch: pytest.MonkeyPatch, post: Post
) -> None:
    monkeypatch.setattr(smtp, "SECONDS", 0.2)
    never = Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: never.wait(60) and [])
    with pytest.raises(UnreachableError, match="did not answer in time"):
        smtp.greet(_server(post))
    never.set()


def test_a_mail_that_is_too_large_is_not_tried(post: Post) -> None:
    with pytest.raises(TooLargeError):
        smtp.send(_server(post), replace(MAIL, text="x" * writing.LARGEST_BYTES))
    assert post.heard == []


def test_nobody_listens() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        server = MailServer(
            host="127.0.0.1", port=closed.getsockname()[1], encryption=Encryption.TLS, sender="a@b"
        )
        with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:\d+ cannot be reached"):
            smtp.greet(server)


# --- nothing ends a header or a command ---

ENDS = st.sampled_from(["\r\n", "\n", "\r", "\r\nBcc: all@example.com", "\n\nbody", "\x0b", "\x85"])
SERVER = MailServer(host="localhost", port=25, encryption=Encryption.NONE, sender="a@example.com")


@given(st.text(max_size=30), ENDS, st.text(max_size=30))
def test_a_line_break_in_a_header_is_no_header(before: str, end: str, after: str) -> None:
    try:
        raw = writing.written(SERVER, replace(MAIL, subject=before + end + after))
    except MalformedMessageError:
        return
    head = raw.partition(b"\r\n\r\n")[0].lower()
    names = [line.partition(b":")[0] for line in head.split(b"\r\n") if line[:1] not in b" \t"]
    assert names == [
        b"from",
        b"to",
        b"subject",
        b"date",
        b"message-id",
        b"auto-submitted",
        b"mime-version",
        b"content-type",
    ]


@given(st.text(max_size=60))
def test_only_what_is_one_address_is_taken_as_one(text: str) -> None:
    if rules.is_address(text):
        assert text.isascii()
        assert text.isprintable()
        assert not set(text) & set(' <>"(),:;\\[]')
        assert text.count("@") == 1
    else:
        with pytest.raises(MalformedMessageError):
            writing.written(SERVER, replace(MAIL, to=text))


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"host": "mail.example:25"}, "host"),
        ({"host": "https://mail.example"}, "host"),
        ({"host": ""}, "host"),
        ({"host": "a" * 300}, "host"),
        ({"port": 0}, "port"),
        ({"encryption": Encryption.NONE}, "encryption"),
        ({"encryption": Encryption.NONE, "host": "192.0.2.1"}, "encryption"),
        ({"sender": "nobody"}, "sender"),
        ({"sender": "a@b\r\nBcc: c@d"}, "sender"),
        ({"user": "a"}, "password"),
        ({"password": "a"}, "password"),
        ({"user": "a\0b", "password": "c"}, "password"),
        ({"ca": "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----"}, "ca"),
    ],
)
def test_what_cannot_be_right_is_named(changed: dict[str, Any], field: str) -> None:
    good = MailServer(
        host="mail.example", port=587, encryption=Encryption.STARTTLS, sender="a@example.com"
    )
    assert rules.problems(good, ("b@example.com",)) == {}
    assert list(rules.problems(replace(good, **changed), ())) == [field]
    for host in ("localhost", "127.0.0.1", "127.8.8.8", "::1"):
        assert rules.problems(replace(good, host=host, encryption=Encryption.NONE), ()) == {}


def test_receivers_are_addresses_and_not_too_many() -> None:
    assert rules.addresses(" a@b.c,\nd@e.f; a@b.c ") == ("a@b.c", "d@e.f")
    assert rules.addresses("  ") == ()
    assert "no mail address: x" in rules.problems(SERVER, ("a@b.c", "x"))["checkpoints_to"]
    many = tuple(f"a{number}@b.c" for number in range(rules.MOST_RECEIVERS + 1))
    assert "At most" in rules.problems(SERVER, many)["checkpoints_to"]
