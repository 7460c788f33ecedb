"""The API's view of uploaded apps and their verdicts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from flask import Blueprint

from management.access import Permission
from management.api.operations import Limit, Place, Words, operation
from management.apps import queries
from management.apps.queries import ListedApp
from management.paging import read_cursor, write_cursor
from management.web import reading
from runtime.errors import NotFoundError

bp = Blueprint("apps_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppQuery:
    """Which apps are wanted."""

    verdict: Literal["", "clean", "unwanted", "suspicious", "malicious", "unscannable"] = ""
    text: Words = ""
    """Part of the file name or package, or the whole hash."""
    after: Place = ""
    limit: Limit = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSummary:
    """An uploaded app."""

    sha256: str
    file_name: str
    size_bytes: int
    uploaded_at: datetime
    uploaded_by: str
    package: str
    verdict: str
    """Empty: not scanned yet."""
    pattern_version: str
    judged_at: datetime | None
    devices: int
    """How many devices hold it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppPage:
    """Apps, the last uploaded first."""

    items: tuple[AppSummary, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppDetails:
    """An app, the whole result of its last scan, and who holds it."""

    sha256: str
    file_name: str
    size_bytes: int
    uploaded_at: datetime
    uploaded_by: str
    verdict: str
    result: dict[str, Any] | None
    """`contracts.scan.ScanResult`; null before the first scan."""
    holders: tuple[UUID, ...]
    """At most 500 devices."""


@operation(bp, "/apps", Permission.VIEW)
def list_apps(query: AppQuery) -> AppPage:
    """List uploaded apps with their verdicts."""
    after = _place(query.after) if query.after else None
    with reading() as session:
        found = queries.list_apps(session, query.text, query.verdict, after, query.limit + 1)
    shown = found[: query.limit]
    last = shown[-1].app if len(found) > query.limit else None
    return AppPage(
        items=tuple(_summary(row) for row in shown),
        next=write_cursor(last.uploaded_at, last.sha256) if last else None,
    )


@operation(bp, "/apps/<sha256>", Permission.VIEW)
def get_app(sha256: str) -> AppDetails:
    """Get one app with the whole result of its last scan."""
    with reading() as session:
        app = queries.get_app(session, sha256)
        found = queries.find_verdict(session, sha256)
        holders = queries.list_holders(session, sha256)
    return AppDetails(
        sha256=app.sha256,
        file_name=app.file_name,
        size_bytes=app.size_bytes,
        uploaded_at=app.uploaded_at,
        uploaded_by=app.uploaded_by,
        verdict=found.verdict if found else "",
        result=found.result if found else None,
        holders=tuple(device.id for device in holders),
    )


def _summary(row: ListedApp) -> AppSummary:
    found = row.verdict
    return AppSummary(
        sha256=row.app.sha256,
        file_name=row.app.file_name,
        size_bytes=row.app.size_bytes,
        uploaded_at=row.app.uploaded_at,
        uploaded_by=row.app.uploaded_by,
        package=found.package if found else "",
        verdict=found.verdict if found else "",
        pattern_version=found.pattern_version if found else "",
        judged_at=found.judged_at if found else None,
        devices=row.devices,
    )


def _place(word: str) -> tuple[datetime, str]:
    at, sha256 = read_cursor(word, 2)
    try:
        return datetime.fromisoformat(at), sha256
    except ValueError:
        raise NotFoundError("There is no such place in the list.") from None
