"""What stands before the web framework on each port: limits, the poll, and waiting without threads.

granian hands each request to `Front.serve` in one event loop. A body is read here, with a size and
a time limit, so a slow sender holds a socket and never a thread; then Flask runs in a small pool.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from typing import Any

from communication import wsgi
from communication.answer import Answer, failed, later, problem
from communication.device_identity import Asked, asked_directly
from runtime.bodies import Bodies, BodyError
from runtime.wsgi import App, Environ, Scope, call, environ

log = logging.getLogger(__name__)
MOST_WORKING = 64
"""Requests that wait for or run in the pool; above it the answer is "later"."""

FastAnswer = Callable[[Scope], Awaitable[Answer]]
Post = Callable[[Asked], Awaitable[Answer]]
Stream = Callable[[Scope, Any], Awaitable[int]]
"""Answers by itself, piece by piece, and returns the status."""


class Front:
    """One for each port."""

    def __init__(
        self,
        app: App,
        pool: Executor,
        body_limits: Mapping[str, int],
        body_seconds: int,
        fast: Mapping[str, FastAnswer] | None = None,
        posts: Mapping[str, Post] | None = None,
        gate: Callable[[Scope], Answer | None] = lambda scope: None,
        streams: Mapping[str, Stream] | None = None,
    ) -> None:
        """Serve *app* with the threads of *pool*, and *fast* and *posts* without.

        What *gate* has an answer for goes no further, and its body is not read.
        """
        self._app, self._pool, self._limits = app, pool, body_limits
        self._fast, self._posts, self._gate = fast or {}, posts or {}, gate
        self._streams = streams or {}
        self._bodies = Bodies(body_seconds)
        self.answered: Counter[int] = Counter()
        """How many answers of each status."""
        self._working = 0

    async def serve(self, scope: Scope, protocol: Any) -> None:
        """Answer one request."""
        method, path = scope.method, scope.path
        stream = self._streams.get(path)
        if stream is not None and method in ("GET", "HEAD"):
            self.answered[await stream(scope, protocol)] += 1
            return
        fast = self._fast.get(path) if method == "GET" else None
        try:
            answer = await (fast(scope) if fast else self._serve_slowly(scope, protocol))
        except Exception:  # the edge: log and go on
            log.exception("A request to %s failed.", path[:100])
            answer = failed()
        self.answered[answer.status] += 1
        if answer.body and method != "HEAD":
            protocol.response_bytes(answer.status, answer.headers, answer.body)
        else:
            protocol.response_empty(answer.status, answer.headers)

    async def _serve_slowly(self, scope: Scope, protocol: Any) -> Answer:
        if closed := self._gate(scope):
            return closed
        limit = self._limits.get(scope.path, self._limits["*"])
        post = self._posts.get(scope.path) if scope.method == "POST" else None
        try:
            async with self._bodies.reading(scope, protocol, limit) as body:
                if post is not None:
                    return await post(asked_directly(scope, body))
                return await self._run(environ(scope, body))
        except BodyError as refused:
            return _refusal(refused)

    async def _run(self, environ: Environ) -> Answer:
        if self._working >= MOST_WORKING:
            return later("This server has too much to do at the moment.")
        self._working += 1
        loop = asyncio.get_running_loop()
        try:
            answer = await loop.run_in_executor(self._pool, call, self._app, environ)
        finally:
            self._working -= 1
        again: wsgi.LookAgain | None = environ.get(wsgi.LOOK_AGAIN)
        if again is None:
            return answer
        await again.wait()
        return await loop.run_in_executor(self._pool, again.look)


def _refusal(why: BodyError) -> Answer:
    if why.status == 503:
        return later(str(why))
    return problem(why.status, str(why), ("Connection", "close"))
