"""Finds phones: everything now and then with two calls, what is new in between with one.

``Get-MobileDeviceStatistics`` exists only mailbox by mailbox and opens each mailbox, so it is asked
of a few mailboxes a pass, those longest not asked first. Nothing here ever loops over all.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from contracts.connector import Partnership
from exchange_connector.backends.cmdlets import BULK, Exchange, Mailbox, since_filter
from exchange_connector.management_client import ManagementClient
from exchange_connector.outcome import Outcome
from exchange_connector.spool import Pair, Spool
from runtime.clock import utc_now
from runtime.errors import RefusedError, SekishoError

log = logging.getLogger(__name__)

OVERLAP = timedelta(minutes=15)
"""So far a delta reaches back: domain controllers hear of a new phone at different times."""
FEW_QUARANTINED = 1000
"""Above so many phones in quarantine a delta does not ask for them again and again."""
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
ASK_AGAIN = timedelta(hours=24)


@dataclass(slots=True)
class Discovery:
    """Reads and reports; remembers what management was told, which may be lost."""

    spool: Spool
    management: ManagementClient
    per_pass: int
    """How many mailboxes are asked for statistics in one pass."""
    told: dict[Pair, int] = field(default_factory=dict)
    quarantined: int = 0

    def read_all(self, exchange: Exchange, outcome: Outcome) -> dict[str, Mailbox]:
        """Read everything, report it, and return the mailboxes with their lists."""
        mailboxes = exchange.list_mailboxes()
        self.spool.keep_mailboxes(mailboxes.values(), everything=True)
        if outcome.management_problem:
            return mailboxes
        found = exchange.list_partnerships(mailboxes)
        partnerships = _different(found.partnerships)
        if found.problem:
            log.warning("Exchange could not read every phone: %s", found.problem)
        self.quarantined = sum(one.access_state == "Quarantined" for one in partnerships)
        if self._report(partnerships, not found.problem, outcome):
            self._keep_newest(partnerships)
            self.told = {(one.mailbox, one.device_id): hash(one) for one in partnerships}
            outcome.discovered = len(partnerships)
        return mailboxes

    def read_new(self, exchange: Exchange, outcome: Outcome) -> None:
        """Report what is new since the last time, with one call when nothing is.

        The newest first sync that Exchange itself named is where it begins, so clocks that differ
        do no harm.
        """
        newest = self.spool.moment("newest_at") or BEGINNING
        known = self.spool.mailboxes()
        few = self.quarantined <= FEW_QUARANTINED
        found = exchange.list_partnerships(known, since_filter(newest - OVERLAP, few))
        news = [one for one in _different(found.partnerships) if self._is_news(one)]
        strange = {one.mailbox for one in news} - known.keys()
        if strange:
            known |= self._read_mailboxes(exchange, strange)
            news = [_with_mailbox(one, known.get(one.mailbox)) for one in news]
        if news and self._report(news, False, outcome):
            self._keep_newest(news)
            self.told |= {(one.mailbox, one.device_id): hash(one) for one in news}

    def ask_statistics(self, exchange: Exchange, outcome: Outcome) -> None:
        """Ask a few mailboxes when their phones last synchronised."""
        now = utc_now()
        mailboxes = self.spool.mailboxes_to_ask(now - ASK_AGAIN, self.per_pass)
        for mailbox in mailboxes:
            self.spool.note_asked(mailbox, now)
            try:
                synced = exchange.read_synced(mailbox)
            except RefusedError as error:
                log.info("%s: no statistics: %s", mailbox, error)
                continue
            try:
                self.management.report_synced(synced, now)
            except SekishoError as error:
                outcome.management_problem = str(error)
                return

    def _is_news(self, one: Partnership) -> bool:
        return self.told.get((one.mailbox, one.device_id)) != hash(one)

    def _read_mailboxes(self, exchange: Exchange, names: Iterable[str]) -> dict[str, Mailbox]:
        """Read mailboxes that we do not know: one by one when they are few, else all at once."""
        wanted = sorted(names)
        if len(wanted) >= BULK:
            read = exchange.list_mailboxes()
        else:
            read = {}
            for name in wanted:
                try:
                    read[name] = exchange.read_mailbox(name)
                except RefusedError as error:
                    log.info("%s: %s", name, error)
        self.spool.keep_mailboxes(read.values(), everything=False)
        return read

    def _report(self, partnerships: list[Partnership], whole: bool, outcome: Outcome) -> bool:
        """Tell management; False when it does not take it."""
        try:
            self.management.report_partnerships(partnerships, utc_now(), whole)
        except SekishoError as error:
            outcome.management_problem = str(error)
            return False
        return True

    def _keep_newest(self, partnerships: list[Partnership]) -> None:
        seen = [one.first_sync_at for one in partnerships if one.first_sync_at is not None]
        before = self.spool.moment("newest_at")
        if seen and (before is None or max(seen) > before):
            self.spool.keep_moment("newest_at", min(max(seen), utc_now()))


def _different(found: list[Partnership]) -> list[Partnership]:
    """Return each (mailbox, DeviceId) once: a directory may hold the same pair twice.

    The one that synchronised first later is the one that a phone uses now.
    """
    kept: dict[Pair, Partnership] = {}
    for one in found:
        before = kept.get((one.mailbox, one.device_id))
        if before is None or _begun(one) >= _begun(before):
            kept[one.mailbox, one.device_id] = one
    return list(kept.values())


def _begun(one: Partnership) -> float:
    return one.first_sync_at.timestamp() if one.first_sync_at else 0.0


def _with_mailbox(one: Partnership, mailbox: Mailbox | None) -> Partnership:
    if mailbox is None:
        return one
    return replace(one, user_address=mailbox.address[:255], open_doors=mailbox.open_doors)
