"""What a device that is given another policy was asked already. Pure.

A grace period must not begin anew because a device takes part in a trial or moves to another group:
what both policies ask alike was asked of it without a break.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from management.policies.rules import Requirements, wishes_in

OTHERS = "*"
"""Stands for every wish that is not named."""
OF_ONE_POLICY = ("policy_applied",)
"""Asks for a policy itself, so of another policy it asks something else."""


def wished_since(
    wish: str,
    asked_since: Mapping[str, datetime],
    given_at: datetime | None,
    carried: Mapping[str, datetime],
) -> datetime | None:
    """Return since when a device is asked *wish*; None: always.

    *asked_since* tells since when its policy asks it, *given_at* when the device was given that
    policy, and *carried* what it was asked before (`carry`).
    """
    asked = asked_since.get(wish)
    if given_at is None or (asked is not None and asked > given_at):
        return asked
    return carried.get(wish, carried.get(OTHERS, given_at))


def carry(
    before: Requirements,
    since: Callable[[str], datetime | None],
    after: Requirements,
    begin: datetime,
    now: datetime,
) -> dict[str, datetime]:
    """Return since when each wish is asked of a device that gets *after* in place of *before* now.

    *since* tells it for the wishes of *before*; *begin* is when the device was asked anything at
    all, and only wishes that are younger are named.
    """
    known = wishes_in(before)
    found = {OTHERS: begin}
    for wish, value in wishes_in(after).items():
        alike = wish not in OF_ONE_POLICY and wish in known and known[wish] == value
        asked = (since(wish) or begin) if alike else now
        if asked > begin:
            found[wish] = asked
    return found


def write_carried(carried: Mapping[str, datetime], given_at: datetime) -> dict[str, Any]:
    """Return *carried* as the value of a fact; it belongs to the policy given at *given_at*."""
    since = {wish: at.isoformat() for wish, at in sorted(carried.items())}
    return {"given_at": given_at.isoformat(), "since": since}


def read_carried(value: Mapping[str, Any], given_at: datetime) -> dict[str, datetime]:
    """Return what `write_carried` wrote; nothing when it belongs to an earlier policy."""
    if value["given_at"] != given_at.isoformat():
        return {}
    return {wish: datetime.fromisoformat(at) for wish, at in value["since"].items()}
