"""Background work on groups. Each piece may be run twice: it only does what is left to do."""

from typing import Any
from uuid import UUID

from management.context import Context
from management.groups.service import move_some, settle_some, settled_groups
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
    """Move all devices of one group into another."""
    source, target, done = UUID(payload["from"]), UUID(payload["to"]), 0
    while True:
        with context.database.transaction("move devices") as session:
            moved = move_some(session, source, target, payload["by"], utc_now())
        done += moved
        progress(f"{done} devices are moved.")
        if not moved:
            return
