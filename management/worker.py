"""One place for background work: takes a job, has a child process do it, writes what became of it.

Each place has a process pool of one, so that a child that is killed or runs away harms no other
job. The child is started when there is work and let go when there was none for a minute.
"""

import logging
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import UUID

from prometheus_client import Counter, Histogram

from management import worker_child
from management.context import Context
from management.progress import Said
from management.work import queries, service
from management.work.models import Job
from runtime.clock import utc_now
from runtime.errors import SekishoError

LOOK_SECONDS = 0.5
BEAT_SECONDS = 15.0
MOST_UNREAD = 200
"""Lines of a job that are kept between two looks."""
IDLE_SECONDS = 60.0
LONGEST_SECONDS = 3600.0
STOP_SECONDS = 8.0
FINISHED = Counter("sekisho_jobs_finished", "Jobs that ended.", ["kind", "result"])
DURATION = Histogram("sekisho_job_seconds", "How long jobs ran.", ["kind"])
log = logging.getLogger(__name__)

RunJob = Callable[[str, dict[str, Any], str], str]


def is_dead(owner: str) -> bool:
    """Tell whether *owner* was a worker on this machine whose process is surely gone.

    One that bears our own process id is a predecessor's: ask before starting workers.
    """
    host, _, rest = owner.partition(":")
    pid = rest.partition(":")[0]
    if host != os.uname().nodename[:60] or not pid.isdecimal():
        return False
    return int(pid) == os.getpid() or not Path(f"/proc/{pid}").exists()


class Worker(Thread):
    """Takes jobs until *stopping*; start several for several at once."""

    def __init__(
        self, context: Context, name: str, stopping: Event, run_job: RunJob = worker_child.run
    ) -> None:
        super().__init__(name=f"worker {name}")
        self.context = context
        self.owner = f"{os.uname().nodename[:60]}:{os.getpid()}:{name}"
        self.stopping = stopping
        self.child = Child(context, run_job)

    def run(self) -> None:
        """Look for work, do it, look again."""
        while not self.stopping.is_set():
            try:
                job = self._claim()
                if job is not None:
                    self._do(job)
                    continue
            except SekishoError as error:
                log.warning("A worker goes on: %s", error)
            except Exception:
                log.exception("A worker stumbled; it goes on.")
            self.child.rest()
            self.stopping.wait(LOOK_SECONDS)
        self.child.end()

    def _claim(self) -> Job | None:
        with self.context.database.reading() as session:
            if not queries.is_due(session, utc_now()):
                return None
        with self.context.database.transaction("claim job") as session:
            return service.claim(session, self.owner)

    def _do(self, job: Job) -> None:
        began = time.monotonic()
        died = False
        try:
            error = self._watch(job, self.child.submit(job), began)
        except BrokenProcessPool:
            self.child.end()
            error, died = "The process that did it died.", True
        if error is None:
            return
        self._write_down(job.id, error, died)
        FINISHED.labels(job.kind, "failed" if error else "done").inc()
        DURATION.labels(job.kind).observe(time.monotonic() - began)

    def _watch(self, job: Job, future: "Future[str]", began: float) -> str | None:
        """Wait for the child, keeping the lease; None when nothing is to be written down."""
        beaten, stop_at = time.monotonic(), float("inf")
        while True:
            with suppress(StillRunning):
                return future.result(timeout=0.5)
            now, said = time.monotonic(), self.child.said()
            if self.stopping.is_set() and stop_at == float("inf"):
                stop_at = now + STOP_SECONDS
            if now > stop_at:
                self.child.end()
                self._give_back(job)
                return None
            if now - began > LONGEST_SECONDS:
                self.child.end()
                return f"It ran longer than {LONGEST_SECONDS / 60:.0f} minutes and was stopped."
            is_time = bool(said) or now - beaten > BEAT_SECONDS
            if not (self._beat(job, said) if is_time else self._is_held(job)):
                self.child.end()  # cancelled, or another worker's by now
                return None
            beaten = now if is_time else beaten

    def _is_held(self, job: Job) -> bool:
        with self.context.database.reading() as session:
            return queries.is_held(session, job.id, self.owner)

    def _beat(self, job: Job, said: Sequence[str]) -> bool:
        with self.context.database.transaction("job heartbeat") as session:
            return service.heartbeat(session, job.id, self.owner, said=said)

    def _give_back(self, job: Job) -> None:
        with self.context.database.transaction("give job back") as session:
            service.give_back(session, job.id, self.owner)

    def _write_down(self, job_id: UUID, error: str, died: bool) -> None:
        said = self.child.said()
        with self.context.database.transaction("finish job") as session:
            service.heartbeat(session, job_id, self.owner, said=said)
            if error:
                final = isinstance(error, worker_child.Final)
                service.fail(session, job_id, self.owner, error, died=died, final=final)
            else:
                service.finish(session, job_id, self.owner)


class Child:
    """The process that a worker has for its jobs, if it has one now."""

    def __init__(self, context: Context, run_job: RunJob) -> None:
        self.context, self.run_job = context, run_job
        self.pool: ProcessPoolExecutor | None = None
        self.reports: Connection | None = None
        self.pid: int | None = None
        self.used_at = 0.0

    def submit(self, job: Job) -> "Future[str]":
        """Give *job* to the process, starting one if there is none."""
        self.used_at = time.monotonic()
        if self.pool is not None:
            try:
                return self.pool.submit(self.run_job, job.kind, job.payload, job.asked_by)
            except BrokenProcessPool:  # it died while it had nothing to do: not this job's fault
                self.end()
        self.reports, theirs = multiprocessing.get_context("spawn").Pipe(duplex=False)
        self.pool = ProcessPoolExecutor(
            1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=worker_child.start,
            initargs=(self.context.settings, os.getpid(), theirs),
        )
        try:
            return self.pool.submit(self.run_job, job.kind, job.payload, job.asked_by)
        finally:
            theirs.close()  # the child has its own; so its death ends the pipe

    def said(self) -> list[Said]:
        """Return the newest lines of the process since the last call."""
        lines: deque[Said] = deque(maxlen=MOST_UNREAD)
        with suppress(EOFError, OSError):
            while self.reports is not None and self.reports.poll():
                word = self.reports.recv_bytes().decode("utf-8", "replace")
                if self.pid is None:
                    self.pid = int(word)
                else:
                    lines.append(Said.from_json(word))
        return list(lines)

    def rest(self) -> None:
        """Let the process go when there was no work for a while."""
        if self.pool is not None and time.monotonic() - self.used_at > IDLE_SECONDS:
            self.end()

    def end(self) -> None:
        """End the process now, whatever it does."""
        if self.pool is None:
            return
        self.said()
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.pool.shutdown(wait=self.pid is not None, cancel_futures=True)
        if self.reports is not None:
            self.reports.close()
        self.pool = self.reports = self.pid = None
