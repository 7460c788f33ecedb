"""The API's view of files that devices are asked to send."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from flask import Blueprint

from management.access import Permission, signed_in_name
from management.api.operations import STRICT, operation
from management.apps.queries import get_known
from management.collecting import queries, service
from management.collecting.models import AppRequest
from management.personal import list_of
from management.web import context, reading, transaction, visitor_address
from runtime.clock import utc_now

bp = Blueprint("collecting_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRequest:
    """One device that was asked for the file of an app, and what came of it."""

    id: UUID
    sha256: str
    device_id: UUID
    state: str
    """``ordered``, ``sent`` (it lies with a relay), ``done``, ``refused``, ``failed`` or
    ``expired``."""
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    finished_at: datetime | None
    size_bytes: int | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRequests:
    """The last 20 requests for a file, newest first."""

    items: tuple[FileRequest, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Collecting:
    """Whose devices may be asked for files of apps."""

    __pydantic_config__ = STRICT

    company: bool
    """Devices of the company."""
    personal: bool
    """Devices that belong to their users, who must agree on the device as well."""


@operation(
    bp,
    "/apps/<sha256>/file-requests",
    Permission.VIEW,
    paged_by="id",
    shows=list_of("devices asked for an app"),
)
def list_file_requests(sha256: str) -> FileRequests:
    """List which devices were asked for the file of an app, and what came of it."""
    with reading() as session:
        get_known(session, sha256)
        found = queries.list_requests(session, sha256)
    return FileRequests(items=tuple(_answer(row) for row, _device in found))


@operation(bp, "/apps/<sha256>/file-requests", Permission.MANAGE_APPS, "POST", 202, (409, 503))
def ask_for_file(sha256: str) -> FileRequest:
    """Ask the device that was heard of last, of those that hold the app, for its file."""
    with transaction("ask for a file") as session:
        row = service.ask_for(
            session, context(), sha256, signed_in_name(), visitor_address(), utc_now()
        )
    return _answer(row)


@operation(bp, "/app-collecting", Permission.VIEW)
def get_collecting() -> Collecting:
    """Get from whose devices files of apps may be asked for."""
    with reading() as session:
        row = queries.read_settings(session)
    return Collecting(company=row.company, personal=row.personal)


@operation(bp, "/app-collecting", Permission.CHANGE_SETTINGS, "PUT")
def save_collecting(body: Collecting) -> Collecting:
    """Say from whose devices files of apps may be asked for."""
    with transaction("save what is collected") as session:
        service.save_settings(
            session,
            context().keys,
            body.company,
            body.personal,
            signed_in_name(),
            visitor_address(),
            utc_now(),
        )
    return body


def _answer(row: AppRequest) -> FileRequest:
    names = FileRequest.__dataclass_fields__
    return FileRequest(**{name: getattr(row, name) for name in names})
