"""Takes uploads and inventories of devices, and draws what follows for devices."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from contracts.agent import Apps, InstalledApp
from management.apps.approvals import approved_hashes
from management.apps.claims import keep_claims
from management.apps.models import App, DeviceApp, StoredApp
from management.apps.queries import (
    BATCH,
    Claim,
    claim_of,
    find_app,
    find_scan,
    get_app,
    get_known,
    known_rows,
    sets_of,
    words_on,
)
from management.apps.rules import (
    LARGEST_APP_BYTES,
    Basis,
    Reputation,
    bad_apps,
    packages,
    shown_name,
)
from management.apps.uploads import Received
from management.apps.verdicts import know, lock_rows
from management.audit import service as audit
from management.compliance.service import rejudge
from management.devices.fact_log import record_facts
from management.devices.models import Device
from management.devices.rules import Fact, FactKind
from management.keys import Keys
from management.work.rules import JobState
from management.work.service import enqueue
from runtime.errors import RefusedError

SCANNER = "scanner"
SCAN = "apps.scan"
LOOK_UP = "apps.look_up"
STUCK_AFTER = timedelta(hours=1)


def store_upload(
    session: Session,
    keys: Keys,
    received: Received,
    file_name: str,
    by: str,
    address: str,
    now: datetime,
    device_id: UUID | None = None,
) -> StoredApp:
    """Keep a file that `uploads.receive` wrote, and queue its scan.

    A file that was uploaded before keeps its row; it is scanned again.
    """
    app = find_app(session, received.sha256)
    if app is None:
        app = StoredApp(
            sha256=received.sha256,
            file_name=shown_name(file_name),
            size_bytes=received.size_bytes,
            uploaded_at=now,
            uploaded_by=by,
            device_id=device_id,
        )
        session.add(app)
        known = know(session, {app.sha256: {"name": app.file_name}}, now)[app.sha256]
        known.stored = True
        session.flush()
        details = {"file_name": app.file_name, "size_bytes": app.size_bytes}
        audit.record(
            session, keys, by, "app.upload", app.sha256, address=address, details=details, now=now
        )
    request_scan(session, app.sha256, now)
    return app


def request_scan(session: Session, sha256: str, now: datetime) -> None:
    """Queue a scan of a stored app, unless one is waiting or running."""
    get_app(session, sha256)
    last = find_scan(session, sha256)
    going_on = last is not None and last.state in (JobState.QUEUED, JobState.RUNNING)
    if going_on and last is not None and now - last.queued_at < STUCK_AFTER:
        return
    enqueue(
        session,
        SCAN,
        f"{SCAN}:{sha256}:{now.isoformat()}",
        {"sha256": sha256},
        priority=4,
        now=now,
    )


def delete_app(
    session: Session, keys: Keys, sha256: str, by: str, address: str, now: datetime
) -> None:
    """Forget a stored file; what was judged of its hash stays, for devices may still hold it.

    The caller deletes the file after the transaction (`uploads.forget`).
    """
    app = get_app(session, sha256)
    if get_known(session, sha256).published:
        raise RefusedError("The app store offers this app. Withdraw it there first.")
    details = {"file_name": app.file_name}
    audit.record(session, keys, by, "app.delete", sha256, address=address, details=details, now=now)
    session.delete(app)
    get_known(session, sha256).stored = False
    session.flush()


def record_inventory(
    session: Session, device: Device, apps: Apps, source: str, said_at: datetime, now: datetime
) -> None:
    """Store which apps a device holds, and the facts that follow; it replaces what it said before.

    The caller judges the device. Apps that nobody here knows are looked up in the background.
    """
    said = {app.package: app for app in apps.apps}
    known = {
        row.package: row
        for row in session.scalars(select(DeviceApp).where(DeviceApp.device_id == device.id))
    }
    held_before = {row.sha256 for row in known.values()}
    before = {claim_of(row) for row in known.values()}
    news = {app.sha256 for app in said.values() if claim_of(app) not in before}
    gone = sorted(set(known) - set(said))
    for start in range(0, len(gone), BATCH):
        session.execute(
            delete(DeviceApp).where(
                DeviceApp.device_id == device.id,
                DeviceApp.package.in_(gone[start : start + BATCH]),
            )
        )
    for app in said.values():
        _keep(session, device.id, known.get(app.package), app, said_at)
    session.flush()
    _count_holding(session, held_before, said, news, now)
    if keep_claims(session, list(said.values())):
        enqueue(session, LOOK_UP, f"{LOOK_UP}:{uuid4()}", {}, now=now)
    facts = {
        FactKind.PACKAGES: Fact(packages(said.values()), source, said_at),
        FactKind.BAD_APPS: Fact(_bad_apps(session, said.values()), SCANNER, said_at),
    }
    record_facts(session, device.id, facts, now)


def _count_holding(
    session: Session,
    before: set[str],
    said: Mapping[str, InstalledApp],
    news: set[str],
    now: datetime,
) -> None:
    """Bring the apps' numbers of devices up to date, and look up those that are new here.

    All rows are locked at once, also those of which the device says something else (*news*).
    """
    held = {app.sha256: app for app in said.values()}
    seen = {sha256: _seen(held[sha256]) for sha256 in held.keys() - before}
    rows = know(session, seen, now)
    lock_rows(session, (held.keys() ^ before) | news)
    for sha256, fields in seen.items():
        _doubt(rows[sha256], fields)
    for hashes, step in ((sorted(seen), 1), (sorted(before - held.keys()), -1)):
        for start in range(0, len(hashes), BATCH):
            session.execute(
                update(App)
                .where(App.sha256.in_(hashes[start : start + BATCH]))
                .values(devices=App.devices + step)
                .execution_options(synchronize_session="fetch")
            )
    if any(not row.pattern_version for row in rows.values()):
        enqueue(session, LOOK_UP, f"{LOOK_UP}:{uuid4()}", {}, now=now)


def _doubt(row: App, said: Mapping[str, str]) -> None:
    """Drop what devices claim of one file and contradict each other in: one of them lies.

    Otherwise the first who reports a file could have it held against all others that hold it.
    """
    wrong = [
        name
        for name in ("package", "signer_sha256")
        if said[name] and getattr(row, name) not in ("", said[name])
    ]
    if wrong and row.basis != Basis.FILE and row.verdict_id is None:
        for name in wrong:
            setattr(row, name, "")
        row.pattern_version = ""  # it is looked up again


def _seen(app: InstalledApp) -> dict[str, str]:
    return {
        "package": app.package,
        "name": app.name,
        "version": app.version,
        "signer_sha256": app.signer_sha256 or "",
    }


def refresh_bad_apps(session: Session, device_ids: Iterable[UUID], now: datetime) -> list[UUID]:
    """Bring the fact about bad apps of these devices up to date; return those it changed.

    The changed ones are judged again.
    """
    wanted = list(device_ids)
    held: dict[UUID, list[DeviceApp]] = {device_id: [] for device_id in wanted}
    for start in range(0, len(wanted), BATCH):
        some = select(DeviceApp).where(DeviceApp.device_id.in_(wanted[start : start + BATCH]))
        for row in session.scalars(some):
            held[row.device_id].append(row)
    every = [row for rows in held.values() for row in rows]
    words, approved = words_on(session, every), _approved(session, every)
    changed = []
    for device_id, rows in held.items():
        value = bad_apps(_shown(rows), _of_holder(rows, words), approved)
        fact = Fact(value, SCANNER, now)
        if record_facts(session, device_id, {FactKind.BAD_APPS: fact}, now):
            changed.append(device_id)
    rejudge(session, changed, now)
    return changed


def _bad_apps(session: Session, apps: Iterable[InstalledApp]) -> list[dict[str, str]]:
    held = list(apps)
    return bad_apps(
        _shown(held), _of_holder(held, words_on(session, held)), _approved(session, held)
    )


def _shown(held: Sequence[InstalledApp | DeviceApp]) -> list[tuple[str, str, str]]:
    return [(app.sha256, app.package, app.name) for app in held]


def _of_holder(
    held: Sequence[InstalledApp | DeviceApp], words: Mapping[Claim, Reputation]
) -> dict[str, Reputation]:
    """Return hash -> what is said of it, of the apps of one device."""
    return {app.sha256: words[claim_of(app)] for app in held if claim_of(app) in words}


def _approved(session: Session, held: Sequence[InstalledApp | DeviceApp]) -> set[str]:
    """Return the hashes that somebody answers for."""
    hashes = {app.sha256 for app in held}
    sets = [row for rows in sets_of(session, hashes).values() for row in rows]
    rows = [*known_rows(session, hashes), *sets]
    found = set(approved_hashes(session, {row.sha256: row.proven_signer for row in rows}))
    return found | {row.base_sha256 for row in sets if row.sha256 in found}


def _keep(
    session: Session, device_id: UUID, row: DeviceApp | None, app: InstalledApp, said_at: datetime
) -> None:
    if row is None:
        row = DeviceApp(device_id=device_id, package=app.package, first_seen_at=said_at)
        session.add(row)
    row.sha256, row.name, row.version = app.sha256, app.name, app.version
    row.signer_sha256, row.said_at = app.signer_sha256 or "", said_at


def room_for_upload(session: Session, quota_bytes: int) -> int:
    """Return how large an upload may be; RefusedError when all uploads together fill the quota."""
    taken = session.scalar(select(func.coalesce(func.sum(StoredApp.size_bytes), 0))) or 0
    room = min(LARGEST_APP_BYTES, quota_bytes - taken)
    if room <= 0:
        raise RefusedError(
            f"The stored apps take {taken // 1024**2} MiB, all that this server gives them. Delete "
            "some apps, or raise the setting uploads_bytes."
        )
    return room
