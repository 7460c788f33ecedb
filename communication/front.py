"""What stands before the web framework on each port: limits, the poll, and waiting without threads.

granian hands each request to `Front.serve` in one event loop. A body is read here, with a size and
a time limit, so a slow sender holds a socket and never a thread; then Flask runs in a small pool.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from typing import Any, Protocol

from communication import wsgi
from communication.answer import Answer, problem
from communication.limits import neighbourhood

log = logging.getLogger(__name__)
MOST_WORKING = 64
"""Requests that wait for or run in the pool; above it the answer is "later"."""
BODIES_BYTES = 64 * 1024 * 1024
"""Memory for bodies that are being read or worked on, in all."""
NEIGHBOUR_BYTES = 16 * 1024 * 1024
"""The same for one address."""

FastAnswer = Callable[[str | None, str], Awaitable[Answer]]


class Scope(Protocol):
    """A request as granian's RSGI gives it."""

    method: str
    path: str
    query_string: str
    headers: Any
    client: str
    scheme: str


class _Refused(Exception):  # noqa: N818  (carries an answer)
    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


class Front:
    """One for each port."""

    def __init__(
        self,
        app: wsgi.App,
        pool: Executor,
        body_limits: Mapping[str, int],
        body_seconds: int,
        fast: Mapping[str, FastAnswer] | None = None,
    ) -> None:
        self._app, self._pool, self._limits, self._fast = app, pool, body_limits, fast or {}
        self._seconds = body_seconds
        self.answered: Counter[int] = Counter()
        """How many answers of each status."""
        self._working = 0
        self._bodies: dict[str, int] = {}
        self._bytes = 0

    async def serve(self, scope: Scope, protocol: Any) -> None:
        """Answer one request."""
        try:
            answer = await self._answer(scope, protocol)
        except Exception:  # the edge: log and go on
            log.exception("A request to %s failed.", scope.path[:100])
            answer = problem(500, "This server failed; its log says why. Try again later.")
        self.answered[answer.status] += 1
        if answer.body and scope.method != "HEAD":
            protocol.response_bytes(answer.status, answer.headers, answer.body)
        else:
            protocol.response_empty(answer.status, answer.headers)

    async def _answer(self, scope: Scope, protocol: Any) -> Answer:
        fast = self._fast.get(scope.path)
        if fast is not None and scope.method == "GET":
            return await fast(scope.headers.get("authorization"), scope.query_string)
        return await self._serve_slowly(scope, protocol)

    async def _serve_slowly(self, scope: Scope, protocol: Any) -> Answer:
        who = neighbourhood(scope.client.rpartition(":")[0].strip("[]"))
        held = [0]
        try:
            body = await self._read_body(scope, protocol, who, held)
            return await self._run(wsgi.environ(scope, body))
        except _Refused as refused:
            return refused.answer
        finally:
            self._let_go(who, held[0])

    async def _read_body(self, scope: Scope, protocol: Any, who: str, held: list[int]) -> bytes:
        limit = self._limits.get(scope.path, self._limits["*"])
        _check_length(scope.headers.get("content-length"), limit)
        chunks = []
        try:
            async with asyncio.timeout(self._seconds):
                async for chunk in protocol:
                    self._hold(who, len(chunk), held)
                    if held[0] > limit:
                        raise _too_large(limit)
                    chunks.append(chunk)
        except TimeoutError:
            sentence = f"The body did not arrive within {self._seconds} seconds."
            raise _Refused(problem(408, sentence, ("Connection", "close"))) from None
        return b"".join(chunks)

    def _hold(self, who: str, size: int, held: list[int]) -> None:
        mine = self._bodies[who] = self._bodies.get(who, 0) + size
        held[0] += size
        self._bytes += size
        if mine > NEIGHBOUR_BYTES or self._bytes > BODIES_BYTES:
            raise _Refused(_later("Too much is being sent to this server at once."))

    def _let_go(self, who: str, size: int) -> None:
        if size:
            self._bytes -= size
            left = self._bodies[who] = self._bodies[who] - size
            if not left:
                del self._bodies[who]

    async def _run(self, environ: wsgi.Environ) -> Answer:
        if self._working >= MOST_WORKING:
            return _later("This server has too much to do at the moment.")
        self._working += 1
        loop = asyncio.get_running_loop()
        try:
            answer = await loop.run_in_executor(self._pool, wsgi.call, self._app, environ)
        finally:
            self._working -= 1
        again: wsgi.LookAgain | None = environ.get(wsgi.LOOK_AGAIN)
        if again is None:
            return answer
        await again.wait()
        return await loop.run_in_executor(self._pool, again.look)


def _check_length(given: str | None, limit: int) -> None:
    if given is not None and given.isdecimal() and int(given[:20]) > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> _Refused:
    sentence = f"The body is larger than the {limit} bytes allowed here."
    return _Refused(problem(413, sentence, ("Connection", "close")))


def _later(sentence: str) -> Answer:
    seconds = str(random.randint(10, 120))  # noqa: S311  (spreads a crowd; not a secret)
    return problem(503, f"{sentence} Try again in {seconds} s.", ("Retry-After", seconds))
