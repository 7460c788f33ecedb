"""A small ActiveSync server, and the gate's proxy before it, in an event loop of their own."""

import asyncio
import base64
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
from aiohttp import web

from exchange_connector.gate import process
from exchange_connector.gate.keeper import Decided, Keeper
from exchange_connector.gate.pairing import PATH
from exchange_connector.gate.phones import Phones
from exchange_connector.gate.proxy import Proxy
from exchange_connector.gate.reporting import Counters
from exchange_connector.gate.settings import Settings

T = TypeVar("T")
PASSWORDS = {"ada": "lovelace", "bob": "builder"}


@dataclass
class MailServer:
    """Knows users, remembers what it was asked, and lets Ping wait until it is told to answer."""

    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """(method, target, user)."""
    headers: list[dict[str, str]] = field(default_factory=list)
    received_bytes: int = 0
    waiting: int = 0
    keeps_requests: bool = True
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        user = _user(request.headers.get("Authorization", ""))
        if self.keeps_requests:
            self.asked.append((request.method, request.raw_path, user or ""))
            self.headers.append({name.lower(): value for name, value in request.headers.items()})
        anybody = request.method == "OPTIONS" and "Authorization" not in request.headers
        if user is None and not anybody:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="eas"'})
        if request.method == "OPTIONS":
            return web.Response(headers={"MS-ASProtocolVersions": "12.1,14.1,16.1"})
        async for chunk in request.content.iter_any():
            self.received_bytes += len(chunk)
        if "Cmd=Settings" in request.raw_path:
            return web.Response(status=449)
        if "Cmd=Ping" in request.raw_path:
            return await self._wait()
        if "Cmd=ItemOperations" in request.raw_path:
            return await self._drip(request)
        return web.Response(body=b"mail", headers={"X-Server": "small", "Connection": "X-Hop"})

    async def _wait(self) -> web.Response:
        self.waiting += 1
        try:
            await self.news.wait()
            return web.Response(body=b"new mail")
        finally:
            self.waiting -= 1

    async def _drip(self, request: web.Request) -> web.StreamResponse:
        """Begin an answer, and end it when there is news."""
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first part")
        await self.news.wait()
        await response.write(b"second part")
        return response


def _user(authorization: str) -> str | None:
    if not authorization.startswith("Basic "):
        return None
    name, _, password = base64.b64decode(authorization[6:]).decode().partition(":")
    return name if PASSWORDS.get(name) == password else None


@dataclass
class GateBed:
    """The server, the gate, and the loop they run in."""

    loop: asyncio.AbstractEventLoop
    server: MailServer
    keeper: Keeper
    phones: Phones
    url: str
    """Of the gate, with its path."""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run *work* in the loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def decide(self, **decided: bool) -> int:
        """Decide about phones, named ``user__DeviceId``; return how many requests were cut."""
        rules = {
            (name.partition("__")[0], name.partition("__")[2].casefold()): Decided(allowed)
            for name, allowed in decided.items()
        }

        async def replace() -> int:
            return self.keeper.replace(rules, "allow")

        return self.run(replace())

    def bring_news(self) -> None:
        """Let the server answer what waits."""
        self.loop.call_soon_threadsafe(self.server.news.set)

    def ask(self, command: str, *words: Any, **more: Any) -> httpx.Response:
        """Ask as a phone does."""
        return ask(self.url, command, *words, **more)


def ask(
    url: str,
    command: str,
    device_id: str = "PHONE1",
    user: str = "ada",
    version: str = "14.1",
    content: Any = b"",
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    """Ask the gate at *url* as a phone does."""
    query = f"Cmd={command}&User={user}&DeviceId={device_id}&DeviceType=iPhone"
    said = {"MS-ASProtocolVersion": version, "User-Agent": "Apple-iPhone"}
    return httpx.post(
        f"{url}?{query}",
        content=content,
        headers={**said, **(headers or {})},
        auth=(user, PASSWORDS.get(user, "wrong")),
        timeout=120,
        trust_env=False,
    )


@contextmanager
def looping() -> Iterator[tuple[asyncio.AbstractEventLoop, list[Any]]]:
    """Yield an event loop in a thread, and a list of what to call and await at its end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    stop: list[Any] = []

    async def end() -> None:
        for one in reversed(stop):
            await one()

    try:
        yield loop, stop
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


@contextmanager
def mail_server() -> Iterator[tuple[MailServer, str]]:
    """Yield a running server and its address."""
    with looping() as (loop, stop):

        async def begin() -> tuple[MailServer, str]:
            mail = MailServer()
            return mail, await _listen(mail.answer, stop)

        yield asyncio.run_coroutine_threadsafe(begin(), loop).result(60)


@contextmanager
def gate_bed(folder: Path, server: str = "", **settings: Any) -> Iterator[GateBed]:
    """Yield a running gate before a running server, or before the address *server*."""
    asked = Settings(folder=folder, port=1, **settings)
    with looping() as (loop, stop):

        async def begin() -> GateBed:
            mail = MailServer()
            server_url = (server or await _listen(mail.answer, stop)) + PATH
            http = process.open_client(asked, "")
            stop.append(http.close)
            keeper, phones = process.new_keeper(asked), Phones({})
            proxy = Proxy(asked, server_url, http, keeper, phones, Counters())
            runner = process.new_runner(process.new_app(asked, proxy))
            stop.append(runner.cleanup)
            url = await _bind(runner)
            return GateBed(loop, mail, keeper, phones, url + PATH)

        yield asyncio.run_coroutine_threadsafe(begin(), loop).result(60)


async def _listen(answer: Any, stop: list[Any]) -> str:
    app = web.Application(client_max_size=2**31)
    app.router.add_route("*", "/{any:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    stop.append(runner.cleanup)
    return await _bind(runner)


async def _bind(runner: web.AppRunner) -> str:
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    return f"http://{host}:{port}"
