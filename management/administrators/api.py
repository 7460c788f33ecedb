"""The API's view of administrators and roles; each change takes a code of the caller's own."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from management.access import Permission, signed_in
from management.administrators import queries, roles, step_up
from management.administrators.models import Administrator
from management.api.bodies import Proof
from management.api.operations import STRICT, Code, operation
from management.audit.notes import note
from management.web import reading, transaction
from runtime.clock import utc_now

bp = Blueprint("administrators_api", __name__, url_prefix="/api/v1")

Name = Annotated[str, Field(min_length=2, max_length=100, pattern=r"^[^\x00]*$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleAnswer:
    """A role: what it holds and how many have it."""

    VOLATILE: ClassVar = frozenset({"holders"})

    role: str
    """Of a built-in one its word, of others the id."""
    name: str
    permissions: tuple[Permission, ...]
    holders: int
    built_in: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RolesAnswer:
    """All roles."""

    items: tuple[RoleAnswer, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleDraft:
    """What a role is to hold: only what the caller holds."""

    __pydantic_config__ = STRICT

    name: Name
    permissions: Annotated[tuple[Permission, ...], Field(min_length=1, max_length=50)]
    code: Code


@dataclass(frozen=True, slots=True, kw_only=True)
class AdministratorAnswer:
    """An administrator: role, and the groups to which they are limited."""

    id: UUID
    name: str
    role: str
    """As in `RoleAnswer`."""
    group_ids: tuple[UUID, ...] | None
    """Null: all devices; else those of these groups and of all groups below them."""
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdministratorsAnswer:
    """All administrators, by name."""

    items: tuple[AdministratorAnswer, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantDraft:
    """Role and groups of an administrator."""

    __pydantic_config__ = STRICT

    role: Annotated[str, Field(max_length=40, pattern=r"^[a-z0-9_-]+$")]
    """A built-in role's word, or the id of another."""
    group_ids: Annotated[tuple[UUID, ...], Field(max_length=1000)] | None
    """Null: all devices."""
    code: Code


@operation(bp, "/roles", Permission.MANAGE_ADMINISTRATORS, paged_by="role")
def list_roles() -> RolesAnswer:
    """List the roles: the built-in ones first, then the others by name."""
    with reading() as session:
        return RolesAnswer(items=tuple(_role(one) for one in roles.list_roles(session)))


@operation(bp, "/roles", Permission.MANAGE_ADMINISTRATORS, "POST", 201, (404, 409))
def create_role(body: RoleDraft) -> RoleAnswer:
    """Make a role out of permissions that the caller holds."""
    step_up.require_code(body.code)
    with transaction("make a role") as session:
        role = roles.create_role(session, body.name, body.permissions, signed_in(), utc_now())
        note(session, "role.create", role.id, name=role.name, permissions=role.permissions)
        return _role(roles.held(session, role.id))


@operation(bp, "/roles/<uuid:role_id>", Permission.MANAGE_ADMINISTRATORS)
def get_role(role_id: UUID) -> RoleAnswer:
    """Get one role that was put together."""
    with reading() as session:
        return _role(roles.held(session, roles.get_role(session, role_id).id))


@operation(bp, "/roles/<uuid:role_id>", Permission.MANAGE_ADMINISTRATORS, "PUT", 200, (404, 409))
def change_role(role_id: UUID, body: RoleDraft) -> RoleAnswer:
    """Give a role another name or other permissions; it holds at once for all who have it."""
    step_up.require_code(body.code)
    with transaction("change a role") as session:
        before = roles.described(roles.get_role(session, role_id))
        role = roles.change_role(
            session, role_id, body.name, body.permissions, signed_in(), utc_now()
        )
        note(session, "role.change", role.id, before=before, after=roles.described(role))
        return _role(roles.held(session, role.id))


@operation(
    bp, "/roles/<uuid:role_id>/delete", Permission.MANAGE_ADMINISTRATORS, "POST", 200, (404, 409)
)
def delete_role(role_id: UUID, body: Proof) -> RoleAnswer:
    """Delete a role that nobody has."""
    step_up.require_code(body.code)
    with transaction("delete a role") as session:
        answer = _role(roles.held(session, roles.get_role(session, role_id).id))
        role = roles.delete_role(session, role_id, signed_in(), utc_now())
        note(session, "role.delete", role.id, name=role.name, permissions=role.permissions)
        return answer


@operation(bp, "/administrators", Permission.MANAGE_ADMINISTRATORS, paged_by="id")
def list_administrators() -> AdministratorsAnswer:
    """List the administrators with role and groups."""
    with reading() as session:
        found = queries.list_administrators(session)
        return AdministratorsAnswer(
            items=tuple(described(one, roles.grant_of(session, one)) for one in found)
        )


@operation(bp, "/administrators/<uuid:administrator_id>", Permission.MANAGE_ADMINISTRATORS)
def get_administrator(administrator_id: UUID) -> AdministratorAnswer:
    """Get one administrator with role and groups."""
    with reading() as session:
        person = queries.get_administrator(session, administrator_id)
        return described(person, roles.grant_of(session, person))


@operation(
    bp,
    "/administrators/<uuid:administrator_id>/role",
    Permission.MANAGE_ADMINISTRATORS,
    "PUT",
    200,
    (404, 409),
)
def change_administrator_role(administrator_id: UUID, body: GrantDraft) -> AdministratorAnswer:
    """Give somebody else another role and other groups; nothing that the caller does not hold."""
    step_up.require_code(body.code)
    by = signed_in()
    groups = None if body.group_ids is None else frozenset(body.group_ids)
    with transaction("change a role") as session:
        other = queries.get_administrator(session, administrator_id)
        before = roles.told(session, other)
        roles.change_grant(session, other, roles.Grant(body.role, groups), by)
        after = roles.told(session, other)
        note(session, "administrator.change_role", other.name, before=before, after=after)
        return described(other, roles.grant_of(session, other))


def _role(one: roles.Held) -> RoleAnswer:
    return RoleAnswer(
        role=one.key,
        name=one.name,
        permissions=tuple(sorted(one.permissions)),
        holders=one.holders,
        built_in=one.built_in,
    )


def described(one: Administrator, grant: roles.Grant) -> AdministratorAnswer:
    """Return what the API says of an administrator."""
    return AdministratorAnswer(
        id=one.id,
        name=one.name,
        role=grant.role,
        group_ids=None if grant.groups is None else tuple(sorted(grant.groups)),
        created_at=one.created_at,
        disabled_at=one.disabled_at,
    )
