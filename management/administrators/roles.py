"""Roles and limits of administrators: who holds what, and the rules by which it changes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from management.access import IN_GROUPS_TOO, PERMISSIONS_OF, Identity, Permission, Role
from management.administrators import rules
from management.administrators.models import (
    LOCAL,
    NO_PASSWORD,
    Administrator,
    AdministratorGroup,
    CustomRole,
)
from management.database import locked
from management.deleted.kinds import Values
from management.deleted.service import put_away
from management.groups.queries import read_tree
from management.groups.rules import below
from runtime.errors import ForbiddenError, NotFoundError, RefusedError

MOST = 100
"""Roles that are not built in."""
Permissions = frozenset[Permission]


@dataclass(frozen=True, slots=True)
class Held:
    """A role as pages and the API show it."""

    key: str
    """Of a built-in one its word, of others the id."""
    name: str
    permissions: Permissions
    holders: int
    built_in: bool


@dataclass(frozen=True, slots=True)
class Grant:
    """What an administrator has: a role, and the groups to which it is limited."""

    role: str
    """`Held.key`."""
    groups: frozenset[UUID] | None
    """As they were chosen; None: all devices."""


# --- reading ---


def permissions_of(session: Session, administrator: Administrator) -> Permissions:
    """Return what an administrator's role holds; nothing when there is no such role."""
    if administrator.custom_role_id is None:
        return PERMISSIONS_OF[Role(administrator.role)]
    return read_permissions(session.get_one(CustomRole, administrator.custom_role_id))


def read_permissions(role: CustomRole) -> Permissions:
    """Return the permissions of a role; one that this release does not know is none."""
    return frozenset(Permission(one) for one in role.permissions if one in set(Permission))


def grant_of(session: Session, administrator: Administrator) -> Grant:
    """Return role and chosen groups of an administrator."""
    role = str(administrator.custom_role_id or administrator.role)
    return Grant(role, _chosen(session, administrator) if administrator.limited else None)


def _chosen(session: Session, administrator: Administrator) -> frozenset[UUID]:
    wanted = select(AdministratorGroup.group_id)
    mine = AdministratorGroup.administrator_id == administrator.id
    return frozenset(session.scalars(wanted.where(mine)))


def seen_groups(session: Session, administrator: Administrator) -> frozenset[UUID] | None:
    """Return the groups that an administrator sees, with all below them; None: everything."""
    if not administrator.limited:
        return None
    tree = read_tree(session)
    chosen = (one for one in _chosen(session, administrator) if one in tree)
    return frozenset(group for one in chosen for group in below(tree, one))


def role_name(session: Session, administrator: Administrator) -> str:
    """Return the built-in role's word or the custom role's name."""
    if administrator.custom_role_id is None:
        return administrator.role
    return session.get_one(CustomRole, administrator.custom_role_id).name


def told(session: Session, administrator: Administrator) -> dict[str, Any]:
    """Return role and groups of an administrator as the audit trail keeps them."""
    grant = grant_of(session, administrator)
    groups = None if grant.groups is None else sorted(str(one) for one in grant.groups)
    return {"role": role_name(session, administrator), "groups": groups}


def identity_of(session: Session, administrator: Administrator) -> Identity:
    """Return *administrator* as views know them, read anew for each request."""
    permissions, groups = (
        permissions_of(session, administrator),
        seen_groups(session, administrator),
    )
    return Identity(
        administrator_id=administrator.id,
        name=administrator.name,
        role=role_name(session, administrator),
        permissions=permissions if groups is None else permissions & IN_GROUPS_TOO,
        groups=groups,
        language=administrator.language,
    )


def list_roles(session: Session) -> list[Held]:
    """Return the built-in roles and then the others by name, with how many hold each."""
    custom = session.scalars(select(CustomRole).order_by(CustomRole.name_key)).all()
    one = Administrator
    built = _counted(session, one.role, one.custom_role_id.is_(None))
    made = _counted(session, one.custom_role_id, one.custom_role_id.is_not(None))
    return [
        *(Held(str(r), str(r), PERMISSIONS_OF[r], built.get(str(r), 0), True) for r in Role),
        *(
            Held(str(r.id), r.name, read_permissions(r), made.get(str(r.id), 0), False)
            for r in custom
        ),
    ]


def _counted(session: Session, column: object, condition: object) -> dict[str, int]:
    wanted = select(column, func.count()).where(condition).group_by(column)  # type: ignore[call-overload]
    return {str(key): number for key, number in session.execute(wanted)}


def held(session: Session, role_id: UUID) -> Held:
    """Return one role that was made here."""
    return next(one for one in list_roles(session) if one.key == str(role_id))


def get_role(session: Session, role_id: UUID) -> CustomRole:
    """Return a role that was made here; NotFoundError when there is none with this id."""
    found = session.get(CustomRole, role_id)
    if found is None:
        raise NotFoundError("There is no such role.")
    return found


def permissions_behind(session: Session, key: str) -> Permissions:
    """Return what the role holds that `Held.key` names; NotFoundError when there is none."""
    if key in set(Role):
        return PERMISSIONS_OF[Role(key)]
    try:
        return read_permissions(get_role(session, UUID(key)))
    except ValueError:
        raise NotFoundError("There is no such role.") from None


def described(role: CustomRole) -> dict[str, object]:
    """Return a role as the audit trail keeps it."""
    return {"name": role.name, "permissions": list(role.permissions)}


# --- changing roles ---


def create_role(
    session: Session, name: str, permissions: Iterable[Permission], by: Identity, now: datetime
) -> CustomRole:
    """Make a role out of permissions that *by* holds."""
    if (session.scalar(select(func.count()).select_from(CustomRole)) or 0) >= MOST:
        raise RefusedError(f"There are {MOST} roles already. Delete one that nobody has.")
    role = CustomRole(id=uuid4(), changed_at=now)
    _write(session, role, name, permissions, by)
    session.add(role)
    session.flush()
    return role


def change_role(
    session: Session,
    role_id: UUID,
    name: str,
    permissions: Iterable[Permission],
    by: Identity,
    now: datetime,
) -> CustomRole:
    """Give a role another name or other permissions; it holds at once for all who have it."""
    role = _lock(session, role_id)
    require_held(by, read_permissions(role))
    _write(session, role, name, permissions, by)
    role.changed_at = now
    session.flush()
    return role


def delete_role(session: Session, role_id: UUID, by: Identity, now: datetime) -> CustomRole:
    """Delete a role that nobody has, for thirty days not for good; RefusedError: who has it."""
    role = _lock(session, role_id)
    require_held(by, read_permissions(role))
    holders = session.scalar(
        select(func.count())
        .where(Administrator.custom_role_id == role_id)
        .select_from(Administrator)
    )
    if holders:
        raise RefusedError(f"{holders} administrators have this role. Give them another one first.")
    put_away(session, "role", role, role.name, by.name, now)
    return role


def require_restorable(session: Session, row: Values, by: Identity) -> None:
    """Raise an error when *by* does not hold what a deleted role holds, or its name is taken.

    Nobody has it when it comes back: giving it to somebody asks for proof, as ever.
    """
    require_held(by, frozenset(Permission(one) for one in row["permissions"]))
    same = select(CustomRole.id).where(CustomRole.name_key == row["name_key"])
    if session.scalars(same).first() is not None:
        raise RefusedError("There is a role of this name already; choose another name.")


def _lock(session: Session, role_id: UUID) -> CustomRole:
    get_role(session, role_id)
    return session.scalars(
        locked(select(CustomRole).where(CustomRole.id == role_id), CustomRole)
    ).one()


def _write(
    session: Session, role: CustomRole, name: str, permissions: Iterable[Permission], by: Identity
) -> None:
    wanted, name = frozenset(permissions), name.strip()
    if not 2 <= len(rules.normal_name(name)) <= 100 or not name.isprintable():
        raise RefusedError("The name of a role has 2 to 100 printable characters.")
    require_held(by, wanted)
    if Permission.VIEW not in wanted:
        raise RefusedError("Every role includes seeing (view): without it no page opens.")
    role.name, role.name_key = name, rules.normal_name(name)
    role.permissions = sorted(one.value for one in wanted)
    same = select(CustomRole.id).where(
        CustomRole.name_key == role.name_key, CustomRole.id != role.id
    )
    with session.no_autoflush:
        if role.name_key in set(Role) or session.scalars(same).first() is not None:
            raise RefusedError("There is a role of this name already; choose another name.")


# --- changing who holds what ---


def change_grant(
    session: Session, administrator: Administrator, wanted: Grant, by: Identity
) -> None:
    """Give an administrator another role and other groups; both hold from the next request on."""
    require_power(session, administrator, by)
    if (wanted.role, wanted.groups) != (Role.OWNER.value, None):
        keep_an_owner(session, administrator)
    set_grant(session, administrator, wanted, by)


def set_grant(session: Session, administrator: Administrator, wanted: Grant, by: Identity) -> None:
    """Write role and groups of an administrator: nothing that *by* does not hold."""
    require_held(by, permissions_behind(session, wanted.role))
    built_in = wanted.role in set(Role)
    administrator.role = wanted.role if built_in else ""
    administrator.custom_role_id = None if built_in else UUID(wanted.role)
    administrator.limited = wanted.groups is not None
    _choose(session, administrator, wanted.groups or frozenset())


def _choose(session: Session, administrator: Administrator, groups: frozenset[UUID]) -> None:
    if strange := groups - read_tree(session).keys() - _chosen(session, administrator):
        raise NotFoundError(f"There is no such group: {min(strange)}.")
    mine = AdministratorGroup.administrator_id == administrator.id
    session.flush()
    session.execute(delete(AdministratorGroup).where(mine))
    session.add_all(
        AdministratorGroup(administrator_id=administrator.id, group_id=one)
        for one in sorted(groups)
    )
    session.flush()


def require_power(session: Session, administrator: Administrator, by: Identity) -> None:
    """Raise unless *by* may change this administrator: somebody else, who holds no more."""
    if administrator.id == by.administrator_id:
        raise RefusedError("You cannot do this to yourself; ask another owner.")
    require_held(by, permissions_of(session, administrator))


def require_held(by: Identity, permissions: Permissions) -> None:
    """Raise ForbiddenError when *by* lacks one: nobody grants, or takes from others, what they
    do not hold.
    """
    if missing := sorted(permissions - by.permissions):
        words = ", ".join(one.value.replace("_", " ") for one in missing)
        raise ForbiddenError(f"You do not hold this yourself: {words}. Ask an owner.")


def keep_an_owner(session: Session, leaving: Administrator) -> None:
    """Raise RefusedError when without *leaving* no owner is left who sees all devices, and whom
    this server proves itself: nobody is locked out because a directory is away.

    The owners' rows are locked: two who go at once do not both see the other.
    """
    owner = (
        Administrator.role == Role.OWNER.value,
        Administrator.limited.is_(False),
        Administrator.disabled_at.is_(None),
        Administrator.password_hash != NO_PASSWORD,
        Administrator.source == LOCAL,
    )
    wanted = select(Administrator).where(*owner).order_by(Administrator.id)
    left: Sequence[Administrator] = session.scalars(locked(wanted, Administrator)).all()
    if [one.id for one in left] == [leaving.id]:
        raise RefusedError("This is the only owner. Make somebody else an owner first.")
