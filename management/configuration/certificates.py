"""Every certificate and key that this server rests on: how it stands, what mends it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from sqlalchemy.orm import Session

from contracts import keys as jwk
from management.context import Context
from management.keys import CONSOLE_CERTIFICATE
from management.mail_access.models import Connector
from management.mail_access.queries import list_connectors
from management.relays.models import Relay
from management.relays.queries import list_relays
from management.updates.queries import get_overview
from management.verification import own_checks, rules
from management.verification.rules import Finding, Sentence, Tone
from management.verification.rules import sentence as _l
from runtime.errors import SekishoError


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One certificate or key. What is empty does not apply to it."""

    what: Sentence
    fingerprint: str
    finding: Finding
    subject: str = ""
    issuer: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    """None: a key without an end."""
    endpoint: str = ""
    """The page where it is replaced, and the field that its address needs."""
    relay_id: UUID | None = None


def list_all(context: Context, session: Session, now: datetime) -> list[Shown]:
    """Return all, each read from where it is used now."""
    return [
        _or_broken(_l("Console (HTTPS)"), lambda what: _console(context, what, now)),
        _authority(context, now),
        *(one for relay in list_relays(session) for one in _relay(relay, now)),
        *_signer(context),
        *_own_keys(context),
        *map(_connector, list_connectors(session)),
        *_updates(session, now),
    ]


def _or_broken(what: Sentence, read: Callable[[Sentence], Shown]) -> Shown:
    """Return what *read* returns; a certificate that is not there or broken says so itself."""
    try:
        return read(what)
    except (OSError, ValueError) as error:
        return Shown(what=what, fingerprint="", finding=rules.broken(error))


def _console(context: Context, what: Sentence, now: datetime) -> Shown:
    leaf = x509.load_pem_x509_certificate((context.keys.folder / CONSOLE_CERTIFICATE).read_bytes())
    finding = own_checks.console_certificate(context, now)
    return _certificate(what, leaf, finding)


def _authority(context: Context, now: datetime) -> Shown:
    certificate = x509.load_pem_x509_certificate(context.keys.ca_certificate().encode())
    mend = _l(
        "It renews itself two years before its end, with the same key: both certificates hold."
    )
    finding = rules.ends(certificate.not_valid_after_utc, now, mend)
    return _certificate(_l("Built-in CA: certifies devices"), certificate, finding)


def _relay(relay: Relay, now: datetime) -> Iterator[Shown]:
    seen = _l("Relay %(name)s, as devices see it", name=relay.name)
    yield _or_broken(seen, lambda what: _of_devices(relay, what, now))
    link = _l("Link to relay %(name)s", name=relay.name)
    yield _or_broken(link, lambda what: _link(relay, what))


def _of_devices(relay: Relay, what: Sentence, now: datetime) -> Shown:
    return Shown(
        what=what,
        subject=relay.devices_url,
        issuer=_subject(relay.ca_certificate),
        fingerprint=relay.tls_shown or relay.tls_sha256,
        ends_at=relay.tls_until,
        finding=_relay_finding(relay, now),
        endpoint="relays.show",
        relay_id=relay.id,
    )


def _link(relay: Relay, what: Sentence) -> Shown:
    link = x509.load_pem_x509_certificate(relay.link_certificate.encode())
    pinned = rules.ok(_l("It was pinned when the relay was paired; its end does not matter."))
    return _certificate(what, link, pinned, "relays.show", relay.id)


def _relay_finding(relay: Relay, now: datetime) -> Finding:
    mend = _l("Import a new certificate on the relay's page, or make one from the built-in CA.")
    if relay.tls_until is None:
        said = _l("The relay has not said yet which certificate it shows.")
        return Finding(Tone.WARN, said, _l("It says so at the next visit; look at its contact."))
    return rules.ends(relay.tls_until, now, mend, "relays.show")


def _signer(context: Context) -> Iterator[Shown]:
    """Yield the order-signing key and the one that will follow; only the signer knows them."""
    what = _l("Order-signing key: devices obey only what it signed")
    try:
        status = context.signer.status()
    except SekishoError as error:
        yield Shown(what=what, fingerprint="", finding=rules.broken(error))
        return
    mend = _l(
        "Let its successor follow with `sekisho trust succeed` when it may be known to others."
    )
    yield Shown(
        what=what,
        fingerprint=status["thumbprint"],
        finding=Finding(Tone.OK, _l("It has no end."), mend),
    )
    promised = _l("Devices know already that this key and no other may follow.")
    yield Shown(
        what=_l("Successor of the order-signing key"),
        fingerprint=status["successor_thumbprint"],
        finding=rules.ok(promised),
    )


def _own_keys(context: Context) -> Iterator[Shown]:
    days = context.settings.encryption_key_days
    yield Shown(
        what=_l("Key that opens reports of devices"),
        fingerprint=jwk.thumbprint(context.keys.encryption_key()),
        finding=rules.ok(_l("Its successor follows by itself after %(days)s days.", days=days)),
        starts_at=context.keys.opening.since(),
    )
    yield Shown(
        what=_l("Key that relays know this server by"),
        fingerprint=jwk.thumbprint(context.keys.link_key()),
        finding=rules.ok(_l("It has no end and lies sealed in the data folder.")),
    )


def _connector(connector: Connector) -> Shown:
    said = _l("It has no end. Pairing the connector again replaces it.")
    idle = _l("The connector is disabled, so its key opens nothing.")
    return Shown(
        what=_l("Connector %(name)s", name=connector.name),
        fingerprint=jwk.thumbprint(jwk.read_public(connector.key)),
        finding=Finding(Tone.IDLE, idle) if connector.disabled_at else rules.ok(said),
        starts_at=connector.paired_at,
        endpoint="mail_access.connectors",
    )


def _updates(session: Session, now: datetime) -> Iterator[Shown]:
    trusted = get_overview(session).trusted
    if trusted is None:
        return
    mend = _l("The source publishes a new root by itself; ask whoever runs it when none comes.")
    yield Shown(
        what=_l("Root of the update source"),
        fingerprint=trusted.fingerprint,
        ends_at=trusted.expires_at,
        finding=rules.ends(trusted.expires_at, now, mend, "updates.index"),
        endpoint="updates.index",
    )


def _certificate(
    what: Sentence,
    certificate: x509.Certificate,
    finding: Finding,
    endpoint: str = "",
    relay_id: UUID | None = None,
) -> Shown:
    return Shown(
        what=what,
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        starts_at=certificate.not_valid_before_utc,
        ends_at=certificate.not_valid_after_utc,
        finding=finding,
        endpoint=endpoint,
        relay_id=relay_id,
    )


def _subject(pem: str) -> str:
    return x509.load_pem_x509_certificate(pem.encode()).subject.rfc4514_string() if pem else ""
