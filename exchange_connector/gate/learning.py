"""New phones that do not reach the mail server by our hands: it is asked whether it knows the user.

Otherwise a phone that is refused because nobody decided about it would never be seen by anybody who
could decide; and noting whoever knocks would let strangers fill management's list.
"""

import asyncio
import logging
import time

import aiohttp
from multidict import CIMultiDictProxy

from exchange_connector.gate.identity import Asked, Key, key_of
from exchange_connector.gate.phones import Phones
from runtime.clock import utc_now

log = logging.getLogger(__name__)

MOST_LEARNING = 16
"""Phones whose user the mail server is asked about at the same time."""
MOST_REMEMBERED = 4096
AGAIN_SECONDS = 60.0
"""So long the server is not asked about the same phone again."""
ASK_SECONDS = 30


class Learner:
    """Asks the mail server about users of new phones, and notes those that it knows."""

    def __init__(self, server: str, http: aiohttp.ClientSession, phones: Phones) -> None:
        self._server, self._http, self._phones = server, http, phones
        self._learning: dict[Key, asyncio.Task[None]] = {}
        self._asked_at: dict[Key, float] = {}

    def learn(self, user: str, asked: Asked, headers: CIMultiDictProxy[str]) -> None:
        """Note this phone once the mail server has said that it knows the user."""
        key = key_of(user, asked.device_id)
        if self._phones.knows(key) or len(self._learning) >= MOST_LEARNING:
            return
        now = time.monotonic()
        if now - self._asked_at.get(key, float("-inf")) < AGAIN_SECONDS:
            return
        if len(self._asked_at) >= MOST_REMEMBERED:
            self._asked_at.clear()
        self._asked_at[key] = now
        task = asyncio.create_task(self._try_user(user, asked, headers))
        self._learning[key] = task
        task.add_done_callback(lambda _: self._learning.pop(key, None))

    async def _try_user(self, user: str, asked: Asked, headers: CIMultiDictProxy[str]) -> None:
        said = {"Authorization": headers["Authorization"]}
        limit = aiohttp.ClientTimeout(total=ASK_SECONDS)
        try:
            async with self._http.options(self._server, headers=said, timeout=limit) as answer:
                if answer.status == 200:
                    agent = headers.get("User-Agent", "")
                    self._phones.note(user, asked, agent, utc_now())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            log.info("The mail server could not be asked about a new phone: %s", error)
