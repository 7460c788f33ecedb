"""What devices are told of relays: addresses and CAs as lists that overlap.

A change adds an entry and lets the former one run out a month later. A device that slept through
the month asks for the signed statement without TLS (`docs/agent-protocol.md`, section 2.1), so that
it needs no certificate to learn of a new one.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from contracts.agent import RelayEntry
from management.relays.models import Relay, RelayListing

OVERLAP = timedelta(days=30)


def list_now(session: Session, relay: Relay, now: datetime) -> None:
    """Let devices be told of the relay's present address and CA; what they were told runs out."""
    held = (relay.devices_url, relay.ca_certificate)
    current = None
    for row in _rows(session, relay.id):
        if (row.url, row.ca_certificate) == held:
            current, row.ends_at = row, None
        elif row.ends_at is None:
            row.ends_at = now + OVERLAP
    if current is None:
        url, ca_certificate = held
        session.add(
            RelayListing(relay_id=relay.id, url=url, ca_certificate=ca_certificate, since=now)
        )
    session.flush()


def unlist(session: Session, relay: Relay, now: datetime) -> None:
    """Tell devices of this relay no more, from now on."""
    for row in _rows(session, relay.id):
        if row.ends_at is None or row.ends_at > now:
            row.ends_at = now
    session.flush()


def entries(session: Session, now: datetime) -> tuple[RelayEntry, ...]:
    """Return what devices are told now: by the relays' names, each address once."""
    rows = session.execute(
        select(RelayListing)
        .join(Relay, Relay.id == RelayListing.relay_id)
        .where(or_(RelayListing.ends_at.is_(None), RelayListing.ends_at > now))
        .order_by(Relay.name, RelayListing.id)
    ).scalars()
    by_url: dict[str, list[RelayListing]] = {}
    for row in rows:
        by_url.setdefault(row.url, []).append(row)
    return tuple(_entry(url, found) for url, found in by_url.items())


def _entry(url: str, rows: Sequence[RelayListing]) -> RelayEntry:
    ends = [row.ends_at for row in rows]
    return RelayEntry(
        url=url,
        ca_certificates=tuple(dict.fromkeys(row.ca_certificate for row in rows)),
        ends_at=None if None in ends else max(end for end in ends if end is not None),
    )


def _rows(session: Session, relay_id: UUID) -> Sequence[RelayListing]:
    return session.scalars(select(RelayListing).where(RelayListing.relay_id == relay_id)).all()
