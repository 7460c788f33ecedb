"""What is said of a mail server before mail goes out by it, and what is wrong with that. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address

from cryptography import x509

MOST_RECEIVERS = 10
LONGEST_ADDRESS = 254
LONGEST_SECRET = 500
LONGEST_CA = 100_000
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME = rf"{_LABEL}(?:\.{_LABEL})*"
HOST = re.compile(_NAME.replace("A-Za-z0-9", "A-Za-z0-9_"))
"""Windows machines have names with ``_``; mail addresses do not."""
ADDRESS = re.compile(rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_NAME}")
"""As browsers take it (HTML, 4.10.5.1.5): nothing in it can end a header or an SMTP command."""


class Encryption(StrEnum):
    """How the connection to the mail server is kept secret."""

    STARTTLS = "starttls"
    """Begins in the clear and must change to TLS before anything is said (RFC 3207)."""
    TLS = "tls"
    """TLS from the first byte (RFC 8314)."""
    NONE = "none"
    """Only to a server on this machine."""


PORTS = {Encryption.STARTTLS: 587, Encryption.TLS: 465, Encryption.NONE: 25}
"""The usual ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """A mail server, and as whom mail goes out by it."""

    host: str
    port: int
    encryption: Encryption
    sender: str
    user: str = ""
    """Empty: the server asks for no sign-in."""
    password: str = field(default="", repr=False)
    ca: str = ""
    """Certificates (PEM) of whoever certifies the server; empty: those this machine trusts."""

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Return whether *host* is this machine, whatever the network says."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost"


def is_address(text: str) -> bool:
    """Return whether *text* is a mail address that SMTP takes without SMTPUTF8."""
    return len(text) <= LONGEST_ADDRESS and ADDRESS.fullmatch(text) is not None


def addresses(text: str) -> tuple[str, ...]:
    """Return what somebody typed as addresses: separated by commas, spaces or lines; each once."""
    return tuple(dict.fromkeys(re.split(r"[\s,;]+", text.strip()) if text.strip() else ()))


def problems(server: MailServer, receivers: Iterable[str]) -> dict[str, str]:
    """Return what is wrong, a sentence a field; nothing when all may be kept."""
    found = {
        "host": _host(server.host),
        "port": "" if 1 <= server.port <= 65_535 else "A port is a number from 1 to 65535.",
        "encryption": _encryption(server),
        "sender": "" if is_address(server.sender) else NO_ADDRESS,
        "password": _sign_in(server),
        "ca": _ca(server.ca),
        "checkpoints_to": _receivers(tuple(receivers)),
    }
    return {name: sentence for name, sentence in found.items() if sentence}


NO_ADDRESS = "Enter a mail address, like audit@example.com. Only the letters of ASCII are taken."


def _host(host: str) -> str:
    try:
        ip_address(host)
    except ValueError:
        if len(host) > 253 or not HOST.fullmatch(host):
            return "Enter the mail server's name or address, without a port."
    return ""


def _encryption(server: MailServer) -> str:
    if server.encryption is not Encryption.NONE or is_loopback(server.host):
        return ""
    return (
        "Without encryption mail goes only to a server on this machine (localhost, 127.0.0.1). "
        "Choose STARTTLS or TLS."
    )


def _sign_in(server: MailServer) -> str:
    if bool(server.user) != bool(server.password):
        return (
            "User and password belong together. The password has to be entered again when the "
            "server, the encryption, the CA or the user is changed."
        )
    both = server.user + server.password
    if len(both) > LONGEST_SECRET or not both.isprintable():
        return "User and password may have 500 characters together, and no control characters."
    return ""


def _ca(pem: str) -> str:
    if not pem:
        return ""
    try:
        if len(pem) <= LONGEST_CA and x509.load_pem_x509_certificates(pem.encode()):
            return ""
    except ValueError:
        pass
    return "This is no certificate as text (PEM, -----BEGIN CERTIFICATE-----)."


def _receivers(receivers: tuple[str, ...]) -> str:
    if len(receivers) > MOST_RECEIVERS:
        return f"At most {MOST_RECEIVERS} addresses; use a list at your mail server."
    wrong = [one for one in receivers if not is_address(one)]
    if not wrong:
        return ""
    return f"This is no mail address: {wrong[0][:100]}. Only the letters of ASCII are taken."
