"""Hands checkpoints to places outside this machine's power: a file, a syslog server (RFC 5424),
mailboxes.
"""

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from management.audit.models import Checkpoint
from management.audit.outside_mail import letter
from management.outgoing_mail import smtp
from management.outgoing_mail.rules import MailServer
from runtime.clock import utc_now
from runtime.errors import ConfigurationError, UnavailableError

TIMEOUT_SECONDS = 10.0
NOTICE_OF_SECURITY = 13 * 8 + 5
"""RFC 5424 section 6.2.1: facility "log audit", severity "notice"."""


AT_ONCE_BY_MAIL = 1000
"""Checkpoints in one mail, of six weeks: it brings them all when the mail server is back."""


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere outside. ``tell`` takes checkpoints, at most ``at_once``, and whether they may be
    there already; UnavailableError says why not, UncertainError that they may have arrived.
    """

    name: str
    tell: Callable[[Sequence[Checkpoint], bool], None]
    at_once: int = 1
    says_again: bool = False
    """Whoever gets something twice is told; so it is noted before it is sent."""


def places(file: str, syslog: str) -> list[Place]:
    """Return the places that the settings ``audit_file`` and ``audit_syslog`` name.

    ConfigurationError: the address of the syslog server is not ``udp://`` or ``tcp://HOST[:PORT]``.
    """
    found = []
    if file:
        path = Path(file)
        found.append(Place(f"file {path}", lambda new, _again: _append(path, new[0].token)))
    if syslog:
        scheme, host, port = _server(syslog)
        send = _send_datagram if scheme == "udp" else _send_stream

        def tell(new: Sequence[Checkpoint], _again: bool) -> None:
            send((host, port), message(new[0].token, new[0].at))

        found.append(Place(f"syslog {host}", tell))
    return found


def mailbox(address: str, server: Callable[[], MailServer], here: str) -> Place:
    """Return the mailbox at *address*, which gets mail by *server*; *here* names this server."""

    def tell(new: Sequence[Checkpoint], again: bool) -> None:
        opened = server()
        smtp.send(opened, letter(address, opened.sender, here, new, again, utc_now()))

    return Place(f"mail {address}", tell, AT_ONCE_BY_MAIL, says_again=True)


def message(token: str, at: datetime) -> bytes:
    """Return the syslog message (RFC 5424 section 6) that carries *token*."""
    stamp = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    host = socket.gethostname()[:255] or "-"
    return f"<{NOTICE_OF_SECURITY}>1 {stamp} {host} sekisho - audit-checkpoint - {token}".encode()


def _append(path: Path, token: str) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o640)
        with os.fdopen(file, "ab") as stream:
            stream.write(token.encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise UnavailableError(f"{path} cannot be written ({error.strerror}).") from None


def _server(address: str) -> tuple[str, str, int]:
    parts = urlsplit(address)
    try:
        port = parts.port
    except ValueError:
        port = -1
    wrong = parts.scheme not in ("udp", "tcp") or not parts.hostname or parts.path or port == -1
    if wrong or parts.hostname is None:
        raise ConfigurationError(
            f"SEKISHO_AUDIT_SYSLOG is {address!r}; write udp://HOST:PORT or tcp://HOST:PORT."
        )
    return parts.scheme, parts.hostname, port or (514 if parts.scheme == "udp" else 601)


def _send_datagram(server: tuple[str, int], text: bytes) -> None:
    """RFC 5426: one message a datagram; nobody says that it arrived."""
    try:
        family, kind, _, _, to = socket.getaddrinfo(*server, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as connection:
            connection.sendto(text, to)
    except OSError as error:
        raise UnavailableError(_away(server, error)) from None


def _send_stream(server: tuple[str, int], text: bytes) -> None:
    """RFC 6587 section 3.4.1: its length before the message."""
    try:
        with socket.create_connection(server, TIMEOUT_SECONDS) as connection:
            connection.sendall(b"%d %s" % (len(text), text))
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1024):
                pass  # until the server has read to the end
    except OSError as error:
        raise UnavailableError(_away(server, error)) from None


def _away(server: tuple[str, int], error: OSError) -> str:
    return f"The syslog server {server[0]}:{server[1]} cannot be reached ({error})."
