"""Deep analysis: asked for by an analyst, done by a worker, kept beside the verdict."""

import json
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from contracts import codec
from contracts.scan import ScanResult
from management.apps.models import AppFeatures, AppVerdict, DeepAnalysis
from management.apps.queries import get_app, get_known
from management.audit import service as audit
from management.keys import Keys
from management.work.service import enqueue
from runtime.errors import NotFoundError, RefusedError

ANALYSE = "apps.analyse"
MOST_BYTES = 16 * 1024 * 1024
NOTE = "deep_"
"""How the names of its notes begin."""


def request_analysis(
    session: Session, keys: Keys, sha256: str, by: str, address: str, now: datetime
) -> DeepAnalysis:
    """Queue a deep analysis of a stored app; RefusedError while one waits or runs."""
    get_app(session, sha256)
    if get_known(session, sha256).verdict_id is None:
        raise RefusedError("The app is not scanned yet. Wait for its verdict.")
    row = session.get(DeepAnalysis, sha256)
    if row is not None and row.finished_at is None:
        raise RefusedError("A deep analysis of this app waits or runs already.")
    row = row or DeepAnalysis(sha256=sha256)
    row.requested_by, row.requested_at = by, now
    row.finished_at, row.result, row.problem = None, {}, ""
    session.add(row)
    audit.record(session, keys, by, "app.analyse", sha256, address=address, now=now)
    payload = {"sha256": sha256}
    enqueue(session, ANALYSE, f"{ANALYSE}:{sha256}:{now.isoformat()}", payload, priority=8, now=now)
    return row


def stored_result(session: Session, sha256: str) -> ScanResult:
    """Return the current result of a file with its features; NotFoundError before a scan."""
    app = get_known(session, sha256)
    found = session.get(AppVerdict, app.verdict_id) if app.verdict_id else None
    kept = session.get(AppFeatures, sha256)
    if found is None:
        raise NotFoundError("The app is not scanned yet.")
    whole = {**found.result, "features": kept.features if kept else {}}
    return codec.read(ScanResult, json.dumps(whole), maximum_bytes=MOST_BYTES)


def end_analysis(session: Session, sha256: str, problem: str, now: datetime) -> None:
    """End a deep analysis that found nothing, saying why."""
    row = session.get(DeepAnalysis, sha256)
    if row is not None and row.finished_at is None:
        row.problem, row.finished_at = problem[:1000], now


def keep_analysis(
    session: Session, sha256: str, deepened: ScanResult, problem: str, now: datetime
) -> None:
    """Store what a deep analysis added; the verdict stays what it was."""
    row = session.get(DeepAnalysis, sha256)
    if row is None:
        return
    fields: dict[str, Any] = json.loads(codec.write(deepened))
    row.result = {
        "findings": [one for one in fields["findings"] if one["rule"].startswith(NOTE)],
        **fields["features"].get("deep", {}),
    }
    row.problem, row.finished_at = problem[:1000], now
