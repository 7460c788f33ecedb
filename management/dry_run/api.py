"""The API's view of dry runs: ask, follow, read, take back."""

from uuid import UUID

from flask import Blueprint

from management.access import Permission, signed_in_name
from management.api.bodies import Because
from management.api.operations import FileAnswer, PageQuery, operation
from management.audit.notes import note
from management.dry_run import queries, service
from management.dry_run.answers import (
    ChangedDevicePage,
    ChangedDevices,
    DryRunAnswer,
    DryRunDevices,
    DryRunPage,
    NewDryRun,
    answer,
    device,
    summary,
)
from management.dry_run.applying import applying
from management.dry_run.export import as_csv
from management.paging import cut, time_cursor, uuid_cursor, write_cursor
from management.personal import file_of, list_of, tell_number
from management.policies.criteria_api import read_criteria
from management.policies.queries import current_version
from management.policies.settings_api import read_settings
from management.web import context, reading, transaction
from runtime.clock import utc_now

bp = Blueprint("dry_run_api", __name__, url_prefix="/api/v1")


@operation(
    bp, "/policies/<uuid:policy_id>/dry-runs", Permission.CHANGE_POLICIES, "POST", 201, (409,)
)
def try_policy(policy_id: UUID, body: NewDryRun) -> DryRunAnswer:
    """Judge the fleet by changed criteria of a policy; nothing changes by it."""
    asked, settings = read_criteria(body.requirements), None
    with transaction("start a dry run") as session:
        if body.settings is not None:
            settings = read_settings(body.settings, current_version(session, policy_id).settings)
        by, now = signed_in_name(), utc_now()
        run = service.try_policy(session, policy_id, asked, by, now, settings)
        note(session, "dry_run.policy", policy_id, run=str(run.id))
        return answer(run, applying(session, run))


@operation(bp, "/pattern-sets/<version>/dry-runs", Permission.RUN_UPDATES, "POST", 201, (409,))
def try_patterns(version: str) -> DryRunAnswer:
    """Judge the fleet by an installed pattern set that is not active; nothing changes by it."""
    with transaction("start a dry run") as session:
        run = service.try_patterns(session, version, signed_in_name(), utc_now())
        note(session, "dry_run.patterns", version, run=str(run.id))
        return answer(run, applying(session, run))


@operation(bp, "/dry-runs", Permission.VIEW)
def list_dry_runs(query: PageQuery) -> DryRunPage:
    """List dry runs, the newest first."""
    after = time_cursor(query.after) if query.after else None
    with reading() as session:
        found = queries.list_runs(session, query.limit + 1, after)
    shown, following = cut(found, query.limit, lambda run: (run.asked_at, run.id))
    return DryRunPage(items=tuple(map(summary, shown)), next=following)


@operation(bp, "/dry-runs/<uuid:run_id>", Permission.VIEW)
def get_dry_run(run_id: UUID) -> DryRunAnswer:
    """Get how a dry run stands."""
    with reading() as session:
        run = queries.get_run(session, run_id)
        return answer(run, applying(session, run))


@operation(
    bp, "/dry-runs/<uuid:run_id>/cancel", Permission.CHANGE_POLICIES, "POST", refusals=(409,)
)
def cancel_dry_run(run_id: UUID) -> DryRunAnswer:
    """Stop a dry run; what it found so far stays."""
    with transaction("cancel a dry run") as session:
        run = service.cancel(session, run_id, signed_in_name(), utc_now())
        note(session, "dry_run.cancel", run_id)
        return answer(run, applying(session, run))


@operation(bp, "/dry-runs/<uuid:run_id>/apply", Permission.CHANGE_POLICIES, "POST", refusals=(409,))
def apply_dry_run(run_id: UUID, body: Because) -> DryRunAnswer:
    """Make what was tried the next version of the policy, unless another one holds by now."""
    with transaction("apply a dry run") as session:
        version = service.apply(session, run_id, signed_in_name(), body.because, utc_now())
        note(session, "policy.change", version.policy_id, body.because, version=version.version)
        run = queries.get_run(session, run_id)
        return answer(run, applying(session, run))


@operation(
    bp, "/dry-runs/<uuid:run_id>/devices", Permission.VIEW, shows=list_of("devices of a dry run")
)
def list_dry_run_devices(run_id: UUID, query: DryRunDevices) -> ChangedDevicePage:
    """List the devices that would change."""
    with reading() as session:
        queries.get_run(session, run_id)
        place = uuid_cursor(query.after)
        found, last = queries.look(session, run_id, query.as_wanted(), place, query.limit)
    return ChangedDevicePage(
        items=tuple(map(device, found)), next=write_cursor(last) if last else None
    )


@operation(
    bp,
    "/dry-runs/<uuid:run_id>/devices.csv",
    Permission.VIEW,
    media_type="text/csv; charset=utf-8",
    shows=file_of("dry_run.export", "devices of a dry run"),
)
def export_dry_run_devices(run_id: UUID, query: ChangedDevices) -> FileAnswer:
    """Get all devices that would change as a CSV file."""
    wanted = query.as_wanted()
    with reading() as session:
        queries.get_run(session, run_id)
        tell_number(queries.count_named(session, run_id, wanted))
    return FileAnswer(f"dry-run-{run_id}.csv", as_csv(context().database, run_id, wanted))
