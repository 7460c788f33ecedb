"""Reads which attestation keys the list of the update source revokes, and whom that concerns."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from management.attestation.models import AttestedCertificate, RevocationList, RevokedKey
from management.updates.rules import Component


def find_list(session: Session) -> RevocationList | None:
    """Return what is known of the list; None before a source ever had one."""
    return session.get(RevocationList, 1)


def component(session: Session) -> Component:
    """Return how the list stands, for the page of updates."""
    row = find_list(session)
    if row is None:
        return Component(kind="revoked_keys")
    return Component(
        kind="revoked_keys",
        version=str(row.issue) if row.issue else "",
        size=row.keys if row.issue else None,
        since=row.taken_at,
        source=row.source,
        looked_at=row.looked_at,
        offered=str(row.offered),
        problem=row.problem,
    )


def revoked_among(session: Session, serials: Sequence[str]) -> frozenset[str]:
    """Return which of these few serial numbers are on the list."""
    return frozenset(
        session.scalars(select(RevokedKey.serial).where(RevokedKey.serial.in_(serials)))
    )


def all_revoked(session: Session) -> frozenset[str]:
    """Return the whole list."""
    return frozenset(session.scalars(select(RevokedKey.serial)))


def concerned(session: Session, limit: int) -> Sequence[AttestedCertificate]:
    """Return certificates on the list on which the proof of a device still rests."""
    listed = AttestedCertificate.serial.in_(select(RevokedKey.serial))
    return session.scalars(
        select(AttestedCertificate)
        .where(listed)
        .order_by(
            AttestedCertificate.serial,
            AttestedCertificate.device_id,
            AttestedCertificate.key_thumbprint,
        )
        .limit(limit)
    ).all()
