"""How a command goes on: which step may follow which, when it is tried again. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
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
    UNDO = "undo"
    """It can be taken back until its undo window ends."""
    APPROVAL = "approval"
    """It exceeds a limit or is one of many; approvers must prove that they want it."""
    ENFORCEMENT = "enforcement"
    """Enforcement is paused."""
    RETRY = "retry"
    """The device could not do it and said that trying later may help."""
    RETURN = "return"
    """The device left before it could be wiped; it gets the wipe first when it returns."""
    PERSON = "person"
    """The database was restored from a backup; a person must say that it is still wanted."""


_NEXT: dict[CommandState, frozenset[CommandState]] = {
    CommandState.QUEUED: frozenset(
        {
            CommandState.SENT,
            CommandState.FAILED,
            CommandState.EXPIRED,
            CommandState.CANCELLED,
        }
    ),
    # Back to queued: the device enrolled anew, left before a wipe, or asked to try again later.
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
        {CommandState.QUEUED, CommandState.DONE, CommandState.FAILED, CommandState.EXPIRED}
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
UNSUCCESSFUL = (CommandState.FAILED, CommandState.EXPIRED, CommandState.CANCELLED)
DESTRUCTIVE = frozenset({CommandKind.WIPE, CommandKind.SELECTIVE_WIPE})
"""What cannot be brought back: a role of its own, an undo window, a typed confirmation."""
AUTOMATIC = "automatic consequence"
"""Who orders what follows from a policy; the signer counts it like an administrator's."""
SECRETS = {CommandKind.RESET_PASSCODE: frozenset({"passcode"})}
"""Arguments that are kept only until the command ends."""
HELD_BY_PAUSE = DESTRUCTIVE | {CommandKind.REMOVE_APP}
"""Not sent while enforcement is paused."""
NEEDS_PERSON = (Waiting.APPROVAL, Waiting.RETURN, Waiting.PERSON)
"""Time alone sends none of these."""
VALID_FOR = {kind: timedelta(days=7) for kind in CommandKind} | {
    CommandKind.WIPE: timedelta(days=30),
    CommandKind.SELECTIVE_WIPE: timedelta(days=30),
    CommandKind.LOST_MODE: timedelta(days=30),
    CommandKind.INSTALL_APP: timedelta(days=30),
    CommandKind.REMOVE_APP: timedelta(days=30),
    CommandKind.LOCATE: timedelta(hours=1),
}
"""How long it is delivered and tried; afterwards it has expired."""
WAIT_FOR_RETURN = timedelta(days=365)
"""How long a wipe waits for a device that left."""
ANSWER_WITHIN = timedelta(days=7)
"""How long after its expiry an acknowledged command may still bring a result."""
MOST_ATTEMPTS = 100
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=15), timedelta(hours=24)
ARGUMENTS = {
    CommandKind.MESSAGE: frozenset({"text"}),
    CommandKind.LOCK: frozenset({"text", "phone"}),
    CommandKind.LOST_MODE: frozenset({"text", "phone"}),
    CommandKind.RESET_PASSCODE: frozenset({"passcode"}),
    CommandKind.INSTALL_APP: frozenset({"package", "version", "sha256", "reference"}),
    CommandKind.REMOVE_APP: frozenset({"package"}),
}
"""What a command may carry; the others carry nothing."""
REQUIRED = {
    CommandKind.MESSAGE: ("text",),
    CommandKind.LOST_MODE: ("text",),
    CommandKind.INSTALL_APP: ("package", "reference"),
    CommandKind.REMOVE_APP: ("package",),
}


def may_follow(state: CommandState, following: CommandState) -> bool:
    """Tell whether a command in *state* may go on to *following*."""
    return following in _NEXT[state]


def without_secrets(kind: CommandKind, arguments: Mapping[str, str]) -> dict[str, str]:
    """Return what of *arguments* may stay once the command ended."""
    secret = SECRETS.get(kind, frozenset())
    return {name: value for name, value in arguments.items() if name not in secret}


def next_attempt_at(attempt: int, now: datetime, expires_at: datetime) -> datetime | None:
    """Return when to try again after *attempt* failed; None when its time would be over.

    15 minutes, then twice as long each time, at most a day.
    """
    if attempt >= MOST_ATTEMPTS:
        return None
    at = now + min(FIRST_PAUSE * 2 ** min(attempt - 1, 10), LONGEST_PAUSE)
    return at if at < expires_at else None


def wrong_arguments(kind: CommandKind, arguments: Mapping[str, str]) -> str:
    """Return in a sentence what is wrong with the arguments, or nothing."""
    known = ARGUMENTS.get(kind, frozenset())
    if strange := sorted(set(arguments) - known):
        return f"The command {kind.value} takes no {', '.join(strange)}."
    missing = [name for name in REQUIRED.get(kind, ()) if not arguments.get(name, "").strip()]
    if missing == ["text"] and kind is CommandKind.MESSAGE:
        return "A message needs a text."
    if missing:
        return f"The command {kind.value} needs: {', '.join(missing)}."
    if long := sorted(name for name, value in arguments.items() if len(value) > 255):
        return f"{', '.join(long)} is longer than 255 characters."
    return ""
