"""The jobs process: schedules, loops that visit and judge, workers, and the clock watch."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any

from apscheduler.schedulers.background import BackgroundScheduler
from prometheus_client import Counter, Gauge
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from management import handlers
from management.clock_watch import ClockWatch
from management.context import Context, open_context
from management.handlers import HANDLERS, SCHEDULE, Scheduled, Visit
from management.migrations.release import require_current
from management.settings import Settings
from management.work import queries, service
from management.worker import Worker, is_dead
from runtime import health
from runtime.clock import utc_now
from runtime.errors import ConfigurationError, SekishoError, UnavailableError

__all__ = ["HANDLERS", "run", "slot_key"]

LATE_SECONDS = 120.0
JUDGE_SECONDS = 10.0
LOOK_AGAIN_SECONDS = 15.0
CLOCK_SECONDS = 10.0
HOUSEKEEPING_SECONDS = 5.0
ROUNDS = Counter("sekisho_loop_rounds", "Rounds of the loops of the jobs process.", ["loop", "end"])
WAITING = Gauge("sekisho_jobs", "Jobs in the table.", ["state"])
log = logging.getLogger(__name__)


def run(settings: Settings, stopping: Event) -> None:
    """Work until *stopping*; ConfigurationError when the database is not of this release."""
    context = open_context(settings)
    require_current(context.database)
    _free_jobs_of_the_dead(context)
    loops = _loops(context, stopping)
    workers = [Worker(context, str(number), stopping) for number in range(settings.workers)]
    scheduler = _scheduler(context)
    _serve_health(context, loops, scheduler)
    for thread in (*loops, *workers):
        thread.start()
    scheduler.start()
    stopping.wait()
    scheduler.shutdown(wait=False)
    for thread in (*loops, *workers):
        thread.join(timeout=12)
    context.database.close()


def _free_jobs_of_the_dead(context: Context) -> None:
    """Take up at once what an earlier process on this machine died over."""
    with context.database.transaction("free jobs of the dead") as session:
        service.return_held_by_dead(session, is_dead)


def slot_key(scheduled: Scheduled, now: datetime) -> str:
    """Return the key of the slot that *now* falls in: two schedulers name it alike."""
    length = int(scheduled.every.total_seconds())
    start = datetime.fromtimestamp(int(now.timestamp()) // length * length, UTC)
    return f"{scheduled.kind}:{start:%Y-%m-%dT%H:%M:%SZ}"


def enqueue_slot(context: Context, scheduled: Scheduled, now: datetime | None = None) -> bool:
    """Queue the slot's work; False when another scheduler did."""
    now = now or utc_now()
    key = slot_key(scheduled, now)
    with context.database.transaction("queue scheduled work") as session:
        return service.enqueue(session, scheduled.kind, key, now=now) is not None


class Loop(Thread):
    """Calls *visit* again and again with a pause; an error is logged and the loop goes on."""

    def __init__(
        self, name: str, visit: Callable[[], None], pause_seconds: float, stopping: Event
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.visit, self.pause_seconds, self.stopping = visit, pause_seconds, stopping
        self.ended_at = time.monotonic()

    def run(self) -> None:
        """Go round until told to stop."""
        while not self.stopping.is_set():
            try:
                self.visit()
                ROUNDS.labels(self.name, "well").inc()
            except SekishoError as error:
                ROUNDS.labels(self.name, "error").inc()
                log.warning("A loop goes on: %s", error, extra={"loop": self.name})
            except Exception:
                ROUNDS.labels(self.name, "error").inc()
                log.exception("A loop stumbled; it goes on.", extra={"loop": self.name})
            self.ended_at = time.monotonic()
            self.stopping.wait(self.pause_seconds)

    def problem(self) -> str | None:
        """Say in a sentence when the loop hangs."""
        silent = time.monotonic() - self.ended_at - self.pause_seconds
        return f"No round ended for {silent:.0f} s." if silent > LATE_SECONDS else None


@dataclass(slots=True)
class Housekeeping:
    """Frees the jobs of dead workers; now and then forgets old ones."""

    context: Context
    forgot_at: float = field(default=0.0)

    def __call__(self) -> None:
        """Do one round."""
        with self.context.database.reading() as session:
            expired = queries.has_expired(session, utc_now())
            for state, number in queries.count_states(session).items():
                WAITING.labels(state).set(number)
        if expired:
            with self.context.database.transaction("free jobs") as session:
                service.return_expired(session)
        if time.monotonic() - self.forgot_at > timedelta(hours=1).total_seconds():
            self.forgot_at = time.monotonic()
            with self.context.database.transaction("forget old jobs") as session:
                service.forget_old(session)


def _loops(context: Context, stopping: Event) -> list[Loop]:
    def named(name: str) -> Callable[[], None]:
        visit: Visit = handlers.resolve(handlers.LOOPS[name])
        return lambda: visit(context)

    pause = {
        "visit relays": context.settings.relay_seconds,
        "judge devices": JUDGE_SECONDS,
        "look again": LOOK_AGAIN_SECONDS,
        "watch trials": LOOK_AGAIN_SECONDS,
        "end dry runs": LOOK_AGAIN_SECONDS,
        "take looks over": LOOK_AGAIN_SECONDS,
        "take notes over": LOOK_AGAIN_SECONDS,
    }
    return [
        *(Loop(name, named(name), pause[name], stopping) for name in handlers.LOOPS),
        Loop("watch clock", ClockWatch(context), CLOCK_SECONDS, stopping),
        Loop("housekeeping", Housekeeping(context), HOUSEKEEPING_SECONDS, stopping),
    ]


def _scheduler(context: Context) -> Any:
    """Return the scheduler in memory: the slot keys in the table make it safe to have two."""
    scheduler: Any = BackgroundScheduler(  # type: ignore[no-untyped-call]
        timezone=UTC,
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    for scheduled in SCHEDULE:
        scheduler.add_job(
            enqueue_slot,
            "interval",
            args=(context, scheduled),
            seconds=scheduled.every.total_seconds(),
            next_run_time=utc_now(),
            id=scheduled.kind,
        )
    return scheduler


def _serve_health(context: Context, loops: list[Loop], scheduler: Any) -> None:
    def database() -> str | None:
        try:
            with context.database.reading() as session:
                session.execute(text("SELECT 1"))
        except (SQLAlchemyError, UnavailableError) as error:
            return f"The database does not answer ({type(error).__name__})."
        return None

    checks: dict[str, health.Check] = {
        "database": database,
        "scheduler": lambda: None if scheduler.running else "The scheduler does not run.",
        **{loop.name: loop.problem for loop in loops},
    }
    try:
        health.serve(context.settings.jobs_health_port, checks)
    except OSError as error:
        port = context.settings.jobs_health_port
        raise ConfigurationError(
            f"/healthz cannot listen on port {port} ({error.strerror}); "
            "choose another with SEKISHO_JOBS_HEALTH_PORT."
        ) from None
