"""One pass: ask management what is wanted, make it so at Exchange, report what came of it.

The order of steps makes a sudden death harmless anywhere. Entries are written down as ours before
the effect and once more after it; adding and removing entries can be repeated; results stay in
the spool until management took them, and management takes them twice without harm.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

from contracts.connector import BATCH, Access, Applied, ConnectorStatus, WantedAccess
from exchange_connector.access_rules import Lists, Plan, mailboxes_to_visit, plan
from exchange_connector.backends import psrp
from exchange_connector.management_client import ManagementClient
from exchange_connector.retries import Retries
from exchange_connector.spool import Pair, Spool
from runtime.clock import utc_now
from runtime.errors import (
    ConfigurationError,
    ForbiddenError,
    RefusedError,
    SekishoError,
    UnauthenticatedError,
    UnavailableError,
)

log = logging.getLogger(__name__)

BUDGET_SECONDS = 20.0
"""Longest stretch of changes before management is asked again: a new block must not wait."""


@dataclass(slots=True)
class Outcome:
    """How a pass went; an empty problem means well."""

    exchange_problem: str = ""
    exchange_refuses_us: bool = False
    """The password is wrong: asking again soon could lock the account."""
    management_problem: str = ""
    may_act: bool = True
    """False: management knows this connector no longer, or disabled it."""
    acted: bool = False
    """Exchange was asked for something."""
    changed: int = 0
    """Calls that changed something at Exchange."""
    discovered: int | None = None
    """Partnerships found, when everything was read."""
    waiting: int = 0
    unfinished: bool = False
    """More could be done at once."""
    paused_because: str = ""
    cycle_seconds: int = 60


class Sync:
    """Runs passes; keeps between them only what may be lost."""

    def __init__(
        self,
        server: psrp.Server,
        management: ManagementClient,
        spool: Spool,
        stopping: Callable[[], bool] = lambda: False,
        exchange_timeout_seconds: int = 120,
    ) -> None:
        self._server, self._management, self._spool = server, management, spool
        self._stopping, self._timeout = stopping, exchange_timeout_seconds
        self._retries = Retries()

    def run_pass(self, discover: bool, act: bool = True) -> Outcome:
        """Run one pass and say how it went.

        *discover*: also read everything Exchange knows, report it, and check every mailbox.
        *act* False: leave Exchange alone this time, it did not answer lately.
        """
        outcome = Outcome()
        self._refresh(outcome)
        if outcome.may_act and act:
            try:
                self._at_exchange(discover, outcome)
            except ConfigurationError as error:
                outcome.exchange_problem, outcome.exchange_refuses_us = str(error), True
            except (UnavailableError, RefusedError) as error:
                outcome.exchange_problem = str(error)
        self._deliver(outcome)
        wanted, _ = self._spool.wanted()
        outcome.waiting = _count_waiting(wanted, self._spool.settled())
        outcome.cycle_seconds = wanted.cycle_seconds
        outcome.paused_because = wanted.paused_because if wanted.paused else ""
        self._report_status(outcome)
        return outcome

    # --- management ---

    def _refresh(self, outcome: Outcome) -> None:
        """Take the newest wanted list; without management the last one holds."""
        _, tag = self._spool.wanted()
        try:
            fresh = self._management.get_access(tag)
        except (ForbiddenError, UnauthenticatedError) as error:
            outcome.management_problem, outcome.may_act = str(error), False
        except SekishoError as error:
            outcome.management_problem = str(error)
        else:
            outcome.management_problem = ""
            if fresh is not None:
                self._spool.keep_wanted(*fresh)
                self._retries.retry_now()

    def _deliver(self, outcome: Outcome) -> None:
        """Report results until none is left or management does not take them."""
        if outcome.management_problem:
            return
        try:
            while True:
                results, last = self._spool.results(BATCH)
                if not results:
                    return
                self._management.report_applied(results)
                self._spool.forget_results(last)
        except SekishoError as error:
            outcome.management_problem = str(error)

    def _report_status(self, outcome: Outcome) -> None:
        status = ConnectorStatus(
            version=version("sekisho"),
            at=utc_now(),
            exchange_reachable=not outcome.exchange_problem,
            problem=outcome.exchange_problem[:4000],
            waiting=outcome.waiting,
        )
        try:
            if not outcome.management_problem:
                self._management.report_status(status)
        except SekishoError as error:
            outcome.management_problem = str(error)

    # --- Exchange ---

    def _at_exchange(self, discover: bool, outcome: Outcome) -> None:
        if not discover and not self._visits(everything=False):
            return
        outcome.acted = True
        if left_over := self._spool.open_session():
            psrp.close_left_over(self._server, left_over)
        with psrp.session(self._server, self._timeout, self._spool.keep_session) as exchange:
            self._enforce(exchange, self._visits(everything=False), {}, outcome)
            if discover and not outcome.unfinished:
                self._discover(exchange, outcome)

    def _discover(self, exchange: psrp.Exchange, outcome: Outcome) -> None:
        """Read and report everything, then compare every mailbox: others change lists too."""
        addresses, lists = exchange.list_mailboxes()
        if not outcome.management_problem:
            found = exchange.list_partnerships(addresses)
            try:
                self._management.report_partnerships(found, utc_now())
                outcome.discovered = len(found)
            except SekishoError as error:
                outcome.management_problem = str(error)
            self._refresh(outcome)
        if outcome.may_act:
            self._enforce(exchange, self._visits(everything=True), lists, outcome)
        self._spool.keep_discovered(utc_now())

    def _visits(self, everything: bool) -> list[str]:
        """Return the mailboxes to look at, those with a block first."""
        wanted, _ = self._spool.wanted()
        by_pair = _by_pair(wanted)
        ours = [
            (mailbox, one)
            for mailbox, lists in self._spool.ours().items()
            for one in lists.allowed | lists.blocked
        ]
        found = mailboxes_to_visit(by_pair, self._spool.settled(), ours, wanted.paused, everything)
        blocks = {mailbox for (mailbox, _), access in by_pair.items() if access == "block"}
        now = utc_now()
        return sorted(
            (mailbox for mailbox in found if self._retries.may_try(mailbox, now)),
            key=lambda mailbox: (mailbox not in blocks, mailbox),
        )

    def _enforce(
        self,
        exchange: psrp.Exchange,
        mailboxes: list[str],
        known: Mapping[str, Lists],
        outcome: Outcome,
    ) -> None:
        """Bring *mailboxes* to what is wanted; a mailbox that fails does not stop the others."""
        if len(mailboxes) >= psrp.BULK and not known:
            _, known = exchange.list_mailboxes()
        wanted = _grouped(_by_pair(self._spool.wanted()[0]))
        settled, ours = _grouped(self._spool.settled()), self._spool.ours()
        until = time.monotonic() + BUDGET_SECONDS
        for mailbox in mailboxes:
            if self._stopping() or time.monotonic() > until:
                outcome.unfinished = True
                return
            mine = _Mailbox(
                mailbox,
                wanted.get(mailbox, {}),
                settled.get(mailbox, {}),
                ours.get(mailbox, Lists()),
            )
            try:
                actual = known[mailbox] if mailbox in known else exchange.read_lists(mailbox)
                outcome.changed += self._bring(exchange, mine, actual)
                self._retries.worked(mailbox)
            except RefusedError as error:
                self._note_failure(mine, str(error))

    def _bring(self, exchange: psrp.Exchange, mine: "_Mailbox", actual: Lists) -> int:
        """Make one mailbox as wanted; return how many calls changed it (0 or 1)."""
        planned = plan(mine.wanted, actual, mine.ours)
        if not planned.change.is_empty:
            self._spool.intend(mine.name, planned.ours)
            exchange.change(mine.name, planned.change)
            log.info("%s: %s", mine.name, planned.change.sentence())
        results = list(self._results(mine, planned, utc_now()))
        if results or planned.ours != mine.ours or planned.settled != mine.settled:
            self._spool.settle(mine.name, planned.ours, planned.settled, results)
        return int(not planned.change.is_empty)

    def _results(self, mine: "_Mailbox", planned: Plan, at: datetime) -> Iterator[Applied]:
        """Yield what management has not been told yet."""
        held: dict[str, Access] = dict(planned.settled)
        held |= dict.fromkeys(
            (mine.settled.keys() | planned.removed()) - mine.wanted.keys(), "leave"
        )
        for device_id, access in held.items():
            over = self._retries.is_over((mine.name, device_id))
            if over or mine.settled.get(device_id) != access:
                yield _applied(mine.name, device_id, access, at)
        for device_id, problem in planned.problems.items():
            access = mine.wanted[device_id]
            if self._retries.is_news((mine.name, device_id), access, problem):
                yield _applied(mine.name, device_id, access, at, problem)

    def _note_failure(self, mine: "_Mailbox", error: str) -> None:
        now = utc_now()
        self._retries.failed(mine.name, now)
        pending = {
            one: access for one, access in mine.wanted.items() if mine.settled.get(one) != access
        }
        pending |= dict.fromkeys(mine.settled.keys() - mine.wanted.keys(), "leave")
        news = [
            _applied(mine.name, device_id, access, now, error)
            for device_id, access in pending.items()
            if self._retries.is_news((mine.name, device_id), access, error)
        ]
        if news:
            log.warning("%s: %s", mine.name, error)
            self._spool.add_results(news)


@dataclass(frozen=True, slots=True)
class _Mailbox:
    """What we know of one mailbox before we look."""

    name: str
    wanted: Mapping[str, Access]
    settled: Mapping[str, Access]
    ours: Lists


def _applied(
    mailbox: str, device_id: str, access: Access, at: datetime, error: str = ""
) -> Applied:
    return Applied(mailbox=mailbox, device_id=device_id, access=access, at=at, error=error[:4000])


def _by_pair(wanted: WantedAccess) -> dict[Pair, Access]:
    return {
        (one.mailbox, one.device_id): one.access for one in wanted.wanted if one.access != "leave"
    }


def _grouped(pairs: Mapping[Pair, Access]) -> dict[str, dict[str, Access]]:
    found: dict[str, dict[str, Access]] = {}
    for (mailbox, device_id), access in pairs.items():
        found.setdefault(mailbox, {})[device_id] = access
    return found


def _count_waiting(wanted: WantedAccess, settled: Mapping[Pair, Access]) -> int:
    by_pair = _by_pair(wanted)
    different = sum(settled.get(pair) != access for pair, access in by_pair.items())
    return different + len(settled.keys() - by_pair.keys())
