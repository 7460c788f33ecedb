"""The certificates under which management is believed, and how a successor joins them.

The built-in CA certifies itself anew with its own key and name before it ends (ADR 0048). So a
successor is known by the key that is pinned here: only who holds the CA's key can sign one. Neither
somebody in between nor a management without that key can plant another CA.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from contracts.certificates import fingerprint
from contracts.connector import MOST_AUTHORITIES, TrustedAuthority
from exchange_connector.configuration import AUTHORITY, keep_text
from runtime.clock import utc_now
from runtime.errors import ConfigurationError, ForbiddenError
from runtime.process import crash_point

log = logging.getLogger(__name__)
LARGEST_BYTES = 100_000
"""Of a file with certificates."""
UNREADABLE = (ValueError, TypeError, x509.ExtensionNotFound)


def read(folder: Path) -> str:
    """Return the certificates (PEM) that *folder* trusts management by, those that ended too."""
    try:
        text = (folder / AUTHORITY).read_text(encoding="ascii")
        x509.load_pem_x509_certificates(text.encode())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{folder / AUTHORITY} cannot be read: {error}") from None
    return text


def read_given(path: Path, expected: str) -> str:
    """Return the certificates (PEM) of a file that a person gave, PEM or DER.

    *expected*: the fingerprint of the one certificate that it must hold; empty: not asked.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES)
        found = _parsed(content)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{path} holds no certificate that can be read: {error}. Give the CA's certificate as "
            "PEM (-----BEGIN CERTIFICATE-----) or DER (a .cer file of Windows)."
        ) from None
    texts = [_pem(one) for one in found]
    if expected and [fingerprint(one) for one in texts] != [expected.strip()]:
        raise ForbiddenError(
            f"{path} does not hold the one certificate with the fingerprint that was named. "
            "Nothing was sent, nothing was changed."
        )
    return "".join(texts)


def _parsed(content: bytes) -> list[x509.Certificate]:
    """Read PEM, whatever stands around it, or DER."""
    if b"-----BEGIN" in content:
        return x509.load_pem_x509_certificates(content[content.index(b"-----BEGIN") :])
    return [x509.load_der_x509_certificate(content)]


def described(text: str, now: datetime) -> tuple[TrustedAuthority, ...]:
    """Return those certificates that have not ended, or all when all have, the newest first."""
    return tuple(
        TrustedAuthority(
            fingerprint=fingerprint(_pem(one)),
            name=one.subject.rfc4514_string()[:255],
            until=one.not_valid_after_utc,
        )
        for one in _in_use(text, now)
    )


def with_successor(text: str, offered: str, now: datetime) -> str:
    """Return *text* with the certificate *offered* before those that have not ended.

    The same *text* unless one of its certificates leads to *offered*: same name, same key, signed
    by that key, a CA's, and ending later than all that are known.
    """
    known = _in_use(text, now)
    try:
        successor = x509.load_pem_x509_certificate(offered.encode())
        if successor in known or not any(_leads_to(one, successor) for one in known):
            return text
        later = successor.not_valid_after_utc > known[0].not_valid_after_utc
        if not (later and successor.not_valid_before_utc <= now < successor.not_valid_after_utc):
            return text
    except UNREADABLE:
        return text
    living = [one for one in known if one.not_valid_after_utc > now]
    return "".join(_pem(one) for one in (successor, *living)[:MOST_AUTHORITIES])


@dataclass(slots=True)
class Authorities:
    """What a running process trusts: as its file says, and its connections follow the file."""

    folder: Path
    trust: Sequence[Callable[[str], None]]
    """Of each connection to management: trusts these certificates from now on."""
    text: str
    """As the connections know it."""
    refused: tuple[str, ...] = ()
    """What was offered last and is not trusted."""

    def refresh(self) -> None:
        """Take over what somebody put into the file by hand, so that no restart is needed."""
        try:
            text = read(self.folder)
        except ConfigurationError as error:
            log.warning("The authority of management: %s", error)
            return
        if text != self.text:
            self._use(text)

    def learn(self, offered: Sequence[str]) -> None:
        """Trust those successors at once and for good that the pinned key signed."""
        for certificate in offered:
            fresh = with_successor(self.text, certificate, utc_now())
            if fresh != self.text:
                crash_point("before effect keep a successor CA")
                keep_text(self.folder / AUTHORITY, fresh)
                self._use(fresh)
                log.info("Management's CA renewed itself; its new certificate is trusted too.")
        strange = tuple(one for one in offered if not _holds(self.text, one))
        if strange and strange != self.refused:
            log.warning("Management named a CA that the trusted one did not sign: it is refused.")
        self.refused = strange

    def report(self) -> tuple[TrustedAuthority, ...]:
        """Return what is trusted now, for management."""
        return described(self.text, utc_now())[:MOST_AUTHORITIES]

    def _use(self, text: str) -> None:
        for trust in self.trust:
            trust(text)
        self.text = text


def why_refused(text: str, why: str, command: str, now: datetime) -> str:
    """Return what to say when the certificate that management shows is not trusted."""
    known = _in_use(text, now)
    ended = known[0].not_valid_after_utc
    if ended <= now:
        why = f"the CA trusted here ended on {ended:%Y-%m-%d}; it was renewed while this was away"
    return (
        f"Management's certificate is not trusted: {why}. If its CA was renewed or replaced, run "
        f"here: {command} --fingerprint FINGERPRINT (the console shows it under Mail access, "
        "Connectors). Else somebody is in between."
    )


def _holds(text: str, certificate: str) -> bool:
    try:
        named = x509.load_pem_x509_certificate(certificate.encode())
    except UNREADABLE:
        return False
    return named in x509.load_pem_x509_certificates(text.encode())


def _in_use(text: str, now: datetime) -> list[x509.Certificate]:
    """Return the certificates that have not ended, or all when all have, the newest first."""
    found = x509.load_pem_x509_certificates(text.encode())
    found.sort(key=lambda one: one.not_valid_after_utc, reverse=True)
    return [one for one in found if one.not_valid_after_utc > now] or found


def _leads_to(known: x509.Certificate, successor: x509.Certificate) -> bool:
    """Tell whether the key of *known* certified itself anew as *successor*."""
    limits = successor.extensions.get_extension_for_class(x509.BasicConstraints).value
    if not limits.ca or successor.subject != known.subject or _key(successor) != _key(known):
        return False
    try:
        successor.verify_directly_issued_by(known)
    except InvalidSignature:
        return False
    return True


def _key(certificate: x509.Certificate) -> bytes:
    public = certificate.public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode("ascii")
