"""The gate's process: the proxy in an event loop, management in two threads, until SIGTERM."""

import asyncio
import logging
import resource
import signal
import ssl
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from prometheus_client import Gauge

from exchange_connector import configuration
from exchange_connector.authority import Authorities, read
from exchange_connector.gate import pairing
from exchange_connector.gate.asking import Asking
from exchange_connector.gate.keeper import Keeper
from exchange_connector.gate.listening import Listener
from exchange_connector.gate.phones import Phones
from exchange_connector.gate.proxy import Proxy
from exchange_connector.gate.reporting import Counters, Reporter
from exchange_connector.gate.settings import Settings
from exchange_connector.gate.store import Store
from exchange_connector.management_client import ManagementClient
from runtime import health
from runtime.errors import ConfigurationError

log = logging.getLogger(__name__)

STORE = "gate.db"
CONNECT_SECONDS = 10
MOST_HEADERS = 100
LONGEST_HEADER = 16_384
FILES_OF_OURS = 200
KEPT_SECONDS = 4.0
"""An idle connection to the mail server is used again so long: after it the server may have ended
it, and a message that it did not take cannot be sent twice."""
STOP_SECONDS = 2.0
OPEN = Gauge("sekisho_gate_open_requests", "Requests under way.")
MANAGEMENT_UP = Gauge("sekisho_gate_management_up", "Whether management was heard last.")
SERVER_UP = Gauge("sekisho_gate_server_up", "Whether the mail server answered last.")
PHONES = Gauge("sekisho_gate_phones", "Phones that fetch mail through this gate.")


class _WithoutHostileHeads(logging.Filter):
    """Drop what aiohttp says of requests that are no HTTP: anybody can send any number of them."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


logging.getLogger("aiohttp.server").addFilter(_WithoutHostileHeads())


@dataclass(slots=True)
class Worker:
    """A thread that takes steps until told to stop; a step that fails is logged and repeated."""

    name: str
    step: Callable[[], float]
    stopping: threading.Event
    thread: threading.Thread = field(init=False)

    def start(self) -> None:
        """Begin."""
        self.thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while not self.stopping.is_set():
            try:
                pause = self.step()
            except Exception:  # the edge: log and go on
                log.exception("A step of %s failed", self.name)
                pause = 5.0
            self.stopping.wait(pause)

    def problem(self) -> str | None:
        """Say that the thread has ended, or None."""
        return None if self.thread.is_alive() else f"The thread {self.name} has ended."


def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; phones whose request is ended then come again by themselves."""
    paired, credentials = pairing.load(settings.folder)
    asyncio.run(_serve(settings, paired, credentials))
    log.info("The gate stopped.")


async def _serve(
    settings: Settings, paired: configuration.Paired, credentials: configuration.Credentials
) -> None:
    room = _allow_connections()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    keeper, counters, stopping = new_keeper(settings), Counters(), threading.Event()
    keeper.most_open = min(keeper.most_open, room)
    with ExitStack() as stack:
        listener, reporter = _talkers(stack, settings, paired, credentials, keeper, counters)
        await asyncio.to_thread(listener.apply)  # what held before holds before anybody comes in
        async with open_client(settings, paired.exchange_ca) as http:
            proxy = Proxy(settings, paired.exchange_url, http, keeper, reporter.phones, counters)
            runner = await _listen(settings, new_app(settings, proxy))
            workers = [
                Worker("listener", listener.step, stopping),
                Worker("reporter", reporter.step, stopping),
            ]
            for worker in workers:
                worker.start()
            _measure(keeper, reporter, listener, counters)
            health.serve(settings.health_port, {worker.name: worker.problem for worker in workers})
            log.info("The gate works.", extra={"server": paired.exchange_url})
            await stop.wait()
            stopping.set()
            keeper.stop()
            await runner.cleanup()
            await asyncio.to_thread(_join, workers)


def _join(workers: list[Worker]) -> None:
    for worker in workers:
        worker.thread.join(10)


def _talkers(
    stack: ExitStack,
    settings: Settings,
    paired: configuration.Paired,
    credentials: configuration.Credentials,
    keeper: Keeper,
    counters: Counters,
) -> tuple[Listener, Reporter]:
    """Return what talks with management, each with its own connection and file."""
    trusted = read(settings.folder)

    def connection() -> ManagementClient:
        address, key_id = paired.management, str(paired.connector_id)
        client = ManagementClient(address, trusted, credentials.key, key_id, pairing.MEND)
        return stack.enter_context(client)

    hearing, telling = connection(), connection()
    authorities = Authorities(settings.folder, (hearing.trust, telling.trust), trusted)
    listener = Listener(
        hearing,
        Store(settings.folder / STORE),
        keeper,
        asyncio.get_running_loop(),
        settings.default_access,
        settings.mail_domain,
        settings.ask_seconds,
        settings.log_level,
        authorities,
    )
    store = Store(settings.folder / STORE)
    phones = Phones(store.phones())

    def held_back() -> str:
        return listener.holds.because if listener.holds else ""

    return listener, Reporter(
        telling, store, keeper, phones, counters, held_back, authorities.report
    )


def new_keeper(settings: Settings) -> Keeper:
    """Return what decides, with nothing decided yet."""
    return Keeper(
        settings.default_access,
        bool(settings.client_certificate_header),
        settings.max_open_requests,
        settings.max_open_requests_per_phone,
    )


def open_client(settings: Settings, ca_file: str) -> aiohttp.ClientSession:
    """Return what forwards to the mail server."""
    try:
        trust = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise ConfigurationError(f"{ca_file} is no file of certificates: {error}") from None
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=trust, keepalive_timeout=KEPT_SECONDS),
        timeout=aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=settings.answer_seconds
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        trust_env=False,
        max_line_size=LONGEST_HEADER,
        max_field_size=LONGEST_HEADER,
    )


def new_app(settings: Settings, proxy: Proxy) -> web.Application:
    """Return what answers the front proxy."""
    app = web.Application()
    if settings.auth_request:
        asking = Asking(proxy, proxy.keeper, proxy.phones, settings.proxies())
        app.router.add_get("/decide", asking.decide)
        app.router.add_route("*", "/answer", asking.answer)
    else:
        for path in (pairing.PATH, pairing.PATH.lower(), pairing.PATH + "/"):
            app.router.add_route("*", path, proxy.handle)
    return app


def new_runner(app: web.Application) -> web.AppRunner:
    """Return what serves *app*; whoever hangs up ends what was done for them.

    Messages stay packed as they came: unpacked they would no longer have the length that their head
    declares, and what follows it would be read as another request.
    """
    return web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        handler_cancellation=True,
        shutdown_timeout=STOP_SECONDS,
        max_headers=MOST_HEADERS,
        max_line_size=LONGEST_HEADER,
        max_field_size=LONGEST_HEADER,
    )


async def _listen(settings: Settings, app: web.Application) -> web.AppRunner:
    runner = new_runner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, settings.port, backlog=1024).start()
    except OSError as error:
        raise ConfigurationError(
            f"The gate cannot listen on {settings.host} port {settings.port} ({error.strerror}). "
            "Choose another with SEKISHO_GATE_PORT."
        ) from None
    return runner


def _measure(keeper: Keeper, reporter: Reporter, listener: Listener, counters: Counters) -> None:
    OPEN.set_function(lambda: keeper.open_requests)
    PHONES.set_function(lambda: reporter.phones.count())
    MANAGEMENT_UP.set_function(lambda: not listener.problem)
    SERVER_UP.set_function(lambda: not counters.server_problem)


def _allow_connections() -> int:
    """Return how many requests fit: each takes two open files, and the rest of us some."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return max(1, (most - FILES_OF_OURS) // 2)
