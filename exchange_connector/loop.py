"""The connector's process: pass after pass until it is told to stop."""

import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from threading import Event

from prometheus_client import Counter, Gauge

from contracts import keys as jwk
from contracts.connector import WantedAccess
from exchange_connector import configuration, log_file
from exchange_connector.authority import Authorities, read
from exchange_connector.backends.opening import backend
from exchange_connector.management_client import ManagementClient
from exchange_connector.outcome import Outcome
from exchange_connector.releases import Releases
from exchange_connector.settings import Settings
from exchange_connector.spool import Spool
from exchange_connector.sync import Look, Sync, Ways
from runtime import health
from runtime.clock import utc_now

log = logging.getLogger(__name__)

LONGEST_SILENCE_SECONDS = 240
"""Management calls a connector disturbed after 5 minutes of silence."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0
LONGEST_WAIT = 3600.0
"""Exchange is left alone for no longer, whatever it asks for."""
PAUSE_WHEN_REFUSED = 300.0
STUCK_AFTER_SECONDS = 900.0

CHANGES = Counter("sekisho_connector_changes", "Calls that changed something at Exchange.")
PASSES = Counter("sekisho_connector_passes", "Passes run.")
PASS_SECONDS = Gauge("sekisho_connector_pass_seconds", "How long the last pass took.")
WAITING = Gauge("sekisho_connector_waiting", "Changes not made yet.")
PARTNERSHIPS = Gauge("sekisho_connector_partnerships", "Partnerships found at Exchange.")
EXCHANGE_UP = Gauge("sekisho_connector_exchange_up", "Whether Exchange answered last.")
MANAGEMENT_UP = Gauge("sekisho_connector_management_up", "Whether management answered last.")


@dataclass(slots=True)
class Said:
    """What was logged last, so that each change is logged once."""

    exchange: str = ""
    management: str = ""
    paused: str = ""

    def tell(self, outcome: Outcome) -> None:
        """Log what differs from the last pass."""
        if outcome.acted or outcome.exchange_problem:
            self.exchange = _tell(self.exchange, outcome.exchange_problem, "Exchange answers.")
        self.management = _tell(
            self.management, outcome.management_problem, "Management answers again."
        )
        self.paused = _tell(self.paused, outcome.paused_because, "Enforcement acts again.")
        if outcome.discovered is not None:
            log.info("Reported %s partnerships.", outcome.discovered)


def _tell(before: str, now: str, well: str) -> str:
    if now and now != before:
        log.warning(now)
    elif before and not now:
        log.info(well)
    return now


@dataclass(slots=True)
class Loop:
    """Decides when the next pass runs and what it does."""

    sync: Sync
    spool: Spool
    settings: Settings
    stopping: Event
    releases: Releases | None = None
    said: Said = field(default_factory=Said)
    pause: float = 0.0
    """How long Exchange is left alone after it did not answer."""
    act_at: float = 0.0
    hears: bool = True
    """Whether management answered last."""
    passed_at: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Run until *stopping* is set."""
        while not self.stopping.is_set():
            self.stopping.wait(self.step())

    def step(self) -> float:
        """Run one pass; return how many seconds to wait for the next."""
        begun = time.monotonic()
        outcome = self._pass(begun >= self.act_at)
        self.passed_at = time.monotonic()
        self.said.tell(outcome)
        _measure(outcome, self.passed_at - begun)
        self._back_off(outcome)
        wanted = self.spool.wanted()[0]
        log_as_told(wanted, self.settings.log_level, utc_now())
        self._update(outcome, wanted)
        self.hears = not outcome.management_problem
        if outcome.unfinished and not outcome.exchange_problem:
            return 0.0
        return float(min(outcome.cycle_seconds, LONGEST_SILENCE_SECONDS))

    def _pass(self, act: bool) -> Outcome:
        """Run a pass; whatever nobody thought of ends that pass, and not this process."""
        try:
            return self.sync.run_pass(self._look(), act)
        except Exception as error:
            log.exception("A pass failed")
            words = f"A pass failed: {type(error).__name__}: {error}"
            return Outcome(exchange_problem=words, acted=True, crashed=True)

    def _update(self, outcome: Outcome, wanted: WantedAccess) -> None:
        """See to newer releases; whatever goes wrong there, mail is looked after."""
        try:
            if self.releases is not None:
                self.releases.after_pass(outcome, wanted.release, self.pause == 0)
        except Exception as error:
            log.exception("Looking for a newer release failed")
            if self.releases is not None:
                self.releases.crashed(error, wanted.release)

    def problem(self) -> str | None:
        """Say that the loop hangs, or None."""
        silent = time.monotonic() - self.passed_at
        return f"No pass ended for {silent:.0f} s." if silent > STUCK_AFTER_SECONDS else None

    def _look(self) -> Look:
        """Return how closely the next pass looks.

        While management does not answer nobody can be told what is found, but lists are compared.
        """
        settings = self.settings
        since = "discovered_at" if self.hears else "compared_at"
        if self._is_due(self.spool.moment(since), settings.discovery_seconds):  # type: ignore[arg-type]
            return Look.ALL
        on_trial = self.releases is not None and self.releases.on_trial
        due = on_trial or self._is_due(self.spool.moment("delta_at"), settings.delta_seconds)
        return Look.NEW if due and self.hears else Look.NOT

    @staticmethod
    def _is_due(last: datetime | None, every: float) -> bool:
        return last is None or not timedelta() <= utc_now() - last < timedelta(seconds=every)

    def _back_off(self, outcome: Outcome) -> None:
        if outcome.exchange_problem:
            first = PAUSE_WHEN_REFUSED if outcome.exchange_refuses_us else FIRST_PAUSE
            self.pause = min(max(self.pause * 2, first), LONGEST_PAUSE)
            wait = max(self.pause, min(outcome.wait_seconds, LONGEST_WAIT))
            self.act_at = time.monotonic() + wait
            if outcome.throttled:
                self.sync.throttled_seconds += wait
        elif outcome.acted:
            self.pause = self.act_at = 0.0


def _measure(outcome: Outcome, seconds: float) -> None:
    PASSES.inc()
    PASS_SECONDS.set(seconds)
    CHANGES.inc(outcome.changed)
    WAITING.set(outcome.waiting)
    MANAGEMENT_UP.set(not outcome.management_problem)
    if outcome.acted:
        EXCHANGE_UP.set(not outcome.exchange_problem)
    if outcome.discovered is not None:
        PARTNERSHIPS.set(outcome.discovered)


def log_as_told(wanted: WantedAccess, usual: str, now: datetime) -> None:
    """Log as management asked, while its hour lasts; else as the settings say."""
    until = wanted.log_level_until
    told = wanted.log_level if until is not None and now < until else ""
    logging.getLogger().setLevel({"trace": "DEBUG", "": usual.upper()}.get(told, told.upper()))
    for library in ("pypsrp", "httpx", "httpcore", "urllib3"):
        level = logging.DEBUG if told == "trace" else logging.WARNING
        logging.getLogger(library).setLevel(level)


def open_sync(
    settings: Settings,
    management: ManagementClient,
    spool: Spool,
    stopping: Callable[[], bool] = lambda: False,
    releases: Releases | None = None,
) -> Sync:
    """Return what runs passes, as *settings* and the pairing say."""
    paired, credentials = configuration.load(settings.folder)
    ways = Ways(
        settling=timedelta(seconds=settings.settling_seconds),
        statistics_per_pass=settings.statistics_per_pass,
        connector_id=paired.connector_id,
        order_key=jwk.read_public(paired.order_key) if paired.order_key else None,
        stopping=stopping,
        pack_log=partial(log_file.pack, settings.folder, configuration.secrets(credentials)),
        release_report=releases.report if releases else lambda: None,
        authorities=Authorities(settings.folder, (management.trust,), read(settings.folder)),
    )
    server = configuration.exchange_server(paired, credentials)
    return Sync(backend(server, settings.exchange_timeout_seconds), management, spool, ways)


def open_management(settings: Settings) -> ManagementClient:
    """Return the signed connection to the management server that we are paired with."""
    paired, credentials = configuration.load(settings.folder)
    key_id = str(paired.connector_id)
    return ManagementClient(paired.management, read(settings.folder), credentials.key, key_id)


def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; a pass under way ends after its present mailbox."""
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    configuration.load(settings.folder)  # says that it is not paired before anything is made
    spool = Spool(settings.folder / "spool.db")
    with open_management(settings) as management:
        releases = Releases(settings.folder, management, stopping.set)
        sync = open_sync(settings, management, spool, stopping.is_set, releases)
        loop = Loop(sync, spool, settings, stopping, releases)
        checks: dict[str, Callable[[], str | None]] = {"loop": loop.problem}
        health.serve(settings.health_port, checks)
        log.info("The connector works.")
        loop.run()
    spool.close()
    log.info("The connector stopped.")
