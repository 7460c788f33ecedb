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
PUBLIC = "sekisho_public"


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
    """A set of permissions under a name."""

    OWNER = "owner"
    ADMINISTRATOR = "administrator"
    OPERATOR = "operator"
    READ_ONLY = "read_only"


PERMISSIONS_OF: dict[Role, frozenset[Permission]] = {
    Role.OWNER: frozenset(Permission),
    Role.ADMINISTRATOR: frozenset(Permission) - {Permission.MANAGE_ADMINISTRATORS},
    Role.OPERATOR: frozenset({Permission.VIEW, Permission.SEND_COMMANDS, Permission.INVITE}),
    Role.READ_ONLY: frozenset({Permission.VIEW, Permission.READ_AUDIT}),
}


@dataclass(frozen=True, slots=True)
class Identity:
    """The administrator behind a request, proved by a session or an API token."""

    administrator_id: UUID
    name: str
    role: Role
    language: str = ""

    def may(self, permission: Permission) -> bool:
        """Return whether the role holds *permission*."""
        return permission in PERMISSIONS_OF[self.role]


def requires(permission: Permission) -> Callable[[View[Arguments]], View[Arguments]]:
    """Let a view run only for somebody who proved who they are and holds *permission*."""

    def guard(view: View[Arguments]) -> View[Arguments]:
        @wraps(view)
        def guarded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> ResponseReturnValue:
            if not signed_in().may(permission):
                raise ForbiddenError(
                    f"Your role does not include this ({permission.value.replace('_', ' ')}). "
                    "An owner can change it under Administrators."
                )
            return view(*args, **kwargs)

        setattr(guarded, PERMISSION, permission)
        return guarded

    return guard


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
