"""Who may do what in the console and the API, and the guard that every view carries."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import wraps
from typing import ParamSpec
from uuid import UUID

from flask import g
from flask.typing import ResponseReturnValue

from runtime.errors import ForbiddenError, UnauthenticatedError

Arguments = ParamSpec("Arguments")
View = Callable[Arguments, ResponseReturnValue]

PERMISSION = "sekisho_permission"
IN_GROUPS = "sekisho_in_groups"
PUBLIC = "sekisho_public"
ASKED_BY = "sekisho.asked_by"
"""Where the server in front finds in the WSGI environment which administrator asked."""


class UnprovedError(ForbiddenError):
    """Whoever is signed in must prove it again first: what they ask for opens doors or destroys."""


class Permission(StrEnum):
    """What an administrator may be allowed to do."""

    VIEW = "view"
    """See everything but the audit trail."""
    SEND_COMMANDS = "send_commands"
    WIPE_DEVICES = "wipe_devices"
    INVITE = "invite"
    CHANGE_POLICIES = "change_policies"
    MANAGE_APPS = "manage_apps"
    RUN_UPDATES = "run_updates"
    MANAGE_MAIL_ACCESS = "manage_mail_access"
    MANAGE_RELAYS = "manage_relays"
    PAUSE_ENFORCEMENT = "pause_enforcement"
    CHANGE_SETTINGS = "change_settings"
    READ_AUDIT = "read_audit"
    MANAGE_ADMINISTRATORS = "manage_administrators"


class Role(StrEnum):
    """A built-in set of permissions under a name; others are `administrators.models.CustomRole`."""

    OWNER = "owner"
    ADMINISTRATOR = "administrator"
    OPERATOR = "operator"
    HELP_DESK = "help_desk"
    READ_ONLY = "read_only"


PERMISSIONS_OF: dict[Role, frozenset[Permission]] = {
    Role.OWNER: frozenset(Permission),
    Role.ADMINISTRATOR: frozenset(Permission) - {Permission.MANAGE_ADMINISTRATORS},
    Role.OPERATOR: frozenset({Permission.VIEW, Permission.SEND_COMMANDS, Permission.INVITE}),
    Role.HELP_DESK: frozenset({Permission.VIEW, Permission.SEND_COMMANDS}),
    Role.READ_ONLY: frozenset({Permission.VIEW, Permission.READ_AUDIT}),
}


IN_GROUPS_TOO = frozenset(
    {
        Permission.VIEW,
        Permission.SEND_COMMANDS,
        Permission.WIPE_DEVICES,
        Permission.INVITE,
        Permission.CHANGE_POLICIES,
        Permission.MANAGE_MAIL_ACCESS,
        Permission.READ_AUDIT,
    }
)
"""What an administrator who is limited to groups can hold; the others are about the whole."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The administrator behind a request, proved by a session or an API token."""

    administrator_id: UUID
    name: str
    role: str
    """A built-in `Role`, or the name of one that was made here."""
    permissions: frozenset[Permission]
    groups: frozenset[UUID] | None = None
    """The groups whose devices they see, those below them included; None: all devices."""
    language: str = ""
    withheld: frozenset[Permission] = frozenset()
    """What the administrator may, but the API token of this request does not carry."""

    def may(self, permission: Permission) -> bool:
        """Return whether the role holds *permission*."""
        return permission in self.permissions

    @property
    def is_limited(self) -> bool:
        """Whether they see the devices of some groups only."""
        return self.groups is not None


def requires(
    permission: Permission, in_groups: bool = False
) -> Callable[[View[Arguments]], View[Arguments]]:
    """Let a view run only for somebody who proved who they are and holds *permission*.

    *in_groups*: an administrator who is limited to groups may use it too, because all that it
    shows and changes goes through the request's transactions, which keep to those groups
    (`management.scope`). All other views are for administrators without such a limit.
    """

    def guard(view: View[Arguments]) -> View[Arguments]:
        @wraps(view)
        def guarded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> ResponseReturnValue:
            _refuse(signed_in(), permission, in_groups)
            return view(*args, **kwargs)

        setattr(guarded, PERMISSION, permission)
        setattr(guarded, IN_GROUPS, in_groups)
        return guarded

    return guard


def refuse_unless_allowed(view: Callable[..., object], identity: Identity) -> None:
    """Raise the ForbiddenError that *view* itself would raise."""
    permission = getattr(view, PERMISSION, None)
    if permission is not None:
        _refuse(identity, permission, getattr(view, IN_GROUPS, False))


def _refuse(identity: Identity, permission: Permission, in_groups: bool) -> None:
    require(identity, permission)
    if identity.is_limited and not in_groups:
        raise ForbiddenError(
            "This concerns all devices, and your account is limited to groups. "
            "Ask an administrator without such a limit."
        )


def require(identity: Identity, permission: Permission) -> None:
    """Raise ForbiddenError, which says what is missing and where, unless *permission* is held."""
    if permission in identity.withheld:
        raise ForbiddenError(
            f"This API token does not carry the permission {permission.value}. "
            "Make one that does under My account."
        )
    if not identity.may(permission):
        raise ForbiddenError(
            f"Your role does not include this ({permission.value.replace('_', ' ')}). "
            "An owner can change it under Administrators."
        )


def public(because: str) -> Callable[[View[Arguments]], View[Arguments]]:
    """Mark a view that anybody may call, or that checks by itself; *because* says why."""

    def mark(view: View[Arguments]) -> View[Arguments]:
        setattr(view, PUBLIC, because)
        return view

    return mark


def signed_in() -> Identity:
    """Return who asks; UnauthenticatedError when nobody proved who they are."""
    found = who_asks()
    if found is None:
        raise UnauthenticatedError("Sign in first.")
    return found


def who_asks() -> Identity | None:
    """Return the identity behind the request, if any."""
    found: Identity | None = g.get("identity")
    return found


def signed_in_name() -> str:
    """Return the name that goes into the audit trail."""
    return signed_in().name
