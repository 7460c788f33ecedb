"""Reads the store."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from management.apps.approvals import approved_hashes
from management.apps.models import App
from management.apps.queries import find_verdict, get_app, get_known
from management.apps.rules import Basis
from management.devices.models import Device
from management.devices.rules import EnrolmentState
from management.policies.models import Group
from management.store.models import DeviceOffer, StoreEntry, StoreIssue, StoreTarget, StoreVersion
from management.store.rules import Kind, Offer, why_not_published
from runtime.errors import NotFoundError


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One entry with its versions (the newest first), its groups and what is known of the app."""

    entry: StoreEntry
    versions: Sequence[StoreVersion]
    targets: Sequence[tuple[Group, bool]]
    app: App | None

    @property
    def current(self) -> StoreVersion | None:
        """The version on offer."""
        return next((version for version in self.versions if version.current), None)


def get_entry(session: Session, entry_id: UUID) -> StoreEntry:
    """Return an entry; NotFoundError when there is none with this id."""
    found = session.get(StoreEntry, entry_id)
    if found is None:
        raise NotFoundError("The app store has no such entry.")
    return found


def find_entry(session: Session, kind: Kind, package: str) -> StoreEntry | None:
    """Return the entry on offer of an app, if there is one."""
    wanted = select(StoreEntry).where(
        StoreEntry.kind == kind, StoreEntry.package == package, StoreEntry.withdrawn_at.is_(None)
    )
    return session.scalars(wanted).first()


def list_entries(session: Session) -> list[StoreEntry]:
    """Return the entries on offer by category and name; there are few."""
    wanted = select(StoreEntry).where(StoreEntry.withdrawn_at.is_(None))
    return list(session.scalars(wanted.order_by(StoreEntry.category, StoreEntry.name)))


def read_entry(session: Session, entry_id: UUID) -> Listed:
    """Return an entry with everything about it."""
    entry = get_entry(session, entry_id)
    versions = session.scalars(
        select(StoreVersion)
        .where(StoreVersion.entry_id == entry_id)
        .order_by(StoreVersion.published_at.desc())
    ).all()
    targets = session.execute(
        select(Group, StoreTarget.required)
        .join(StoreTarget, StoreTarget.group_id == Group.id)
        .where(StoreTarget.entry_id == entry_id)
        .order_by(Group.name)
    ).all()
    current = next((version for version in versions if version.current), None)
    app = session.get(App, current.sha256) if current else None
    return Listed(
        entry=entry,
        versions=versions,
        targets=[(row[0], row[1]) for row in targets],
        app=app,
    )


def list_groups(session: Session) -> Sequence[Group]:
    """Return all groups by name."""
    return session.scalars(select(Group).order_by(Group.name)).all()


def read_offers(session: Session) -> list[Offer]:
    """Return everything on offer."""
    found = []
    for entry in list_entries(session):
        listed = read_entry(session, entry.id)
        current = listed.current
        if entry.kind == Kind.APK and current is None:
            continue
        found.append(
            Offer(
                kind=Kind(entry.kind),
                package=entry.package,
                name=entry.name,
                category=entry.category,
                targets={group.id: required for group, required in listed.targets},
                sha256=current.sha256 if current else "",
                version=current.version if current else "",
                signer_sha256=current.signer_sha256 if current else "",
                size_bytes=current.size_bytes if current else 0,
            )
        )
    return found


def files_on_offer(session: Session) -> dict[str, int]:
    """Return hash -> size of each file that relays must hold."""
    wanted = (
        select(StoreVersion.sha256, StoreVersion.size_bytes)
        .join(StoreEntry, StoreEntry.id == StoreVersion.entry_id)
        .where(StoreVersion.current, StoreEntry.withdrawn_at.is_(None))
    )
    return {row[0]: row[1] for row in session.execute(wanted)}


def bad_on_offer(session: Session) -> list[tuple[UUID, str, str, str]]:
    """Return entry, hash, signer and verdict of what is on offer and should not be."""
    wanted = (
        select(StoreVersion.entry_id, App)
        .join(StoreEntry, StoreEntry.id == StoreVersion.entry_id)
        .join(App, App.sha256 == StoreVersion.sha256)
        .where(
            StoreVersion.current,
            StoreEntry.withdrawn_at.is_(None),
            App.verdict.in_(("malicious", "suspicious", "unscannable")),
        )
    )
    return [
        (entry_id, app.sha256, app.proven_signer, app.verdict)
        for entry_id, app in session.execute(wanted)
    ]


def current_issue(session: Session) -> int:
    """Return how many changes the store had."""
    row = session.get(StoreIssue, 1)
    return row.issue if row else 0


def behind(session: Session, issue: int, after: UUID, limit: int) -> Sequence[Device]:
    """Return the next enrolled devices above id *after* that were told of another store or group.

    A device that enrolled anew has forgotten what it was told.
    """
    wanted = (
        select(Device)
        .outerjoin(DeviceOffer, DeviceOffer.device_id == Device.id)
        .where(
            Device.enrolment_state == EnrolmentState.ENROLLED,
            Device.id > after,
            DeviceOffer.device_id.is_(None)
            | (DeviceOffer.issue != issue)
            | (DeviceOffer.group_id != Device.group_id)
            | (DeviceOffer.epoch != Device.epoch),
        )
        .order_by(Device.id)
        .limit(limit)
    )
    return session.scalars(wanted).all()


def publishable(session: Session, sha256: str) -> tuple[App, str]:
    """Return a stored app, and why it may not be published (empty: it may)."""
    get_app(session, sha256)
    app = get_known(session, sha256)
    approved = bool(approved_hashes(session, {sha256: app.proven_signer}))
    verdict = app.verdict if app.basis == Basis.FILE else ""  # what devices report is no scan
    said = find_verdict(session, sha256)
    is_set = bool(said and said.result.get("splits"))
    return app, why_not_published(verdict, approved, app.package, app.signer_sha256, is_set)
