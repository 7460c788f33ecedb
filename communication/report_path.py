"""Reports: `POST /agent/v1/reports`, checked in the event loop and stored many to a commit.

The 202 is sent once the report is on disk. What waits while the disk works goes into the next
commit together, so the cost of reaching the disk is shared by all who wait. A request that is sent
once more after a restart of this server is taken for a new one, which does no harm: the report is
here already, or management holds it and says so again.
"""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from communication import answer, report_batch
from communication.answer import Answer
from communication.device_identity import Asked, Identity
from communication.mailbox import Mailbox
from communication.report_batch import Report
from contracts import codec
from contracts.agent import ReportPost
from runtime.clock import utc_now
from runtime.errors import SekishoError

log = logging.getLogger(__name__)
PATH = "/agent/v1/reports"
REPORT_BYTES = 3 * 1024 * 1024
MOST_WAITING = 64
"""Reports that wait for the disk; above it the answer is "later"."""
GATHER_SECONDS = 0.005
"""How long the first report of a commit waits for others."""
ENOUGH = MOST_WAITING // 2
"""For so many in a commit nobody waits longer: as many are checked while these are written."""
STORED = Answer(202, [("Cache-Control", "no-store")], b"")


class _Posted(NamedTuple):
    report: Report
    done: "asyncio.Future[Answer]"


class Reports:
    """Takes reports; all calls of `take` come from the one thread that serves the devices port."""

    def __init__(self, identity: Identity, mailbox: Mailbox, came: Callable[[], None]) -> None:
        self._identity, self._mailbox, self._came = identity, mailbox, came
        self._waiting: list[_Posted] = []
        self._unanswered = 0
        self._some = threading.Condition()
        self._ended = False
        self._writer = threading.Thread(target=self._write, name="reports", daemon=True)
        self._writer.start()

    async def take(self, asked: Asked) -> Answer:
        """Keep a `ReportPost` (at most 3 MiB) for management; 202 once it is on disk.

        Exactly the same report again is stored once and answered 202 too. 429 when too many
        reports of this device wait, 507 when there is no room at all, 503 when too many are being
        written: keep the report and try again later.
        """
        if self._unanswered >= MOST_WAITING:
            return answer.later("This server has too much to do at the moment.")
        self._unanswered += 1
        try:
            return await self._stored(asked)
        except SekishoError as error:
            return answer.from_error(error)
        finally:
            self._unanswered -= 1

    async def _stored(self, asked: Asked) -> Answer:
        device, _, _ = self._identity.device(asked)
        post = codec.read(ReportPost, asked.body, REPORT_BYTES)
        kept = report_batch.report(device, post.epoch, post.seq, post.sealed)
        done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        with self._some:
            self._waiting.append(_Posted(kept, done))
            if len(self._waiting) in (1, ENOUGH):
                self._some.notify()
        return await done

    def end(self) -> None:
        """Write what waits and end."""
        with self._some:
            self._ended = True
            self._some.notify()
        self._writer.join()

    def _write(self) -> None:
        while batch := self._next():
            answers = self._commit(batch)
            loop = batch[0].done.get_loop()
            loop.call_soon_threadsafe(_tell, batch, answers)

    def _next(self) -> list[_Posted]:
        """Return what waits, at least one; nothing at the end."""
        with self._some:
            self._some.wait_for(lambda: self._waiting or self._ended)
            self._some.wait_for(self._is_enough, GATHER_SECONDS)
            batch, self._waiting = self._waiting, []
        return batch

    def _is_enough(self) -> bool:
        return len(self._waiting) >= ENOUGH or self._ended

    def _commit(self, batch: Sequence[_Posted]) -> list[Answer]:
        try:
            with self._mailbox.writing("report") as mailbox:
                kept = mailbox.put_reports([one.report for one in batch], utc_now())
        except sqlite3.Error as error:
            log.warning("Reports cannot be written: %s", error)
            return [answer.from_disk(error)] * len(batch)
        except Exception:  # the edge: those who wait must hear something, and others come
            log.exception("Reports could not be kept.")
            return [answer.failed()] * len(batch)
        self._came()
        return [STORED if isinstance(one, bool) else answer.from_error(one) for one in kept]


def _tell(batch: Sequence[_Posted], answers: Sequence[Answer]) -> None:
    for report, said in zip(batch, answers, strict=True):
        if not report.done.done():  # whoever sent it may have hung up
            report.done.set_result(said)
