"""The API's view of known apps and their verdicts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from flask import Blueprint

from management.access import Permission
from management.api.operations import Limit, Place, Words, operation
from management.apps import holding, queries
from management.apps.models import App
from management.apps.queries import Wanted
from management.listing.rules import Count
from management.paging import cut, read_cursor
from management.personal import list_of, tell_number
from management.web import reading
from runtime.errors import NotFoundError

bp = Blueprint("apps_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppQuery:
    """Which apps are wanted."""

    verdict: Literal[
        "", "unknown", "clean", "unwanted", "suspicious", "malicious", "unscannable"
    ] = ""
    """``unknown``: nobody judged it."""
    text: Words = ""
    """Beginning of the package or name, or the whole hash of file or signer."""
    held: Literal["", "1"] = ""
    """``1``: only apps that a device holds."""
    stored: Literal["", "1"] = ""
    """``1``: only apps whose file is here."""
    after: Place = ""
    limit: Limit = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSummary:
    """A known app."""

    sha256: str
    package: str
    name: str
    version: str
    signer_sha256: str
    first_seen_at: datetime
    stored: bool
    """Whether its file is here."""
    verdict: str
    """Empty: nobody judged it."""
    basis: str
    """``file``, or ``report``: it was never read, what devices say of it is listed as bad."""
    rule: str
    pattern_version: str
    judged_at: datetime | None
    devices: int
    """How many devices hold it, of those that you see."""
    devices_or_more: bool
    """Whether there may be more: within groups a number is counted for a bounded time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppPage:
    """Apps, the last seen first."""

    items: tuple[AppSummary, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppDetails(AppSummary):
    """An app, the whole result of its last scan, and who holds it."""

    file_name: str
    """Empty: its file is not here."""
    size_bytes: int
    uploaded_at: datetime | None
    uploaded_by: str
    result: dict[str, Any] | None
    """`contracts.scan.ScanResult`; null before the first scan."""
    holders: tuple[UUID, ...]
    """At most 500 devices."""


@operation(bp, "/apps", Permission.VIEW, in_groups=True)
def list_apps(query: AppQuery) -> AppPage:
    """List known apps with their verdicts."""
    after = _place(query.after) if query.after else None
    wanted = Wanted(
        text=query.text, verdict=query.verdict, held=bool(query.held), stored=bool(query.stored)
    )
    with reading() as session:
        found = queries.list_apps(session, wanted, after, query.limit + 1)
        shown, following = cut(found, query.limit, lambda row: (row.first_seen_at, row.sha256))
        devices = holding.count_devices(session, shown)
    return AppPage(
        items=tuple(AppSummary(**_fields(row, devices[row.sha256])) for row in shown),
        next=following,
    )


@operation(
    bp, "/apps/<sha256>", Permission.VIEW, in_groups=True, shows=list_of("devices with an app")
)
def get_app(sha256: str) -> AppDetails:
    """Get one app with the whole result of its last scan."""
    with reading() as session:
        app = queries.get_known(session, sha256)
        file = queries.find_app(session, sha256)
        found = queries.find_verdict(session, sha256)
        holders = queries.list_holders(session, sha256)
        tell_number(len(holders))
        devices = holding.count_devices(session, [app])[sha256]
    return AppDetails(
        **_fields(app, devices),
        file_name=file.file_name if file else "",
        size_bytes=file.size_bytes if file else 0,
        uploaded_at=file.uploaded_at if file else None,
        uploaded_by=file.uploaded_by if file else "",
        result=found.result if found else None,
        holders=tuple(device.id for device in holders),
    )


def _fields(row: App, devices: Count) -> dict[str, Any]:
    counted = {"devices": devices.number, "devices_or_more": devices.more}
    rest = AppSummary.__dataclass_fields__.keys() - counted.keys()
    return {name: getattr(row, name) for name in rest} | counted


def _place(word: str) -> tuple[datetime, str]:
    at, sha256 = read_cursor(word, 2)
    try:
        return datetime.fromisoformat(at), sha256
    except ValueError:
        raise NotFoundError("There is no such place in the list.") from None
