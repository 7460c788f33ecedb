"""Hears from management what is wanted, and makes it hold within a second.

Twice a second management is asked for a mark that changes with every decision; only then, and once
in a while, the decisions themselves are fetched. That costs management three small reads and no
write. A question that stays open until something changes would hold one of the console's few
threads for each gate.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from contracts.connector import BATCH, Wanted, WantedAccess
from exchange_connector.authority import Authorities
from exchange_connector.gate.identity import Key, canonical_user, key_of
from exchange_connector.gate.keeper import Decided, DefaultAccess, Guards, Keeper
from exchange_connector.gate.store import Store
from exchange_connector.loop import log_as_told
from exchange_connector.management_client import ManagementClient
from exchange_connector.wishes import Wishes, wishes
from runtime.clock import utc_now
from runtime.errors import SekishoError

log = logging.getLogger(__name__)

LOOK_AGAIN = timedelta(seconds=30)
"""So often decisions are fetched and applied though nothing seems changed: time alone may act."""
WHOLE_LIST_EVERY = timedelta(minutes=10)
LONGEST_PAUSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds now."""

    decided: Mapping[Key, Decided]
    default: DefaultAccess
    guards: Guards
    because: str = ""
    """Why less holds than management wants, or nothing new does."""


def rules(found: Wishes, default: DefaultAccess, mail_domain: str) -> Rules:
    """Return what *found* means at the gate.

    Undone, or open because management is silent: then also what is unknown passes.
    """
    opened = bool(found.because) and not found.stopped
    decided = {
        key_of(canonical_user(mailbox, mail_domain), device_id): Decided(
            one.access == "allow", one.certificate
        )
        for (mailbox, device_id), one in found.by_pair.items()
    }
    if opened:
        return Rules(decided, "allow", Guards(), found.because)
    return Rules(decided, default, Guards.of(decided), found.because)


@dataclass(slots=True)
class Listener:
    """Asks management; runs in a thread of its own with its own connection and file."""

    management: ManagementClient
    store: Store
    keeper: Keeper
    loop: asyncio.AbstractEventLoop
    default: DefaultAccess = "allow"
    mail_domain: str = ""
    ask_seconds: float = 0.4
    usual_log_level: str = "INFO"
    authorities: Authorities | None = None
    problem: str = ""
    """Why management was not heard last."""
    looked_at: float = field(default_factory=time.monotonic)
    wanted: dict[Key, Wanted] | None = None
    """As in the file; None: not read yet."""
    holds: Rules | None = None
    undone: bool = False

    def step(self) -> float:
        """Ask once; return how many seconds to wait for the next time."""
        before = self.problem
        try:
            news = self._ask()
            self.problem = ""
        except SekishoError as error:
            news, self.problem = False, str(error)
        _tell(before, self.problem)
        due = time.monotonic() - self.looked_at >= LOOK_AGAIN.total_seconds()
        if news or due or self.store.is_undone() != self.undone:
            self.apply()
        if not self.problem:
            self._say_what_holds()
        return (
            min(self.ask_seconds * 5, LONGEST_PAUSE_SECONDS) if self.problem else self.ask_seconds
        )

    def _ask(self) -> bool:
        """Fetch what changed; return whether something may have."""
        if self.authorities:
            self.authorities.refresh()
        mark = self.management.get_mark()
        _, known = self.store.head()
        now = utc_now()
        heard_at = self.store.moment("heard_at")
        fresh = heard_at is not None and timedelta() <= now - heard_at < LOOK_AGAIN
        if mark == known and fresh:
            return False
        whole_at = self.store.moment("whole_at")
        since = self.store.moment("since")
        if whole_at is None or not timedelta() <= now - whole_at < WHOLE_LIST_EVERY:
            since = None
        answer = self.management.get_access_since(since)
        if self.authorities:
            self.authorities.learn(answer.authorities)
        named = self._by_key(answer.wanted)
        self.store.keep(answer, named, mark, now.isoformat())
        self._merge(answer, named)
        self.store.keep_moment("heard_at", now)
        if since is None and not answer.paused:
            self.store.keep_moment("whole_at", now)
        return True

    def _by_key(self, wanted: tuple[Wanted, ...]) -> dict[Key, Wanted]:
        return {
            key_of(canonical_user(one.mailbox, self.mail_domain), one.device_id): one
            for one in wanted
        }

    def _merge(self, answer: WantedAccess, named: Mapping[Key, Wanted]) -> None:
        """Hold in memory what the file holds: reading 50,000 rows anew takes 0.3 seconds."""
        if self.wanted is None or answer.paused:
            return
        if answer.whole:
            self.wanted.clear()
        self.wanted.update(named)
        for key, one in named.items():
            if one.access == "leave":
                del self.wanted[key]

    def apply(self) -> None:
        """Make what is stored hold in the event loop, and wait until it does."""
        self.looked_at = time.monotonic()
        self.undone = self.store.is_undone()
        head, _ = self.store.head()
        log_as_told(head, self.usual_log_level, utc_now())
        if self.wanted is None:
            self.wanted = self.store.wanted()
        whole = replace(head, wanted=tuple(self.wanted.values()))
        found = wishes(whole, self.store.moment("heard_at"), self.undone, utc_now())
        fresh = rules(found, self.default, self.mail_domain)
        if fresh != self.holds:
            self._replace(fresh)

    def _replace(self, fresh: Rules) -> None:
        async def decide() -> int:
            return self.keeper.replace(fresh.decided, fresh.default, fresh.guards)

        cut = asyncio.run_coroutine_threadsafe(decide(), self.loop).result(60)
        if fresh.because != (self.holds.because if self.holds else ""):
            log.warning(fresh.because or "Decisions of management hold again.")
        blocked = sum(not one.allowed for one in fresh.decided.values())
        log.info("Decisions hold.", extra={"blocked": blocked, "cut": cut})
        self.holds = fresh

    def _say_what_holds(self) -> None:
        """Tell management which of its decisions hold."""
        if self.holds is None or self.holds.because:
            return
        try:
            while told := self.store.untold(BATCH):
                self.management.report_applied(told)
                self.store.note_told(told)
        except SekishoError as error:
            self.problem = str(error)


def _tell(before: str, now: str) -> None:
    if now and not before:
        log.warning("Management is not heard; its last decisions hold. %s", now)
    elif before and not now:
        log.info("Management is heard again.")
