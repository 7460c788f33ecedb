"""How a command goes on: which step may follow which, and which commands wait. Pure."""

from datetime import timedelta
from enum import StrEnum

from contracts.agent import CommandKind


class CommandState(StrEnum):
    """The step at which a command stands."""

    QUEUED = "queued"
    SENT = "sent"
    """Signed and numbered as an order; a relay carries it."""
    ACKNOWLEDGED = "acknowledged"
    """The device holds it, or says that it has begun."""
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Waiting(StrEnum):
    """Why a queued command is not sent yet."""

    NOTHING = ""
    APPROVAL = "approval"
    """It exceeds a limit; another administrator must approve it."""
    ENFORCEMENT = "enforcement"
    """Enforcement is paused."""


_NEXT: dict[CommandState, frozenset[CommandState]] = {
    CommandState.QUEUED: frozenset(
        {
            CommandState.SENT,
            CommandState.FAILED,
            CommandState.EXPIRED,
            CommandState.CANCELLED,
        }
    ),
    # Back to queued: the device enrolled anew and never held the order of its old epoch.
    CommandState.SENT: frozenset(
        {
            CommandState.QUEUED,
            CommandState.ACKNOWLEDGED,
            CommandState.DONE,
            CommandState.FAILED,
            CommandState.EXPIRED,
        }
    ),
    CommandState.ACKNOWLEDGED: frozenset(
        {CommandState.DONE, CommandState.FAILED, CommandState.EXPIRED}
    ),
    # What the device says of it afterwards is still the truth: it was begun in time.
    CommandState.EXPIRED: frozenset({CommandState.DONE, CommandState.FAILED}),
    CommandState.DONE: frozenset(),
    CommandState.FAILED: frozenset(),
    CommandState.CANCELLED: frozenset(),
}
OPEN = (CommandState.QUEUED, CommandState.SENT, CommandState.ACKNOWLEDGED)
FINISHED = (
    CommandState.DONE,
    CommandState.FAILED,
    CommandState.EXPIRED,
    CommandState.CANCELLED,
)
DESTRUCTIVE = frozenset({CommandKind.WIPE, CommandKind.SELECTIVE_WIPE})
"""Not sent while enforcement is paused."""
VALID_FOR = {kind: timedelta(days=7) for kind in CommandKind} | {
    CommandKind.WIPE: timedelta(days=30),
    CommandKind.SELECTIVE_WIPE: timedelta(days=30),
    CommandKind.LOCATE: timedelta(hours=1),
}
ANSWER_WITHIN = timedelta(days=7)
"""How long after its expiry an acknowledged command may still bring a result."""
ARGUMENTS = {
    CommandKind.MESSAGE: frozenset({"text"}),
    CommandKind.LOCK: frozenset({"text", "phone"}),
    CommandKind.RESET_PASSCODE: frozenset({"passcode"}),
}
"""What a command may carry; the others carry nothing."""


def may_follow(state: CommandState, following: CommandState) -> bool:
    """Tell whether a command in *state* may go on to *following*."""
    return following in _NEXT[state]


def wrong_arguments(kind: CommandKind, arguments: dict[str, str]) -> str:
    """Return in a sentence what is wrong with the arguments, or nothing."""
    known = ARGUMENTS.get(kind, frozenset())
    if strange := sorted(set(arguments) - known):
        return f"The command {kind.value} takes no {', '.join(strange)}."
    if kind is CommandKind.MESSAGE and not arguments.get("text", "").strip():
        return "A message needs a text."
    if long := sorted(name for name, value in arguments.items() if len(value) > 255):
        return f"{', '.join(long)} is longer than 255 characters."
    return ""
