"""The API's view of the agent package that the download page offers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from flask import Blueprint, request
from pydantic import Field

from management.access import Permission, signed_in_name
from management.administrators import sessions, step_up
from management.agent_packages import from_source, queries, service
from management.api.operations import STRICT, Code, FileBody, operation
from management.apps import uploads
from management.apps.rules import LARGEST_UPLOAD_BYTES
from management.apps.service import room_for_upload
from management.audit.notes import note
from management.web import context, reading, transaction, visitor_address
from runtime.clock import utc_now

bp = Blueprint("agent_packages_api", __name__, url_prefix="/api/v1")
CHANGE = Permission.CHANGE_SETTINGS


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageQuery:
    """How the file is called."""

    file_name: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPackageAnswer:
    """A package of the agent."""

    sha256: str
    file_name: str
    size_bytes: int
    verdict: str
    """Empty while it is scanned."""
    uploaded_at: datetime
    uploaded_by: str
    released_at: datetime | None
    source: str
    """The update source that offered it; empty: it was uploaded."""
    current: bool
    """Handed out now."""
    why_not: str
    """Why it may not be handed out; empty: it may."""
    other_signer: bool
    """Another key signed it than the package handed out last, withdrawn or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPackages:
    """All packages, and the enrolment key that stands in the one that is handed out."""

    items: tuple[AgentPackageAnswer, ...]
    key_id: UUID | None
    follows_source: bool
    """The newest package of the update source is handed out by itself."""
    chosen_by: str
    """Who said last whether it does; empty: nobody."""
    chosen_at: datetime | None
    offered_version: str
    """Of the update source, when it was looked at last; empty: none."""
    looked_at: datetime | None
    problem: str
    """Why that version was not taken or is not handed out."""
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageKey:
    """Which enrolment key stands in the package."""

    __pydantic_config__ = STRICT

    key_id: UUID | None
    """Of a key for many; null: none."""
    code: Code


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageRelease:
    """That somebody hands a package out, and whether a change of its signer is meant."""

    __pydantic_config__ = STRICT

    other_signer: bool = False
    """True: another key signed it than the package handed out last, and that is right."""
    code: Code


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowSource:
    """That the update source decides from now on."""

    __pydantic_config__ = STRICT

    code: Code


@bp.url_value_preprocessor
def _let_uploads_in(endpoint: str | None, values: dict[str, object] | None) -> None:
    """Allow a large body before it is read, but only to those who may upload."""
    ours = endpoint == "agent_packages_api.upload_agent_package"
    if ours and sessions.may(Permission.MANAGE_APPS):
        request.max_content_length = LARGEST_UPLOAD_BYTES


@operation(bp, "/agent-packages", Permission.VIEW, paged_by="sha256")
def list_agent_packages() -> AgentPackages:
    """List the packages of the agent."""
    with reading() as session:
        found, key = queries.list_packages(session), queries.offered_key(session)
        said = queries.standing(session)
        return AgentPackages(
            items=tuple(map(_answer, found)),
            key_id=key.id if key else None,
            follows_source=said.follows,
            chosen_by=said.chosen_by,
            chosen_at=said.chosen_at,
            offered_version=said.offered,
            looked_at=said.looked_at,
            problem=said.problem,
        )


@operation(bp, "/agent-packages", Permission.MANAGE_APPS, "POST", 202, (409,))
def upload_agent_package(query: PackageQuery, body: FileBody) -> AgentPackages:
    """Upload a package; it is scanned in the background. The body is the file itself."""
    with reading() as session:
        room = room_for_upload(session, context().settings.uploads_bytes)
    received = uploads.receive(context().settings.home, body, room)
    name, by, address = query.file_name, signed_in_name(), visitor_address()
    with transaction("store an agent package") as session:
        service.store(session, context(), received, name, by, address, utc_now())
        note(session, "agent_package.upload", received.sha256, file_name=name)
    return list_agent_packages()


@operation(bp, "/agent-packages/<sha256>/release", CHANGE, "POST", refusals=(409,))
def release_agent_package(sha256: str, body: PackageRelease) -> AgentPackages:
    """Hand a package out and announce it to devices."""
    step_up.require_code(body.code)
    with transaction("release an agent package") as session:
        service.release(session, sha256, signed_in_name(), utc_now(), body.other_signer)
        note(session, "agent_package.release", sha256, other_signer=body.other_signer)
    return list_agent_packages()


@operation(bp, "/agent-packages/withdraw", CHANGE, "POST", refusals=(409,))
def withdraw_agent_package() -> AgentPackages:
    """Hand no package out."""
    with transaction("withdraw the agent package") as session:
        service.withdraw(session, signed_in_name(), utc_now())
        note(session, "agent_package.withdraw", "")
    return list_agent_packages()


@operation(bp, "/agent-packages/follow", CHANGE, "POST", refusals=(409,))
def follow_agent_source(body: FollowSource) -> AgentPackages:
    """Let the newest package of the update source be handed out by itself."""
    step_up.require_code(body.code)
    with transaction("follow the update source") as session:
        from_source.follow(session, context().keys, signed_in_name(), utc_now())
        note(session, "agent_package.follow", "")
    return list_agent_packages()


@operation(bp, "/agent-packages/key", CHANGE, "POST", refusals=(404, 409))
def choose_agent_package_key(body: PackageKey) -> AgentPackages:
    """Set which enrolment key stands in the package."""
    step_up.require_code(body.code)
    with transaction("choose the key of the download page") as session:
        service.choose_key(session, body.key_id, utc_now())
        note(session, "agent_package.key", str(body.key_id or ""))
    return list_agent_packages()


def _answer(one: queries.Listed) -> AgentPackageAnswer:
    return AgentPackageAnswer(
        sha256=one.row.sha256,
        file_name=one.row.file_name,
        size_bytes=one.row.size_bytes,
        verdict=one.app.verdict or "",
        uploaded_at=one.row.uploaded_at,
        uploaded_by=one.row.uploaded_by,
        released_at=one.row.released_at,
        source=one.row.source,
        current=one.row.current,
        why_not=one.why_not,
        other_signer=one.other_signer,
    )
