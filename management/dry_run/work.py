"""Background work ``dry_run.run``: judges the fleet in chunks, on all cores when it is large."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context
from typing import Any
from uuid import UUID

from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from management import tables
from management.apps.candidates import verdict_changes
from management.context import Context
from management.database import Database
from management.dry_run import service
from management.dry_run.fleet import Chunk, judge_chunk
from management.dry_run.models import DryRun
from management.dry_run.queries import list_abandoned, next_end
from management.dry_run.rules import Candidate, RunState
from management.dry_run.trial import Trial
from management.handlers import Progress
from management.progress import said as _l
from management.updates.queries import patterns_folder
from runtime.clock import utc_now
from runtime.errors import SekishoError
from runtime.process import die_with_parent

CHUNK = 4_000
"""Devices in one piece of work."""
ALONE = 20_000
"""Up to so many devices no further process is worth its start."""
MOST_PROCESSES = 4
_here: dict[str, Database] = {}


def run(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Do the dry run ``run_id``; a repetition goes on behind the last chunk that was kept."""
    run_id = UUID(payload["run_id"])
    _forget_old(context)
    with context.database.transaction("begin dry run") as session:
        found = service.begin(session, run_id, utc_now())
    if found is None:
        return
    try:
        if found.pattern_version and not found.last_id:
            found = _with_verdicts(context, found, progress)
        if found is not None:
            _judge_all(context, found, progress)
    except SekishoError as error:
        with context.database.transaction("end dry run") as session:
            service.end(session, run_id, RunState.FAILED, str(error), utc_now())


def cancelled(session: Session, payload: dict[str, Any], by: str, now: datetime) -> None:
    """End the dry run whose work was cancelled; what it found so far stays."""
    service.cancel(session, UUID(payload["run_id"]), by, now)


def end_abandoned(context: Context) -> None:
    """End the dry runs whose job gave up: an unexpected error, or its process died each time."""
    with context.database.reading() as session:
        broken = list_abandoned(session)
    for run_id, error in broken:
        words = f"It broke, and is not tried again: {error}"
        with context.database.transaction("end dry run") as session:
            service.end(session, run_id, RunState.FAILED, words, utc_now())


def _judge_all(context: Context, found: DryRun, progress: Progress) -> None:
    looked_at = found.looked_at
    for chunk in _chunks(context, found):
        with context.database.transaction("keep dry run") as session:
            if not service.keep(session, found.id, chunk, utc_now()):
                return
        looked_at += chunk.looked_at
        progress(_l("Judged %(done)s of %(total)s devices.", done=looked_at, total=found.total))
    with context.database.transaction("end dry run") as session:
        service.end(session, found.id, RunState.DONE, "", utc_now())


def _chunks(context: Context, found: DryRun) -> Iterator[Chunk]:
    with context.database.reading() as session:
        trial = service.trial_of(session, found)
    processes = min(os.cpu_count() or 1, MOST_PROCESSES)
    if found.total <= ALONE or processes < 2:
        for after, last in _ranges(context.database, found.last_id):
            with context.database.reading() as session:
                yield judge_chunk(session, trial, after, last)
        return
    with _Processes(context.database.engine.url, processes) as pool:
        yield from pool.judge(trial, _ranges(context.database, found.last_id))


def _ranges(database: Database, after: UUID | None) -> Iterator[tuple[UUID | None, UUID]]:
    """Yield the bounds of each chunk; the database's own order of ids decides."""
    while True:
        with database.reading() as session:
            last = next_end(session, after, CHUNK)
        if last is None:
            return
        yield after, last
        after = last


@dataclass(slots=True)
class _Processes:
    """Processes of our own that judge chunks; they die with this one."""

    url: URL
    number: int
    pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "_Processes":
        self.pool = ProcessPoolExecutor(
            self.number,
            mp_context=get_context("spawn"),
            initializer=_start,
            initargs=(self.url.render_as_string(hide_password=False), os.getpid()),
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self.pool is not None
        self.pool.shutdown(wait=True, cancel_futures=True)

    def judge(self, trial: Trial, ranges: Iterator[tuple[UUID | None, UUID]]) -> Iterator[Chunk]:
        """Yield the chunks in their order; few are under way, so memory stays bounded."""
        assert self.pool is not None
        waiting: deque[Future[Chunk]] = deque()
        for after, last in ranges:
            waiting.append(self.pool.submit(_judge, trial, after, last))
            if len(waiting) > 2 * self.number:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _start(url: str, parent: int) -> None:
    die_with_parent(parent)
    tables.load()
    _here["database"] = Database(url)


def _judge(trial: Trial, after: UUID | None, last: UUID) -> Chunk:
    with _here["database"].reading() as session:
        return judge_chunk(session, trial, after, last)


def _with_verdicts(context: Context, found: DryRun, progress: Progress) -> DryRun | None:
    """Judge the known apps with the set on trial; keep what it says otherwise than now.

    What an administrator approved stays out of it, as it does in earnest.
    """
    version = found.pattern_version
    progress(_l("Judging the known apps with pattern set %(version)s.", version=version))
    folder = patterns_folder(context.settings) / found.pattern_version
    with context.database.reading() as session:
        candidates = {
            app.sha256: Candidate(
                app.after.verdict, app.after.rule, app.after.family, app.after.pattern_version
            )
            for app in verdict_changes(session, folder)
            if not app.approved
        }
    with context.database.transaction("keep verdicts on trial") as session:
        return service.keep_verdicts(session, found.id, candidates)


def _forget_old(context: Context) -> None:
    while True:
        with context.database.transaction("forget dry runs") as session:
            if not service.forget_some(session):
                return
