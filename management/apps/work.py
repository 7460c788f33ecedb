"""Background work about apps: scan one, judge all again when the patterns change, look again."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from contracts.scan import ScanResult
from management.apps import analysis, approvals, claims, hunting, queries, service, verdicts
from management.apps.approvals import RECHECK
from management.apps.hunting import BATCH
from management.apps.rejudging import Judge
from management.apps.rules import Basis
from management.apps.uploads import file_of
from management.audit import service as audit
from management.context import Context
from management.progress import said as _l
from management.updates.queries import active_folder, active_set
from management.work.service import enqueue
from runtime.clock import utc_now
from runtime.errors import NotFoundError, RefusedError
from scanner.deep_analysis import deepen
from scanner.isolation import scan_file

Progress = Callable[[str], None]
DEVICES = 100
"""Looked at again in one transaction."""
BUSY_SECONDS = 0.2
"""Until apps that somebody changes are tried again."""
LONGEST_SECONDS = 1800
"""Then the work queues itself again: a job has an hour."""


def scan(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Scan one stored app with the active pattern set; deleted meanwhile: nothing to do."""
    sha256 = str(payload["sha256"])
    with context.database.reading() as session:
        app = queries.find_app(session, sha256)
        folder = active_folder(session, context.settings)
    if app is None:
        return
    progress(_l("Scanning %(name)s.", name=app.file_name))
    result = _scan(context, sha256, folder)
    progress(
        _l(
            "Scanned %(name)s in %(milliseconds)s ms: %(verdict)s.",
            name=app.file_name,
            milliseconds=result.elapsed_ms,
            verdict=result.verdict,
        )
    )
    with context.database.transaction("store a verdict") as session:
        verdicts.keep_result(session, sha256, result, utc_now())
        if active_set(session).version != result.pattern_version:
            progress(
                _l("Another pattern set became active meanwhile; the app is scanned once more.")
            )
            enqueue(session, service.SCAN, f"{service.SCAN}:{sha256}:{uuid4()}", payload)
    recheck(context, {}, progress)


@dataclass
class _Hunt:
    """What one retro-hunt did so far."""

    version: str
    judged: int = 0
    changed: int = 0
    missing: int = 0
    devices: set[UUID] = field(default_factory=set)


def retro_hunt(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Judge every known app with the active pattern set, and the devices that hold changed ones.

    Apps that the set judged already are passed over, so a repeated run goes on where the last one
    stopped. When another set becomes active meanwhile, its own hunt takes over.
    """
    with context.database.reading() as session:
        hunt = _Hunt(active_set(session).version)
        folder = active_folder(session, context.settings)
    judge = Judge(folder)
    if not _hunt_kept(context, judge, hunt, progress) or not _hunt_claims(context, judge):
        return
    hunt.devices.update(_look_again(context, progress, float("inf")))
    if not _hunt_files(context, folder, hunt, progress):
        return
    hunt.devices.update(_look_again(context, progress, float("inf")))
    _conclude(context, hunt)


def _hunt_kept(context: Context, judge: Judge, hunt: _Hunt, progress: Progress) -> bool:
    """Judge from what is kept; False when the set is no longer the active one."""
    last, seen = "", 0
    left: list[str] = []
    with context.database.reading() as session:
        total = queries.count_apps(session)
    while True:
        with context.database.reading() as session:
            known = hunting.known_after(session, last)
            if not known and left:  # in use before; now they come last
                known, left = hunting.known_of(session, left[:BATCH]), left[BATCH:]
        if not known:
            return True
        last, seen = max(last, known[-1].sha256), seen + len(known)
        waiting = [row for row in known if row.pattern_version != hunt.version]
        judged = [hunting.judge(judge, row) for row in waiting]
        with context.database.transaction("judge apps again") as session:
            if active_set(session).version != hunt.version:
                progress(_l("Another pattern set became active; it judges the apps itself."))
                return False
            changed, busy = hunting.keep(session, judged, hunt.version, utc_now())
        hunt.changed, left = hunt.changed + changed, [*left, *busy]
        hunt.judged += sum(not one.unread for one in judged) - len(busy)
        seen -= len(busy)
        progress(
            _l(
                "Judged %(done)s of %(total)s known apps again; %(changed)s changed.",
                done=seen,
                total=total,
                changed=hunt.changed,
            )
        )
        if len(busy) == len(known):
            time.sleep(BUSY_SECONDS)


def _hunt_claims(context: Context, judge: Judge) -> bool:
    """Judge what devices claim; False when the set is no longer the active one."""
    while True:
        with context.database.transaction("judge claims again") as session:
            if active_set(session).version != judge.version:
                return False
            if not claims.judge_claims(session, judge):
                return True


def _hunt_files(context: Context, folder: Path, hunt: _Hunt, progress: Progress) -> bool:
    """Read the files that the set must see; False when it is no longer the active one."""
    last, seen = "", 0
    with context.database.reading() as session:
        total = hunting.count_unread(session, hunt.version)
    while True:
        with context.database.reading() as session:
            found = hunting.unread_after(session, last, hunt.version)
            if active_set(session).version != hunt.version:
                progress(_l("Another pattern set became active; it judges the apps itself."))
                return False
        if found is None:
            return True
        last, seen = found, seen + 1
        _read_again(context, found, folder, hunt)
        progress(
            _l(
                "Read %(done)s of %(total)s files again; %(changed)s apps changed.",
                done=seen,
                total=total,
                changed=hunt.changed,
            )
        )


def _read_again(context: Context, sha256: str, folder: Path, hunt: _Hunt) -> None:
    try:
        result = _scan(context, sha256, folder)
    except NotFoundError:
        hunt.missing += 1
        return
    with context.database.transaction("judge an app again") as session:
        hunt.changed += verdicts.keep_result(session, sha256, result, utc_now())
    hunt.judged += 1


def _conclude(context: Context, hunt: _Hunt) -> None:
    details = {
        "judged": hunt.judged,
        "changed": hunt.changed,
        "files_missing": hunt.missing,
        "devices": len(hunt.devices),
    }
    with context.database.transaction("conclude a retro-hunt") as session:
        audit.record(
            session, context.keys, "system", "apps.retro_hunt", hunt.version, details=details
        )


def recheck(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Look again at the devices that hold apps whose word changed; queue itself when it is long."""
    end = time.monotonic() + LONGEST_SECONDS
    _look_again(context, progress, end)
    if time.monotonic() > end:
        with context.database.transaction("queue the rest") as session:
            enqueue(session, RECHECK, f"{RECHECK}:{uuid4()}")


def _look_again(context: Context, progress: Progress, end: float) -> set[UUID]:
    """Judge the devices of marked apps, until *end*; return those whose facts changed.

    How far it came stands in the app's row, so after a kill it goes on there.
    """
    changed: set[UUID] = set()
    while time.monotonic() < end:
        with context.database.reading() as session:
            if not queries.is_recheck_due(session):
                return changed
        with context.database.transaction("look at devices again") as session:
            row = verdicts.next_recheck(session)
            if row is None:
                return changed
            devices = queries.holder_ids(session, row.sha256, row.recheck_after, DEVICES)
            row.recheck, row.recheck_after = bool(devices), devices[-1] if devices else None
            changed.update(service.refresh_bad_apps(session, devices, utc_now()))
        progress(_l("Looked at %(count)s changed devices again.", count=len(changed)))
    return changed


def look_up(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Judge apps that devices reported and nobody judged yet by what is known of their signers."""
    with context.database.reading() as session:
        judge = Judge(active_folder(session, context.settings))
        waiting = queries.list_unjudged(session)
    while waiting:
        with context.database.transaction("look reported apps up") as session:
            for row in queries.known_rows(session, waiting):
                said = judge.reported(row.sha256, row.package, row.name, row.signer_sha256)
                if not row.pattern_version:
                    verdicts.say(row, said, Basis.REPORT, judge.version, utc_now())
        with context.database.reading() as session:
            waiting = queries.list_unjudged(session)
    is_more = True
    while is_more:
        with context.database.transaction("look claims up") as session:
            is_more = bool(claims.judge_claims(session, judge, waiting=""))
    recheck(context, {}, progress)


def forget_claims(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Remove what no device says of its apps any more."""
    last: queries.Claim | None = ("", "", "")
    while last is not None:
        with context.database.transaction("forget claims of apps") as session:
            last = claims.forget_claims(session, last)


def end_approvals(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """End the approvals whose time is over."""
    while True:
        with context.database.transaction("end approvals") as session:
            if not approvals.end_due(session, context.keys, utc_now()):
                return


def scan_cancelled(session: Session, payload: dict[str, Any], by: str, now: datetime) -> None:
    """Do nothing more: the app keeps the verdict it had."""


def analysis_cancelled(session: Session, payload: dict[str, Any], by: str, now: datetime) -> None:
    """End the deep analysis whose work was cancelled."""
    analysis.end_analysis(session, str(payload["sha256"]), f"{by} cancelled it.", now)


def analyse(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Look into one stored app slowly and thoroughly; its notes are added to the evidence."""
    sha256 = str(payload["sha256"])
    with context.database.reading() as session:
        if queries.find_app(session, sha256) is None:
            return
        result = analysis.stored_result(session, sha256)
    progress(_l("Analysing the code: this takes minutes."))
    problem = ""
    try:
        result = deepen(file_of(context.settings.home, sha256), result)
    except (NotFoundError, RefusedError) as error:
        problem = str(error)
    with context.database.transaction("store a deep analysis") as session:
        analysis.keep_analysis(session, sha256, result, problem, utc_now())


def _scan(context: Context, sha256: str, folder: Path) -> ScanResult:
    return scan_file(file_of(context.settings.home, sha256), folder)
