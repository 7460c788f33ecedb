"""What to change at the mail server. Pure: wanted and actual lists in, changes out.

A mailbox has two lists of DeviceIds, allowed and blocked (``Set-CASMailbox``), and a block wins. We
share them with administrators and other tools, so an entry is removed only when we made it
ourselves, and an entry that somebody else made is never counted as ours. Who changes by hand what
we did is not fought: the phone counts as overridden until management decides anew.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass

from contracts.connector import Access

OVERRIDDEN = (
    "Somebody took this connector's entry away at the mail server. It is not put back until the "
    "next decision, or until an administrator takes control again in the console."
)
BLOCKED_BY_OTHERS = (
    "The mailbox's block list holds this DeviceId, and this connector did not put it there, so it "
    "does not take it away. Remove it at the mail server if the phone shall fetch mail."
)


@dataclass(frozen=True, slots=True)
class Lists:
    """The DeviceIds on the two lists of one mailbox."""

    allowed: frozenset[str] = frozenset()
    blocked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Change:
    """Everything to add to and remove from the lists of one mailbox, in one call."""

    add: Lists = Lists()
    remove: Lists = Lists()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return self == Change()

    def sentence(self) -> str:
        """Say in a few words what it does, for the log."""
        parts = (
            ("allow", self.add.allowed),
            ("block", self.add.blocked),
            ("no longer allow", self.remove.allowed),
            ("no longer block", self.remove.blocked),
        )
        return "; ".join(f"{word} {', '.join(sorted(ids))}" for word, ids in parts if ids)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do for one mailbox, and what holds once it is done."""

    change: Change
    ours: Lists
    """The entries that are ours once the change is made."""
    settled: Mapping[str, Access]
    """DeviceId -> the access that holds then."""
    overridden: Mapping[str, str]
    """DeviceId -> why its wanted access is not had: somebody else decided."""

    def removed(self) -> frozenset[str]:
        """Return the DeviceIds of which an entry goes."""
        return self.change.remove.allowed | self.change.remove.blocked


def plan(
    wanted: Mapping[str, Access], actual: Lists, ours: Lists, held: Set[str] = frozenset()
) -> Plan:
    """Return what brings one mailbox to *wanted* (by DeviceId; ``leave`` and absent are the same).

    *ours* are the entries that we made or were about to make; those that are not in *actual* any
    more were removed by others or never made, and are forgotten. *held* are the DeviceIds whose
    wanted access was there when we last looked: if its entry is gone, somebody removed it.
    """
    ours = Lists(ours.allowed & actual.allowed, ours.blocked & actual.blocked)
    want = Lists(_of(wanted, "allow"), _of(wanted, "block"))
    lacking = (want.allowed - actual.allowed) | (want.blocked - actual.blocked)
    removed_by_hand = lacking & held
    add = Lists(
        want.allowed - actual.allowed - removed_by_hand,
        want.blocked - actual.blocked - removed_by_hand,
    )
    remove = Lists(ours.allowed - want.allowed, ours.blocked - want.blocked)
    foreign = (actual.blocked - ours.blocked) & want.allowed
    overridden = dict.fromkeys(sorted(removed_by_hand), OVERRIDDEN)
    overridden |= dict.fromkeys(sorted(foreign), BLOCKED_BY_OTHERS)
    return Plan(
        change=Change(add, remove),
        ours=Lists(
            (ours.allowed - remove.allowed) | add.allowed,
            (ours.blocked - remove.blocked) | add.blocked,
        ),
        settled={one: access for one, access in wanted.items() if one not in overridden},
        overridden=overridden,
    )


def _of(wanted: Mapping[str, Access], access: Access) -> frozenset[str]:
    return frozenset(one for one, asked in wanted.items() if asked == access)


def mailboxes_to_visit(
    wanted: Set[tuple[str, str]],
    known: Set[tuple[str, str]],
    ours: Set[tuple[str, str]],
    everything: bool,
) -> list[str]:
    """Return the mailboxes whose lists must be read, sorted.

    Pairs are (mailbox, DeviceId). *known*: those of *wanted* that we know to hold, or to be
    overridden. *everything*: look at all where something is wanted or ours, because others may
    have changed the lists meanwhile.
    """
    pairs = ours | wanted
    return sorted({mailbox for mailbox, _ in (pairs if everything else pairs - known)})
