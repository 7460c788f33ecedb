"""What console and API do about relays: each function is one request's transaction, audited."""

from dataclasses import asdict
from typing import cast, get_args
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts.connector import LogLevel
from management import log_zips
from management.access import signed_in_name
from management.audit.notes import note
from management.audit.rules import differences
from management.relays import changes, deleting, logs, tls
from management.relays.joining import join
from management.relays.link_client import instance_of
from management.relays.models import Relay
from management.relays.queries import get_relay
from management.relays.service import pair_relay
from management.web import context, reading, transaction
from runtime.clock import utc_now
from runtime.errors import RefusedError

MOST_NAME = 100


def pair(name: str, link_url: str, code: str, devices_url: str = "") -> Relay:
    """Pair with the relay that shows *code*, and give it a certificate of the built-in CA.

    Without *devices_url* devices are sent to the name and port that the relay itself says.
    ForbiddenError: wrong code or somebody in between. UnavailableError: nobody answers.
    """
    link_url = changes.check_address(link_url)
    _check_name(name)
    wanted = changes.check_address(devices_url) if devices_url.strip() else ""
    server = context()
    instance = instance_of(server.settings.home)
    joined = join(link_url, code, server.keys.link_key(), instance)
    said, now = joined.status.settings, utc_now()
    if said is None:
        raise RefusedError("The relay does not say where it listens; it is of an older release.")
    address = wanted or f"https://{said.public_name}:{said.devices_ports[0]}"
    ca_certificate = server.keys.ca_certificate()
    with transaction("pair a relay") as session:
        relay = pair_relay(
            session, name, link_url, joined.link_certificate, address, ca_certificate, now
        )
        relay.told_settings, relay.version = changes.plain(said), joined.status.version[:50]
        changes.issue_certificate(session, server.keys, relay, now)
        note(session, "relay.pair", name, link_url=link_url, devices_url=address)
    return relay


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > MOST_NAME:
        raise RefusedError(f"Give the relay a name of at most {MOST_NAME} characters.")
    with reading() as session:
        if session.scalars(select(Relay.id).where(Relay.name == name)).first():
            raise RefusedError("Another relay has this name already.")


def import_certificate(relay_id: UUID, data: bytes, password: str) -> tls.Checked:
    """Let the relay show the certificate in a ``.pfx``/``.p12`` file; `tls.CertificateError`."""
    now = utc_now()
    with transaction("import a certificate") as session:
        relay = get_relay(session, relay_id)
        host = changes.host_of(relay.devices_url)
        checked = tls.read_pfx(data, password, host, now, tls.system_roots())
        changes.set_certificate(session, context().keys, relay, checked, changes.IMPORTED, now)
        _note_certificate(session, relay, checked)
    return checked


def _note_certificate(session: Session, relay: Relay, checked: tls.Checked) -> None:
    note(
        session,
        "relay.certificate",
        relay.name,
        source=relay.tls_source,
        sha256=checked.sha256,
        until=str(checked.until),
    )


def issue_certificate(relay_id: UUID) -> None:
    """Let the relay show a fresh certificate of the built-in CA."""
    with transaction("issue a certificate") as session:
        relay = get_relay(session, relay_id)
        changes.issue_certificate(session, context().keys, relay, utc_now())
        note(session, "relay.certificate", relay.name, source=relay.tls_source)


def place(relay_id: UUID, wish: changes.Places) -> None:
    """Move the relay to other addresses or ports."""
    for port in (wish.devices_port, wish.http_port, wish.link_port):
        if not 1 <= port <= 65_535:
            raise RefusedError("A port is a number from 1 to 65535.")
    if len({wish.devices_port, wish.http_port, wish.link_port}) < 3:
        raise RefusedError("The three ports must differ.")
    with transaction("move a relay") as session:
        relay = get_relay(session, relay_id)
        before = asdict(changes.places_of(relay))
        changes.set_places(session, context().keys, relay, wish, utc_now())
        note(session, "relay.settings", relay.name, **differences(before, asdict(wish)))


def change_log_level(relay_id: UUID, level: str) -> None:
    """Let the relay log more or less for an hour."""
    if level not in get_args(LogLevel):
        raise RefusedError("Choose a log level.")
    with transaction("change a relay's log level") as session:
        now, relay = utc_now(), get_relay(session, relay_id)
        before = {"level": log_zips.level_now(relay.log_level, relay.log_level_until, now)}
        logs.change_level(session, relay_id, cast("LogLevel", level), now)
        said = differences(before, {"level": level})
        note(session, "relay.log_level", relay.name, **said)


def order_log(relay_id: UUID, cancelled: bool) -> None:
    """Let the relay's log be fetched, or take that back."""
    with transaction("order a relay's log") as session:
        if cancelled:
            note(session, "relay.cancel_log", logs.cancel(session, relay_id).name)
        else:
            relay = logs.order(session, relay_id, signed_in_name(), utc_now())
            note(session, "relay.fetch_log", relay.name)


def switch(relay_id: UUID, on: bool, reason: str) -> None:
    """Use the relay again, or no more."""
    with transaction("switch a relay") as session:
        relay = get_relay(session, relay_id)
        (changes.enable if on else changes.disable)(session, relay, utc_now())
        note(session, "relay.enable" if on else "relay.disable", relay.name, reason)


def delete(relay_id: UUID, typed: str, reason: str) -> deleting.Hanging:
    """Forget the relay; return what hung on it."""
    with transaction("delete a relay") as session:
        name, hanging = deleting.delete_relay(session, relay_id, typed, utc_now())
        counts = {"devices": hanging.devices, "lonely": hanging.lonely, "orders": hanging.orders}
        note(session, "relay.delete", name, reason, reports=hanging.reports, **counts)
    return hanging
