"""Serves the console: granian, one worker, TLS from the data folder; see `web_front`."""

import gc
import os
import resource
import socket
from collections.abc import Collection
from typing import TYPE_CHECKING
from uuid import UUID

from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops, SSLProtocols
from granian.http import HTTP1Settings

from management import settings
from management.settings import Settings
from runtime import garbage, logs
from runtime.errors import ConfigurationError
from runtime.process import die_with_parent, wait_for_start

if TYPE_CHECKING:
    from management.work.rules import Seen

CONNECTIONS = 4096
"""At the same time; slow ones and idle ones too."""
PARENT = "SEKISHO_WEB_PARENT"
"""Tells the worker whose child it must be."""


def serve(loaded: Settings) -> None:
    """Serve until SIGTERM or SIGINT. ConfigurationError when it cannot even start.

    The code is loaded here, while the data folder may still be prepared, and before the worker is
    forked: both share its memory, and a worker that died is replaced quickly.
    """
    _load()
    wait_for_start()
    certificate, key = (loaded.home / "keys" / f"console.{end}" for end in ("pem", "key"))
    for path in (certificate, key):
        if not path.exists():
            raise ConfigurationError(f"{path} is missing; `sekisho set-up` issues it.")
    _check_port(loaded)
    _check(loaded)
    os.environ[PARENT] = str(os.getpid())
    Granian(
        "management.web_server:application",
        address=loaded.host,
        port=loaded.port,
        interface=Interfaces.RSGI,
        loop=Loops.asyncio,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=15_000, max_buffer_size=64 * 1024),
        factory=True,
        workers=1,
        backlog=2048,
        backpressure=CONNECTIONS,
        websockets=False,
        respawn_failed_workers=True,
        respawn_interval=1.0,
        workers_kill_timeout=10,
        ssl_cert=certificate,
        ssl_key=key,
        ssl_protocol_min=SSLProtocols.tls12,
    ).serve()


def application() -> object:
    """Return the console's RSGI callable; granian's worker asks for it."""
    from management.access import Permission
    from management.administrators import sessions
    from management.app import create_app
    from management.context import open_context
    from management.web_front import WebFront
    from management.web_streams import Streams
    from management.work import queries
    from runtime.wsgi import Environ

    die_with_parent(int(os.environ[PARENT]))
    loaded = settings.load()
    logs.start("management", loaded.log_level)
    _allow_connections()
    context = open_context(loaded)
    app = create_app(context)

    def may_upload(environ: Environ) -> bool:
        with app.request_context(environ):
            return sessions.may(Permission.MANAGE_APPS)

    def look(jobs: Collection[UUID]) -> "list[Seen]":
        with context.database.reading() as session:
            return queries.list_seen(session, jobs)

    front = WebFront(app, may_upload, loaded.home, Streams(look))
    gc.collect()
    gc.freeze()  # what was imported stays: looking through it again would hold a page up for 70 ms
    garbage.collect_between(lambda: not front.working)
    return front


def _allow_connections() -> None:
    """Let a slow connection cost nothing that others need: as many files as we may open."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _check(loaded: Settings) -> None:
    """Raise ConfigurationError unless keys and database are there and of this release."""
    from management.context import database_url
    from management.database import Database
    from management.keys import Keys
    from management.migrations.release import require_current

    Keys(loaded.home / "keys")
    database = Database(database_url(loaded))
    try:
        require_current(database)
    finally:
        database.close()  # no connection may be shared with the worker


def _load() -> None:
    from management import app, tables

    tables.load()
    app.load()
    gc.collect()
    gc.freeze()


def _check_port(loaded: Settings) -> None:
    family = socket.AF_INET6 if ":" in loaded.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((loaded.host, loaded.port))
        except OSError as error:
            raise ConfigurationError(
                f"The console cannot listen on {loaded.host} port {loaded.port} "
                f"({error.strerror}). Choose another with SEKISHO_PORT."
            ) from None
