"""One pass: ask management what is wanted, make it so at Exchange, report what came of it.

The order of steps makes a sudden death harmless anywhere. Entries are written down as ours before
the effect and once more after it; adding and removing entries can be repeated; results stay in
the spool until management took them, and management takes them twice without harm.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from importlib.metadata import version
from uuid import UUID

from joserfc.jwk import ECKey

from contracts.connector import BATCH, ConnectorStatus, Door, ReleaseReport
from exchange_connector import log_file
from exchange_connector.authority import Authorities
from exchange_connector.backends.cmdlets import Exchange, Mailbox, Tally, ThrottledError
from exchange_connector.backends.opening import Backend
from exchange_connector.discovery import Discovery
from exchange_connector.enforcement import Enforcer, count_waiting
from exchange_connector.management_client import ManagementClient
from exchange_connector.outcome import Outcome
from exchange_connector.retries import Retries
from exchange_connector.spool import Spool
from exchange_connector.wiping import Wiping
from exchange_connector.wishes import Wishes, wishes
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

CHECK_RIGHTS = timedelta(hours=24)


class Look(IntEnum):
    """How closely a pass looks at what Exchange knows."""

    NOT = 0
    NEW = 1
    """Only at what came since the last time."""
    ALL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How passes are run, see `settings.Settings`."""

    settling: timedelta = timedelta()
    statistics_per_pass: int = 10
    connector_id: UUID
    order_key: ECKey | None = None
    stopping: Callable[[], bool] = lambda: False
    pack_log: Callable[[], bytes] = lambda: b""
    """Returns the ZIP of our log."""
    release_report: Callable[[], ReleaseReport | None] = lambda: None
    authorities: Authorities | None = None
    """Under which management is believed."""


class Sync:
    """Runs passes; keeps between them only what may be lost."""

    def __init__(
        self, backend: Backend, management: ManagementClient, spool: Spool, ways: Ways
    ) -> None:
        self._backend, self._management, self._spool = backend, management, spool
        self._ways, self._retries = ways, Retries()
        self._enforcer = Enforcer(spool, ways.stopping, ways.settling, self._retries)
        self._discovery = Discovery(spool, management, ways.statistics_per_pass)
        self.wiping = Wiping(spool, ways.connector_id, ways.order_key)
        self.tally, self.throttled_seconds = Tally(), 0.0
        self._rights_for: tuple[Door, ...] = ()
        self._log_sent: UUID | None = None

    def run_pass(self, look: Look, act: bool = True) -> Outcome:
        """Run one pass and say how it went.

        *look* at everything that Exchange knows also checks every mailbox where something is
        wanted. *act* False: leave Exchange alone this time, it did not answer lately.
        """
        outcome = Outcome()
        self._refresh(outcome)
        if (outcome.may_act or self._spool.is_undone()) and act:
            begun = time.monotonic()
            try:
                self._at_exchange(look, outcome)
            except ConfigurationError as error:
                outcome.exchange_problem, outcome.exchange_refuses_us = str(error), True
            except ThrottledError as error:
                outcome.exchange_problem, outcome.throttled = str(error), True
                outcome.wait_seconds = error.wait_seconds
                self.throttled_seconds += time.monotonic() - begun
            except (UnavailableError, RefusedError) as error:
                outcome.exchange_problem = str(error)
        self._deliver(outcome)
        self._send_log(outcome)
        self._sum_up(outcome)
        self._report_status(outcome)
        return outcome

    # --- management ---

    def _refresh(self, outcome: Outcome) -> None:
        """Take the newest wanted list; without management the last one holds."""
        _, tag = self._spool.wanted()
        if self._ways.authorities:
            self._ways.authorities.refresh()
        try:
            fresh = self._management.get_access(tag)
        except (ForbiddenError, UnauthenticatedError) as error:
            outcome.management_problem, outcome.may_act = str(error), False
        except SekishoError as error:
            outcome.management_problem = str(error)
        else:
            outcome.management_problem = ""
            self._spool.keep_moment("heard_at", utc_now())
            if fresh is not None:
                self.wiping.learn(fresh[0].trust)
                if self._ways.authorities:
                    self._ways.authorities.learn(fresh[0].authorities)
                self._spool.keep_wanted(*fresh)
                self._retries.retry_now()

    def _deliver(self, outcome: Outcome) -> None:
        """Report results until none is left or management does not take them."""
        if outcome.management_problem:
            return
        try:
            self.wiping.tell(self._management)
            while True:
                results, last = self._spool.results(BATCH)
                if not results:
                    return
                self._management.report_applied(results)
                self._spool.forget_results(last)
        except SekishoError as error:
            outcome.management_problem = str(error)

    def _send_log(self, outcome: Outcome) -> None:
        """Send the log when management ordered it; what is refused was taken back meanwhile."""
        order_id = self._spool.wanted()[0].fetch_log
        if order_id is None or order_id == self._log_sent or outcome.management_problem:
            return
        try:
            self._management.send_log(order_id, log_file.name(utc_now()), self._ways.pack_log())
            log.info("The log was sent to management.")
        except RefusedError as error:
            log.info("The log was not taken: %s", error)
        except (SekishoError, OSError) as error:
            log.warning("The log could not be sent: %s", error)
            return
        self._log_sent = order_id

    def _wishes(self) -> Wishes:
        wanted, _ = self._spool.wanted()
        heard_at, undone = self._spool.moment("heard_at"), self._spool.is_undone()
        return wishes(wanted, heard_at, undone, utc_now())

    def _sum_up(self, outcome: Outcome) -> None:
        wanted, _ = self._spool.wanted()
        found = self._wishes()
        outcome.waiting = count_waiting(found, self._spool.known())
        outcome.cycle_seconds, outcome.paused_because = wanted.cycle_seconds, found.because

    def _report_status(self, outcome: Outcome) -> None:
        status = ConnectorStatus(
            version=version("sekisho"),
            at=utc_now(),
            exchange_reachable=not outcome.exchange_problem,
            problem=outcome.exchange_problem[:4000],
            waiting=outcome.waiting,
            full_at=self._spool.moment("discovered_at"),
            delta_at=self._spool.moment("delta_at"),
            unreported=self._spool.count_results(),
            throttled_seconds=int(self.throttled_seconds + self.tally.waited_seconds),
            calls=self.tally.calls,
            changes=self.tally.changes,
            undone=self._spool.is_undone() or self._spool.wanted()[0].undo,
            rights=self.tally.rights,
            release=self._ways.release_report(),
            authorities=self._ways.authorities.report() if self._ways.authorities else (),
        )
        try:
            if not outcome.management_problem:
                self._management.report_status(status)
        except SekishoError as error:
            outcome.management_problem = str(error)

    # --- Exchange ---

    def _at_exchange(self, look: Look, outcome: Outcome) -> None:
        wipes = [] if self._wishes().stopped else self.wiping.new(self._spool.wanted()[0].wipes)
        if not look and not wipes and not self._enforcer.visits(self._wishes(), False):
            return
        outcome.acted = True
        if left_over := self._spool.open_session():
            self._backend.close_left_over(left_over)
        with self._backend.session(self._spool.keep_session, self.tally) as exchange:
            for target in wipes:
                self.wiping.wipe(exchange, target)
            self._enforce(exchange, {}, outcome)
            if look and not outcome.unfinished:
                self._look(exchange, look, outcome)

    def _enforce(self, exchange: Exchange, read: dict[str, Mailbox], outcome: Outcome) -> None:
        found = self._wishes()
        visits = self._enforcer.visits(found, everything=bool(read))
        self._enforcer.enforce(exchange, visits, found, read, outcome)

    def _look(self, exchange: Exchange, look: Look, outcome: Outcome) -> None:
        """Find phones and report them, then do what management decides about them at once.

        Without management there is nobody to tell; every mailbox is compared nevertheless.
        """
        self._check_rights(exchange)
        read: dict[str, Mailbox] = {}
        if look is Look.ALL:
            read = self._discovery.read_all(exchange, outcome)
        elif not outcome.management_problem:
            self._discovery.read_new(exchange, outcome)
        self._refresh(outcome)
        if outcome.may_act:
            self._enforce(exchange, read, outcome)
        self._keep_moments(look, outcome)
        if not outcome.management_problem:
            self._discovery.ask_statistics(exchange, outcome)
            self.wiping.follow(exchange)

    def _keep_moments(self, look: Look, outcome: Outcome) -> None:
        now = utc_now()
        self._spool.keep_moment("delta_at", now)
        if look is Look.ALL:
            self._spool.keep_moment("compared_at", now)
            if outcome.discovered is not None:
                self._spool.keep_moment("discovered_at", now)

    def _check_rights(self, exchange: Exchange) -> None:
        """Look once a day, and after each start, what the account may do."""
        checked, now = self._spool.moment("rights_at"), utc_now()
        doors = self._spool.wanted()[0].close_doors
        fresh = checked is not None and now - checked < CHECK_RIGHTS
        if self.tally.rights and fresh and doors == self._rights_for:
            return
        self._rights_for = doors
        for right in exchange.check_rights(doors):
            if right.missing:
                log.warning("%s: %s", right.cmdlet, right.missing)
        self._spool.keep_moment("rights_at", now)
