"""Exchange 2013 to Subscription Edition over remote PowerShell (PSRP over WSMan, with pypsrp).

Exchange's runspace is in no-language mode: one cmdlet with parameters a pipeline, never a script.
A cmdlet's own error leaves ``had_errors`` False and shows only in the error stream. One session is
used for everything, since sessions are what the throttling policy counts.
"""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import requests
from pypsrp.exceptions import AuthenticationError, WinRMError
from pypsrp.powershell import PowerShell, RunspacePool
from pypsrp.wsman import SelectorSet, WSMan
from spnego.exceptions import FeatureMissingError, SpnegoError

from exchange_connector.backends.cmdlets import (
    Exchange,
    Tally,
    ThrottledError,
    Written,
    asks_for_pause,
)
from runtime.errors import ConfigurationError, RefusedError, UnavailableError

_SIGN_IN: tuple[type[Exception], ...] = (SpnegoError, ImportError)
"""What goes wrong on this side of NTLM and Kerberos."""
with suppress(ImportError):  # these are built only where Kerberos is used
    _SIGN_IN += (import_module("krb5").Krb5Error, import_module("gssapi.exceptions").GSSError)

log = logging.getLogger(__name__)

CONFIGURATION = "Microsoft.Exchange"
AUTHENTICATIONS = ("basic", "certificate", "kerberos", "negotiate", "ntlm")
IDLE_SECONDS = 180
"""Exchange ends a session that was not used for so long; its own default is 15 minutes."""
_UNREACHABLE = (-1765328228, -1765328164)
"""KRB5_KDC_UNREACH and KRB5_REALM_CANT_RESOLVE of MIT Kerberos."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where Exchange is and who asks."""

    url: str
    """For example ``https://mail.example.com/PowerShell``."""
    user: str
    password: str = field(default="", repr=False)
    auth: str = "basic"
    """One of `AUTHENTICATIONS`."""
    certificate: str = field(default="", repr=False)
    """PEM of private key and certificate, for ``certificate``."""
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
    with _wsman(server, timeout_seconds) as wsman:
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
        with _wsman(server, timeout_seconds) as wsman, _translated():
            wsman.delete(resource, selector_set=chosen)
    except (UnavailableError, RefusedError) as error:
        log.debug("A session that was left open could not be closed: %s", error)


def _close(pool: RunspacePool) -> None:
    """Close the session; one that Exchange has lost already needs no closing."""
    try:
        with _translated():
            pool.close()
    except (UnavailableError, RefusedError, ConfigurationError) as error:
        log.debug("The session could not be closed: %s", error)


@contextmanager
def _wsman(server: Server, timeout_seconds: int) -> Iterator[WSMan]:
    parts = urlsplit(server.url)
    secure = _is_secure(server)
    with _key_file(server) as key_file:
        yield WSMan(
            parts.hostname or "",
            port=parts.port or (443 if secure else 80),
            ssl=secure,
            path=parts.path.strip("/") or "PowerShell",
            auth=server.auth,
            username=server.user or None,
            password=server.password or None,
            encryption="never" if secure or server.auth == "basic" else "always",
            cert_validation=server.ca_file or True,  # type: ignore[arg-type]
            negotiate_service="HTTP",  # under this name Exchange is registered in the directory
            certificate_pem=key_file,
            certificate_key_pem=key_file,
            operation_timeout=timeout_seconds // 2,
            connection_timeout=10,
            read_timeout=timeout_seconds,
            no_proxy=True,
        )


def _is_secure(server: Server) -> bool:
    """Tell whether TLS is spoken; ConfigurationError for what would show a secret."""
    parts = urlsplit(server.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"{server.url} is no http or https address of Exchange.")
    if server.auth not in AUTHENTICATIONS:
        raise ConfigurationError(f"{server.auth} is none of {', '.join(AUTHENTICATIONS)}.")
    if server.auth == "certificate" and (parts.scheme != "https" or not server.certificate):
        raise ConfigurationError(
            "Signing in with a certificate needs an https address and --exchange-certificate."
        )
    if parts.scheme == "http" and server.auth == "basic" and parts.hostname not in _LOOPBACK:
        raise ConfigurationError(
            "Basic authentication over http would show the password to the network. Use an https "
            "address, or --exchange-auth kerberos."
        )
    return parts.scheme == "https"


@contextmanager
def _key_file(server: Server) -> Iterator[str | None]:
    """Lay the certificate's key where the TLS library reads it: in memory, where that can be."""
    if server.auth != "certificate":
        yield None
    elif hasattr(os, "memfd_create"):
        with os.fdopen(os.memfd_create("sekisho"), "w", encoding="ascii") as file:
            file.write(server.certificate)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
    else:
        with TemporaryDirectory(prefix="sekisho-") as folder:  # only we may read a folder so made
            path = Path(folder) / "key.pem"
            path.write_text(server.certificate, encoding="ascii")
            yield str(path)


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
    except _SIGN_IN as error:
        raise _no_ticket(error) from None


def _no_ticket(error: Exception) -> UnavailableError | ConfigurationError:
    """Return what an error of NTLM or Kerberos on this side means."""
    if getattr(error, "err_code", 0) in _UNREACHABLE:
        return UnavailableError(f"No Kerberos server can be reached: {error}")
    if isinstance(error, ImportError | FeatureMissingError):
        return ConfigurationError(
            f"This Python lacks what the authentication needs: {error} For Kerberos install "
            "sekisho[kerberos], see docs/exchange.md."
        )
    return ConfigurationError(
        f"The user cannot be signed in for Exchange: {error}. Pair again with the right name "
        "(USER@REALM for Kerberos) and password, and look at this machine's Kerberos settings."
    )


def _unavailable(text: str) -> UnavailableError:
    """Return what an error of the connection means."""
    if asks_for_pause(text):
        return ThrottledError(f"Exchange asks for a pause: {text}")
    return UnavailableError(f"Exchange does not answer properly: {text}")
