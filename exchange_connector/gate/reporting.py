"""Tells management which phones fetch mail through the gate, and how the gate stands."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version

from contracts.connector import ConnectorStatus, Partnership, Synced, TrustedAuthority
from exchange_connector.gate.keeper import Caller, Keeper
from exchange_connector.gate.phones import Phones
from exchange_connector.gate.store import Phone, Store
from exchange_connector.management_client import ManagementClient
from runtime.clock import utc_now
from runtime.errors import SekishoError

EVERY_SECONDS = 0.5
WHOLE_REPORT_EVERY = timedelta(hours=1)
FORGET_AFTER = timedelta(days=90)


@dataclass(slots=True)
class Counters:
    """What the proxy counts."""

    requests: int = 0
    refused: int = 0
    server_problem: str = ""
    """Why the mail server did not answer last; empty when it did."""


@dataclass(slots=True)
class Reporter:
    """Runs in a thread of its own with its own connection and file."""

    management: ManagementClient
    store: Store
    keeper: Keeper
    phones: Phones
    counters: Counters
    holds_back: Callable[[], str] = lambda: ""
    """Why less holds than management wants."""
    authorities: Callable[[], tuple[TrustedAuthority, ...]] = tuple
    problem: str = ""
    seen_changes: int = -1
    status_at: float = float("-inf")
    synced_at: float = float("-inf")

    def step(self) -> float:
        """Report what is new; return how many seconds to wait for the next time."""
        fresh = self.phones.take_fresh()
        if fresh:
            self.store.keep_phones(fresh)
        try:
            self._report(bool(fresh))
            self.problem = ""
        except SekishoError as error:
            self.problem = str(error)
        return EVERY_SECONDS * 10 if self.problem else EVERY_SECONDS

    def _report(self, fresh: bool) -> None:
        changes = self.keeper.changes
        if self._is_whole_due():
            self._report_everything()
        elif fresh or self.problem or changes != self.seen_changes:
            told = [(one, self._state(one)) for one in self.phones.all()]
            self._tell([(one, state) for one, state in told if one.reported != state], whole=False)
        self.seen_changes = changes
        head, _ = self.store.head()
        if time.monotonic() - self.status_at >= min(head.cycle_seconds, 240):
            self._report_synced()
            self.management.report_status(self._status())
            self.status_at = time.monotonic()

    def _is_whole_due(self) -> bool:
        last = self.store.moment("reported_at")
        return last is None or not timedelta() <= utc_now() - last < WHOLE_REPORT_EVERY

    def _report_everything(self) -> None:
        now = utc_now()
        self.store.forget_phones(self.phones.forget(now - FORGET_AFTER))
        self._tell([(one, self._state(one)) for one in self.phones.all()], whole=True)
        self.store.keep_moment("reported_at", now)

    def _tell(self, told: list[tuple[Phone, str]], whole: bool) -> None:
        if not told and not whole:
            return
        said = [_partnership(one, state) for one, state in told]
        self.management.report_partnerships(said, utc_now(), whole)
        kept = self.phones.note_reported((one.key, state) for one, state in told)
        self.store.keep_phones(kept)

    def _state(self, phone: Phone) -> str:
        """Return what the gate does with this phone, in Exchange's words."""
        found = self.keeper.decided.get(phone.key)
        caller = Caller(phone.key, found.certificate if found else "")
        return "Allowed" if self.keeper.may_pass(caller) else "Blocked"

    def _report_synced(self) -> None:
        """Tell when phones last came, as far as that is new."""
        begun, since = time.monotonic(), self.synced_at
        silent = timedelta(seconds=begun - since) if since > 0 else timedelta(days=365)
        recently = utc_now() - silent - timedelta(minutes=1)
        self.management.report_synced(
            [
                Synced(mailbox=one.user, device_id=one.device_id, last_sync_at=one.last_seen_at)
                for one in self.phones.all()
                if one.last_seen_at >= recently
            ],
            utc_now(),
        )
        self.synced_at = begun

    def _status(self) -> ConnectorStatus:
        head, _ = self.store.head()
        return ConnectorStatus(
            version=version("sekisho"),
            at=utc_now(),
            exchange_reachable=not self.counters.server_problem,
            problem=self.counters.server_problem or self.holds_back(),
            waiting=0,
            full_at=self.store.moment("reported_at"),
            delta_at=utc_now(),
            unreported=self.store.count_untold(),
            calls=self.counters.requests,
            undone=self.store.is_undone() or head.undo,
            open_requests=self.keeper.open_requests,
            refused=self.counters.refused,
            cut=self.keeper.cut,
            authorities=self.authorities(),
        )


def _partnership(phone: Phone, state: str) -> Partnership:
    return Partnership(
        mailbox=phone.user,
        user_address=phone.user if "@" in phone.user else "",
        device_id=phone.device_id,
        device_type=phone.device_type,
        user_agent=phone.user_agent,
        access_state=state,
        access_reason="Gate",
        first_sync_at=phone.first_seen_at,
    )
