"""The API's view of trials: start, follow, promote, roll back."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from management.access import Permission, signed_in_name
from management.api.bodies import Because
from management.api.operations import STRICT, PageQuery, Reason, Whole, operation
from management.audit.notes import note
from management.canary import queries, service
from management.canary.models import Canary
from management.canary.rules import Counts, Kind
from management.paging import cut, time_cursor, uuid_cursor, write_cursor
from management.personal import list_of
from management.policies.criteria_api import Criteria, read_criteria
from management.policies.queries import current_version
from management.policies.settings_api import read_settings
from management.web import reading, transaction
from runtime.clock import utc_now

bp = Blueprint("canary_api", __name__, url_prefix="/api/v1")
Share = Annotated[int, Field(ge=0, le=50), Whole]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTrial:
    """Changed criteria for some devices of a policy."""

    __pydantic_config__ = STRICT

    policy_id: UUID
    based_on: Annotated[int, Field(ge=1), Whole]
    """The version from which the change was made; refused when another one holds."""
    requirements: Criteria
    """A criterion left out has its default."""
    settings: dict[str, Any] | None = None
    """What they are to apply; left out: what they apply now."""
    percent: Share = 0
    """Share of the policy's devices, always the same ones first; or give ``group_id``."""
    group_id: UUID | None = None
    limit_percent: Annotated[int, Field(ge=0, le=100), Whole] = 5
    """It stops when a larger share became non-compliant."""
    because: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialAnswer:
    """How a trial stands, every step with its time."""

    id: UUID
    policy_id: UUID
    policy_version: int
    trial_id: UUID
    """The policy that its devices have meanwhile."""
    state: str
    """``starting``, ``running``, ``promoted``, ``stopped`` (by itself) or ``rolled_back``."""
    started_at: datetime
    started_by: str
    because: str
    given_at: datetime | None
    ended_at: datetime | None
    ended_by: str
    ended_because: str
    back_at: datetime | None
    devices: int
    worse: int
    mended: int
    ordered: int
    """`list_trial_devices` names those of each of the four numbers; all are of now, and 0 once the
    devices are given back."""


@operation(bp, "/trials", Permission.CHANGE_POLICIES, "POST", 201, (404, 409))
def start_trial(body: NewTrial) -> TrialAnswer:
    """Ask changed criteria of some devices first; the others keep what holds."""
    with reading() as session:
        held = current_version(session, body.policy_id).settings
    wanted = service.Wanted(
        policy_id=body.policy_id,
        based_on=body.based_on,
        requirements=read_criteria(body.requirements),
        percent=body.percent,
        group_id=body.group_id,
        limit_percent=body.limit_percent,
        by=signed_in_name(),
        because=body.because,
        settings=None if body.settings is None else read_settings(body.settings, held),
    )
    with transaction("start a trial") as session:
        canary = service.start(session, wanted, utc_now())
        note(session, "canary.start", body.policy_id, body.because, canary=str(canary.id))
        return _answer(queries.counts(session, canary), canary)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSummary:
    """One row of the list of trials."""

    id: UUID
    policy_id: UUID
    policy_version: int
    state: str
    started_at: datetime
    started_by: str
    because: str
    ended_at: datetime | None
    ended_because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPage:
    """Trials, the newest first."""

    items: tuple[TrialSummary, ...]
    next: str | None


@operation(bp, "/trials", Permission.VIEW)
def list_trials(query: PageQuery) -> TrialPage:
    """List the trials of changed policies, the newest first."""
    after = time_cursor(query.after) if query.after else None
    names = TrialSummary.__dataclass_fields__
    with reading() as session:
        found = queries.list_canaries(session, query.limit + 1, after)
    shown, following = cut(found, query.limit, lambda row: (row.started_at, row.id))
    return TrialPage(
        items=tuple(TrialSummary(**{name: getattr(row, name) for name in names}) for row in shown),
        next=following,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialDevicesQuery(PageQuery):
    """Which of the devices that have the policy on trial now."""

    of: Literal["devices", "worse", "mended", "ordered"] = "worse"
    """``worse``: not compliant, which they were not before; ``mended``: no longer non-compliant;
    ``ordered``: were ordered to apply it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialDevice:
    """A device that has the policy on trial now."""

    device_id: UUID
    name: str
    before: str
    """Its state before the trial."""
    state: str
    because: tuple[str, ...]
    """What it breaks now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialDevices:
    """Devices of a trial, in the order of their ids: as many as the trial counts.

    A page may hold fewer than asked for, or none, and still name the place where it goes on.
    """

    items: tuple[TrialDevice, ...]
    next: str | None


@operation(
    bp, "/trials/<uuid:canary_id>/devices", Permission.VIEW, shows=list_of("devices of a trial")
)
def list_trial_devices(canary_id: UUID, query: TrialDevicesQuery) -> TrialDevices:
    """List the devices that a trial made non-compliant, or others of its devices."""
    after = uuid_cursor(query.after)
    with reading() as session:
        canary = queries.get_canary(session, canary_id)
        found, last = queries.look(session, canary, Kind(query.of), after, query.limit)
    return TrialDevices(
        items=tuple(TrialDevice(**asdict(one)) for one in found),
        next=write_cursor(last) if last else None,
    )


@operation(bp, "/trials/<uuid:canary_id>", Permission.VIEW)
def get_trial(canary_id: UUID) -> TrialAnswer:
    """Get how a trial stands."""
    with reading() as session:
        canary = queries.get_canary(session, canary_id)
        return _answer(queries.counts(session, canary), canary)


@operation(
    bp, "/trials/<uuid:canary_id>/promote", Permission.CHANGE_POLICIES, "POST", refusals=(409,)
)
def promote_trial(canary_id: UUID, body: Because) -> TrialAnswer:
    """Let it hold for everybody."""
    with transaction("promote a trial") as session:
        canary = service.promote(session, canary_id, signed_in_name(), body.because, utc_now())
        note(session, "canary.promote", canary.policy_id, body.because, canary=str(canary_id))
        return _answer(queries.counts(session, canary), canary)


@operation(
    bp, "/trials/<uuid:canary_id>/roll-back", Permission.CHANGE_POLICIES, "POST", refusals=(409,)
)
def roll_back_trial(canary_id: UUID, body: Because) -> TrialAnswer:
    """End it; its devices get back what holds for them."""
    with transaction("roll a trial back") as session:
        canary = service.roll_back(session, canary_id, signed_in_name(), body.because, utc_now())
        note(session, "canary.roll_back", canary.policy_id, body.because, canary=str(canary_id))
        return _answer(queries.counts(session, canary), canary)


_SAME = (
    "id",
    "policy_id",
    "policy_version",
    "trial_id",
    "state",
    "started_at",
    "started_by",
    "because",
    "given_at",
    "ended_at",
    "ended_by",
    "ended_because",
    "back_at",
)


def _answer(counted: Counts, canary: Canary) -> TrialAnswer:
    return TrialAnswer(
        **{name: getattr(canary, name) for name in _SAME},
        devices=counted.devices,
        worse=counted.worse,
        mended=counted.mended,
        ordered=counted.ordered,
    )
