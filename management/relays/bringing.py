"""The part of a visit that sets a relay up: its ports, its certificate, what it says of both."""

import time
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from contracts.link import RelayCertificate, RelayStatus, Rival
from management.context import Context
from management.relays import logs
from management.relays.changes import close_former_ports, plain, read_settings
from management.relays.link_client import LinkClient, instance_of
from management.relays.models import Relay
from management.relays.queries import find_trust, get_relay
from management.relays.service import record_incident
from management.relays.trust import is_told
from runtime.clock import utc_now
from runtime.errors import UnavailableError

RIVAL = "second_management"


@dataclass(frozen=True, slots=True)
class Greeting:
    """A relay that answers."""

    link: LinkClient
    url: str
    status: RelayStatus
    milliseconds: int


def dial(context: Context, relay: Relay, seconds: float | None = None) -> Greeting:
    """Return the link to the relay where it is, or where it was; UnavailableError at neither, or
    when *seconds* are over; left out: each gets the time of an exchange in the background.
    """
    failed: UnavailableError | None = None
    urls = [url for url in (relay.link_url, relay.link_url_before) if url]
    each = seconds / len(urls) if seconds else None
    for url in urls:
        name, key = instance_of(context.settings.home), context.keys.link_key()
        link = LinkClient(url, relay.link_certificate, key, name, each)
        begun = time.monotonic()
        try:
            status = link.status()
        except UnavailableError as error:
            link.close()
            failed = failed or error
        else:
            return Greeting(link, url, status, int((time.monotonic() - begun) * 1000))
    assert failed is not None
    raise failed


def bring_setup(context: Context, greeting: Greeting, relay_id: UUID) -> str:
    """Give the relay the ports and the certificate it is to have; return what went wrong."""
    now = utc_now()
    with context.database.transaction("note how the relay is set up") as session:
        relay = get_relay(session, relay_id)
        _note(session, relay, greeting, now)
        close_former_ports(relay, now)
    problems = []
    for bring in (_bring_settings, _bring_certificate, logs.bring_level, logs.fetch):
        try:
            bring(context, greeting.link, relay, greeting.status)
        except UnavailableError as error:
            problems.append(str(error))
    return " ".join(problems)


def _note(session: Session, relay: Relay, greeting: Greeting, now: datetime) -> None:
    status, rival = greeting.status, greeting.status.rival
    relay.link_ms = greeting.milliseconds
    relay.tls_shown = status.certificate_sha256 or ""
    relay.tls_until = status.certificate_until
    relay.told_settings = plain(status.settings) if status.settings else None
    if greeting.url == relay.link_url:
        relay.link_url_before = ""
    if rival is not None and (relay.contact_at is None or rival.at > relay.contact_at):
        record_incident(session, RIVAL, _words(rival), now, relay_id=relay.id)


def _words(rival: Rival) -> str:
    if rival.same_keys:
        return (
            f"A second management server with the same keys called the relay from {rival.address} "
            "and was refused: a copy of this data folder runs elsewhere. End it."
        )
    return (
        f"A management server with another key called the relay from {rival.address} and was "
        "refused."
    )


def _bring_settings(context: Context, link: LinkClient, relay: Relay, status: RelayStatus) -> None:
    if relay.wanted_settings is None:
        return
    wanted = read_settings(relay.wanted_settings)
    if wanted != status.settings:
        link.put_settings(wanted)


def _bring_certificate(
    context: Context, link: LinkClient, relay: Relay, status: RelayStatus
) -> None:
    """Devices are told of a CA first: so this waits until the relay holds a statement with it."""
    if not relay.tls_sha256 or relay.tls_sha256 == status.certificate_sha256:
        return
    with context.database.reading() as session:
        trust = find_trust(session)
    if trust is None or trust.issue != relay.trust_issue:
        return
    if not is_told(trust.statement, relay.devices_url, relay.ca_certificate):
        return
    key = context.keys.unseal(relay.tls_key)
    link.put_certificate(RelayCertificate(chain=relay.tls_chain, key=key))
