"""Brings together what the page of one app shows, and the same as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from management.apps import approvals, holding, queries
from management.apps.models import App, AppApproval, AppVerdict, DeepAnalysis, StoredApp
from management.devices.models import Device
from management.listing.rules import Count
from management.work.models import Job
from patterns.opened import open_set

SEVERITIES = ("high", "medium", "low", "note")
EXPLAINED = ("title", "meaning", "why", "reference", "technique")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppPage:
    """One app with everything that explains its verdict."""

    app: App
    file: StoredApp | None
    verdict: AppVerdict | None
    history: Sequence[AppVerdict]
    holders: Sequence[Device]
    devices: Count
    """How many hold it."""
    scan: Job | None
    approvals: Sequence[AppApproval]
    deep: DeepAnalysis | None
    sender: Device | None
    """The device that sent the file."""
    explained: Mapping[str, Mapping[str, str]]
    """Rule -> what it means and why it was written."""

    @property
    def result(self) -> Mapping[str, Any]:
        """`contracts.scan.ScanResult` as JSON; empty before the first scan."""
        return self.verdict.result if self.verdict else {}

    @property
    def groups(self) -> list[tuple[str, list[Mapping[str, Any]]]]:
        """The findings by gravity, the gravest first."""
        found = self.result.get("findings", ())
        by = {name: [one for one in found if one["severity"] == name] for name in SEVERITIES}
        return [(name, some) for name, some in by.items() if some]

    @property
    def approval(self) -> AppApproval | None:
        """The approval that stands, if one does."""
        return next((row for row in self.approvals if row.ended_at is None), None)


def read_page(session: Session, sha256: str, folder: Path) -> AppPage:
    """Return what the page shows; rules are explained by the set in *folder*.

    NotFoundError when nobody ever saw this app.
    """
    app = queries.get_known(session, sha256)
    file = queries.find_app(session, sha256)
    sender = session.get(Device, file.device_id) if file and file.device_id else None
    return AppPage(
        app=app,
        file=file,
        verdict=queries.find_verdict(session, sha256),
        history=queries.list_verdicts(session, sha256),
        holders=queries.list_holders(session, sha256),
        devices=holding.count_devices(session, [app])[sha256],
        scan=queries.find_scan(session, sha256),
        approvals=approvals.list_of_app(session, app),
        deep=session.get(DeepAnalysis, sha256),
        sender=sender,
        explained=explained(folder),
    )


@lru_cache(maxsize=2)
def explained(folder: Path) -> dict[str, dict[str, str]]:
    """Return rule -> what the set in *folder* says of it."""
    opened = open_set(str(folder))
    metas = {rule.identifier: rule.meta for rule in opened.yara}
    metas |= {rule["id"]: rule for rule in (*opened.behaviours, *opened.data.lists)}
    return {
        name: {word: str(meta[word]) for word in EXPLAINED if meta.get(word)}
        for name, meta in metas.items()
    }


def as_json(page: AppPage) -> dict[str, Any]:
    """Return the page for programs and archives."""
    app = page.app
    return {
        "sha256": app.sha256,
        "package": app.package,
        "name": app.name,
        "version": app.version,
        "signer_sha256": app.signer_sha256,
        "verdict": app.verdict,
        "basis": app.basis,
        "pattern_version": app.pattern_version,
        "judged_at": app.judged_at.isoformat() if app.judged_at else None,
        "first_seen_at": app.first_seen_at.isoformat(),
        "devices": page.devices.number,
        "devices_or_more": page.devices.more,
        "file": _file(page.file),
        "result": page.result or None,
        "rules": {
            one["rule"]: page.explained[one["rule"]]
            for one in page.result.get("findings", ())
            if one["rule"] in page.explained
        },
        "deep_analysis": page.deep.result if page.deep and page.deep.finished_at else None,
        "approvals": [
            {
                "kind": row.kind,
                "reason": row.reason,
                "approved_by": row.approved_by,
                "approved_at": row.approved_at.isoformat(),
                "ends_at": row.ends_at.isoformat(),
                "ended_at": row.ended_at.isoformat() if row.ended_at else None,
            }
            for row in page.approvals
        ],
        "history": [
            {
                "verdict": row.verdict,
                "from_pattern_version": row.pattern_version,
                "to_pattern_version": row.last_version,
                "judged_at": row.judged_at.isoformat(),
            }
            for row in page.history
        ],
    }


def _file(file: StoredApp | None) -> dict[str, Any] | None:
    if file is None:
        return None
    return {
        "name": file.file_name,
        "size_bytes": file.size_bytes,
        "uploaded_at": file.uploaded_at.isoformat(),
        "uploaded_by": file.uploaded_by,
        "device_id": str(file.device_id) if file.device_id else None,
    }


def device_names(session: Session, ids: Sequence[str]) -> list[tuple[UUID, str]]:
    """Return id and name of these devices, by name."""
    wanted = select(Device.id, Device.name).where(Device.id.in_([UUID(one) for one in ids]))
    return [(row[0], row[1]) for row in session.execute(wanted.order_by(Device.name))]
