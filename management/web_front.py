"""What stands before Flask: bodies are whole before a thread is taken.

granian hands each request to `WebFront` in one event loop; a slow sender holds a socket and never
a thread. An app's upload goes to a file, and only from somebody who may upload.
"""

import asyncio
import json
import logging
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from contracts.codec import MAXIMUM_BYTES
from management.access import ASKED_BY
from management.app import LARGEST_BODY_BYTES
from management.apps.rules import LARGEST_UPLOAD_BYTES
from management.web_files import Files, answered
from management.web_streams import Streams
from management.work.following import FOLLOWED
from runtime.bodies import Bodies, BodyError, check_length, spool
from runtime.wsgi import Answer, App, Begun, Environ, Scope, begin, call, environ

log = logging.getLogger(__name__)
THREADS = 8
MOST_WORKING = 64
"""Requests that wait for or run in a thread; above it the answer is "later"."""
UPLOADS = (("POST", "/apps/upload"), ("POST", "/api/v1/apps"))
BODY_SECONDS = 30
UPLOAD_SECONDS = 3600
MOST_UPLOADS = 4
"""At the same time."""

MayUpload = Callable[[Environ], bool]


class WebFront:
    """An RSGI application around a WSGI one; ``working``: requests that wait for a thread or have
    one.
    """

    def __init__(
        self, app: App, may_upload: MayUpload, spool_folder: Path, streams: Streams
    ) -> None:
        self._app, self._may_upload, self._folder = app, may_upload, spool_folder
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="web")
        self._bodies = Bodies(BODY_SECONDS)
        self._streams, self._files = streams, Files(spool_folder, self._run)
        self.working = self._uploads = 0

    async def __rsgi__(self, scope: Scope, protocol: Any) -> None:
        """Answer one request."""
        try:
            answer = await self._answer(scope, protocol)
            if answer is None:
                return
        except BodyError as refused:
            answer = _problem(refused)
        except Exception:  # the edge: log and go on
            log.exception("A request to %s failed.", scope.path[:100])
            answer = _problem(BodyError(500, "This server failed; its log says why."))
        if answer.body and scope.method != "HEAD":
            protocol.response_bytes(answer.status, answer.headers, answer.body)
        else:
            protocol.response_empty(answer.status, answer.headers)

    async def _answer(self, scope: Scope, protocol: Any) -> Answer | None:
        """Return the answer to send; None when a stream or a file was sent."""
        is_upload = (scope.method, scope.path) in UPLOADS
        if is_upload and await self._work(self._may_upload, environ(scope, b"")):
            return await self._upload(scope, protocol)
        limit = LARGEST_BODY_BYTES
        if scope.path.startswith("/connector/"):
            limit = MAXIMUM_BYTES
        try:
            check_length(scope, limit)
        except BodyError:
            return await self._say_too_large(scope)
        async with self._bodies.reading(scope, protocol, limit) as body:
            request = environ(scope, body)
            answer: Answer | Begun = await self._work(self._begin, request)
        if isinstance(answer, Begun):
            await self._files.send(protocol, answer, request.get(ASKED_BY))
            return None
        followed = request.get(FOLLOWED)
        if scope.method != "GET" or followed is None or not self._streams.has_room(followed):
            return answer
        await self._streams.keep(protocol, answer, followed)
        return None

    async def _say_too_large(self, scope: Scope) -> Answer:
        """Let Flask say so in its own words: it sees the length, and nothing to read."""
        length = int(scope.headers.get("content-length")[:20])
        answer = await self._call(environ(scope, b"", length))
        return answer._replace(headers=[*answer.headers, ("Connection", "close")])

    async def _upload(self, scope: Scope, protocol: Any) -> Answer:
        try:
            check_length(scope, LARGEST_UPLOAD_BYTES)
        except BodyError:
            return await self._say_too_large(scope)
        if self._uploads >= MOST_UPLOADS:
            raise BodyError(503, f"{MOST_UPLOADS} uploads run already. Try again when one ended.")
        self._uploads += 1
        try:
            with tempfile.TemporaryFile(dir=self._folder) as file:  # has no name: never left over
                size = await spool(protocol, file, LARGEST_UPLOAD_BYTES, UPLOAD_SECONDS)
                return await self._call(environ(scope, file, size))
        finally:
            self._uploads -= 1

    async def _call(self, request: Environ) -> Answer:
        answer: Answer = await self._work(call, self._app, request)
        return answer

    def _begin(self, request: Environ) -> Answer | Begun:
        return answered(begin(self._app, request), request)

    async def _work(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if self.working >= MOST_WORKING:
            raise BodyError(503, "This server has too much to do at the moment. Try again soon.")
        self.working += 1
        try:
            return await self._run(function, *arguments)
        finally:
            self.working -= 1

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run in a thread, however many wait for one."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)


def _problem(why: BodyError) -> Answer:
    said = {"type": "about:blank", "status": why.status, "detail": str(why)}
    headers = [("Content-Type", "application/problem+json"), ("Connection", "close")]
    if why.status == 503:
        headers.append(("Retry-After", "30"))
    return Answer(why.status, headers, json.dumps(said).encode())
