"""The poll: "is anything new for me?", answered from memory before any web framework.

`GET /agent/v1/poll?after=<seq>&epoch=<n>&wait=<seconds>&every=<seconds>`, with
`Authorization: Bearer <token>` or signed like other requests. ``after`` and ``epoch`` say the
highest order that the device holds, so that one it has and management has not yet heard of does
not make it ask again at once; without them everything in the mailbox counts. ``wait`` (at most 55)
holds the answer back until something comes or time is up. ``every`` is how often the agent's policy
wants it to poll; the answer says when its own turn comes.
"""

import asyncio
import time
from datetime import UTC, datetime
from functools import lru_cache

from communication import board, poll_token
from communication.answer import Answer, Header, from_error, problem
from communication.board import Board, Position
from communication.device_identity import Asked, Identity, asked_directly
from communication.mailbox import Mailbox
from communication.rhythm import interval_for, next_poll
from communication.settings import Settings
from contracts import codec
from contracts.agent import PollAnswer, PollToken
from contracts.request_signature import ClockSkewError
from runtime.errors import ForbiddenError, SekishoError, UnauthenticatedError
from runtime.wsgi import Scope

PATH = "/agent/v1/poll"
TOKEN_PATH = "/agent/v1/token"  # noqa: S105  (an address)
LONGEST_WAIT = 55
_NOTHING = b""
_CLOSED = "Management no longer lets this device use its mailbox."


class Poll:
    """Answers polls; all calls come from the one thread that serves the devices port."""

    def __init__(
        self, mailbox: Mailbox, seen: Board, identity: Identity, key: bytes, settings: Settings
    ) -> None:
        self._mailbox, self._board, self._identity = mailbox, seen, identity
        self._key, self._settings = key, settings
        self._waiting: dict[int, asyncio.Event] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        seen.on_orders = self._wake_from_anywhere

    async def answer(self, scope: Scope) -> Answer:
        """Return 204, 200 with `PollAnswer`, 401 without a good proof, or 403 when revoked."""
        now, query = time.time(), scope.query_string
        try:
            slot = self._slot(scope, now)
        except SekishoError as error:
            return _refused(error)
        self._board.beat(slot, int(now * 1_000_000))
        if not query:
            return self._look(slot, (0, 0), 0, now)
        try:
            position, wait, every = _read(query)
        except ValueError:
            return problem(400, "after, epoch, wait and every must be whole numbers.")
        if wait and not self._board.waits(slot, position):
            await self._hold(slot, position, min(wait, LONGEST_WAIT))
            now = time.time()
            if self._board.state(slot) != board.OPEN:  # somebody said so meanwhile
                return problem(403, _CLOSED)
        return self._look(slot, position, every, now)

    async def token(self, asked: Asked) -> Answer:
        """Return a `PollToken` for the device that signed (keyid = its device id)."""
        try:
            _, known, _ = self._identity.device(asked)
        except SekishoError as error:
            return from_error(error)
        expires = int(time.time()) + self._settings.token_seconds
        text = poll_token.issue(self._key, known.slot, expires)
        token = PollToken(token=text, expires_at=datetime.fromtimestamp(expires, UTC))
        headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
        return Answer(200, headers, codec.write(token))

    def _slot(self, scope: Scope, now: float) -> int:
        headers = scope.headers
        authorization = headers.get("authorization")
        if authorization is None and headers.get("signature") is not None:
            return self._identity.device(asked_directly(scope, b""))[1].slot
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            raise UnauthenticatedError("A poll needs a token: Authorization: Bearer <token>.")
        slot = poll_token.read(self._key, token, now)
        if not (state := self._board.state(slot)):
            raise UnauthenticatedError("This poll token is of an older key; ask for a new one.")
        if state == board.CLOSED:
            raise ForbiddenError(_CLOSED)
        return slot

    def _look(self, slot: int, position: Position, every: int, now: float) -> Answer:
        headers = self._when(slot, every, now)
        if not self._board.waits(slot, position):
            return Answer(204, headers, _NOTHING)
        count = self._mailbox.count_orders(self._board.device(slot), *position)
        body = codec.write(PollAnswer(orders_waiting=count))
        return Answer(200, [*headers, ("Content-Type", "application/json")], body)

    def _when(self, slot: int, every: int, now: float) -> list[Header]:
        """Say when to poll next, and to hold on when somebody waits for the device."""
        if self._board.is_live(slot, now):
            seconds = str(self._settings.live_poll_seconds)
            return [("Sekisho-Poll-After", seconds), ("Sekisho-Poll-Wait", str(LONGEST_WAIT))]
        interval = interval_for(every, self._settings.poll_seconds)
        return [("Sekisho-Poll-After", str(next_poll(slot, interval, now)))]

    async def _hold(self, slot: int, position: Position, seconds: int) -> None:
        """Wait for an order. A later poll of the device ends this one: its connection is gone."""
        if earlier := self._waiting.pop(slot, None):
            earlier.set()
        if len(self._waiting) >= self._settings.held_polls:
            return
        self._loop = asyncio.get_running_loop()
        event = self._waiting[slot] = asyncio.Event()
        try:
            if self._board.waits(slot, position):  # it came before we could be woken
                return
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            if self._waiting.get(slot) is event:
                del self._waiting[slot]

    def _wake_from_anywhere(self, slot: int) -> None:
        if self._loop is not None and slot in self._waiting:
            self._loop.call_soon_threadsafe(self._wake, slot)

    def let_go(self) -> None:
        """Answer all polls that wait, from whatever thread: the server stops."""
        for slot in list(self._waiting):
            self._wake_from_anywhere(slot)

    def _wake(self, slot: int) -> None:
        if event := self._waiting.get(slot):
            event.set()


def _refused(error: SekishoError) -> Answer:
    if isinstance(error, UnauthenticatedError) and not isinstance(error, ClockSkewError):
        return _not_proved(str(error))
    return from_error(error)


@lru_cache(64)
def _not_proved(sentence: str) -> Answer:
    """Return the same answer for the same sentence: whoever sends garbage must not cost more."""
    return problem(401, sentence, ("WWW-Authenticate", "Bearer"))


@lru_cache(4096)
def _read(query: str) -> tuple[Position, int, int]:
    """Return position, wait and interval; ValueError. By hand: a fourth of what a parser costs.

    Kept, because many devices ask with the same words: orders are counted from 1 in each.
    """
    numbers = {"epoch": 0, "after": 0, "wait": 0, "every": 0}
    for field in query[:200].split("&"):
        name, _, value = field.partition("=")
        if name in numbers:
            if not value.isdecimal() or len(value) > 16:
                raise ValueError(query)
            numbers[name] = int(value)
    if max(numbers.values()) > 2**53:
        raise ValueError(query)
    return (numbers["epoch"], numbers["after"]), numbers["wait"], numbers["every"]
