"""The API's way to add administrators, and to end or give back their access.

Each change takes a code of the caller's own. A link is answered once: no `Idempotency-Key`
keeps it.
"""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from flask import Blueprint
from pydantic import Field

from management.access import Permission, Role, signed_in
from management.administrators import queries, roles, service, step_up
from management.administrators.api import AdministratorAnswer, Name, described
from management.administrators.links import link_of
from management.api.bodies import Proof
from management.api.operations import STRICT, Code, operation
from management.audit.notes import note
from management.web import context, transaction
from runtime.clock import utc_now

bp = Blueprint("administrators_people_api", __name__, url_prefix="/api/v1/administrators")
MANAGE = Permission.MANAGE_ADMINISTRATORS


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAdministrator:
    """Somebody who is to work here: only with what the caller holds."""

    __pydantic_config__ = STRICT

    name: Name
    role: Annotated[str, Field(max_length=40, pattern=r"^[a-z0-9_-]+$")]
    """A built-in role's word, or the id of another."""
    group_ids: Annotated[tuple[UUID, ...], Field(max_length=1000)] | None = None
    """Null: all devices."""
    code: Code


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessChange:
    """Whether somebody may sign in."""

    __pydantic_config__ = STRICT

    enabled: bool
    code: Code


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkAnswer:
    """An administrator, and the link with which they set password and second proof."""

    administrator: AdministratorAnswer
    link: str
    """Works once, for a day."""


@operation(bp, "", MANAGE, "POST", 201, (404, 409), answers_secret=True)
def add_administrator(body: NewAdministrator) -> LinkAnswer:
    """Add an administrator; they cannot sign in before they used the link."""
    step_up.require_code(body.code)
    groups = None if body.group_ids is None else frozenset(body.group_ids)
    with transaction("add an administrator") as session:
        added = service.add_administrator(session, body.name, Role.READ_ONLY, utc_now())
        roles.set_grant(session, added, roles.Grant(body.role, groups), signed_in())
        token = service.make_join_link(session, added, utc_now())
        note(session, "administrator.add", added.name, **roles.told(session, added))
        person = described(added, roles.grant_of(session, added))
    return LinkAnswer(administrator=person, link=link_of(token))


@operation(bp, "/<uuid:administrator_id>/access", MANAGE, "PUT", refusals=(404, 409))
def change_administrator_access(administrator_id: UUID, body: AccessChange) -> AdministratorAnswer:
    """End somebody's access, or give it back."""
    step_up.require_code(body.code)
    with transaction("change an administrator's access") as session:
        other = queries.get_administrator(session, administrator_id)
        roles.require_power(session, other, signed_in())
        if body.enabled:
            service.enable(other)
        else:
            service.disable(session, other, utc_now())
        action = "administrator.enable" if body.enabled else "administrator.disable"
        note(session, action, other.name)
        return described(other, roles.grant_of(session, other))


@operation(
    bp,
    "/<uuid:administrator_id>/recover",
    MANAGE,
    "POST",
    refusals=(409, 503),
    answers_secret=True,
)
def recover_administrator(administrator_id: UUID, body: Proof) -> LinkAnswer:
    """Take somebody's password, app, passkeys, sessions and tokens away; answer a link for new."""
    step_up.require_code(body.code)
    with transaction("recover an administrator") as session:
        other = queries.get_administrator(session, administrator_id)
        roles.require_power(session, other, signed_in())
        token = service.make_recovery_link(session, context().signer, other, utc_now())
        note(session, "administrator.recover", other.name)
        person = described(other, roles.grant_of(session, other))
    return LinkAnswer(administrator=person, link=link_of(token))
