"""A small mail server that speaks SMTP for real: EHLO, STARTTLS, AUTH PLAIN and LOGIN, SIZE, DATA.

It keeps what it takes, and misbehaves as a test wants. Loopback only.

    with smtp_server(names=("localhost",)) as post:
        ...  # post.port, post.ca, post.mails
"""

import socketserver
import ssl
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.communication.authority import Pair, certificate

LARGEST_BYTES = 2 * 1024 * 1024
SILENCE_SECONDS = 120


@dataclass(frozen=True)
class Received:
    """A mail that was taken."""

    sender: str
    receiver: str
    user: str
    encrypted: bool
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        """The mail, read."""
        return message_from_bytes(self.raw, policy=default)

    @property
    def attached(self) -> str:
        """The text of the one file that came with it."""
        (part,) = self.message.iter_attachments()
        return str(part.get_content())


@dataclass
class Post:
    """The server; tests read and change it."""

    ca: str
    """PEM of who certified it."""
    tls: ssl.SSLContext
    port: int = 0
    implicit: bool = False
    """TLS from the first byte."""
    users: dict[str, str] = field(default_factory=dict)
    """Who may sign in, with which password; none: nobody has to."""
    ways: str = "PLAIN LOGIN"
    offers_tls: bool = True
    mails: list[Received] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    """Each command, passwords too."""
    answers: dict[str, bytes] = field(default_factory=dict)
    """What is answered to a verb (``connect`` and ``end of data`` too) instead of the right thing;
    nothing: the connection ends. What it took stays taken."""
    greeting: bytes = b"220 post.example ESMTP\r\n"

    def lines_of_files(self) -> list[str]:
        """Return the lines of all attached files."""
        return [line for one in self.mails for line in one.attached.splitlines()]


class _Visit(socketserver.StreamRequestHandler):
    """One connection."""

    timeout = SILENCE_SECONDS

    def handle(self) -> None:
        """Answer until QUIT or the end."""
        self.post: Post = self.server.post  # type: ignore[attr-defined]
        self.encrypted, self.user, self.sender, self.receiver = False, "", "", ""
        with suppress(OSError, ValueError):
            if self.post.implicit:
                self._encrypt()
            if self._say("connect", self.post.greeting):
                while self._next():
                    pass

    def finish(self) -> None:
        """Close what `_encrypt` put in place of the socketserver's own."""
        with suppress(OSError, ValueError):
            super().finish()
        self.connection.close()

    def _next(self) -> bool:
        line = self.rfile.readline(4096)
        if not line.endswith(b"\r\n"):
            return False
        text = line.decode("ascii").rstrip("\r\n")
        self.post.heard.append(text)
        verb, _, rest = text.partition(" ")
        act: dict[str, Callable[[str], bool]] = {
            "EHLO": self._ehlo,
            "STARTTLS": self._starttls,
            "AUTH": self._auth,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "RSET": lambda _: self._say("RSET", b"250 2.0.0 Ok\r\n"),
            "QUIT": lambda _: self._say("QUIT", b"221 2.0.0 Bye\r\n") and False,
        }
        return act.get(verb.upper(), self._unknown)(rest)

    def _say(self, verb: str, right: bytes) -> bool:
        answer = self.post.answers.get(verb, right)
        self.wfile.write(answer)
        return bool(answer)

    def _unknown(self, _rest: str) -> bool:
        return self._say("unknown", b"500 5.5.2 Not known here\r\n")

    def _ehlo(self, name: str) -> bool:
        lines = [f"post.example greets {name}", f"SIZE {LARGEST_BYTES}"]
        if self.post.offers_tls and not self.encrypted:
            lines.append("STARTTLS")
        if self.post.users and (self.encrypted or not self.post.offers_tls):
            lines.append(f"AUTH {self.post.ways}")
        said = [f"250-{line}\r\n" for line in lines[:-1]] + [f"250 {lines[-1]}\r\n"]
        return self._say("EHLO", "".join(said).encode())

    def _starttls(self, _rest: str) -> bool:
        if not self._say("STARTTLS", b"220 2.0.0 Ready to start TLS\r\n"):
            return False
        self._encrypt()
        self.sender = self.receiver = self.user = ""
        return True

    def _encrypt(self) -> None:
        self.connection = self.post.tls.wrap_socket(self.request, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self.encrypted = True

    def _auth(self, rest: str) -> bool:
        way, _, first = rest.partition(" ")
        if way == "PLAIN":
            _, user, password = b64decode(first).decode().split("\0")
        else:
            user, password = self._asked(b"VXNlcm5hbWU6"), self._asked(b"UGFzc3dvcmQ6")
        if self.post.users.get(user) != password:
            return self._say("AUTH", b"535 5.7.8 Authentication credentials invalid\r\n")
        self.user = user
        return self._say("AUTH", b"235 2.7.0 Authentication successful\r\n")

    def _asked(self, question: bytes) -> str:
        self.wfile.write(b"334 " + question + b"\r\n")
        return b64decode(self.rfile.readline(4096)).decode()

    def _mail(self, rest: str) -> bool:
        if self.post.users and not self.user:
            return self._say("MAIL", b"530 5.7.0 Authentication required\r\n")
        self.sender, self.receiver = rest.partition("<")[2].partition(">")[0], ""
        return self._say("MAIL", b"250 2.1.0 Ok\r\n")

    def _rcpt(self, rest: str) -> bool:
        self.receiver = rest.partition("<")[2].partition(">")[0]
        key = f"RCPT {self.receiver}"
        verb = key if key in self.post.answers else "RCPT"
        return self._say(verb, b"250 2.1.5 Ok\r\n")

    def _data(self, _rest: str) -> bool:
        if not (self.sender and self.receiver):
            return self._say("DATA", b"503 5.5.1 Name sender and receiver first\r\n")
        right = b"354 End data with <CR><LF>.<CR><LF>\r\n"
        if not self._say("DATA", right) or self.post.answers.get("DATA", right)[:3] != b"354":
            return bool(self.post.answers.get("DATA", right))
        lines: list[bytes] = []
        while (line := self.rfile.readline(1001)) != b".\r\n":
            if not line.endswith(b"\r\n"):  # RFC 5321, 4.5.3.1.6: 1000 with its end
                return False
            lines.append(line.removeprefix(b"."))
        answer = self.post.answers.get("end of data", b"250 2.0.0 Ok: queued as 4F2A1\r\n")
        if answer[:3] in (b"250", b""):
            taken = Received(self.sender, self.receiver, self.user, self.encrypted, b"".join(lines))
            self.post.mails.append(taken)
        self.wfile.write(answer)
        return bool(answer)


class _Server(socketserver.ThreadingTCPServer):
    """Listens on loopback."""

    daemon_threads = True
    allow_reuse_address = True


def _context(pair: Pair, folder: Path) -> ssl.SSLContext:
    leaf, key = pair
    file = folder / "server.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(leaf.public_bytes(Encoding.PEM) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def _post(names: tuple[str, ...]) -> Post:
    root = certificate("Company root", None, days=(-10, 3000))
    leaf = certificate(names[0], root, names)
    with TemporaryDirectory() as folder:
        context = _context(leaf, Path(folder))
    return Post(root[0].public_bytes(Encoding.PEM).decode(), context)


@contextmanager
def smtp_server(
    names: tuple[str, ...] = ("localhost", "127.0.0.1"), port: int = 0
) -> Iterator[Post]:
    """Run one on loopback; its certificate is for *names*."""
    post = _post(names)
    with _Server(("127.0.0.1", port), _Visit) as server:
        server.post = post  # type: ignore[attr-defined]
        post.port = server.server_address[1]
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield post
        finally:
            server.shutdown()
            thread.join(60)
