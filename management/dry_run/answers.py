"""What the API answers about dry runs, and what it may be asked."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from management.api.operations import STRICT, Limit, Place
from management.dry_run.applying import Applying
from management.dry_run.models import DryRun
from management.dry_run.queries import Named, Wanted
from management.dry_run.rules import read_tally
from management.policies.criteria_api import Criteria
from management.policies.settings_api import SettingChanged, changed


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
    """``BEFORE>AFTER`` -> devices, also those that stay as they are."""
    listed: dict[str, int]
    """``BEFORE>AFTER`` -> devices that change: so many `list_dry_run_devices` names by `before` and
    `becomes`. Empty for a dry run from before this was counted."""
    rules: dict[str, int]
    """Rule -> devices that change, among other things because of it: so many it names by `rule`."""
    loses_mail: dict[str, int]
    """``at_once`` and ``later`` (after a grace period) -> devices."""
    is_wiped: dict[str, int]
    applies: tuple[Applies, ...]
    """Of the policy and of those that inherit from it."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedDevices:
    """Which of the devices that would change are wanted."""

    before: Annotated[str, Field(max_length=20)] = ""
    """A state; with a minus before it: any other one."""
    becomes: Annotated[str, Field(max_length=20)] = ""
    loses: Literal["", "mail", "data"] = ""
    when: Literal["", "at_once", "later"] = ""
    """When it loses that; without `loses` it filters nothing."""
    rule: Annotated[str, Field(max_length=50)] = ""
    """One of the rules because of which it changes."""

    def as_wanted(self) -> Wanted:
        """Return what is asked for."""
        return Wanted(
            before=self.before,
            after=self.becomes,
            loses=self.loses,
            when=self.when,
            rule=self.rule,
        )


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
    """Devices that would change, in the order of their ids.

    A page may hold fewer than asked for, or none, and still name the place where it goes on.
    """

    items: tuple[ChangedDevice, ...]
    next: str | None


def summary(run: DryRun) -> DryRunSummary:
    """Return one row of the list."""
    names = DryRunSummary.__dataclass_fields__.keys() - {"changed"}
    fields: dict[str, Any] = {name: getattr(run, name) for name in names}
    return DryRunSummary(**fields, changed=read_tally(run.tally or {}).changed)


def device(one: Named) -> ChangedDevice:
    """Return one row of the devices."""
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


def answer(run: DryRun, found: list[Applying]) -> DryRunAnswer:
    """Return how a dry run stands; *found*: what devices would apply otherwise."""
    tally = read_tally(run.tally or {})
    fields: dict[str, Any] = {name: getattr(run, name) for name in _SAME}
    return DryRunAnswer(
        **fields,
        judged=tally.judged,
        changed=tally.changed,
        states=dict(tally.states),
        listed=dict(tally.listed),
        rules=dict(tally.rules),
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
