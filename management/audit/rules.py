"""How the audit trail keeps a change: what was before, what is after, and never a secret."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

HIDDEN = "•••"
SECRET = ("password", "secret", "private", "token")
"""Parts of names whose values are told to nobody; that they changed still is."""


LOOK = "look."
"""How the action of an entry begins that says who looked at what; all others are actions."""


class Looked(StrEnum):
    """Which entries are read."""

    ACTIONS = ""
    WITH_LOOKS = "with"
    ONLY_LOOKS = "only"


def is_look(action: str) -> bool:
    """Return whether an entry says that somebody looked, and did nothing."""
    return action.startswith(LOOK)


@dataclass(frozen=True, slots=True)
class Change:
    """One field of a change."""

    field: str
    old: str
    new: str


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the details of an entry about a change: the fields that differ, old and new."""
    names = [name for name in after if before.get(name) != after[name]]
    return {
        "before": {name: _kept(name, before.get(name)) for name in names},
        "after": {name: _kept(name, after[name]) for name in names},
    }


def read_changes(details: Mapping[str, Any]) -> list[Change]:
    """Return what an entry says that changed; none where it keeps no old and new values."""
    before, after = details.get("before"), details.get("after")
    if not isinstance(before, dict) or not isinstance(after, dict):
        return []
    return [
        Change(name, _shown(name, before.get(name)), _shown(name, after.get(name)))
        for name in dict.fromkeys((*before, *after))
        if before.get(name) != after.get(name) or _is_secret(name)
    ]


def _is_secret(name: str) -> bool:
    return any(one in name.lower() for one in SECRET)


def _kept(name: str, value: Any) -> Any:
    return HIDDEN if value and _is_secret(name) else value


def _shown(name: str, value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(_kept(name, value))
