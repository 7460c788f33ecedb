"""Sends mail (RFC 5321), or only signs in to see whether that goes; the one file that speaks SMTP.

Every conversation ends in time, whatever the other side does: `SECONDS` for all of it, from the
look-up of the name on, and answers of bounded size. Passwords go over TLS only, or to this machine.
"""

import re
import smtplib
import ssl
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from management.outgoing_mail.greeting import own_name
from management.outgoing_mail.rules import Encryption, MailServer, is_loopback
from management.outgoing_mail.writing import Mail, plain, written
from runtime.connecting import connect, left
from runtime.errors import UnavailableError

SECONDS = 30.0
LEAVE_SECONDS = 2.0
PIECE_BYTES = 16 * 1024
LONGEST_ANSWER_BYTES = 64 * 1024
SHOWN = 300
"""Characters of an answer that are told."""


class UncertainError(UnavailableError):
    """The mail was on its way when the connection ended: nobody knows whether it arrives."""


class PostponedError(UnavailableError):
    """The server did not take it now and may later (RFC 5321, 4.2.1: 4yz), as greylisting does."""


class UnreachableError(UnavailableError):
    """The server did not even begin to talk: it would be the same for every other mail."""


@dataclass(frozen=True, slots=True)
class Step:
    """One answer of the server, and to what."""

    asked: str
    answered: str


def send(server: MailServer, mail: Mail, said: list[Step] | None = None) -> None:
    """Hand *mail* to the server; *said* gets each answer.

    UnavailableError says what the server answered; UncertainError: the mail may arrive all the
    same. MalformedMessageError, TooLargeError: it was not even tried.
    """
    content = written(server, mail)
    with _connected(server, [] if said is None else said) as connection:
        connection.announce(server.sender, mail.to)
        connection.deliver(content)


def greet(server: MailServer) -> None:
    """Connect, encrypt and sign in; nobody is named and nothing is sent.

    UnavailableError says what the server answered; PostponedError: it may do later.
    """
    with _connected(server, []):
        pass


@contextmanager
def _connected(server: MailServer, said: list[Step]) -> Iterator["_Connection"]:
    connection = _Connection(server, said)
    try:
        connection.begin()
        yield connection
        connection.take_leave()
    except ssl.SSLCertVerificationError as error:
        why = error.verify_message or str(error)
        raise UnavailableError(
            f"The certificate of the mail server {server} is not trusted: {why}. Nothing secret "
            "was sent. Enter its CA, or mend the certificate."
        ) from None
    except TimeoutError:
        raise connection.failure(
            f"The mail server {server} did not answer in time ({SECONDS:.0f} s)."
        ) from None
    except (OSError, smtplib.SMTPException) as error:
        why = str(error) or type(error).__name__
        raise connection.failure(f"The mail server {server} cannot be reached: {why}") from None
    finally:
        connection.close()


class _Connection(smtplib.SMTP):
    """smtplib, with an end in time, answers of bounded size, and TLS before all that matters."""

    def __init__(self, server: MailServer, said: list[Step]) -> None:
        super().__init__(local_hostname="localhost")
        self.server, self.said = server, said
        self.ends_at = time.monotonic() + SECONDS
        self.pending = b""
        self.began = False

    # --- the conversation ---

    def begin(self) -> None:
        """Connect, encrypt and sign in, as far as the settings say."""
        encryption = self.server.encryption
        self.sock = connect(self.server.host, self.server.port, self.ends_at)
        self.local_hostname = own_name(self.sock)
        if encryption is Encryption.NONE:
            self._stay_on_this_machine()
        if encryption is Encryption.TLS:
            self._encrypt()
        self.step("connect", self.getreply(), 220)
        self.step("EHLO", self.ehlo(), 250)
        if encryption is Encryption.STARTTLS:
            self._begin_tls()
        if self.server.user:
            self._sign_in()
        self.began = True

    def failure(self, why: str) -> UnavailableError:
        """Return the error of a connection that broke, by how far it had come."""
        return UnavailableError(why) if self.began else UnreachableError(why)

    def announce(self, sender: str, receiver: str) -> None:
        """Name who sends to whom."""
        self.step(f"MAIL FROM {sender}", self.docmd("MAIL", f"FROM:<{plain(sender)}>"), 250)
        self.step(f"RCPT TO {receiver}", self.docmd("RCPT", f"TO:<{plain(receiver)}>"), 250, 251)

    def deliver(self, content: bytes) -> None:
        """Hand over the mail; UncertainError when its end was not confirmed."""
        self.step("DATA", self.docmd("DATA"), 354)
        stuffed = re.sub(rb"(?m)^\.", b"..", content)  # RFC 5321, 4.5.2
        try:
            self.send(stuffed.removesuffix(b"\r\n") + b"\r\n.\r\n")
            answer = self.getreply()
        except (OSError, UnavailableError) as error:
            raise UncertainError(
                f"The mail server {self.server} took the mail and did not confirm it "
                f"({str(error) or type(error).__name__}): it may arrive. It is sent again."
            ) from None
        self.step("the mail", answer, 250)

    def take_leave(self) -> None:
        """Say goodbye, shortly: whatever is answered, the mail is the server's now."""
        self.ends_at = min(self.ends_at, time.monotonic() + LEAVE_SECONDS)
        with suppress(OSError, UnavailableError):
            self.docmd("QUIT")

    def step(self, asked: str, answer: tuple[int, bytes], *right: int) -> None:
        """Note an answer; UnavailableError with its words when it is none of *right*."""
        code, text = answer
        lines = text.decode("utf-8", "replace").split("\n")
        told = " / ".join("".join(c for c in line if c.isprintable()) for line in lines)[:SHOWN]
        self.said.append(Step(asked, f"{code} {told}"))
        if code not in right:
            kind = PostponedError if 400 <= code < 500 else UnavailableError
            raise kind(f"The mail server {self.server} answered {asked}: {code} {told}")

    def _stay_on_this_machine(self) -> None:
        assert self.sock is not None
        if not is_loopback(self.sock.getpeername()[0]):
            raise UnavailableError(
                f"{self.server.host} is not this machine: without encryption nothing is sent there."
            )

    def _begin_tls(self) -> None:
        """RFC 3207. What came before TLS counts for nothing, and must not pretend to come later."""
        if not self.has_extn("starttls"):
            raise UnavailableError(
                f"The mail server {self.server} offers no STARTTLS, so nothing was sent. "
                "Choose TLS (port 465), or have it mended."
            )
        self.step("STARTTLS", self.docmd("STARTTLS"), 220)
        if self.pending:
            raise UnavailableError(
                f"The mail server {self.server}, or somebody in between, said something in the "
                "clear that would count as secret. Nothing was sent."
            )
        self._encrypt()
        self.esmtp_features.clear()
        self.step("EHLO", self.ehlo(), 250)

    def _encrypt(self) -> None:
        assert self.sock is not None
        trusted = ssl.create_default_context(cadata=self.server.ca or None)
        self.sock.settimeout(self._left())
        self.sock = trusted.wrap_socket(self.sock, server_hostname=self.server.host)

    def _sign_in(self) -> None:
        """RFC 4616 (PLAIN), else what servers call LOGIN."""
        user, password = self.server.user, self.server.password
        ways = self.esmtp_features.get("auth", "").upper().split()
        if "PLAIN" in ways:
            both = _b64(f"\0{user}\0{password}")
            self.step("AUTH", self.docmd("AUTH", f"PLAIN {both}"), 235)
        elif "LOGIN" in ways:
            self.step("AUTH LOGIN", self.docmd("AUTH", "LOGIN"), 334)
            self.step("AUTH LOGIN, user", self.docmd(_b64(user)), 334)
            self.step("AUTH LOGIN, password", self.docmd(_b64(password)), 235)
        else:
            raise UnavailableError(
                f"The mail server {self.server} offers no sign-in by password (AUTH PLAIN or "
                f"LOGIN), but: {' '.join(ways)[:SHOWN] or 'none'}."
            )

    # --- limits ---

    def getreply(self) -> tuple[int, bytes]:
        """Return code and text of the next answer (RFC 5321, 4.2), its lines joined."""
        lines: list[bytes] = []
        size = 0
        while True:
            line = self._line().rstrip(b"\r")
            size += len(line) + 1
            if not line[:3].isdigit() or line[3:4] not in (b"-", b" ", b""):
                raise UnavailableError(f"What answers at {self.server} is no mail server.")
            lines.append(line[4:].strip())
            if size > LONGEST_ANSWER_BYTES:
                raise UnavailableError(f"The mail server {self.server} answers without end.")
            if line[3:4] != b"-":
                return int(line[:3]), b"\n".join(lines)

    def send(self, s: bytes | str) -> None:  # type: ignore[override]
        """Send within the time that is left, piece by piece: each has its own wait under TLS."""
        whole = s.encode("ascii") if isinstance(s, str) else s
        for at in range(0, len(whole), PIECE_BYTES):
            if self.sock is not None:
                self.sock.settimeout(self._left())
            super().send(whole[at : at + PIECE_BYTES])

    def _line(self) -> bytes:
        while b"\n" not in self.pending:
            if len(self.pending) > LONGEST_ANSWER_BYTES:
                raise UnavailableError(f"The mail server {self.server} answers without end.")
            if self.sock is None:
                raise smtplib.SMTPServerDisconnected("the connection is closed")
            self.sock.settimeout(self._left())
            more = self.sock.recv(4096)
            if not more:
                raise smtplib.SMTPServerDisconnected("it closed the connection")
            self.pending += more
        line, _, self.pending = self.pending.partition(b"\n")
        return line

    def _left(self) -> float:
        return left(self.ends_at)


def _b64(text: str) -> str:
    return b64encode(text.encode()).decode("ascii")
