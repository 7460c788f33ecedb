"""Under which CA each connector believes this server, and whether it knows the newest."""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from contracts.certificates import fingerprint
from contracts.connector import ConnectorStatus, TrustedAuthority
from management import certificates
from management.keys import CONSOLE_CERTIFICATE, Keys
from management.mail_access.connectors import read_status
from management.mail_access.models import Connector


@dataclass(frozen=True, slots=True)
class Standing:
    """What one connector trusts; *why* is empty where all is well."""

    trusted: tuple[TrustedAuthority, ...]
    tone: certificates.Urgency
    why: str


def certifies_console(keys: Keys) -> bool:
    """Tell whether the built-in CA certifies this console, and not the company's own."""
    path = keys.folder / CONSOLE_CERTIFICATE
    if not path.exists():
        return True
    console = x509.load_pem_x509_certificate(path.read_bytes())
    ours = x509.load_pem_x509_certificate(keys.ca_certificate().encode())
    return console.issuer == ours.subject


def offered(keys: Keys) -> tuple[str, ...]:
    """Return the certificates that connectors may learn."""
    return (keys.ca_certificate(),) if certifies_console(keys) else ()


def newest(keys: Keys) -> str:
    """Return the fingerprint of the CA that connectors ought to know; empty: the company's own."""
    return fingerprint(keys.ca_certificate()) if certifies_console(keys) else ""


def standing(
    said: ConnectorStatus | None, wanted: str, command: str, now: datetime
) -> Standing | None:
    """Return what a connector that said *said* trusts; None when it said nothing of itself yet.

    *wanted*: see `newest`. *command*: what on its machine gives it another CA.
    """
    if said is None:
        return None
    trusted = said.authorities
    if not trusted:
        why = "It does not say which CA it trusts: its release is older. Update it."
        return Standing(trusted, "info", why)
    until = max(one.until for one in trusted)
    day = f"{until:%Y-%m-%d}"
    if wanted in {one.fingerprint for one in trusted}:
        return Standing(trusted, "ok", "")
    if wanted:
        return Standing(
            trusted,
            "bad" if until <= now else "warn",
            f"It does not know this server's newest CA certificate; the one it trusts ends on "
            f"{day}. It learns the newest at its next call; if that does not help, run on its "
            f"machine: {command} --fingerprint {wanted}",
        )
    tone = certificates.urgency((until - now).days)
    if tone == "ok":
        return Standing(trusted, tone, "")
    why = (
        f"The CA of your company that it trusts ends on {day}. Give it the next one before that, "
        f"on its machine: {command} --file company-ca.pem"
    )
    return Standing(trusted, tone, why)


def of(row: Connector, wanted: str, now: datetime) -> Standing | None:
    """Return what the connector *row* trusts; None for one that is disabled or silent so far."""
    if row.disabled_at is not None:
        return None
    return standing(read_status(row), wanted, command_of(row.kind), now)


def command_of(kind: str) -> str:
    """Return the command that gives a connector of this kind another CA."""
    gate = " gate" if kind == "gate" else ""
    return f"sekisho exchange-connector{gate} management-ca"
