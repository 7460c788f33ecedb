"""What an administrator changes about a relay: certificate, addresses, ports, on or off."""

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from sqlalchemy.orm import Session

from contracts import codec
from contracts.link import RelaySettings
from management.audit.service import record
from management.certificates import WARN_DAYS, warning_step
from management.keys import Keys
from management.relays import tls
from management.relays.listing import OVERLAP, list_now, unlist
from management.relays.models import Relay
from management.relays.queries import list_relays
from management.relays.service import announce_everything
from runtime.errors import RefusedError

IMPORTED, PRIVATE = "imported", "private"
RENEW_BEFORE = timedelta(days=30)
MOST_PORTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a relay is reached and where it listens; behind a NAT these differ."""

    link_url: str
    devices_url: str
    devices_port: int
    http_port: int
    link_port: int


def host_of(url: str) -> str:
    """Return the name or address in an ``https://host:port``."""
    return urlsplit(url).hostname or ""


def check_address(url: str) -> str:
    """Return ``https://host:port`` without anything after it; RefusedError when it is none."""
    try:
        parts = urlsplit(url.strip())
        good = parts.scheme == "https" and parts.hostname and (parts.port or True)
    except ValueError:
        good = False
    if not good or parts.path not in ("", "/") or parts.query or parts.username:
        raise RefusedError(f"{url[:100]!r} is no address like https://relay.example.com:4343.")
    return f"https://{parts.netloc}"


def set_certificate(
    session: Session, keys: Keys, relay: Relay, checked: tls.Checked, source: str, now: datetime
) -> None:
    """Let devices see another certificate, as soon as they were told of its CA."""
    relay.tls_chain, relay.tls_sha256 = checked.chain, checked.sha256
    relay.tls_key, relay.tls_source = keys.seal(checked.key), source
    relay.tls_warned_days = None
    relay.ca_certificate = checked.ca
    if relay.disabled_at is None:
        list_now(session, relay, now)


def issue_certificate(session: Session, keys: Keys, relay: Relay, now: datetime) -> None:
    """Give the relay a fresh certificate of the built-in CA for its address."""
    host = host_of(relay.devices_url)
    chain, key = keys.issue_server_certificate([host], now)
    private = serialization.load_pem_private_key(key.encode(), None)
    certificates = x509.load_pem_x509_certificates(chain.encode())
    checked = tls.check(private, certificates, host, now)
    set_certificate(session, keys, relay, checked, PRIVATE, now)


def renew_certificates(session: Session, keys: Keys, now: datetime) -> list[Relay]:
    """Renew those of the built-in CA that end within 30 days, or all when it was renewed itself.

    Return whose.
    """
    ours = keys.ca_certificate()
    due = [
        relay
        for relay in list_relays(session)
        if relay.tls_source != IMPORTED
        and keys.is_own_authority(relay.ca_certificate)
        and (relay.ca_certificate != ours or _ends_soon(relay, now))
        and not _is_on_its_way(relay)
    ]
    for relay in due:
        issue_certificate(session, keys, relay, now)
    return due


def _ends_soon(relay: Relay, now: datetime) -> bool:
    return relay.tls_until is not None and relay.tls_until - now <= RENEW_BEFORE


def _is_on_its_way(relay: Relay) -> bool:
    return relay.tls_sha256 not in ("", relay.tls_shown)


def days_left(relay: Relay, now: datetime) -> int | None:
    """Return how many whole days the certificate that devices see still holds; None: unknown."""
    return None if relay.tls_until is None else (relay.tls_until - now).days


def warn_of_expiry(session: Session, keys: Keys, now: datetime) -> list[Relay]:
    """Note in the audit trail that a certificate ends in 60, 30 or 7 days, once each.

    One of the built-in CA renews itself; only 7 days are told, for then that went wrong.
    """
    warned = []
    for relay in list_relays(session):
        left = days_left(relay, now)
        step = None if left is None else warning_step(left)
        if relay.tls_source != IMPORTED and keys.is_own_authority(relay.ca_certificate):
            step = step if step == min(WARN_DAYS) else None
        settled = relay.disabled_at is None and not _is_on_its_way(relay)
        if step is None or not settled or (relay.tls_warned_days or 99) <= step:
            continue
        relay.tls_warned_days = step
        subject, details = relay.name, {"days": left, "until": str(relay.tls_until)}
        record(session, keys, "relays", "relay.certificate_ends", subject, details=details, now=now)
        warned.append(relay)
    return warned


def places_of(relay: Relay) -> Places:
    """Return where the relay is and listens; what was never said is guessed from its addresses."""
    said = relay.wanted_settings or relay.told_settings
    link, devices = urlsplit(relay.link_url).port, urlsplit(relay.devices_url).port
    return Places(
        link_url=relay.link_url,
        devices_url=relay.devices_url,
        devices_port=said["devices_ports"][0] if said else devices or 4343,
        http_port=said["http_ports"][0] if said else 8080,
        link_port=said["link_ports"][0] if said else link or 4344,
    )


def set_places(session: Session, keys: Keys, relay: Relay, wish: Places, now: datetime) -> None:
    """Move the relay: former ports stay open and former addresses listed for 30 days.

    A certificate of the built-in CA is made anew for another name; an imported one must fit.
    """
    wish = replace(
        wish,
        link_url=check_address(wish.link_url),
        devices_url=check_address(wish.devices_url),
    )
    if wish.link_url != relay.link_url:
        relay.link_url_before = relay.link_url_before or relay.link_url
    before = places_of(relay)
    relay.wanted_settings = _wanted(relay, before, wish)
    relay.ports_since = now
    relay.link_url, relay.devices_url = wish.link_url, wish.devices_url
    if host_of(before.devices_url) != host_of(wish.devices_url):
        _follow_name(session, keys, relay, now)
    if relay.disabled_at is None:
        list_now(session, relay, now)


def _follow_name(session: Session, keys: Keys, relay: Relay, now: datetime) -> None:
    if relay.tls_source != IMPORTED:
        issue_certificate(session, keys, relay, now)
        return
    key = serialization.load_pem_private_key(keys.unseal(relay.tls_key).encode(), None)
    found = x509.load_pem_x509_certificates((relay.tls_chain + relay.ca_certificate).encode())
    tls.check(key, found, host_of(relay.devices_url), now)


def _wanted(relay: Relay, before: Places, wish: Places) -> dict[str, Any]:
    said = relay.wanted_settings or relay.told_settings or {}
    pairs = (
        ("devices_ports", before.devices_port, wish.devices_port),
        ("http_ports", before.http_port, wish.http_port),
        ("link_ports", before.link_port, wish.link_port),
    )
    ports: dict[str, Any] = {
        name: tuple(dict.fromkeys((new, old, *said.get(name, ()))))[:MOST_PORTS]
        for name, old, new in pairs
    }
    made = RelaySettings(public_name=host_of(wish.devices_url), **ports)
    return plain(made)


def plain(settings: RelaySettings) -> dict[str, Any]:
    """Return *settings* as the table keeps them."""
    kept: dict[str, Any] = json.loads(codec.write(settings))
    return kept


def read_settings(kept: dict[str, Any]) -> RelaySettings:
    """Return what `plain` was given."""
    return codec.read(RelaySettings, json.dumps(kept))


def close_former_ports(relay: Relay, now: datetime) -> None:
    """Let the relay close what it kept open, when everybody had the time to learn the new."""
    said = relay.wanted_settings
    if said is None or relay.ports_since is None:
        return
    over = now - relay.ports_since > OVERLAP
    names = ("devices_ports", "http_ports") * over + ("link_ports",) * (not relay.link_url_before)
    trimmed = said | {name: said[name][:1] for name in names}
    if trimmed != said:
        relay.wanted_settings = trimmed


def disable(session: Session, relay: Relay, now: datetime) -> None:
    """Visit the relay no more, and tell devices to use the others."""
    if relay.disabled_at is None:
        others = [one for one in list_relays(session) if one.disabled_at is None and one != relay]
        if not others:
            raise RefusedError(
                "This is the only relay that is in use: no device could be reached any more. Pair "
                "another one first."
            )
        relay.disabled_at = now
        unlist(session, relay, now)


def enable(session: Session, relay: Relay, now: datetime) -> None:
    """Use the relay again; it is told everything anew."""
    if relay.disabled_at is not None:
        relay.disabled_at, relay.refills, relay.lost_at = None, 0, None
        list_now(session, relay, now)
        announce_everything(session, relay.id, now)
