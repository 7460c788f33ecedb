"""The API's view of what policies make devices apply, and of what they inherit."""

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from management.access import Permission, signed_in_name
from management.api.operations import STRICT, Reason, Whole, operation
from management.audit.notes import note
from management.policies import queries, service
from management.policies.catalogue.all import NAMES
from management.policies.differences import Change
from management.policies.inheritance import Link
from management.policies.json_schema import settings_schema
from management.policies.models import PolicyVersion
from management.policies.rules import read_requirements
from management.policies.schema import Settings
from management.policies.values import Reader, shown
from management.web import context, reading, transaction
from runtime.clock import utc_now
from runtime.errors import RefusedError

bp = Blueprint("policy_settings_api", __name__, url_prefix="/api/v1")

Part = Annotated[str, Field(pattern=f"^({'|'.join(NAMES)})$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a part of a policy comes from."""

    policy_id: UUID
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """What a policy makes devices apply, inherited parts included."""

    policy_id: UUID
    version: int
    parent_id: UUID | None
    parent_version: int | None
    """The parent's version that this one follows."""
    inherited: tuple[str, ...]
    """Parts that are the parent's; `compliance` is the criteria."""
    origins: dict[str, Origin]
    """Part -> the policy that says it itself."""
    settings: dict[str, Any]
    """Part -> {setting: value}, or a list of those. A secret reads `{"set": true}`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsChange:
    """What a policy makes devices apply from now on."""

    __pydantic_config__ = STRICT

    settings: dict[str, Any]
    """As the schema says. A part left out asks nothing; `{"set": true}` keeps a secret."""
    parent_id: UUID | None = None
    inherited: Annotated[tuple[Part, ...], Field(max_length=len(NAMES))] = ()
    """What `settings` says of these parts does not count."""
    based_on: Annotated[int, Field(ge=1, le=2**31 - 1), Whole] | None = None
    """The version you read; refused when another one holds meanwhile."""
    because: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingChanged:
    """One setting before and after; null: it was not asked."""

    setting: str
    """`PART.SETTING`"""
    entry: str
    before: Any
    now: Any


@operation(bp, "/policy-settings/schema", Permission.VIEW, in_groups=True)
def get_settings_schema() -> dict[str, Any]:
    """Get the JSON Schema of the settings of policies, with help in your language."""
    return settings_schema()


@operation(bp, "/policies/<uuid:policy_id>/settings", Permission.VIEW, in_groups=True)
def get_policy_settings(policy_id: UUID) -> PolicySettings:
    """Get what a policy makes devices apply, and where each part comes from."""
    with reading() as session:
        queries.require_seen(session, policy_id)
        version = queries.current_version(session, policy_id)
        return _answer(version, queries.origins(session, version))


@operation(
    bp, "/policies/<uuid:policy_id>/settings", Permission.CHANGE_POLICIES, "PUT", refusals=(409,)
)
def change_policy_settings(policy_id: UUID, body: SettingsChange) -> PolicySettings:
    """Write the next version of a policy and of those that inherit from it."""
    with transaction("change a policy") as session:
        current = queries.current_version(session, policy_id)
        version = service.change_policy(
            session,
            policy_id,
            read_requirements(current.requirements),
            read_settings(body.settings, current.settings),
            signed_in_name(),
            body.because,
            utc_now(),
            Link(parent_id=body.parent_id, inherited=tuple(sorted(set(body.inherited)))),
            body.based_on,
        )
        note(session, "policy.change", policy_id, body.because, version=version.version)
        return _answer(version, queries.origins(session, version))


def read_settings(given: Any, before: Settings) -> dict[str, Any]:
    """Return the settings to store; RefusedError names what is wrong and where."""
    reader = Reader(context().keys, before)
    found = reader.read(given)
    if reader.errors:
        places = (f"{place}: {problem}" for place, problem in list(reader.errors.items())[:5])
        raise RefusedError(" ".join(places))
    return found


def changed(change: Change) -> SettingChanged:
    """Return a difference between two versions as the API says it."""
    return SettingChanged(
        setting=f"{change.category.name}.{change.setting.name}",
        entry=change.entry,
        before=change.before,
        now=change.now,
    )


def _answer(version: PolicyVersion, origins: dict[str, PolicyVersion]) -> PolicySettings:
    return PolicySettings(
        policy_id=version.policy_id,
        version=version.version,
        parent_id=version.parent_id,
        parent_version=version.parent_version,
        inherited=tuple(version.inherited),
        origins={
            name: Origin(policy_id=row.policy_id, version=row.version)
            for name, row in origins.items()
        },
        settings=shown(version.settings),
    )
