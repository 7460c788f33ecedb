"""What the list of commands can be asked for. Pure."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

NAMES = {
    "q": "text",
    "owner": "owner_address",
    "device": "device_id",
    "kind": "kind",
    "state": "state",
    "waiting": "waiting_for",
    "by": "requested_by",
    "bulk": "batch_id",
    "since": "since",
    "until": "until",
}
"""Name in the address of the page -> field of `CommandFilter`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandFilter:
    """Which commands are wanted; what is empty filters nothing.

    The page, its count, the CSV file and the API all use this one.
    """

    text: str = ""
    """Words that the device's name, owner, address, model or a number begin with."""
    owner_address: str = ""
    device_id: UUID | None = None
    kind: str = ""
    """`contracts.agent.CommandKind`."""
    state: str = ""
    """`commands.rules.CommandState`."""
    waiting_for: str = ""
    """`commands.rules.Waiting`."""
    requested_by: str = ""
    batch_id: UUID | None = None
    """The bulk command that it is part of."""
    since: datetime | None = None
    """Asked for at this instant or later."""
    until: datetime | None = None
    """Asked for before this instant."""
