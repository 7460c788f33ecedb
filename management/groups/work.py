"""Background work on groups. Each piece may be run twice: it only does what is left to do."""

from typing import Any
from uuid import UUID

from management.context import Context
from management.groups.service import CHUNK, move_some, settle_some, settled_groups
from management.handlers import Progress
from runtime.clock import utc_now


def settle(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Give the devices of a group, and of those below it, the policy that holds there."""
    with context.database.reading() as session:
        places = settled_groups(session, UUID(payload["group_id"]))
    done = 0
    for group_id, platform in places:
        after: UUID | None = UUID(int=0)
        while after is not None:
            with context.database.transaction("settle a group") as session:
                changed = settle_some(session, group_id, platform, after, payload["by"], utc_now())
            done += len(changed)
            progress(f"{done} devices have the policy of their group.")
            after = changed[-1] if changed else None


def move(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Move the devices that were fixed when it was asked for from one group into another."""
    source, target, done = UUID(payload["from"]), UUID(payload["to"]), 0
    devices = [UUID(one) for one in payload["devices"]]
    for start in range(0, len(devices), CHUNK):
        part = devices[start : start + CHUNK]
        with context.database.transaction("move devices") as session:
            done += move_some(session, part, source, target, payload["by"], utc_now())
        progress(f"{done} devices are moved.")
