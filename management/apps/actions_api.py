"""The API's way to change what is known of apps: upload, scan, analyse, delete, approve."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from flask import Blueprint, request
from pydantic import AwareDatetime, Field

from management.access import Permission, signed_in_name
from management.administrators import sessions
from management.api.operations import STRICT, FileBody, Reason, operation
from management.apps import analysis, approvals, queries, service, uploads
from management.apps.models import AppApproval, DeepAnalysis
from management.apps.rules import LARGEST_UPLOAD_BYTES, Approved
from management.audit.notes import note
from management.web import context, reading, transaction, visitor_address
from runtime.clock import utc_now
from runtime.errors import NotFoundError

bp = Blueprint("apps_actions_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadQuery:
    """What the file is called."""

    __pydantic_config__ = STRICT

    file_name: Annotated[str, Field(max_length=255, pattern=r"^[^\x00]*$")] = "unnamed.apk"


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedApp:
    """A file that is here now; `getApp` tells its verdict once it is scanned."""

    sha256: str
    file_name: str
    size_bytes: int
    uploaded_at: datetime
    uploaded_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanState:
    """The last scan of an app that was asked for."""

    state: Literal["none", "queued", "running", "done", "failed"]
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisAnswer:
    """A deep analysis."""

    sha256: str
    requested_by: str
    requested_at: datetime
    finished_at: datetime | None
    """Null: it waits or runs."""
    result: dict[str, Any]
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewApproval:
    """Answer for an app, or for every app of its signer."""

    __pydantic_config__ = STRICT

    covers: Literal["hash", "signer"]
    """``hash``: this very file; ``signer``: every app whose file proves this signer."""
    reason: Reason
    ends_at: AwareDatetime
    """At most two years from now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalAnswer:
    """Who answers for what until when."""

    id: UUID
    covers: str
    value: str
    """SHA-256 of the file or of the signer's certificate."""
    label: str
    reason: str
    approved_by: str
    approved_at: datetime
    ends_at: datetime
    ended_at: datetime | None
    ended_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvals:
    """Approvals, at most 500; those that end first come first."""

    items: tuple[ApprovalAnswer, ...]
    next: str | None = None


@bp.url_value_preprocessor
def _let_uploads_in(endpoint: str | None, values: dict[str, object] | None) -> None:
    """Allow a large body before it is read, but only to those who may upload."""
    if endpoint == "apps_actions_api.upload_app" and sessions.may(Permission.MANAGE_APPS):
        request.max_content_length = LARGEST_UPLOAD_BYTES


@operation(bp, "/apps", Permission.MANAGE_APPS, "POST", 202, (409,))
def upload_app(query: UploadQuery, body: FileBody) -> UploadedApp:
    """Upload the file of an app; it is scanned in the background.

    The body is the file itself. A file that is here already is scanned again.
    """
    with reading() as session:
        room = service.room_for_upload(session, context().settings.uploads_bytes)
    received = uploads.receive(context().settings.home, body, room)
    with transaction("store an upload") as session:
        app = service.store_upload(
            session,
            context().keys,
            received,
            query.file_name,
            signed_in_name(),
            visitor_address(),
            utc_now(),
        )
    return UploadedApp(
        sha256=app.sha256,
        file_name=app.file_name,
        size_bytes=app.size_bytes,
        uploaded_at=app.uploaded_at,
        uploaded_by=app.uploaded_by,
    )


@operation(bp, "/apps/<sha256>", Permission.MANAGE_APPS, "DELETE", refusals=(409,))
def delete_app(sha256: str) -> ScanState:
    """Delete the file of an app; what was found in it stays known."""
    with transaction("delete an app") as session:
        service.delete_app(
            session, context().keys, sha256, signed_in_name(), visitor_address(), utc_now()
        )
    uploads.forget(context().settings.home, sha256)
    return ScanState(state="none", error="")


@operation(bp, "/apps/<sha256>/scan", Permission.MANAGE_APPS, "POST", 202)
def scan_app(sha256: str) -> ScanState:
    """Scan a stored app again, in the background."""
    with transaction("request a scan") as session:
        service.request_scan(session, sha256, utc_now())
        note(session, "app.scan", sha256)
    return get_scan(sha256)


@operation(bp, "/apps/<sha256>/scan", Permission.VIEW, in_groups=True)
def get_scan(sha256: str) -> ScanState:
    """Get how far the last scan of an app is."""
    with reading() as session:
        queries.get_known(session, sha256)
        job = queries.find_scan(session, sha256)
    if job is None:
        return ScanState(state="none", error="")
    states: dict[str, Any] = {"cancelled": "failed"}
    return ScanState(state=states.get(job.state, job.state), error=job.error or "")


@operation(bp, "/apps/<sha256>/analysis", Permission.MANAGE_APPS, "POST", 202, (409,))
def analyse_app(sha256: str) -> AnalysisAnswer:
    """Look into a stored app slowly and thoroughly; its notes never change the verdict."""
    with transaction("request a deep analysis") as session:
        row = analysis.request_analysis(
            session, context().keys, sha256, signed_in_name(), visitor_address(), utc_now()
        )
    return _analysis(row)


@operation(bp, "/apps/<sha256>/analysis", Permission.VIEW, in_groups=True)
def get_analysis(sha256: str) -> AnalysisAnswer:
    """Get the last deep analysis of an app."""
    with reading() as session:
        queries.get_known(session, sha256)
        row = session.get(DeepAnalysis, sha256)
    if row is None:
        raise NotFoundError("Nobody asked for a deep analysis of this app.")
    return _analysis(row)


@operation(bp, "/app-approvals", Permission.VIEW, paged_by="id")
def list_app_approvals() -> Approvals:
    """List the approvals that stand."""
    with reading() as session:
        return Approvals(items=tuple(map(_approval, approvals.list_approvals(session))))


@operation(bp, "/apps/<sha256>/approvals", Permission.VIEW, in_groups=True, paged_by="id")
def list_approvals_of_app(sha256: str) -> Approvals:
    """List all approvals that cover or covered an app, newest first."""
    with reading() as session:
        app = queries.get_known(session, sha256)
        return Approvals(items=tuple(map(_approval, approvals.list_of_app(session, app))))


@operation(bp, "/apps/<sha256>/approvals", Permission.MANAGE_APPS, "POST", 201, (409,))
def approve_app(sha256: str, body: NewApproval) -> ApprovalAnswer:
    """Answer for an app or its signer: it is not held against the devices that hold it."""
    with transaction("approve an app") as session:
        row = approvals.approve(
            session,
            context().keys,
            Approved(body.covers),
            sha256,
            body.reason,
            body.ends_at,
            signed_in_name(),
            visitor_address(),
            utc_now(),
        )
    return _approval(row)


@operation(
    bp, "/app-approvals/<uuid:approval_id>/end", Permission.MANAGE_APPS, "POST", refusals=(409,)
)
def end_app_approval(approval_id: UUID) -> ApprovalAnswer:
    """No longer answer for it; the devices are judged again."""
    with transaction("end an approval") as session:
        row = approvals.end_approval(
            session, context().keys, approval_id, signed_in_name(), visitor_address(), utc_now()
        )
    return _approval(row)


def _approval(row: AppApproval) -> ApprovalAnswer:
    names = set(ApprovalAnswer.__dataclass_fields__) - {"covers"}
    return ApprovalAnswer(covers=row.kind, **{name: getattr(row, name) for name in names})


def _analysis(row: DeepAnalysis) -> AnalysisAnswer:
    fields = AnalysisAnswer.__dataclass_fields__
    return AnalysisAnswer(**{name: getattr(row, name) for name in fields})
