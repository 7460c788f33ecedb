"""Serves the console: granian, one worker with a few blocking threads, TLS from the data folder."""

import multiprocessing
import os
import socket
import sys

from granian import Granian
from granian.constants import Interfaces, SSLProtocols

from management import settings
from management.settings import Settings
from runtime import logs
from runtime.errors import ConfigurationError, SekishoError
from runtime.process import die_with_parent

THREADS = 8
PARENT = "SEKISHO_WEB_PARENT"
"""Tells the worker whose child it must be."""
CONFIGURATION = 78  # EX_CONFIG


def serve(loaded: Settings) -> None:
    """Serve until SIGTERM or SIGINT. ConfigurationError when it cannot even start.

    What may be wrong is looked for in a child that ends, so that this process, which only watches
    the worker, stays small.
    """
    certificate, key = (loaded.home / "keys" / f"console.{end}" for end in ("pem", "key"))
    for path in (certificate, key):
        if not path.exists():
            raise ConfigurationError(f"{path} is missing; `sekisho set-up` issues it.")
    _check_port(loaded)
    check = multiprocessing.get_context("fork").Process(target=_check)
    check.start()
    check.join()
    if check.exitcode:
        sys.exit(check.exitcode)
    os.environ[PARENT] = str(os.getpid())
    Granian(
        "management.web_server:application",
        address=loaded.host,
        port=loaded.port,
        interface=Interfaces.WSGI,
        factory=True,
        workers=1,
        blocking_threads=THREADS,
        backpressure=8 * THREADS,
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=10,
        ssl_cert=certificate,
        ssl_key=key,
        ssl_protocol_min=SSLProtocols.tls12,
    ).serve()


def application() -> object:
    """Return the console's WSGI callable; granian's worker asks for it."""
    from management.app import create_app
    from management.context import open_context

    die_with_parent(int(os.environ[PARENT]))
    loaded = settings.load()
    logs.start("management", loaded.log_level)
    return create_app(open_context(loaded))


def _check() -> None:
    from management.context import open_context
    from management.migrations.release import require_current

    try:
        require_current(open_context(settings.load()).database)
    except SekishoError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(CONFIGURATION if isinstance(error, ConfigurationError) else 1)


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
