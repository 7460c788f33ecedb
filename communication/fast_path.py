"""The poll: "is anything new for me?", answered from memory before any web framework.

`GET /agent/v1/poll?after=<seq>&epoch=<n>&wait=<seconds>` with `Authorization: Bearer <token>`.
``after`` and ``epoch`` say the highest order that the device holds, so that one it has and
management has not yet heard of does not make it ask again at once; without them everything in the
mailbox counts. ``wait`` (at most 55) holds the answer back until something comes or time is up.
"""

import asyncio
import random
import time
from urllib.parse import parse_qsl

from communication import board, poll_token
from communication.answer import Answer, problem
from communication.board import Board, Position
from communication.mailbox import Mailbox
from contracts import codec
from contracts.agent import PollAnswer
from runtime.errors import UnauthenticatedError

PATH = "/agent/v1/poll"
LONGEST_WAIT = 55
_NOTHING = b""


class Poll:
    """Answers polls; all calls come from the one thread that serves the devices port."""

    def __init__(
        self, mailbox: Mailbox, seen: Board, key: bytes, poll_seconds: int, held: int
    ) -> None:
        self._mailbox, self._board, self._key = mailbox, seen, key
        self._poll_seconds, self._room = poll_seconds, held
        self._waiting: dict[int, asyncio.Event] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        seen.on_orders = self._wake_from_anywhere

    async def answer(self, authorization: str | None, query: str) -> Answer:
        """Return 204, 200 with `PollAnswer`, 401 without a good token, or 403 when revoked."""
        try:
            slot = self._slot(authorization)
        except UnauthenticatedError as error:
            return problem(401, str(error), ("WWW-Authenticate", "Bearer"))
        if self._board.state(slot) == board.CLOSED:
            return problem(403, "Management no longer lets this device use its mailbox.")
        self._board.beat(slot, time.time_ns() // 1000)
        if not query:
            return self._look(slot, (0, 0))
        try:
            position, wait = _read(query)
        except ValueError:
            return problem(400, "after, epoch and wait must be whole numbers, each given once.")
        if wait and not self._board.waits(slot, position):
            await self._hold(slot, position, min(wait, LONGEST_WAIT))
        return self._look(slot, position)

    def _slot(self, authorization: str | None) -> int:
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            raise UnauthenticatedError("A poll needs a token: Authorization: Bearer <token>.")
        slot = poll_token.read(self._key, token, time.time())
        if not self._board.state(slot):
            raise UnauthenticatedError("This poll token is of an older key; ask for a new one.")
        return slot

    def _look(self, slot: int, position: Position) -> Answer:
        if self._board.state(slot) != board.OPEN:
            return problem(403, "Management no longer lets this device use its mailbox.")
        after = ("Sekisho-Poll-After", str(self._next_poll()))
        if not self._board.waits(slot, position):
            return Answer(204, [after], _NOTHING)
        count = self._mailbox.count_orders(self._board.device(slot), *position)
        body = codec.write(PollAnswer(orders_waiting=count))
        return Answer(200, [after, ("Content-Type", "application/json")], body)

    def _next_poll(self) -> int:
        """Spread each poll over four tenths of the interval, so that no crowd stays together."""
        spread = 0.8 + 0.4 * random.random()  # noqa: S311  (not a secret)
        return max(1, round(self._poll_seconds * spread))

    async def _hold(self, slot: int, position: Position, seconds: int) -> None:
        if len(self._waiting) >= self._room or slot in self._waiting:
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


def _read(query: str) -> tuple[Position, int]:
    fields = dict(parse_qsl(query[:200], keep_blank_values=True))
    numbers = {name: int(fields.get(name, "0")) for name in ("epoch", "after", "wait")}
    if min(numbers.values()) < 0 or max(numbers.values()) > 2**53:
        raise ValueError(query)
    return (numbers["epoch"], numbers["after"]), numbers["wait"]
