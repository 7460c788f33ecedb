"""Counts which devices hold apps, as far as whoever asks sees the devices."""

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from management.apps.models import App, DeviceApp
from management.devices.models import Device
from management.limits import groups_of, is_one_of, seeing_all
from management.listing.rules import Count

LOOKED_AT = 1000
"""Most holders of one app, and most apps of one verdict, that are looked at for a number."""


def count_devices(session: Session, rows: Sequence[App]) -> dict[str, Count]:
    """Return hash -> how many devices hold the app; within groups it is bounded, and says so."""
    if groups_of(session) is None:
        return {row.sha256: Count(row.devices) for row in rows}
    return {row.sha256: _count_seen(session, row) for row in rows}


def _count_seen(session: Session, row: App) -> Count:
    first = (
        select(DeviceApp.device_id)
        .where(DeviceApp.sha256 == row.sha256)
        .order_by(DeviceApp.device_id)
        .limit(LOOKED_AT)
        .subquery()
    )
    seen = (
        select(func.count(func.distinct(Device.id)))
        .select_from(first)
        .join(Device, Device.id == first.c.device_id)
        .where(is_one_of(Device.group_id, groups_of(session) or ()))
    )
    with seeing_all(session):  # else each of the first would be asked for its group beforehand
        found = session.scalars(seen).one()
    return Count(max(found, 1), more=True) if row.devices > LOOKED_AT else Count(found)


def count_verdicts(session: Session) -> dict[str, Count]:
    """Return how many known apps have each current verdict; empty text: none yet."""
    if groups_of(session) is None:
        counted = session.execute(select(App.verdict, func.count()).group_by(App.verdict))
        return {verdict: Count(number) for verdict, number in counted}
    with seeing_all(session):
        verdicts = session.scalars(select(App.verdict).distinct()).all()
    counts = {verdict: _count_apps(session, verdict) for verdict in verdicts}
    return {verdict: count for verdict, count in counts.items() if count.number}


def _count_apps(session: Session, verdict: str) -> Count:
    """Return how many of the newest apps of a verdict are on devices that whoever asks sees."""
    of_verdict = select(App.sha256).where(App.verdict == verdict)
    newest = of_verdict.order_by(App.first_seen_at.desc(), App.sha256).limit(LOOKED_AT)
    with seeing_all(session):
        looked_at = session.scalars(newest).all()
    seen = 0
    for start in range(0, len(looked_at), 500):
        part = looked_at[start : start + 500]
        wanted = select(func.count()).select_from(App).where(App.sha256.in_(part))
        seen += session.scalars(wanted).one()
    return Count(seen, more=len(looked_at) == LOOKED_AT)
