"""Pairs a gate with management by a one-time code; what is left lies where a connector's does."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from exchange_connector import configuration, pairing
from runtime.errors import ConfigurationError, UnavailableError

PATH = "/Microsoft-Server-ActiveSync"
MEND = "sekisho exchange-connector gate management-ca"
NOT_PAIRED = (
    "This gate is not paired. Make a code in the console under Mail access, Connectors, and run "
    "the command that is shown there."
)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish(pairing.Invitation):
    """What the person who pairs said."""

    server: str
    """The ActiveSync server, ``https://mail.example.com``, with its path where it has another."""
    server_ca: str = ""
    """PEM file of the CA that certifies it; empty: the system's."""


def pair(folder: Path, wish: Wish) -> configuration.Paired:
    """Pair and write everything into *folder*.

    The mail server is tried first, so that a wrong address uses up no code.
    """
    pairing.require_unpaired(folder)
    server = server_address(wish.server)
    _try(server, wish.server_ca)
    joined = pairing.join(wish, "gate")
    paired = configuration.Paired(
        connector_id=joined.said.connector_id,
        name=wish.name,
        management=wish.management,
        exchange_url=server,
        exchange_ca=wish.server_ca,
    )
    configuration.save(folder, paired, configuration.Credentials(joined.key), joined.authority)
    return paired


def load(folder: Path) -> tuple[configuration.Paired, configuration.Credentials]:
    """Return the pairing; ConfigurationError says what is missing or wrong."""
    if not configuration.is_paired(folder):
        raise ConfigurationError(NOT_PAIRED)
    return configuration.load(folder)


def server_address(said: str) -> str:
    """Return the whole address of the ActiveSync server; ConfigurationError when it is none.

    Phones send passwords: without TLS only to this very machine.
    """
    parts = urlsplit(said)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise ConfigurationError(f"{said} is no http or https address of a mail server.")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ConfigurationError(
            "Without TLS the network would see every phone's password. Use an https address, or "
            "run the gate on the mail server itself."
        )
    path = parts.path.rstrip("/")
    return parts._replace(path=path if path.endswith(PATH) else path + PATH, fragment="").geturl()


def _try(server: str, ca_file: str) -> None:
    try:
        trust = ssl.create_default_context(cafile=ca_file or None)
        with httpx.Client(verify=trust, trust_env=False, timeout=30) as http:
            answer = http.options(server)
    except (httpx.HTTPError, OSError) as error:
        raise UnavailableError(f"The mail server does not answer: {error}") from None
    if answer.status_code not in (200, 401):
        raise UnavailableError(
            f"{server} does not answer as an ActiveSync server does (status {answer.status_code})."
        )
