"""Streams that stay open: they live in the event loop and hold no thread.

One look a second at the table of jobs serves all of them, however many are open. A stream ends
after a minute and the browser asks again, so that an ended session or a lost permission counts.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from uuid import UUID

from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]

from management.work.following import Followed, event
from management.work.rules import Seen
from runtime.wsgi import Answer

log = logging.getLogger(__name__)
LOOK_SECONDS = 1.0
STREAM_SECONDS = 60.0
QUIET_SECONDS = 15.0
"""After so long without news a stream says that it lives: who went away is noticed."""
SEND_SECONDS = 10.0
"""A reader who takes longer than this for a line is gone."""
MOST = 500
MOST_EACH = 4
"""Of one administrator: a browser opens six connections to a server, and pages need some."""

Look = Callable[[Collection[UUID]], list[Seen]]


class Streams:
    """The open streams of one server."""

    def __init__(self, look: Look) -> None:
        self._look = look
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="streams")
        self._open: set[_Stream] = set()
        self._ticking: asyncio.Task[None] | None = None

    def has_room(self, followed: Followed) -> bool:
        """Tell whether one more may stay open; without room a browser asks again instead."""
        mine = sum(one.followed.who == followed.who for one in self._open)
        return bool(followed.jobs) and mine < MOST_EACH and len(self._open) < MOST

    async def keep(self, protocol: Any, answer: Answer, followed: Followed) -> None:
        """Send *answer* and go on telling what becomes of the jobs."""
        stream = _Stream(followed)
        self._open.add(stream)
        if self._ticking is None or self._ticking.done():
            self._ticking = asyncio.create_task(self._tick())
        gone = asyncio.ensure_future(protocol.client_disconnect())
        try:
            headers = [one for one in answer.headers if one[0].lower() != "content-length"]
            transport = protocol.response_stream(answer.status, headers)
            await _send(transport, answer.body.decode())
            await stream.tell(transport, gone)
        except (ProtocolClosed, TimeoutError):
            pass
        finally:
            self._open.discard(stream)
            gone.cancel()

    async def _tick(self) -> None:
        """Look at all jobs that somebody follows, once a second while anybody does."""
        loop = asyncio.get_running_loop()
        while self._open:
            await asyncio.sleep(LOOK_SECONDS)
            jobs = frozenset[UUID]().union(*(one.followed.jobs for one in self._open))
            try:
                seen = await loop.run_in_executor(self._pool, self._look, jobs)
            except Exception:  # the loop's edge: the database may be back at the next look
                log.exception("The jobs could not be looked at; the streams go on.")
                continue
            for stream in self._open:
                stream.see(seen)


class _Stream:
    """One open stream and what it has told."""

    def __init__(self, followed: Followed) -> None:
        self.followed = followed
        self._told: dict[UUID, Seen] = {}
        self._news: dict[UUID, Seen] = {}
        self._has_news = asyncio.Event()

    def see(self, seen: list[Seen]) -> None:
        """Note what changed since it was told."""
        for one in seen:
            if one.job_id in self.followed.jobs and self._told.get(one.job_id) != one:
                self._told[one.job_id] = self._news[one.job_id] = one
                self._has_news.set()

    async def tell(self, transport: Any, gone: "asyncio.Future[None]") -> None:
        """Send news until the time is over or the reader went away."""
        loop = asyncio.get_running_loop()
        end = loop.time() + STREAM_SECONDS
        while not gone.done() and (left := end - loop.time()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._has_news.wait(), min(left, QUIET_SECONDS))
            self._has_news.clear()
            news, self._news = self._news, {}
            await _send(transport, "".join(map(event, news.values())) or ": quiet\n\n")


async def _send(transport: Any, text: str) -> None:
    async with asyncio.timeout(SEND_SECONDS):
        await transport.send_str(text)
