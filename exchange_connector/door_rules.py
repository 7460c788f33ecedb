"""Which other doors of a mailbox to close or open again. Pure.

Beside ActiveSync a mailbox may be open by IMAP, POP, EWS, OWA and MAPI. While one of its phones is
blocked the doors that the rule names are closed; afterwards exactly those that we closed are put
back as they were. Who opens one again by hand is not fought until the next decision.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from contracts.connector import Door


@dataclass(frozen=True, slots=True)
class DoorState:
    """What we did to the doors of one mailbox."""

    ours: Mapping[Door, bool] = field(default_factory=dict)
    """Those that we closed or were about to; False: before, the mailbox itself said nothing."""
    settled: frozenset[Door] = frozenset()
    """Those of them that we know to have been closed."""
    reopened: frozenset[Door] = frozenset()
    """Somebody opened them again by hand."""
    asked: tuple[Door, ...] = ()
    """What was to be closed when we last looked."""
    since: str = ""
    """Which decision that was."""
    at: str = ""
    """When we last changed something."""

    @property
    def closed(self) -> tuple[Door, ...]:
        """The doors that are closed by us."""
        return tuple(sorted(self.settled & self.ours.keys()))


@dataclass(frozen=True, slots=True)
class DoorPlan:
    """What to set, and what holds once it is done; None: the mailbox says nothing itself."""

    change: Mapping[Door, bool | None]
    after: DoorState


def plan_doors(
    close: Set[Door],
    since: str,
    open_now: Set[Door],
    unset: Set[Door],
    before: DoorState,
    fresh: bool = False,
) -> DoorPlan:
    """Return what brings the doors of one mailbox to be closed as *close* says, and no more.

    *open_now* are those that are open, *unset* those of them about which the mailbox itself says
    nothing. *since*: a later decision than that of *before* acts anew on what was reopened.
    *fresh*: we closed them so recently that not every domain controller may show it.
    """
    change: dict[Door, bool | None] = {}
    ours: dict[Door, bool] = {}
    kept = before.reopened if since == before.since else frozenset()
    taken = before.settled if since == before.since and not fresh else frozenset()
    reopened = {door for door in close & open_now if door in kept or door in taken}
    for door in close - reopened:
        if door in open_now:
            change[door] = False
            ours[door] = before.ours.get(door, door not in unset)
        elif door in before.ours:
            ours[door] = before.ours[door]
    for door in before.ours.keys() - close - open_now:
        change[door] = True if before.ours[door] else None
    return DoorPlan(change, DoorState(ours, frozenset(ours), frozenset(reopened), since=since))
