"""Takes uploads, inventories of devices and verdicts, and draws what follows for devices."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from contracts import codec
from contracts.agent import Apps, InstalledApp
from contracts.scan import ScanResult
from management.apps.models import AppVerdict, DeviceApp, StoredApp
from management.apps.queries import (
    find_app,
    find_scan,
    find_verdict,
    get_app,
    holder_ids,
    reputations,
)
from management.apps.rules import bad_apps, is_same_judgement, packages, shown_name
from management.apps.uploads import Received
from management.audit import service as audit
from management.compliance.service import rejudge
from management.devices.models import Device
from management.devices.rules import Fact, FactKind
from management.devices.service import record_facts
from management.keys import Keys
from management.work.rules import JobState
from management.work.service import enqueue

SCANNER = "scanner"
SCAN = "apps.scan"
RETRO_HUNT = "apps.retro_hunt"
STUCK_AFTER = timedelta(hours=1)


def store_upload(
    session: Session,
    keys: Keys,
    received: Received,
    file_name: str,
    by: str,
    address: str,
    now: datetime,
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
        )
        session.add(app)
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
    """Forget a stored app; what was judged of its hash stays, for devices may still hold it.

    The caller deletes the file after the transaction (`uploads.forget`).
    """
    app = get_app(session, sha256)
    details = {"file_name": app.file_name}
    audit.record(session, keys, by, "app.delete", sha256, address=address, details=details, now=now)
    session.delete(app)
    session.flush()


def record_verdict(
    session: Session, sha256: str, result: ScanResult, now: datetime
) -> tuple[bool, list[UUID]]:
    """Store what a scan found; return whether the verdict changed, and which devices it concerns.

    A pattern set that says the same as before leaves the history as it is; the facts of the
    devices that hold the app are brought up to date and the devices judged again.
    """
    before = find_verdict(session, sha256)
    fields = json.loads(codec.write(result))
    changed = before is None or before.verdict != result.verdict
    if before is None or before.pattern_version != result.pattern_version:
        session.add(
            AppVerdict(
                sha256=sha256,
                pattern_version=result.pattern_version,
                verdict=result.verdict.value,
                package=result.package,
                result=fields,
                judged_at=now,
            )
        )
    elif not is_same_judgement(before.result, fields):
        before.result, before.judged_at = fields, now
        before.verdict, before.package = result.verdict.value, result.package
    session.flush()
    concerned = holder_ids(session, sha256)
    refresh_bad_apps(session, concerned, now)
    return changed, concerned


def record_inventory(
    session: Session, device: Device, apps: Apps, source: str, said_at: datetime, now: datetime
) -> None:
    """Store which apps a device holds, and the facts that follow; it replaces what it said before.

    The caller judges the device.
    """
    said = {app.package: app for app in apps.apps}
    known = {
        row.package: row
        for row in session.scalars(select(DeviceApp).where(DeviceApp.device_id == device.id))
    }
    gone = sorted(set(known) - set(said))
    for start in range(0, len(gone), 500):
        session.execute(
            delete(DeviceApp).where(
                DeviceApp.device_id == device.id, DeviceApp.package.in_(gone[start : start + 500])
            )
        )
    for app in said.values():
        _keep(session, device.id, known.get(app.package), app, said_at)
    session.flush()
    facts = {
        FactKind.PACKAGES: Fact(packages(said.values()), source, said_at),
        FactKind.BAD_APPS: Fact(_bad_apps(session, said.values()), SCANNER, said_at),
    }
    record_facts(session, device.id, facts, now)


def refresh_bad_apps(session: Session, device_ids: Iterable[UUID], now: datetime) -> list[UUID]:
    """Bring the fact about bad apps of these devices up to date; return those it changed.

    The changed ones are judged again.
    """
    changed = []
    for device_id in device_ids:
        held = session.scalars(select(DeviceApp).where(DeviceApp.device_id == device_id)).all()
        fact = Fact(_bad_apps(session, held), SCANNER, now)
        if record_facts(session, device_id, {FactKind.BAD_APPS: fact}, now):
            changed.append(device_id)
    rejudge(session, changed, now)
    return changed


def _bad_apps(session: Session, apps: Iterable[InstalledApp | DeviceApp]) -> list[dict[str, str]]:
    held = [(app.sha256, app.package, app.name) for app in apps]
    return bad_apps(held, reputations(session, {sha256 for sha256, _, _ in held}))


def _keep(
    session: Session, device_id: UUID, row: DeviceApp | None, app: InstalledApp, said_at: datetime
) -> None:
    if row is None:
        row = DeviceApp(device_id=device_id, package=app.package, first_seen_at=said_at)
        session.add(row)
    row.sha256, row.name, row.version = app.sha256, app.name, app.version
    row.signer_sha256, row.said_at = app.signer_sha256 or "", said_at
