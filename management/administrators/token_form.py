"""The form for a new API token: what it is for, what it may, how long it holds."""

from dataclasses import dataclass

from flask import request
from flask_babel import gettext as _
from flask_babel import ngettext

from management.access import Identity, Permission
from management.administrators.roles import Permissions, require_held
from management.administrators.token_rules import ALL, DAYS, READ_ONLY, scope_of
from runtime.errors import MalformedMessageError

CARRIES = ("read_only", "chosen", "all")


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks for a token."""

    name: str
    carries: str
    chosen: Permissions
    days: int


NOTHING = Asked("", "read_only", frozenset({Permission.VIEW}), 90)
"""What the empty form proposes."""


def read() -> Asked:
    """Return what the form says; MalformedMessageError for what it does not offer."""
    form = request.form
    carries, days = form.get("carries", NOTHING.carries), form.get("days", str(NOTHING.days))
    known = {one.value: one for one in Permission}
    chosen = form.getlist("permission")
    if carries not in CARRIES or days not in map(str, DAYS) or set(chosen) - known.keys():
        raise MalformedMessageError("The form does not offer this. Open it again.")
    return Asked(
        form.get("name", "").strip()[:100],
        carries,
        frozenset(known[one] for one in chosen),
        int(days),
    )


def problems(asked: Asked) -> dict[str, str]:
    """Return what is wrong with which field."""
    found = {}
    if not asked.name:
        found["name"] = _("Say what the token is for.")
    if asked.carries == "chosen" and not asked.chosen:
        found["permission"] = _(
            "Tick at least one permission: without any the token opens nothing."
        )
    return found


def scope(asked: Asked, by: Identity) -> str:
    """Return what the token keeps; ForbiddenError for what *by* does not hold."""
    if asked.carries == "all":
        return ALL
    if asked.carries == "read_only":
        return scope_of(READ_ONLY & by.permissions)
    require_held(by, asked.chosen)
    return scope_of(asked.chosen)


def choices() -> list[tuple[int, str]]:
    """Return how long a token can hold."""
    return [(one, ngettext("%(num)s day", "%(num)s days", one)) for one in DAYS]
