"""Reads known apps, what was judged of them, and which devices hold them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from contracts.agent import InstalledApp
from management.apps.models import App, AppClaim, AppVerdict, DeviceApp, StoredApp
from management.apps.rules import Basis, Reputation, urgency
from management.devices.models import Device
from management.work.models import Job
from runtime.errors import NotFoundError

BATCH = 500
Claim = tuple[str, str, str]
"""Hash, package and signer of an app as a device says."""
MOST = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which apps a list shows."""

    text: str = ""
    """Beginning of the package or name, or the whole hash of file or signer."""
    verdict: str = ""
    """A verdict, or ``unknown``: nobody judged it."""
    held: bool = False
    """Only those that a device holds."""
    stored: bool = False
    """Only those whose file lies here."""


def get_known(session: Session, sha256: str) -> App:
    """Return what is known of a hash; NotFoundError when it was never seen."""
    found = session.get(App, sha256)
    if found is None:
        raise NotFoundError("No app with this hash was uploaded or reported by a device.")
    return found


def find_known(session: Session, sha256: str) -> App | None:
    """Return what is known of a hash, if it was ever seen."""
    return session.get(App, sha256)


def get_app(session: Session, sha256: str) -> StoredApp:
    """Return the stored file; NotFoundError when there is none with this hash."""
    found = session.get(StoredApp, sha256)
    if found is None:
        raise NotFoundError("No app with this hash was uploaded.")
    return found


def find_app(session: Session, sha256: str) -> StoredApp | None:
    """Return the stored file, if it was uploaded."""
    return session.get(StoredApp, sha256)


def find_verdict(session: Session, sha256: str) -> AppVerdict | None:
    """Return the current verdict about a hash that rests on its file."""
    wanted = select(AppVerdict).where(AppVerdict.sha256 == sha256)
    return session.scalars(wanted.order_by(AppVerdict.id.desc()).limit(1)).first()


def list_verdicts(session: Session, sha256: str, limit: int = 50) -> Sequence[AppVerdict]:
    """Return the history of verdicts about a hash, the newest first."""
    wanted = select(AppVerdict).where(AppVerdict.sha256 == sha256)
    return session.scalars(wanted.order_by(AppVerdict.id.desc()).limit(min(limit, MOST))).all()


def list_apps(
    session: Session,
    wanted: Wanted | None = None,
    after: tuple[datetime, str] | None = None,
    limit: int = 50,
) -> Sequence[App]:
    """Return known apps, the last seen first, behind *after* (time and hash of a row)."""
    query = _filtered(wanted or Wanted())
    if after is not None:
        at, sha256 = after
        query = query.where(
            or_(App.first_seen_at < at, and_(App.first_seen_at == at, App.sha256 > sha256))
        )
    query = query.order_by(App.first_seen_at.desc(), App.sha256).limit(min(limit, MOST))
    return session.scalars(query).all()


def _filtered(wanted: Wanted) -> Select[App]:
    query = select(App)
    if wanted.text:
        text = wanted.text
        query = query.where(
            or_(
                App.package.istartswith(text, autoescape=True),
                App.name.istartswith(text, autoescape=True),
                App.sha256 == text.lower(),
                App.signer_sha256 == text.lower(),
            )
        )
    if wanted.verdict:
        query = query.where(App.verdict == wanted.verdict.replace("unknown", ""))
    if wanted.held:
        query = query.where(App.devices > 0)
    if wanted.stored:
        query = query.where(App.stored)
    return query


def count_holders(session: Session, hashes: Sequence[str]) -> dict[str, int]:
    """Return hash -> number of devices that hold it; hashes on no device are left out."""
    counted = (
        select(DeviceApp.sha256, func.count(func.distinct(DeviceApp.device_id)))
        .where(DeviceApp.sha256.in_(hashes))
        .group_by(DeviceApp.sha256)
    )
    return dict(session.execute(counted).all())


def list_holders(session: Session, sha256: str, limit: int = MOST) -> Sequence[Device]:
    """Return the devices that hold the app, by name."""
    wanted = (
        select(Device)
        .where(Device.id.in_(select(DeviceApp.device_id).where(installed_as([sha256]))))
        .order_by(Device.name, Device.id)
        .limit(limit)
    )
    return session.scalars(wanted).all()


def holder_ids(
    session: Session, sha256: str, after: UUID | None = None, limit: int = MOST
) -> list[UUID]:
    """Return the next devices above id *after* that hold the app."""
    wanted = select(DeviceApp.device_id).where(installed_as([sha256])).distinct()
    if after is not None:
        wanted = wanted.where(DeviceApp.device_id > after)
    return list(session.scalars(wanted.order_by(DeviceApp.device_id).limit(limit)))


def list_device_apps(
    session: Session, device_id: UUID
) -> list[tuple[DeviceApp, Reputation | None]]:
    """Return the apps on a device with what is known of each, by package."""
    wanted = select(DeviceApp).where(DeviceApp.device_id == device_id).order_by(DeviceApp.package)
    apps = session.scalars(wanted).all()
    known = words_on(session, apps)
    return [(app, known.get(claim_of(app))) for app in apps]


def words_on(session: Session, held: Sequence[InstalledApp | DeviceApp]) -> dict[Claim, Reputation]:
    """Return what is said of apps that devices hold, for each claim of a device.

    What the file of an app says counts for all; else the graver of what the device itself claims
    of it and what is said of a set of packages that has it as its base.
    """
    rows = {row.sha256: row for row in known_rows(session, {app.sha256 for app in held})}
    read = {sha256: row for sha256, row in rows.items() if row.basis != Basis.REPORT}
    unread = {app.sha256 for app in held} - _judged(read)
    claimed, sets = list_claims(session, unread), sets_of(session, unread)
    found: dict[Claim, Reputation] = {}
    for app in held:
        claim, row = claim_of(app), read.get(app.sha256)
        if row is not None and row.verdict:
            found[claim] = reputation_of(row)
            continue
        words = [reputation_of(one) for one in sets.get(app.sha256, ()) if _is_of(one, claim)]
        if (said := claimed.get(claim)) is not None and said.verdict:
            words.append(reputation_of(said))
        if words:
            found[claim] = min(words, key=urgency)
    return found


def _is_of(row: App, claim: Claim) -> bool:
    """Whether the set in *row* is what a device claims; one signer must answer for all of it."""
    _, package, signer = claim
    proven = row.proven_signer
    return bool(proven) and row.package == package and signer in ("", proven)


def sets_of(session: Session, hashes: Iterable[str]) -> dict[str, list[App]]:
    """Return hash of a base package -> the sets that have it and were judged."""
    wanted = sorted(set(hashes))
    found: dict[str, list[App]] = {}
    for start in range(0, len(wanted), BATCH):
        some = select(App).where(App.base_sha256.in_(wanted[start : start + BATCH]))
        for row in session.scalars(some.where(App.verdict != "")):
            found.setdefault(row.base_sha256, []).append(row)
    return found


def installed_as(hashes: Sequence[str]) -> ColumnElement[bool]:
    """Return what holds for the installed apps that are these files, or the bases of these sets."""
    bases = select(App.base_sha256).where(App.sha256.in_(hashes), App.base_sha256 != "")
    return or_(DeviceApp.sha256.in_(hashes), DeviceApp.sha256.in_(bases))


def _judged(rows: Mapping[str, App]) -> set[str]:
    return {sha256 for sha256, row in rows.items() if row.verdict}


def claim_of(app: InstalledApp | DeviceApp) -> Claim:
    """Return what a device says of an app, as far as rules ask for it."""
    return app.sha256, app.package, app.signer_sha256 or ""


def list_claims(session: Session, hashes: Iterable[str]) -> dict[Claim, AppClaim]:
    """Return everything that devices ever claimed of these hashes."""
    wanted = sorted(set(hashes))
    found: dict[Claim, AppClaim] = {}
    for start in range(0, len(wanted), BATCH):
        some = select(AppClaim).where(AppClaim.sha256.in_(wanted[start : start + BATCH]))
        for row in session.scalars(some):
            found[row.sha256, row.package, row.signer_sha256] = row
    return found


def reputation_of(row: App | AppClaim) -> Reputation:
    """Return the current verdict in *row*."""
    return Reputation(row.sha256, row.verdict, row.since_version, row.rule, row.family)


def known_rows(session: Session, hashes: Iterable[str]) -> list[App]:
    """Return the rows of those of *hashes* that were ever seen."""
    wanted = sorted(set(hashes))
    found: list[App] = []
    for start in range(0, len(wanted), BATCH):
        some = select(App).where(App.sha256.in_(wanted[start : start + BATCH]))
        found += session.scalars(some)
    return found


def hashes_after(session: Session, sha256: str, limit: int) -> Sequence[str]:
    """Return the next stored hashes in their order."""
    wanted = select(StoredApp.sha256).where(StoredApp.sha256 > sha256)
    return session.scalars(wanted.order_by(StoredApp.sha256).limit(limit)).all()


def stored_hashes(session: Session, hashes: Sequence[str]) -> set[str]:
    """Return those of *hashes* whose file was uploaded."""
    return {row.sha256 for row in known_rows(session, hashes) if row.stored}


def list_unjudged(session: Session, limit: int = BATCH) -> Sequence[str]:
    """Return hashes that devices reported and that no pattern set was asked about."""
    wanted = select(App.sha256).where(App.pattern_version == "", App.stored.is_(False))
    return session.scalars(wanted.order_by(App.sha256).limit(limit)).all()


def is_recheck_due(session: Session) -> bool:
    """Tell whether the devices of some app must be looked at again."""
    return session.scalars(select(App.sha256).where(App.recheck).limit(1)).first() is not None


def count_apps(session: Session) -> int:
    """Return how many apps are known."""
    return session.scalar(select(func.count()).select_from(App)) or 0


def find_scan(session: Session, sha256: str) -> Job | None:
    """Return the last scan of an app that was asked for, running, done or failed."""
    wanted = select(Job).where(Job.kind == "apps.scan", Job.key.startswith(f"apps.scan:{sha256}:"))
    return session.scalars(wanted.order_by(Job.queued_at.desc()).limit(1)).first()
