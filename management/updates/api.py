"""The API's view of pattern sets and updates."""

from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from flask import Blueprint

from management.access import Permission, signed_in_name
from management.api.operations import operation
from management.audit.notes import note
from management.updates import queries, service
from management.updates.models import UpdateRun
from management.web import reading, transaction
from runtime.clock import utc_now

bp = Blueprint("updates_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternSetAnswer:
    """A verified pattern set on this server."""

    version: str
    source: str
    rules: int
    active: bool
    installed_at: datetime
    activated_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRunAnswer:
    """One attempt to fetch a newer set."""

    id: UUID
    state: str
    started_at: datetime
    finished_at: datetime | None
    requested_by: str
    source: str
    from_version: str
    to_version: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentAnswer:
    """What the source brings beside pattern sets, and how it stands."""

    kind: str
    """``release``, ``agent_package`` or ``revoked_keys``."""
    version: str
    """Empty: there is none."""
    size: int | None
    """How many keys a list names; null where that says nothing."""
    since: datetime | None
    source: str
    """Its address; empty: a person brought it."""
    by: str
    """That person."""
    looked_at: datetime | None
    """When the source was asked last."""
    offered: str
    """What the source had then."""
    problem: str
    """Why that is not in use; empty: it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Updates:
    """What is installed, and the last 50 attempts, newest first."""

    components: tuple[ComponentAnswer, ...]
    sets: tuple[PatternSetAnswer, ...]
    runs: tuple[UpdateRunAnswer, ...]


@operation(bp, "/updates", Permission.VIEW)
def get_updates() -> Updates:
    """Get the installed pattern sets and the last attempts to update."""
    with reading() as session:
        components = queries.list_components(session)
        sets, runs = queries.list_sets(session), queries.list_runs(session)
    return Updates(
        components=tuple(ComponentAnswer(**asdict(one)) for one in components),
        sets=tuple(
            PatternSetAnswer(
                version=row.version,
                source=row.source,
                rules=row.rules,
                active=row.active,
                installed_at=row.installed_at,
                activated_at=row.activated_at,
            )
            for row in sets
        ),
        runs=tuple(_run(row) for row in runs),
    )


@operation(bp, "/updates/runs", Permission.RUN_UPDATES, "POST", 202, (409,))
def start_update() -> UpdateRunAnswer:
    """Start an update in the background, or get the one that is going on."""
    with transaction("start an update") as session:
        run = service.request_run(session, signed_in_name(), utc_now())
        note(session, "update.run", run.source, run=str(run.id))
    return _run(run)


@operation(bp, "/updates/runs/<uuid:run_id>", Permission.VIEW)
def get_update_run(run_id: UUID) -> UpdateRunAnswer:
    """Get one attempt as it stands now."""
    with reading() as session:
        return _run(queries.get_run(session, run_id))


def _run(row: UpdateRun) -> UpdateRunAnswer:
    return UpdateRunAnswer(
        id=row.id,
        state=row.state,
        started_at=row.started_at,
        finished_at=row.finished_at,
        requested_by=row.requested_by,
        source=row.source,
        from_version=row.from_version,
        to_version=row.to_version,
        detail=row.detail,
    )
