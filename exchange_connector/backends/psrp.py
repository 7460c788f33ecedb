"""Exchange 2013 to Subscription Edition over remote PowerShell (PSRP over WSMan, with pypsrp).

Exchange's runspace is in no-language mode: one cmdlet with parameters a pipeline, never a script.
A cmdlet's own error leaves ``had_errors`` False and shows only in the error stream. One session is
used for everything, since sessions are what the throttling policy counts.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from pypsrp.exceptions import AuthenticationError, WinRMError
from pypsrp.powershell import PowerShell, RunspacePool
from pypsrp.wsman import SelectorSet, WSMan

from exchange_connector.backends.cmdlets import (
    Exchange,
    Tally,
    ThrottledError,
    Written,
    asks_for_pause,
)
from runtime.errors import ConfigurationError, RefusedError, UnavailableError

log = logging.getLogger(__name__)

CONFIGURATION = "Microsoft.Exchange"
IDLE_SECONDS = 180
"""Exchange ends a session that was not used for so long; its own default is 15 minutes."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where Exchange is and who asks."""

    url: str
    """For example ``https://mail.example.com/PowerShell``."""
    user: str
    password: str
    auth: str = "basic"
    """``basic``, ``kerberos``, ``ntlm`` or ``negotiate``."""
    ca_file: str = ""
    """PEM of the CA that certifies the server; empty: the system's."""


class _Carrier:
    """Runs cmdlets in one runspace pool."""

    def __init__(self, pool: RunspacePool) -> None:
        self._pool = pool

    def __call__(self, cmdlet: str, parameters: Mapping[str, object]) -> Written:
        """Run *cmdlet*; see `cmdlets.Call`."""
        shell = PowerShell(self._pool)
        shell.add_cmdlet(cmdlet)
        for name, value in parameters.items():
            shell.add_parameter(name, value)
        with _translated():
            rows = shell.invoke()
        error = "; ".join(str(one) for one in shell.streams.error)
        if shell.had_errors and not error:
            error = f"Exchange refused {cmdlet}."
        return Written(
            [{**row.adapted_properties, **row.extended_properties} for row in rows], error
        )


@contextmanager
def session(
    server: Server,
    timeout_seconds: int = 60,
    remember: Callable[[str], None] = lambda name: None,
    tally: Tally | None = None,
) -> Iterator[Exchange]:
    """Open one session and close it at the end.

    *remember* is told the session's name before it opens, and an empty one when it is closed: see
    `close_left_over`. Raises ConfigurationError for a wrong address or password, UnavailableError
    when Exchange does not answer.
    """
    wsman = _wsman(server, timeout_seconds)
    pool = RunspacePool(wsman, configuration_name=CONFIGURATION, idle_timeout=IDLE_SECONDS)
    remember(pool.id)
    with _translated():
        pool.open()
    try:
        yield Exchange(_Carrier(pool), tally)
    finally:
        _close(pool)
        remember("")


def close_left_over(server: Server, name: str, timeout_seconds: int = 60) -> None:
    """Close the session *name* of a process that died: Exchange allows only a few at once.

    One that is gone already, or that Exchange does not let us close, ends when it was idle for
    long enough.
    """
    chosen = SelectorSet()
    chosen.add_option("ShellId", name)
    resource = f"http://schemas.microsoft.com/powershell/{CONFIGURATION}"
    try:
        with _translated():
            _wsman(server, timeout_seconds).delete(resource, selector_set=chosen)
    except (UnavailableError, RefusedError) as error:
        log.debug("A session that was left open could not be closed: %s", error)


def _close(pool: RunspacePool) -> None:
    """Close the session; one that Exchange has lost already needs no closing."""
    try:
        with _translated():
            pool.close()
    except (UnavailableError, RefusedError, ConfigurationError) as error:
        log.debug("The session could not be closed: %s", error)


def _wsman(server: Server, timeout_seconds: int) -> WSMan:
    parts = urlsplit(server.url)
    secure = parts.scheme == "https"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"{server.url} is no http or https address of Exchange.")
    if not secure and server.auth == "basic" and parts.hostname not in _LOOPBACK:
        raise ConfigurationError(
            "Basic authentication over http would show the password to the network. Use an https "
            "address, or --exchange-auth kerberos."
        )
    return WSMan(
        parts.hostname,
        port=parts.port or (443 if secure else 80),
        ssl=secure,
        path=parts.path.strip("/") or "PowerShell",
        auth=server.auth,
        username=server.user or None,
        password=server.password or None,
        encryption="never" if secure or server.auth == "basic" else "always",
        cert_validation=server.ca_file or True,  # type: ignore[arg-type]
        operation_timeout=timeout_seconds // 2,
        connection_timeout=10,
        read_timeout=timeout_seconds,
        no_proxy=True,
    )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except AuthenticationError:
        raise ConfigurationError(
            "Exchange refuses the user or password of this connector. Pair again with "
            "the right ones, and check that the PowerShell directory allows this authentication."
        ) from None
    except WinRMError as error:
        raise _unavailable(str(error)) from None
    except requests.RequestException as error:
        raise UnavailableError(f"Exchange does not answer: {error}") from None
    except (OSError, ValueError) as error:
        raise UnavailableError(f"Exchange cannot be spoken to: {error}") from None


def _unavailable(text: str) -> UnavailableError:
    """Return what an error of the connection means."""
    if asks_for_pause(text):
        return ThrottledError(f"Exchange asks for a pause: {text}")
    return UnavailableError(f"Exchange does not answer properly: {text}")
