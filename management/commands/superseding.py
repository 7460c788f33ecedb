"""What a new command does to those that the device has not finished yet. Pure.

| new | beside | becomes of it |
|---|---|---|
| any but a message | the same kind with the same arguments | the first one stands for both |
| anything a wipe erases | a full wipe | the new one is refused as pointless |
| full wipe | everything still queued | the queued one is taken back |
| selective wipe | app installs and removals still queued | taken back |
| lock, lost mode | unlock still queued, and the other way round | taken back |
| lock or lost mode with another text | the same still queued | taken back |
| passcode reset with another passcode | the same still queued | taken back |
| app install | removal of the same package still queued, and the other way round | taken back |
| app install, other version | install of the same package still queued | taken back |

What is sent already is never taken back: the device may have done it. Messages stand side by side.
"""

from collections.abc import Mapping
from enum import StrEnum

from contracts.agent import CommandKind


class Effect(StrEnum):
    """What the new command means for one that is open."""

    NONE = "none"
    SAME = "same"
    """The open one stands for both; the new one is not queued."""
    REPLACES = "replaces"
    """The open one is taken back if it is still queued."""
    POINTLESS = "pointless"
    """The new one is refused."""


_SPARED = frozenset({CommandKind.LOCK, CommandKind.LOST_MODE, CommandKind.LOCATE})
"""Useful until the wipe happens, so a wipe leaves them and they may follow one."""
_USEFUL_BEFORE_WIPE = _SPARED | {CommandKind.MESSAGE, CommandKind.WIPE}
_LOCKING = frozenset({CommandKind.LOCK, CommandKind.LOST_MODE})
_APPS = frozenset({CommandKind.INSTALL_APP, CommandKind.REMOVE_APP})
_NEWEST_COUNTS = _LOCKING | {CommandKind.RESET_PASSCODE}

Order = tuple[CommandKind, Mapping[str, str]]


def effect(new: Order, opened: Order) -> Effect:
    """Return what *new* means for *opened*, each a kind and its arguments."""
    kind, arguments = new
    other, others = opened
    if kind is other and kind is not CommandKind.MESSAGE and dict(arguments) == dict(others):
        return Effect.SAME
    if other is CommandKind.WIPE and kind not in _USEFUL_BEFORE_WIPE:
        return Effect.POINTLESS
    return Effect.REPLACES if _replaces(new, opened) else Effect.NONE


def _replaces(new: Order, opened: Order) -> bool:
    kind, other = new[0], opened[0]
    if kind is CommandKind.WIPE:
        return other not in _SPARED
    if kind is CommandKind.SELECTIVE_WIPE:
        return other in _APPS
    if CommandKind.UNLOCK in (kind, other):
        return bool({kind, other} & _LOCKING)
    if kind in _APPS and other in _APPS:
        return new[1].get("package") == opened[1].get("package")
    return kind is other and kind in _NEWEST_COUNTS
