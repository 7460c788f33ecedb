"""Exchange 2013 to Subscription Edition over remote PowerShell (PSRP over WSMan, with pypsrp).

Exchange's runspace is in no-language mode: one cmdlet with parameters a pipeline, never a script.
A cmdlet's own error leaves ``had_errors`` False and shows only in the error stream. One session is
used for everything, since sessions are what the throttling policy counts.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from pypsrp.exceptions import AuthenticationError, WinRMError
from pypsrp.powershell import PowerShell, RunspacePool
from pypsrp.wsman import SelectorSet, WSMan

from contracts.connector import Partnership
from exchange_connector.access_rules import Change, Lists
from runtime.errors import ConfigurationError, RefusedError, UnavailableError
from runtime.process import crash_point

log = logging.getLogger(__name__)

CONFIGURATION = "Microsoft.Exchange"
PARTNERSHIPS = "/ExchangeActiveSyncDevices/"
BULK = 50
"""From so many mailboxes on, one call for all is quicker than one call each."""
IDLE_SECONDS = 180
"""Exchange ends a session that was not used for so long; its own default is 15 minutes."""
_THROTTLED = ("throttl", "budget", "overbudget", "maximum number of connections", "serverbusy")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class ThrottledError(UnavailableError):
    """Exchange refuses more calls for now."""


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


class Exchange:
    """One open session."""

    def __init__(self, pool: RunspacePool) -> None:
        self._pool = pool

    def list_partnerships(self, addresses: Mapping[str, str]) -> list[Partnership]:
        """Return every ActiveSync partnership, with one call.

        *addresses*: mailbox identity -> the user's mail address, see `list_mailboxes`.
        """
        rows = self._call("Get-MobileDevice", ResultSize="Unlimited")
        found = (_partnership(row, addresses) for row in rows)
        return [one for one in found if one is not None]

    def list_mailboxes(self) -> tuple[dict[str, str], dict[str, Lists]]:
        """Return the addresses and the lists of all mailboxes with partnerships, with one call."""
        rows = self._call(
            "Get-CASMailbox",
            ResultSize="Unlimited",
            Filter="HasActiveSyncDevicePartnership -eq $true",
        )
        named = [(_text(row, "Identity"), row) for row in rows]
        addresses = {name: _text(row, "PrimarySmtpAddress") for name, row in named}
        return addresses, {name: _lists(row) for name, row in named}

    def read_lists(self, mailbox: str) -> Lists:
        """Return the lists of one mailbox; RefusedError with Exchange's words if it cannot."""
        rows = self._call("Get-CASMailbox", Identity=mailbox)
        if len(rows) != 1:
            raise RefusedError(f"Exchange knows {len(rows)} mailboxes by the name {mailbox}.")
        return _lists(rows[0])

    def change(self, mailbox: str, change: Change) -> None:
        """Add and remove entries of one mailbox, all in one call; others' entries stay."""
        lists = {
            "ActiveSyncAllowedDeviceIDs": _entries(change.add.allowed, change.remove.allowed),
            "ActiveSyncBlockedDeviceIDs": _entries(change.add.blocked, change.remove.blocked),
        }
        crash_point("before effect exchange")
        self._call("Set-CASMailbox", Identity=mailbox, **{k: v for k, v in lists.items() if v})
        crash_point("after effect exchange")

    def _call(self, cmdlet: str, **parameters: object) -> list[Mapping[str, Any]]:
        """Return the properties of each object that *cmdlet* writes.

        Raises RefusedError with the cmdlet's error, ThrottledError when it says "too many".
        """
        shell = PowerShell(self._pool)
        shell.add_cmdlet(cmdlet)
        for name, value in parameters.items():
            shell.add_parameter(name, value)
        with _translated():
            rows = shell.invoke()
        if shell.streams.error:
            raise _refused("; ".join(str(error) for error in shell.streams.error))
        if shell.had_errors:
            raise _refused(f"Exchange refused {cmdlet}.")
        return [{**row.adapted_properties, **row.extended_properties} for row in rows]


@contextmanager
def session(
    server: Server, timeout_seconds: int = 60, remember: Callable[[str], None] = lambda name: None
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
        yield Exchange(pool)
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


def _refused(text: str) -> RefusedError | UnavailableError:
    """Return what a cmdlet's own error means."""
    if _asks_for_pause(text):
        return _unavailable(text)
    return RefusedError(text)


def _unavailable(text: str) -> UnavailableError:
    """Return what an error of the connection means."""
    if _asks_for_pause(text):
        return ThrottledError(f"Exchange asks for a pause: {text}")
    return UnavailableError(f"Exchange does not answer properly: {text}")


def _asks_for_pause(text: str) -> bool:
    lower = text.casefold()
    return any(word in lower for word in _THROTTLED)


def _entries(add: frozenset[str], remove: frozenset[str]) -> dict[str, list[str]]:
    named = {"Add": sorted(add), "Remove": sorted(remove)}
    return {word: ids for word, ids in named.items() if ids}


def _lists(row: Mapping[str, Any]) -> Lists:
    return Lists(
        _ids(row.get("ActiveSyncAllowedDeviceIDs")), _ids(row.get("ActiveSyncBlockedDeviceIDs"))
    )


def _ids(value: object) -> frozenset[str]:
    if value is None:
        return frozenset()
    many: Sequence[object] = value if isinstance(value, list) else [value]
    return frozenset(str(one) for one in many)


def _partnership(row: Mapping[str, Any], addresses: Mapping[str, str]) -> Partnership | None:
    """Return the row as our message; None for what is no ActiveSync partnership of a mailbox."""
    mailbox, separator, _ = _text(row, "Identity").rpartition(PARTNERSHIPS)
    device_id = _text(row, "DeviceId")
    if not separator or not mailbox or not 1 <= len(device_id) <= 64 or len(mailbox) > 255:
        return None
    return Partnership(
        mailbox=mailbox,
        user_address=addresses.get(mailbox, "")[:255],
        device_id=device_id,
        device_type=_text(row, "DeviceType")[:255],
        device_model=_text(row, "DeviceModel")[:255],
        device_os=_text(row, "DeviceOS")[:255],
        user_agent=_text(row, "DeviceUserAgent")[:255],
        access_state=_text(row, "DeviceAccessState")[:255] or "Unknown",
        access_reason=_text(row, "DeviceAccessStateReason")[:255],
        first_sync_at=_instant(row.get("FirstSyncTime")),
    )


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return "" if value is None else str(value)


def _instant(value: object) -> datetime | None:
    """Return an instant in UTC; real servers write dates in several ways, and some not at all."""
    if value is None:
        return None
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
