"""Publishes and withdraws apps, and tells devices what is offered to them."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from contracts import codec
from management.apps.models import App
from management.apps.queries import get_app
from management.audit import service as audit
from management.context import Context
from management.database import locked
from management.devices.models import Device
from management.groups.queries import get_group, read_tree
from management.groups.rules import line
from management.keys import Keys
from management.relays.service import send_order
from management.store.models import DeviceOffer, StoreEntry, StoreIssue, StoreTarget, StoreVersion
from management.store.queries import find_entry, get_entry, publishable
from management.store.rules import (
    MOST_ENTRIES,
    Kind,
    Offer,
    offer_for,
    read_link,
)
from management.work.service import enqueue
from runtime.errors import RefusedError

SPREAD = "store.spread"


def publish(
    session: Session,
    keys: Keys,
    sha256: str,
    category: str,
    targets: Mapping[UUID, bool],
    by: str,
    address: str,
    now: datetime,
) -> StoreEntry:
    """Offer a stored, scanned app to groups (group -> required) in place of its older version.

    RefusedError says why it may not be offered.
    """
    app, why = publishable(session, sha256)
    if why:
        raise RefusedError(why)
    file = get_app(session, sha256)
    entry = find_entry(session, Kind.APK, app.package)
    if entry is None:
        entry = _new_entry(session, Kind.APK, app.package, app.name or app.package, by, now)
    _same_signer(session, entry, app)
    _put_version(session, entry, app, file.size_bytes, by, now)
    entry.name, entry.category = app.name or app.package, category.strip()[:100]
    details = {"sha256": sha256, "version": app.version, "category": entry.category}
    _aim(session, entry, targets)
    _note(session, keys, "store.publish", entry, by, address, now, "", details)
    return entry


def add_link(
    session: Session,
    keys: Keys,
    link: str,
    name: str,
    category: str,
    targets: Mapping[UUID, bool],
    by: str,
    address: str,
    now: datetime,
) -> StoreEntry:
    """Point devices to an app on Google Play or in the App Store."""
    found = read_link(link)
    if found is None:
        raise RefusedError(
            "Enter an address on play.google.com or apps.apple.com, a package or a number."
        )
    if not name.strip():
        raise RefusedError("Enter the name that users see.")
    kind, value = found
    if find_entry(session, kind, value) is not None:
        raise RefusedError("The store has this entry already.")
    entry = _new_entry(session, kind, value, name.strip()[:255], by, now)
    entry.category = category.strip()[:100]
    _aim(session, entry, targets)
    _note(session, keys, "store.link", entry, by, address, now, "", {"category": entry.category})
    return entry


def aim(
    session: Session,
    keys: Keys,
    entry_id: UUID,
    targets: Mapping[UUID, bool],
    by: str,
    address: str,
    now: datetime,
) -> None:
    """Offer an entry to other groups than before."""
    entry = _on_offer(session, entry_id)
    _aim(session, entry, targets)
    said = {str(group): required for group, required in targets.items()}
    _note(session, keys, "store.aim", entry, by, address, now, "", {"groups": said})


def withdraw(
    session: Session, keys: Keys, entry_id: UUID, because: str, by: str, address: str, now: datetime
) -> None:
    """No longer offer an entry; relays delete its file. RefusedError without a reason."""
    if not because.strip():
        raise RefusedError("Say why: the reason goes into the audit trail.")
    entry = _on_offer(session, entry_id)
    entry.withdrawn_at, entry.withdrawn_by = now, by
    entry.withdrawn_because = because.strip()[:1000]
    _unpublish(session, entry)
    _note(session, keys, "store.withdraw", entry, by, address, now, because.strip(), {})


def tell(
    session: Session,
    context: Context,
    devices: Sequence[Device],
    offers: Sequence[Offer],
    issue: int,
    now: datetime,
) -> int:
    """Order each of these devices what is offered to it, unless it knows; return how many."""
    tree, told = read_tree(session), 0
    for device in devices:
        groups = [node.id for node in line(tree, device.group_id)]
        body = offer_for(offers, groups, device.platform)
        hashed = hashlib.sha256(codec.write(body)).hexdigest()
        row = session.get(DeviceOffer, device.id)
        knows = row is not None and row.epoch == device.epoch and row.content_hash == hashed
        first = row is None and not body.apps and not body.links
        if not knows and not first:
            send_order(session, context.keys, context.signer, device, body, now)
            told += 1
        row = row or DeviceOffer(device_id=device.id)
        row.issue, row.group_id, row.epoch = issue, device.group_id, device.epoch
        row.content_hash = hashed
        session.add(row)
    session.flush()
    return told


def _new_entry(
    session: Session, kind: Kind, package: str, name: str, by: str, now: datetime
) -> StoreEntry:
    on_offer = select(func.count()).select_from(StoreEntry)
    if (session.scalar(on_offer.where(StoreEntry.withdrawn_at.is_(None))) or 0) >= MOST_ENTRIES:
        raise RefusedError(f"The store holds {MOST_ENTRIES} entries. Withdraw one first.")
    entry = StoreEntry(
        kind=kind.value, package=package, name=name[:255], created_at=now, created_by=by
    )
    session.add(entry)
    session.flush()
    return entry


def _same_signer(session: Session, entry: StoreEntry, app: App) -> None:
    """Android installs an update only when the same key signed it."""
    current = select(StoreVersion).where(StoreVersion.entry_id == entry.id, StoreVersion.current)
    before = session.scalars(current).first()
    if before is not None and before.signer_sha256 != app.signer_sha256:
        raise RefusedError(
            f"Another key signed it than version {before.version} on offer: phones would "
            "refuse the update. Withdraw the entry first if that is meant."
        )


def _put_version(
    session: Session, entry: StoreEntry, app: App, size: int, by: str, now: datetime
) -> None:
    _unpublish(session, entry)
    version = session.get(StoreVersion, (entry.id, app.sha256)) or StoreVersion(
        entry_id=entry.id, sha256=app.sha256
    )
    version.version, version.signer_sha256, version.size_bytes = (
        app.version,
        app.signer_sha256,
        size,
    )
    version.published_at, version.published_by, version.current = now, by, True
    session.add(version)
    app.published = True
    session.flush()


def _unpublish(session: Session, entry: StoreEntry) -> None:
    mine = StoreVersion.entry_id == entry.id
    hashes = select(StoreVersion.sha256).where(mine)
    session.execute(
        update(App)
        .where(App.sha256.in_(hashes))
        .values(published=False)
        .execution_options(synchronize_session="fetch")
    )
    session.execute(
        update(StoreVersion)
        .where(mine)
        .values(current=False)
        .execution_options(synchronize_session="fetch")
    )


def _aim(session: Session, entry: StoreEntry, targets: Mapping[UUID, bool]) -> None:
    session.execute(delete(StoreTarget).where(StoreTarget.entry_id == entry.id))
    for group_id, required in targets.items():
        get_group(session, group_id)
        session.add(StoreTarget(entry_id=entry.id, group_id=group_id, required=required))
    session.flush()


def _on_offer(session: Session, entry_id: UUID) -> StoreEntry:
    entry = get_entry(session, entry_id)
    if entry.withdrawn_at is not None:
        raise RefusedError("This entry was withdrawn. Publish the app again instead.")
    return entry


def _note(
    session: Session,
    keys: Keys,
    action: str,
    entry: StoreEntry,
    by: str,
    address: str,
    now: datetime,
    reason: str,
    details: Mapping[str, object],
) -> None:
    """Audit a change, count it, and have the devices told."""
    wanted = locked(select(StoreIssue).where(StoreIssue.id == 1), StoreIssue)
    row = session.scalars(wanted).first() or StoreIssue(id=1, issue=0)
    row.issue += 1
    session.add(row)
    said = {"kind": entry.kind, "name": entry.name, **details}
    audit.record(
        session, keys, by, action, entry.package, reason, address=address, details=said, now=now
    )
    session.flush()
    enqueue(session, SPREAD, f"{SPREAD}:{uuid4()}", {}, now=now)
