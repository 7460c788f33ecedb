"""The gate itself: a reverse proxy for ActiveSync that streams, decides, and cuts.

A request is decided when it comes, and once more whenever a decision changes while it is under way;
`keeper.Keeper` cancels its task then. aiohttp is imported only in the gate's process.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from prometheus_client import Counter
from yarl import URL

from exchange_connector.gate import answers
from exchange_connector.gate.certificate import serial_number
from exchange_connector.gate.identity import (
    Asked,
    UnreadableError,
    key_of,
    read_query,
    read_user,
)
from exchange_connector.gate.keeper import Caller, Keeper, TooBusyError, Visit
from exchange_connector.gate.learning import Learner
from exchange_connector.gate.phones import Phones
from exchange_connector.gate.reporting import Counters
from exchange_connector.gate.settings import Settings
from runtime.clock import utc_now
from runtime.errors import UnauthenticatedError

log = logging.getLogger(__name__)

LATER_SECONDS = "60"
BODY_SECONDS = 300.0
"""So long a phone may take for its whole message: it holds a place before its password is known."""
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
    }
)
LET_IN = frozenset({*range(200, 300), 449})
"""Answers by which the mail server shows that it knows the user."""
FAULTS = {"too_large": 413, "too_slow": 408, "broken": 400}
"""What may be wrong with a message under way, and the HTTP status that says so."""
REQUESTS = Counter("sekisho_gate_requests", "Requests, by what became of them.", ["outcome"])


class _MessageError(ConnectionAbortedError):
    """The phone's message cannot be handed on to its end."""


class _PhoneGoneError(Exception):
    """The phone takes no more of its answer."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks for what."""

    user: str
    asked: Asked
    caller: Caller


@dataclass(slots=True)
class _Way:
    """One request on its way to the mail server."""

    address: str
    asker: Asker | None = None
    """None: a question that concerns no phone."""
    body: AsyncIterator[bytes] | None = None
    fault: str = ""
    """What is wrong with the message, of FAULTS."""
    sent: bool = False
    """The whole message was handed on."""
    answered: bool = False
    """The phone has the head of an answer already."""


class Proxy:
    """Answers phones."""

    def __init__(
        self,
        settings: Settings,
        server: str,
        http: aiohttp.ClientSession,
        keeper: Keeper,
        phones: Phones,
        counters: Counters,
    ) -> None:
        self._settings, self._server, self._http = settings, server, http
        self.keeper, self.phones, self._counters = keeper, phones, counters
        self.learner = Learner(server, http, phones)
        self._proxies = settings.proxies()
        self._certificate_header = settings.client_certificate_header

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        self._counters.requests += 1
        if request.remote not in self._proxies:
            return self._say("stranger", web.Response(status=403))
        if request.method == "OPTIONS":
            return await self._pass_options(request)
        if request.method != "POST":
            return self._say("method", web.Response(status=405, headers={"Allow": "POST, OPTIONS"}))
        try:
            asker = self.read(request.raw_path, request.headers)
        except UnauthenticatedError:
            return self._say("signed_out", sign_in())
        except UnreadableError as error:
            log.info("A request is refused: %s", error)
            return self._say("unreadable", web.Response(status=400))
        if not self.keeper.may_pass(asker.caller):
            self.learn_undecided(request, asker)
            return self.refuse(asker)
        return await self._pass(request, asker)

    def read(self, target: str, headers: CIMultiDictProxy[str]) -> Asker:
        """Return who asks; raises UnreadableError and UnauthenticatedError."""
        if any(
            len(headers.getall(one, ())) > 1 for one in ("Authorization", "MS-ASProtocolVersion")
        ):
            raise UnreadableError("A header that says who asks comes twice.")
        user = read_user(headers.get("Authorization"), self._settings.mail_domain)
        query = target.partition("?")[2]
        asked = read_query(query, headers.get("MS-ASProtocolVersion", ""))
        serial = None
        if self._certificate_header:
            serial = serial_number(headers.get(self._certificate_header, ""))
        return Asker(user, asked, Caller(key_of(user, asked.device_id), serial))

    def refuse(self, asker: Asker) -> web.Response:
        """Return the answer to a phone that may not pass."""
        self._counters.refused += 1
        log.debug("Blocked.", extra={"user": asker.user, "device_id": asker.asked.device_id})
        said = answers.refuse(answers.Refusal.BLOCKED, asker.asked.command, asker.asked.version)
        kind = answers.CONTENT_TYPE if said.body else None
        return self._say(
            "blocked", web.Response(status=said.status, body=said.body, content_type=kind)
        )

    def note(self, request: web.Request, asker: Asker) -> None:
        """Note that the mail server let this phone in."""
        agent = request.headers.get("User-Agent", "")
        self.phones.note(asker.user, asker.asked, agent, utc_now())

    def learn_undecided(self, request: web.Request, asker: Asker) -> None:
        """Let management see a phone that is refused because nobody decided about it."""
        if self.keeper.is_undecided(asker.caller):
            self.learner.learn(asker.user, asker.asked, request.headers)

    async def _pass_options(self, request: web.Request) -> web.StreamResponse:
        """Ask the server what it speaks; who asks does not matter, and nothing else goes along."""
        way = _Way(self._server)
        try:
            with self.keeper.counted():
                return await self._forward(request, way)
        except TooBusyError:
            return self._say("busy", later())
        except (_PhoneGoneError, aiohttp.ClientError, OSError, TimeoutError) as error:
            return self._break_off(request, way, self._blame(way, error))

    async def _pass(self, request: web.Request, asker: Asker) -> web.StreamResponse:
        if (request.content_length or 0) > self._settings.max_body_bytes:
            return self._say("too_large", web.Response(status=413))
        try:
            with self.keeper.passing(asker.caller) as visit:
                return await self._until_cut(request, asker, visit)
        except TooBusyError:
            return self._say("busy", later())

    async def _until_cut(
        self, request: web.Request, asker: Asker, visit: Visit
    ) -> web.StreamResponse:
        way = _Way(f"{self._server}?{asker.asked.query}", asker)
        if request.body_exists:
            way.body = self._body(request, way)
        try:
            return await self._forward(request, way)
        except asyncio.CancelledError:
            if not visit.cut:
                raise  # the phone went away, or we stop
            visit.task.uncancel()
            REQUESTS.labels("cut").inc()
            instead = later() if self.keeper.stopping else self.refuse(asker)
            return self._break_off(request, way, instead)
        except (_PhoneGoneError, aiohttp.ClientError, OSError, TimeoutError) as error:
            return self._break_off(request, way, self._blame(way, error))

    async def _forward(self, request: web.Request, way: "_Way") -> web.StreamResponse:
        async with self._http.request(
            request.method,
            URL(way.address, encoded=True),
            headers=self._forwarded(request.headers, way.body is not None),
            data=way.body,
            allow_redirects=False,
        ) as answer:
            self._counters.server_problem = ""
            _give_up_unfinished(answer, way)
            if way.asker is not None and answer.status in LET_IN:
                self.note(request, way.asker)
            return await self._hand_back(request, way, answer)

    async def _hand_back(
        self, request: web.Request, way: "_Way", answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, reason=answer.reason)
        response.headers.extend(_without_hops(answer.headers))
        way.answered = True
        with _towards_phone():
            await response.prepare(request)
        async for chunk in answer.content.iter_any():
            with _towards_phone():
                await response.write(chunk)
        with _towards_phone():
            await response.write_eof()
        REQUESTS.labels("passed").inc()
        return response

    def _forwarded(self, headers: CIMultiDictProxy[str], has_body: bool) -> CIMultiDict[str]:
        kept = _without_hops(headers)
        kept.popall(self._certificate_header or "-", None)
        if not has_body:
            kept.popall("Content-Length", None)
        return kept

    async def _body(self, request: web.Request, way: "_Way") -> AsyncIterator[bytes]:
        """Hand the message on as it comes; it breaks off above the limits.

        A message of another length than its head declares must never look complete.
        """
        size, until = 0, asyncio.get_running_loop().time() + BODY_SECONDS
        while chunk := await _read_part(request, way, until):
            size += len(chunk)
            if size > self._settings.max_body_bytes:
                way.fault = "too_large"
                raise _MessageError("The message is too large.")
            yield chunk
        if request.content_length not in (None, size):
            way.fault = "broken"
            raise _MessageError("The message has another length than it declares.")
        way.sent = True

    def _break_off(
        self, request: web.Request, way: "_Way", instead: web.Response
    ) -> web.StreamResponse:
        """Return *instead*, or end the connection where an answer has begun already."""
        if not way.answered:
            return instead
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("The answer was broken off.")

    def _blame(self, way: "_Way", error: Exception) -> web.Response:
        """Return the answer to a request that failed: only the server's silence is its fault."""
        if way.fault:
            return self._say(way.fault, web.Response(status=FAULTS[way.fault]))
        if isinstance(error, _PhoneGoneError):
            return self._say("hung_up", later())
        return self._server_away(error)

    def _server_away(self, error: Exception) -> web.Response:
        problem = f"The mail server does not answer: {error or type(error).__name__}"
        if not self._counters.server_problem:
            log.warning(problem)
        self._counters.server_problem = problem[:4000]
        return self._say("server_away", later())

    def _say(self, outcome: str, response: web.Response) -> web.Response:
        REQUESTS.labels(outcome).inc()
        return response


def sign_in() -> web.Response:
    """Return the answer to a phone that did not say who its user is."""
    return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="mail"'})


def later() -> web.Response:
    """Return the answer to a phone that shall come again in a while."""
    return web.Response(status=503, headers={"Retry-After": LATER_SECONDS})


async def _read_part(request: web.Request, way: _Way, until: float) -> bytes:
    """Return what came of the message since the last time; nothing at its end."""
    try:
        async with asyncio.timeout_at(until):
            return await request.content.readany()
    except TimeoutError:
        way.fault = "too_slow"
        raise _MessageError("The message came too slowly.") from None
    except Exception as error:  # aiohttp has many for a message that ends early or is malformed
        way.fault = "broken"
        raise _MessageError("The message could not be read.") from error


@contextmanager
def _towards_phone() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _PhoneGoneError from error


def _give_up_unfinished(answer: aiohttp.ClientResponse, way: _Way) -> None:
    """Let the connection end with this answer where the server gave it before the whole message.

    What it did not read of the message it would take for the next request.
    """
    connection = answer.connection
    if way.body is not None and not way.sent and connection and connection.protocol:
        connection.protocol.force_close()


def _without_hops(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """Return the headers that are not between neighbours only (RFC 9110 7.6.1)."""
    named = {
        one.strip().lower() for said in headers.getall("Connection", ()) for one in said.split(",")
    }
    return CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if name.lower() not in HOP_BY_HOP and name.lower() not in named
    )
