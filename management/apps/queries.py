"""Reads stored apps, what was judged of them, and which devices hold them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import Session

from management.apps.models import AppVerdict, DeviceApp, StoredApp
from management.apps.rules import Reputation, reputation
from management.devices.models import Device
from management.work.models import Job
from runtime.errors import NotFoundError

BATCH = 500
MOST = 500


@dataclass(frozen=True, slots=True)
class ListedApp:
    """One stored app with its current verdict, if it has one yet."""

    app: StoredApp
    verdict: AppVerdict | None
    devices: int
    """How many devices hold it."""


def get_app(session: Session, sha256: str) -> StoredApp:
    """Return the stored app; NotFoundError when there is none with this hash."""
    found = session.get(StoredApp, sha256)
    if found is None:
        raise NotFoundError("No app with this hash was uploaded.")
    return found


def find_app(session: Session, sha256: str) -> StoredApp | None:
    """Return the stored app, if it was uploaded."""
    return session.get(StoredApp, sha256)


def find_verdict(session: Session, sha256: str) -> AppVerdict | None:
    """Return the current verdict about a hash, whether or not its file is stored."""
    wanted = select(AppVerdict).where(AppVerdict.sha256 == sha256)
    return session.scalars(wanted.order_by(AppVerdict.id.desc()).limit(1)).first()


def list_verdicts(session: Session, sha256: str, limit: int = 50) -> Sequence[AppVerdict]:
    """Return the history of verdicts about a hash, the newest first."""
    wanted = select(AppVerdict).where(AppVerdict.sha256 == sha256)
    return session.scalars(wanted.order_by(AppVerdict.id.desc()).limit(min(limit, MOST))).all()


def list_apps(
    session: Session,
    text: str = "",
    verdict: str = "",
    after: tuple[datetime, str] | None = None,
    limit: int = 50,
) -> list[ListedApp]:
    """Return stored apps, the last uploaded first, behind *after* (time and hash of a row)."""
    query = (
        select(StoredApp, AppVerdict)
        .outerjoin(AppVerdict, AppVerdict.id == _current_id(StoredApp.sha256))
        .order_by(StoredApp.uploaded_at.desc(), StoredApp.sha256)
        .limit(min(limit, MOST))
    )
    if text:
        query = query.where(
            or_(
                StoredApp.file_name.icontains(text, autoescape=True),
                AppVerdict.package.icontains(text, autoescape=True),
                StoredApp.sha256 == text.lower(),
            )
        )
    if verdict:
        query = query.where(AppVerdict.verdict == verdict)
    if after is not None:
        at, sha256 = after
        query = query.where(
            or_(
                StoredApp.uploaded_at < at,
                and_(StoredApp.uploaded_at == at, StoredApp.sha256 > sha256),
            )
        )
    rows = session.execute(query).all()
    held = count_holders(session, [app.sha256 for app, _ in rows])
    return [ListedApp(app, found, held.get(app.sha256, 0)) for app, found in rows]


def count_holders(session: Session, hashes: Sequence[str]) -> dict[str, int]:
    """Return hash -> number of devices that hold it; hashes on no device are left out."""
    counted = (
        select(DeviceApp.sha256, func.count(func.distinct(DeviceApp.device_id)))
        .where(DeviceApp.sha256.in_(hashes))
        .group_by(DeviceApp.sha256)
    )
    return dict(session.execute(counted).all())


def count_verdicts(session: Session) -> dict[str, int]:
    """Return how many stored apps have each current verdict; empty text: none yet."""
    counted = (
        select(AppVerdict.verdict, func.count())
        .select_from(StoredApp)
        .outerjoin(AppVerdict, AppVerdict.id == _current_id(StoredApp.sha256))
        .group_by(AppVerdict.verdict)
    )
    return {verdict or "": count for verdict, count in session.execute(counted)}


def list_holders(session: Session, sha256: str, limit: int = MOST) -> Sequence[Device]:
    """Return the devices that hold the app, by name."""
    wanted = (
        select(Device)
        .where(Device.id.in_(select(DeviceApp.device_id).where(DeviceApp.sha256 == sha256)))
        .order_by(Device.name, Device.id)
        .limit(limit)
    )
    return session.scalars(wanted).all()


def holder_ids(session: Session, sha256: str) -> list[UUID]:
    """Return the ids of all devices that hold the app."""
    wanted = select(DeviceApp.device_id).where(DeviceApp.sha256 == sha256).distinct()
    return list(session.scalars(wanted))


def list_device_apps(
    session: Session, device_id: UUID
) -> list[tuple[DeviceApp, Reputation | None]]:
    """Return the apps on a device with what is known of each, by package."""
    wanted = select(DeviceApp).where(DeviceApp.device_id == device_id).order_by(DeviceApp.package)
    apps = session.scalars(wanted).all()
    known = reputations(session, {app.sha256 for app in apps})
    return [(app, known.get(app.sha256)) for app in apps]


def reputations(session: Session, hashes: Iterable[str]) -> dict[str, Reputation]:
    """Return the current verdicts about those of *hashes* that were ever judged."""
    wanted = sorted(set(hashes))
    found: dict[str, Reputation] = {}
    for start in range(0, len(wanted), BATCH):
        newest = (
            select(func.max(AppVerdict.id))
            .where(AppVerdict.sha256.in_(wanted[start : start + BATCH]))
            .group_by(AppVerdict.sha256)
        )
        for row in session.scalars(select(AppVerdict).where(AppVerdict.id.in_(newest))):
            found[row.sha256] = reputation(row.sha256, row.result)
    return found


def hashes_after(session: Session, sha256: str, limit: int) -> Sequence[str]:
    """Return the next stored hashes in their order."""
    wanted = select(StoredApp.sha256).where(StoredApp.sha256 > sha256)
    return session.scalars(wanted.order_by(StoredApp.sha256).limit(limit)).all()


def stored_hashes(session: Session, hashes: Sequence[str]) -> set[str]:
    """Return those of *hashes* whose file was uploaded."""
    found: set[str] = set()
    for start in range(0, len(hashes), BATCH):
        wanted = StoredApp.sha256.in_(hashes[start : start + BATCH])
        found.update(session.scalars(select(StoredApp.sha256).where(wanted)))
    return found


def count_apps(session: Session) -> int:
    """Return how many apps are stored."""
    return session.scalar(select(func.count()).select_from(StoredApp)) or 0


def find_scan(session: Session, sha256: str) -> Job | None:
    """Return the last scan of an app that was asked for, running, done or failed."""
    wanted = select(Job).where(Job.kind == "apps.scan", Job.key.startswith(f"apps.scan:{sha256}:"))
    return session.scalars(wanted.order_by(Job.queued_at.desc()).limit(1)).first()


def _current_id(sha256: object) -> Select[int]:
    newest = select(func.max(AppVerdict.id)).where(AppVerdict.sha256 == sha256)
    return newest.correlate(StoredApp).scalar_subquery()  # type: ignore[return-value]
