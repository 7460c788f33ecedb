"""nginx's ``auth_request``: decides at the start of a request, and answers those that may not pass.

nginx itself forwards what may pass, so nothing here can end a request that is under way: a Sync
that waits for new mail still delivers it after a block. The inline proxy has no such gap.
"""

import re

from aiohttp import web

from exchange_connector.gate.identity import UnreadableError
from exchange_connector.gate.keeper import Keeper
from exchange_connector.gate.phones import Phones
from exchange_connector.gate.proxy import Asker, Proxy, later, sign_in
from runtime.errors import UnauthenticatedError

PATH = re.compile(r"/(sogo/)?microsoft-server-activesync/?", re.ASCII | re.IGNORECASE)
"""nginx forwards the path as it came: with more behind it a server may read another one."""


class Asking:
    """Answers nginx."""

    def __init__(
        self, proxy: Proxy, keeper: Keeper, phones: Phones, trusted: frozenset[str]
    ) -> None:
        self._proxy, self._keeper, self._phones, self._trusted = proxy, keeper, phones, trusted

    async def decide(self, request: web.Request) -> web.Response:
        """Answer 204 to let pass, 403 to have `answer` asked, 401 to have the phone sign in."""
        if request.remote not in self._trusted:
            return web.Response(status=403)
        if not PATH.fullmatch(request.headers.get("X-Original-URI", "").partition("?")[0]):
            return web.Response(status=403)
        if request.headers.get("X-Original-Method") == "OPTIONS":
            return web.Response(status=204)
        try:
            asker = self._read(request)
        except UnauthenticatedError:
            return sign_in()
        except UnreadableError:
            return web.Response(status=403)
        if not self._keeper.may_pass(asker.caller):
            self._proxy.learn_undecided(request, asker)
            return web.Response(status=403)
        self._learn(request, asker)
        return web.Response(status=204)

    async def answer(self, request: web.Request) -> web.Response:
        """Return what the phone is told that nginx was not to let pass."""
        if request.remote not in self._trusted:
            return web.Response(status=403)
        try:
            asker = self._read(request)
        except (UnreadableError, UnauthenticatedError):
            return web.Response(status=400)
        if not PATH.fullmatch(request.headers["X-Original-URI"].partition("?")[0]):
            return web.Response(status=404)
        return later() if self._keeper.may_pass(asker.caller) else self._proxy.refuse(asker)

    def _read(self, request: web.Request) -> Asker:
        return self._proxy.read(request.headers.get("X-Original-URI", ""), request.headers)

    def _learn(self, request: web.Request, asker: Asker) -> None:
        """Note a phone; one that is new only once the mail server knows its user."""
        if self._phones.knows(asker.caller.key):
            self._proxy.note(request, asker)
        else:
            self._proxy.learner.learn(asker.user, asker.asked, request.headers)
