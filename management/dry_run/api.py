"""The API's view of dry runs: ask, follow, read, take back."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from management.access import Permission, signed_in_name
from management.api.bodies import Because
from management.api.operations import STRICT, FileAnswer, Limit, PageQuery, Place, operation
from management.audit.notes import note
from management.dry_run import queries, service
from management.dry_run.applying import Applying, applying
from management.dry_run.export import as_csv
from management.dry_run.models import DryRun
from management.dry_run.queries import Named, Wanted
from management.dry_run.rules import read_tally
from management.paging import cut, read_cursor, time_cursor
from management.personal import file_of, list_of, tell_number
from management.policies.criteria_api import Criteria, read_criteria
from management.policies.queries import current_version
from management.policies.settings_api import SettingChanged, changed, read_settings
from management.web import context, reading, transaction
from runtime.clock import utc_now
from runtime.errors import NotFoundError

bp = Blueprint("dry_run_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDryRun:
    """Criteria of a policy to try."""

    __pydantic_config__ = STRICT

    requirements: Criteria = field(default_factory=Criteria)
    """A criterion left out has its default."""
    settings: dict[str, Any] | None = None
    """As the settings of a policy; left out: only the criteria are tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Applies:
    """What enrolled devices of one system under one policy would apply otherwise.

    `/devices` with this `policy` and `platform` names them.
    """

    policy_id: UUID
    platform: str
    devices: int
    cannot: int
    """How many are managed in a way in which one of the changes cannot be applied."""
    changes: tuple[SettingChanged, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRunAnswer:
    """How a dry run stands, on what it rests, and what it found so far."""

    id: UUID
    state: str
    """``waiting``, ``running``, ``done``, ``cancelled`` or ``failed``."""
    words: str
    """Why it failed."""
    policy_id: UUID | None
    policy_version: int
    pattern_version: str
    active_patterns: str
    asked_by: str
    asked_at: datetime
    judged_at: datetime | None
    """The instant at which every device is judged."""
    read_until: datetime | None
    """Facts that came later are not in it."""
    finished_at: datetime | None
    total: int
    looked_at: int
    judged: int
    changed: int
    states: dict[str, int]
    """``BEFORE>AFTER`` -> devices."""
    loses_mail: dict[str, int]
    """``at_once`` and ``later`` (after a grace period) -> devices."""
    is_wiped: dict[str, int]
    applies: tuple[Applies, ...]
    """Of the policy and of those that inherit from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedDevices:
    """Which of the devices that would change are wanted."""

    before: Annotated[str, Field(max_length=20)] = ""
    becomes: Annotated[str, Field(max_length=20)] = ""
    loses: Literal["", "mail", "data"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRunDevices(ChangedDevices):
    """Which of the devices that would change are wanted, and which page of them."""

    after: Place = ""
    limit: Limit = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedDevice:
    """One device that would change."""

    device_id: UUID
    name: str
    owner: str
    before: str
    becomes: str
    loses_mail: str
    """``at_once``, ``later`` or empty."""
    is_wiped: str
    because: str
    """The rules that it breaks only afterwards, a line each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedDevicePage:
    """Devices that would change."""

    items: tuple[ChangedDevice, ...]
    next: str | None


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
        return _answer(run, applying(session, run))


@operation(bp, "/pattern-sets/<version>/dry-runs", Permission.RUN_UPDATES, "POST", 201, (409,))
def try_patterns(version: str) -> DryRunAnswer:
    """Judge the fleet by an installed pattern set that is not active; nothing changes by it."""
    with transaction("start a dry run") as session:
        run = service.try_patterns(session, version, signed_in_name(), utc_now())
        note(session, "dry_run.patterns", version, run=str(run.id))
        return _answer(run, applying(session, run))


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRunSummary:
    """One row of the list of dry runs."""

    id: UUID
    state: str
    policy_id: UUID | None
    """Null: patterns were tried."""
    policy_version: int
    pattern_version: str
    asked_by: str
    asked_at: datetime
    finished_at: datetime | None
    total: int
    looked_at: int
    changed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRunPage:
    """Dry runs, the newest first; old ones are forgotten."""

    items: tuple[DryRunSummary, ...]
    next: str | None


@operation(bp, "/dry-runs", Permission.VIEW)
def list_dry_runs(query: PageQuery) -> DryRunPage:
    """List dry runs, the newest first."""
    after = time_cursor(query.after) if query.after else None
    with reading() as session:
        found = queries.list_runs(session, query.limit + 1, after)
    shown, following = cut(found, query.limit, lambda run: (run.asked_at, run.id))
    return DryRunPage(items=tuple(map(_summary, shown)), next=following)


def _summary(run: DryRun) -> DryRunSummary:
    names = DryRunSummary.__dataclass_fields__.keys() - {"changed"}
    fields: dict[str, Any] = {name: getattr(run, name) for name in names}
    return DryRunSummary(**fields, changed=read_tally(run.tally or {}).changed)


@operation(bp, "/dry-runs/<uuid:run_id>", Permission.VIEW)
def get_dry_run(run_id: UUID) -> DryRunAnswer:
    """Get how a dry run stands."""
    with reading() as session:
        run = queries.get_run(session, run_id)
        return _answer(run, applying(session, run))


@operation(
    bp, "/dry-runs/<uuid:run_id>/cancel", Permission.CHANGE_POLICIES, "POST", refusals=(409,)
)
def cancel_dry_run(run_id: UUID) -> DryRunAnswer:
    """Stop a dry run; what it found so far stays."""
    with transaction("cancel a dry run") as session:
        run = service.cancel(session, run_id, signed_in_name(), utc_now())
        note(session, "dry_run.cancel", run_id)
        return _answer(run, applying(session, run))


@operation(bp, "/dry-runs/<uuid:run_id>/apply", Permission.CHANGE_POLICIES, "POST", refusals=(409,))
def apply_dry_run(run_id: UUID, body: Because) -> DryRunAnswer:
    """Make what was tried the next version of the policy, unless another one holds by now."""
    with transaction("apply a dry run") as session:
        version = service.apply(session, run_id, signed_in_name(), body.because, utc_now())
        note(session, "policy.change", version.policy_id, body.because, version=version.version)
        run = queries.get_run(session, run_id)
        return _answer(run, applying(session, run))


@operation(
    bp, "/dry-runs/<uuid:run_id>/devices", Permission.VIEW, shows=list_of("devices of a dry run")
)
def list_dry_run_devices(run_id: UUID, query: DryRunDevices) -> ChangedDevicePage:
    """List the devices that would change."""
    wanted = Wanted(before=query.before, after=query.becomes, loses=query.loses)
    with reading() as session:
        queries.get_run(session, run_id)
        place = _place(query.after)
        found = queries.list_devices(session, run_id, wanted, place, query.limit + 1)
    shown, following = cut(found, query.limit, lambda row: (row.found.device_id,))
    return ChangedDevicePage(
        items=tuple(map(_device, shown)),
        next=following,
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
    wanted = Wanted(before=query.before, after=query.becomes, loses=query.loses)
    with reading() as session:
        queries.get_run(session, run_id)
        tell_number(queries.count_named(session, run_id, wanted))
    return FileAnswer(f"dry-run-{run_id}.csv", as_csv(context().database, run_id, wanted))


def _place(word: str) -> UUID | None:
    try:
        return UUID(read_cursor(word, 1)[0]) if word else None
    except ValueError:
        raise NotFoundError("There is no such place in the list.") from None


def _device(one: Named) -> ChangedDevice:
    return ChangedDevice(
        device_id=one.found.device_id,
        name=one.name,
        owner=one.owner,
        before=one.found.before,
        becomes=one.found.after,
        loses_mail=one.found.mail,
        is_wiped=one.found.wipe,
        because=one.found.because,
    )


_SAME = (
    "id",
    "state",
    "words",
    "policy_id",
    "policy_version",
    "pattern_version",
    "active_patterns",
    "asked_by",
    "asked_at",
    "judged_at",
    "read_until",
    "finished_at",
    "total",
    "looked_at",
)


def _answer(run: DryRun, found: list[Applying]) -> DryRunAnswer:
    tally = read_tally(run.tally or {})
    fields: dict[str, Any] = {name: getattr(run, name) for name in _SAME}
    return DryRunAnswer(
        **fields,
        judged=tally.judged,
        changed=tally.changed,
        states=dict(tally.states),
        loses_mail=dict(tally.mail),
        is_wiped=dict(tally.wipe),
        applies=tuple(
            Applies(
                policy_id=one.policy_id,
                platform=one.platform,
                devices=one.devices,
                cannot=one.cannot,
                changes=tuple(map(changed, one.changes)),
            )
            for one in found
        ),
    )
