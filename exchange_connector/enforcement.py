"""Brings mailboxes to what is wanted: reads the lists, plans, changes, writes down."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from contracts.connector import Access, Applied, Door, Wanted
from exchange_connector.access_rules import Lists, Plan, mailboxes_to_visit, plan
from exchange_connector.backends.cmdlets import BULK, Exchange, Mailbox, ThrottledError
from exchange_connector.door_rules import DoorPlan, DoorState, plan_doors
from exchange_connector.outcome import Outcome
from exchange_connector.retries import Retries
from exchange_connector.spool import Known, Pair, Spool
from exchange_connector.wishes import Wishes
from runtime.clock import utc_now
from runtime.errors import RefusedError, UnavailableError

log = logging.getLogger(__name__)
T = TypeVar("T")

WORTH = 20
"""To read so many mailboxes among others costs as much as to read one by itself."""
READ_HOLDS_SECONDS = 300.0
BUDGET_SECONDS = 20.0
"""Longest stretch of changes before management is asked again: a new block must not wait."""


@dataclass(frozen=True, slots=True)
class _Box:
    """What we know of one mailbox before we look."""

    name: str
    wanted: Mapping[str, Wanted]
    known: Mapping[str, Known]
    ours: Lists
    doors: DoorState = field(default_factory=DoorState)
    close: frozenset[Door] = frozenset()
    """To be closed while a phone is blocked."""

    @property
    def accesses(self) -> dict[str, Access]:
        return {device_id: one.access for device_id, one in self.wanted.items()}

    def held(self, before: datetime) -> frozenset[str]:
        """Return the DeviceIds of which the same decision was in force *before* that instant.

        A fresh entry may not have reached every domain controller, so one that is not seen yet was
        not taken away by anybody.
        """
        return frozenset(
            device_id
            for device_id, one in self.wanted.items()
            if (had := self.known.get(device_id)) is not None
            and (had.access, had.since) == (one.access, since_of(one))
            and (had.overridden or had.at <= before)
        )


@dataclass(slots=True)
class Enforcer:
    """Makes changes; keeps between passes only what may be lost."""

    spool: Spool
    stopping: Callable[[], bool]
    settling: timedelta
    retries: Retries
    read: dict[str, Mailbox] = field(default_factory=dict)
    """Read all at once and not brought yet: a stretch of changes may take several passes."""
    read_until: float = 0.0

    def visits(self, wishes: Wishes, everything: bool) -> list[str]:
        """Return the mailboxes to look at, those with a block first; none while stopped."""
        if wishes.stopped:
            return []
        wanted = wishes.by_pair
        known = {
            pair
            for pair, had in self.spool.known().items()
            if pair in wanted
            and (had.access, had.since) == (wanted[pair].access, since_of(wanted[pair]))
        }
        ours = {
            (mailbox, one)
            for mailbox, lists in self.spool.ours().items()
            for one in lists.allowed | lists.blocked
        }
        ours |= self.spool.known().keys() - wanted.keys()
        blocks = {mailbox for (mailbox, _), one in wanted.items() if one.access == "block"}
        found = set(mailboxes_to_visit(set(wanted), known, ours, everything))
        found |= self._wrong_doors(wishes, blocks)
        now = utc_now()
        return sorted(
            (mailbox for mailbox in found if self.retries.may_try(mailbox, now)),
            key=lambda mailbox: (mailbox not in blocks, mailbox),
        )

    def _wrong_doors(self, wishes: Wishes, blocks: set[str]) -> set[str]:
        """Return the mailboxes whose doors were last brought to something else than is wanted."""
        asked = tuple(sorted(wishes.close_doors))
        before = self.spool.doors.all()
        mailboxes = before.keys() | (blocks if asked else set())
        return {
            mailbox
            for mailbox in mailboxes
            if before.get(mailbox, DoorState()).asked != (asked if mailbox in blocks else ())
        }

    def enforce(
        self,
        exchange: Exchange,
        mailboxes: list[str],
        wishes: Wishes,
        read: Mapping[str, Mailbox],
        outcome: Outcome,
    ) -> None:
        """Bring *mailboxes* to what is wanted; a mailbox that fails does not stop the others."""
        read = read or self._read_many(exchange, len(mailboxes))
        wanted, known = _grouped(wishes.by_pair), _grouped(self.spool.known())
        ours, doors = self.spool.ours(), self.spool.doors.all()
        until = time.monotonic() + BUDGET_SECONDS
        for name in mailboxes:
            if self.stopping() or time.monotonic() > until:
                outcome.unfinished = True
                return
            box = _Box(
                name,
                wanted.get(name, {}),
                known.get(name, {}),
                ours.get(name, Lists()),
                doors.get(name, DoorState()),
                wishes.close_doors,
            )
            outcome.changed += self._try(exchange, box, read)

    def _read_many(self, exchange: Exchange, number: int) -> Mapping[str, Mailbox]:
        """Return all mailboxes where one call for all is quicker than one call each."""
        if number < BULK or number * WORTH < len(self.spool.mailboxes()):
            return {}
        if time.monotonic() > self.read_until:
            self.read = exchange.list_mailboxes()
            self.read_until = time.monotonic() + READ_HOLDS_SECONDS
        return self.read

    def _try(self, exchange: Exchange, box: _Box, read: Mapping[str, Mailbox]) -> int:
        """Bring one mailbox; what fails is told and tried again ever more slowly.

        A mailbox that breaks the session, or this program, is put behind the others, so that one
        poisonous mailbox ends one pass and not all of them.
        """
        try:
            mailbox = read[box.name] if box.name in read else exchange.read_mailbox(box.name)
            self.read.pop(box.name, None)  # once it is changed it is another one
            changed = self._bring(exchange, box, mailbox)
            self.retries.worked(box.name)
            return changed
        except RefusedError as error:
            self._note_failure(box, str(error))
        except ThrottledError:
            raise
        except UnavailableError:
            self.retries.failed(box.name, utc_now(), broke=True)
            raise
        except Exception as error:
            log.exception("%s: an unexpected error", box.name)
            self._note_failure(box, f"An unexpected error: {type(error).__name__}: {error}")
        return 0

    def _bring(self, exchange: Exchange, box: _Box, actual: Mailbox) -> int:
        """Make one mailbox as wanted; return how many calls changed it (0 or 1)."""
        now = utc_now()
        planned = plan(box.accesses, actual.lists, box.ours, box.held(now - self.settling))
        doors = self._plan_doors(box, planned, actual, now)
        changes = not planned.change.is_empty or bool(doors.change)
        if changes:
            self.spool.intend(box.name, planned.ours, box.doors, doors.after)
            exchange.change(box.name, planned.change, doors.change)
            said = (planned.change.sentence(), _in_words(doors))
            log.info("%s: %s", box.name, "; ".join(part for part in said if part))
        known = self._known(box, planned, now)
        results = list(self._results(box, planned, doors.after, now))
        if results or (planned.ours, known, doors.after) != (box.ours, box.known, box.doors):
            self.spool.settle(box.name, planned.ours, known, doors.after, results)
        return int(changes)

    def _plan_doors(self, box: _Box, planned: Plan, actual: Mailbox, now: datetime) -> DoorPlan:
        """Return what to do to the doors: they follow the blocks that are really had."""
        blocks = {one: since_of(said) for one, said in box.wanted.items() if said.access == "block"}
        had = blocks.keys() - planned.overridden.keys()
        close = box.close if had else frozenset()
        since = max(blocks[one] for one in had) if close else ""
        before, open_now = box.doors, set(actual.open_doors)
        fresh = bool(before.at) and now - datetime.fromisoformat(before.at) < self.settling
        found = plan_doors(close, since, open_now, actual.unset_doors, before, fresh)
        at = (now.isoformat() if found.change else before.at) if close else ""
        asked = tuple(sorted(box.close)) if blocks else ()
        return replace(found, after=replace(found.after, asked=asked, at=at))

    @staticmethod
    def _known(box: _Box, planned: Plan, now: datetime) -> dict[str, Known]:
        """Return what we know afterwards; what has not changed keeps its time."""
        found = {}
        for device_id, one in box.wanted.items():
            fresh = Known(one.access, since_of(one), now, device_id in planned.overridden)
            had = box.known.get(device_id)
            same = had is not None and (had.access, had.since, had.overridden) == (
                fresh.access,
                fresh.since,
                fresh.overridden,
            )
            found[device_id] = had if had is not None and same else fresh
        return found

    def _results(
        self, box: _Box, planned: Plan, doors: DoorState, at: datetime
    ) -> Iterator[Applied]:
        """Yield what management has not been told yet."""
        moved = (doors.closed, doors.reopened) != (box.doors.closed, box.doors.reopened)
        told = {"closed_doors": doors.closed, "reopened_doors": tuple(sorted(doors.reopened))}
        holds: dict[str, Access] = dict(planned.settled)
        holds |= dict.fromkeys((box.known.keys() | planned.removed()) - box.wanted.keys(), "leave")
        for device_id, access in holds.items():
            over = self.retries.is_over((box.name, device_id))
            had = box.known.get(device_id)
            news = over or had is None or had.overridden or had.access != access
            if news or (moved and access == "block"):
                one = _applied(box.name, device_id, access, at)
                yield replace(one, **told) if access == "block" else one  # type: ignore[arg-type]
        for device_id, because in planned.overridden.items():
            access, had = box.accesses[device_id], box.known.get(device_id)
            if had is None or not had.overridden or had.access != access:
                log.warning("%s: %s: %s", box.name, device_id, because)
                yield _applied(box.name, device_id, access, at, because, overridden=True)

    def _note_failure(self, box: _Box, error: str) -> None:
        now = utc_now()
        self.retries.failed(box.name, now)
        pending = {
            one: access
            for one, access in box.accesses.items()
            if (had := box.known.get(one)) is None or had.access != access
        }
        pending |= dict.fromkeys(box.known.keys() - box.wanted.keys(), "leave")
        news = [
            _applied(box.name, device_id, access, now, error)
            for device_id, access in pending.items()
            if self.retries.is_news((box.name, device_id), access, error)
        ]
        if news:
            log.warning("%s: %s", box.name, error)
            self.spool.add_results(news)


def _in_words(doors: DoorPlan) -> str:
    closed = sorted(door for door, to in doors.change.items() if to is False)
    opened = sorted(doors.change.keys() - set(closed))
    said = (("close", closed), ("open again", opened))
    return "; ".join(f"{word} {', '.join(names)}" for word, names in said if names)


def since_of(wanted: Wanted) -> str:
    """Return which decision it is, as the spool writes it."""
    return wanted.since.isoformat() if wanted.since else ""


def count_waiting(wishes: Wishes, known: Mapping[Pair, Known]) -> int:
    """Return how many partnerships do not have what is wanted, those overridden left out."""
    wanted = wishes.by_pair
    different = sum(
        (had := known.get(pair)) is None or had.access != one.access for pair, one in wanted.items()
    )
    return different + len(known.keys() - wanted.keys())


def _applied(
    mailbox: str,
    device_id: str,
    access: Access,
    at: datetime,
    error: str = "",
    overridden: bool = False,
) -> Applied:
    return Applied(
        mailbox=mailbox,
        device_id=device_id,
        access=access,
        at=at,
        error=error[:4000],
        overridden=overridden,
    )


def _grouped(pairs: Mapping[Pair, T]) -> dict[str, dict[str, T]]:
    found: dict[str, dict[str, T]] = {}
    for (mailbox, device_id), one in pairs.items():
        found.setdefault(mailbox, {})[device_id] = one
    return found
