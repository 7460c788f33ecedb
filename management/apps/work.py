"""Background work about apps: scan one, and judge all again when the patterns change."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from contracts.scan import ScanResult
from management.apps import queries, service
from management.apps.uploads import file_of
from management.audit import service as audit
from management.context import Context
from management.updates.queries import active_folder, active_set
from runtime.clock import utc_now
from runtime.errors import NotFoundError
from scanner.isolation import scan_file

Progress = Callable[[str], None]
BATCH = 100


def scan(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Scan one stored app with the active pattern set; deleted meanwhile: nothing to do."""
    sha256 = str(payload["sha256"])
    with context.database.reading() as session:
        app = queries.find_app(session, sha256)
        folder = active_folder(session, context.settings)
    if app is None:
        return
    progress(f"Scanning {app.file_name}.")
    result = _scan(context, sha256, folder)
    progress(f"Scanned {app.file_name} in {result.elapsed_ms} ms: {result.verdict}.")
    with context.database.transaction("store a verdict") as session:
        service.record_verdict(session, sha256, result, utc_now())


@dataclass
class _Hunt:
    """What one retro-hunt did so far."""

    judged: int = 0
    changed: int = 0
    missing: int = 0
    devices: set[UUID] = field(default_factory=set)


def retro_hunt(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Judge every stored app with the active pattern set, and the devices that hold changed ones.

    Apps that the set judged already are passed over, so a repeated run goes on where the last one
    stopped. When another set becomes active meanwhile, its own hunt takes over.
    """
    with context.database.reading() as session:
        version = active_set(session).version
        folder = active_folder(session, context.settings)
        total = queries.count_apps(session)
    hunt, last, seen = _Hunt(), "", 0
    while True:
        with context.database.reading() as session:
            hashes = queries.hashes_after(session, last, BATCH)
        if not hashes:
            break
        for last in hashes:
            seen += 1
            if not _judge_again(context, last, folder, version, hunt):
                progress("Another pattern set became active; it judges the apps itself.")
                return
            progress(f"Judged {seen} of {total} stored apps again; {hunt.changed} changed.")
    _conclude(context, version, hunt)


def _judge_again(context: Context, sha256: str, folder: Path, version: str, hunt: _Hunt) -> bool:
    """Judge one app unless *version* did; False when *version* is no longer the active set."""
    with context.database.reading() as session:
        if active_set(session).version != version:
            return False
        known = queries.find_verdict(session, sha256)
    if known is not None and known.pattern_version == version:
        return True
    try:
        result = _scan(context, sha256, folder)
    except NotFoundError:
        hunt.missing += 1
        return True
    with context.database.transaction("judge an app again") as session:
        changed, devices = service.record_verdict(session, sha256, result, utc_now())
    hunt.judged += 1
    if changed:
        hunt.changed += 1
        hunt.devices.update(devices)
    return True


def _conclude(context: Context, version: str, hunt: _Hunt) -> None:
    details = {
        "judged": hunt.judged,
        "changed": hunt.changed,
        "files_missing": hunt.missing,
        "devices": len(hunt.devices),
    }
    with context.database.transaction("conclude a retro-hunt") as session:
        audit.record(session, context.keys, "system", "apps.retro_hunt", version, details=details)


def _scan(context: Context, sha256: str, folder: Path) -> ScanResult:
    return scan_file(file_of(context.settings.home, sha256), folder)
