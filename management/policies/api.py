"""The API's view of policies."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from management.access import Permission, signed_in_name
from management.api.bodies import Because
from management.api.operations import STRICT, Reason, operation
from management.audit.notes import note
from management.policies import queries, removal, service
from management.policies.catalogue.all import COMPLIANCE, NAMES
from management.policies.criteria_api import Criteria, read_criteria, write_criteria
from management.policies.differences import differences
from management.policies.inheritance import Link
from management.policies.models import Policy, PolicyVersion
from management.policies.settings_api import Part, SettingChanged, changed, read_settings
from management.policies.values import defaults
from management.web import reading, transaction
from runtime.clock import utc_now
from runtime.errors import RefusedError

bp = Blueprint("policies_api", __name__, url_prefix="/api/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyAnswer:
    """A policy and what it asks now."""

    id: UUID
    name: str
    version: int
    is_default: bool
    is_deleted: bool
    requirements: Criteria
    changed_at: datetime
    changed_by: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """All policies by name."""

    items: tuple[PolicyAnswer, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyVersionAnswer:
    """One version, never changed once written."""

    version: int
    requirements: Criteria
    parent_id: UUID | None
    parent_version: int | None
    inherited: tuple[str, ...]
    changed: tuple[SettingChanged, ...]
    """Settings that differ from the version before."""
    created_at: datetime
    created_by: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyHistory:
    """All versions, newest first."""

    items: tuple[PolicyVersionAnswer, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPolicy:
    """A policy to make."""

    __pydantic_config__ = STRICT

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
    requirements: Criteria
    """A criterion left out has its default."""
    settings: dict[str, Any] | None = None
    """As `/policy-settings/schema` says; left out: the usual ones."""
    parent_id: UUID | None = None
    inherited: Annotated[tuple[Part, ...], Field(max_length=len(NAMES))] = ()
    """Parts that are the parent's."""
    because: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyChange:
    """What a policy asks from now on."""

    __pydantic_config__ = STRICT

    requirements: Criteria
    """A criterion left out has its default."""
    because: Reason


@operation(bp, "/policies", Permission.VIEW, in_groups=True, paged_by="id")
def list_policies() -> Policies:
    """List the policies."""
    with reading() as session:
        found = queries.list_policies(session)
        versions = [queries.current_version(session, policy.id) for policy in found]
    return Policies(items=tuple(map(_answer, found, versions)))


@operation(bp, "/policies/<uuid:policy_id>", Permission.VIEW, in_groups=True)
def get_policy(policy_id: UUID) -> PolicyAnswer:
    """Get one policy."""
    with reading() as session:
        queries.require_seen(session, policy_id)
        policy = queries.get_policy(session, policy_id)
        return _answer(policy, queries.current_version(session, policy_id))


@operation(
    bp, "/policies/<uuid:policy_id>/versions", Permission.VIEW, in_groups=True, paged_by="version"
)
def list_policy_versions(policy_id: UUID) -> PolicyHistory:
    """List all versions of a policy, newest first."""
    with reading() as session:
        queries.require_seen(session, policy_id)
        queries.get_policy(session, policy_id)
        found = queries.list_versions(session, policy_id)
    earlier = [*(row.settings for row in found[1:]), {}]
    return PolicyHistory(
        items=tuple(
            PolicyVersionAnswer(
                version=row.version,
                requirements=write_criteria(row.requirements),
                parent_id=row.parent_id,
                parent_version=row.parent_version,
                inherited=tuple(row.inherited),
                changed=tuple(map(changed, differences(before, row.settings))),
                created_at=row.created_at,
                created_by=row.created_by,
                because=row.because,
            )
            for row, before in zip(found, earlier, strict=True)
        )
    )


@operation(bp, "/policies", Permission.CHANGE_POLICIES, "POST", 201, (404, 409))
def create_policy(body: NewPolicy) -> PolicyAnswer:
    """Make a policy."""
    by = signed_in_name()
    with transaction("create a policy") as session:
        policy = service.create_policy(
            session,
            body.name,
            read_criteria(body.requirements),
            defaults() if body.settings is None else read_settings(body.settings, {}),
            by,
            body.because,
            utc_now(),
            Link(parent_id=body.parent_id, inherited=tuple(sorted(set(body.inherited)))),
        )
        note(session, "policy.create", policy.id, body.because, name=policy.name)
        return _answer(policy, queries.current_version(session, policy.id))


@operation(
    bp,
    "/policies/<uuid:policy_id>/requirements",
    Permission.CHANGE_POLICIES,
    "PUT",
    refusals=(409,),
)
def change_policy(policy_id: UUID, body: PolicyChange) -> PolicyAnswer:
    """Write the next version of a policy; asking for what holds already makes none."""
    with transaction("change a policy") as session:
        current = queries.current_version(session, policy_id)
        if COMPLIANCE in current.inherited:
            raise RefusedError(
                "The criteria come from the parent of this policy. Change them there, or stop "
                "inheriting them."
            )
        version = service.change_policy(
            session,
            policy_id,
            read_criteria(body.requirements),
            current.settings,
            signed_in_name(),
            body.because,
            utc_now(),
        )
        note(session, "policy.change", policy_id, body.because, version=version.version)
        return _answer(queries.get_policy(session, policy_id), version)


@operation(
    bp, "/policies/<uuid:policy_id>/delete", Permission.CHANGE_POLICIES, "POST", refusals=(409,)
)
def delete_policy(policy_id: UUID, body: Because) -> PolicyAnswer:
    """Delete a policy that nothing uses; its versions stay, and it can be restored."""
    return _removed(policy_id, body, "policy.delete")


@operation(
    bp, "/policies/<uuid:policy_id>/restore", Permission.CHANGE_POLICIES, "POST", refusals=(409,)
)
def restore_policy(policy_id: UUID, body: Because) -> PolicyAnswer:
    """Bring a deleted policy back."""
    return _removed(policy_id, body, "policy.restore")


def _removed(policy_id: UUID, body: Because, action: str) -> PolicyAnswer:
    with transaction("delete or restore a policy") as session:
        queries.require_seen(session, policy_id)
        if action == "policy.delete":
            policy = removal.delete_policy(session, policy_id, signed_in_name(), utc_now())
        else:
            policy = removal.restore_policy(session, policy_id)
        note(session, action, policy_id, body.because, name=policy.name)
        return _answer(policy, queries.current_version(session, policy_id))


def _answer(policy: Policy, version: PolicyVersion) -> PolicyAnswer:
    return PolicyAnswer(
        id=policy.id,
        name=policy.name,
        version=version.version,
        is_default=policy.is_default,
        is_deleted=policy.deleted_at is not None,
        requirements=write_criteria(version.requirements),
        changed_at=version.created_at,
        changed_by=version.created_by,
        because=version.because,
    )
