"""Decides which certificate a server must show before a token is sent to it."""

import base64
import hmac
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from contracts.certificates import fingerprint
from runtime.errors import (
    ConfigurationError,
    ForbiddenError,
    MalformedMessageError,
    UnavailableError,
)

CONNECT_SECONDS = 20
CONSOLE_PATHS = ("", "/", "/mdm/web", "/mdm/web/")


def address_of(said: str) -> str:
    """Return ``https://HOST[:PORT]`` of what somebody typed; MalformedMessageError."""
    try:
        parts = urlsplit(said if "://" in said else f"https://{said}")
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        parts, port = urlsplit(""), ""
    if parts.scheme != "https" or not parts.hostname:
        raise MalformedMessageError(
            "Name the console's address, like https://mdm.example.org:8443; a token travels over"
            " HTTPS only."
        )
    if parts.username or parts.password or parts.query or parts.path not in CONSOLE_PATHS:
        raise MalformedMessageError("Only scheme, name and port belong in the address.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"https://{host}{port}"


def context_of(authority: str) -> ssl.SSLContext:
    """Return what checks certificates: only under *authority* (PEM), or as this machine does."""
    try:
        return ssl.create_default_context(cadata=authority or None)
    except ssl.SSLError:
        raise ConfigurationError("The certificate to trust is none in PEM form.") from None


def read_authority(file: Path) -> str:
    """Return the certificates of a file; ConfigurationError when it holds none."""
    try:
        text = file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(f"{file} cannot be read as a certificate (PEM).") from None
    context_of(text or "none")
    return text


def pinned(url: str, expected: str) -> str:
    """Fetch the server's own authority; ForbiddenError unless it has the *expected* fingerprint."""
    found = fetched(url)
    wanted = expected.replace(":", "").strip()
    if not any(hmac.compare_digest(one.encode(), wanted.encode()) for one in _forms(found, wanted)):
        raise ForbiddenError(
            f"The authority of {url} has another fingerprint: {hexadecimal(found)}. Either this is"
            " another server or somebody is in between; nothing was sent."
        )
    return found


def fetched(url: str) -> str:
    """Return the certificate (PEM) that the server calls its own authority; nobody checked it."""
    from exchange_connector.pairing import fetch_authority  # half a second, for signing in only

    return fetch_authority(url)


def hexadecimal(authority: str) -> str:
    """Return the SHA-256 of a certificate as the console's page of certificates shows it."""
    return base64.urlsafe_b64decode(fingerprint(authority) + "=").hex()


def _forms(authority: str, wanted: str) -> tuple[str, str]:
    """Return both ways in which the console shows it: certificates, and pairing codes."""
    found = hexadecimal(authority)
    return (found.upper() if wanted.isupper() else found), fingerprint(authority)


def is_trusted(url: str, authority: str = "") -> bool:
    """Tell whether the server's certificate holds; UnavailableError when nobody answers."""
    try:
        with httpx.Client(
            verify=context_of(authority), trust_env=False, timeout=CONNECT_SECONDS
        ) as http:
            http.get(f"{url}/healthz")
    except httpx.TransportError as error:
        if refusal(error):
            return False
        raise UnavailableError(f"{url} cannot be reached: {error}") from None
    return True


def refusal(error: BaseException | None) -> str:
    """Return why a certificate was refused, if that is what went wrong; else nothing."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        error = error.__cause__ or error.__context__
    return ""
