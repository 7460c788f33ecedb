"""Exchange Online over REST: the command that Microsoft's own PowerShell module sends.

``POST /adminapi/beta/{tenant}/InvokeCommand`` runs one cmdlet. Microsoft does not document it (its
documented Admin API knows no phones), so everything that comes back is read strictly: a list of
objects within bounds, a next page at the same address, or an error whose words are passed on.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from exchange_connector.backends.cmdlets import (
    Exchange,
    Row,
    Tally,
    ThrottledError,
    Written,
    asks_for_pause,
)
from exchange_connector.backends.online_http import Answer, Http
from exchange_connector.backends.online_identity import Tenant, Tokens
from runtime.errors import ConfigurationError, UnavailableError

__all__ = ["Online", "Tenant"]

PAGE_ROWS = 1000
MOST_PAGES = 2000
LONGEST_WAIT_SECONDS = 20.0
"""Asked to wait longer, the pass ends; shorter, it waits: a long read is not begun anew."""
MOST_WAITS = 30
"""In one call, for all its pages."""
_SYSTEM_MAILBOX = "SystemMailbox{bb558c35-97f1-4cb9-8ff7-d53741dc928c}"
_TOO_MANY = (429, 503)


@dataclass(frozen=True, slots=True)
class _Page:
    rows: list[Row]
    following: str = ""
    error: str = ""


class Online:
    """A tenant; its token outlives sessions, since each costs a sign-in."""

    def __init__(self, tenant: Tenant, timeout_seconds: int = 60) -> None:
        self._tenant = tenant
        self._http = Http((tenant.exchange_url, tenant.login_url), tenant.ca_file, timeout_seconds)
        self._tokens = Tokens(tenant, self._http)

    @contextmanager
    def session(self, tally: Tally | None = None) -> Iterator[Exchange]:
        """Sign in and run cmdlets; REST holds nothing open at Exchange.

        Raises ConfigurationError for a wrong tenant, application or certificate, UnavailableError
        when Microsoft does not answer.
        """
        tally = tally or Tally()
        self._tokens.get()
        yield Exchange(_Carrier(self._tenant, self._http, self._tokens, tally), tally)


class _Carrier:
    """Runs cmdlets one after the other."""

    def __init__(self, tenant: Tenant, http: Http, tokens: Tokens, tally: Tally) -> None:
        self._tenant, self._http, self._tokens, self._tally = tenant, http, tokens, tally
        self._base = f"{tenant.exchange_url.rstrip('/')}/adminapi"
        self._waits = 0
        self._known: frozenset[str] | None = None

    def __call__(self, cmdlet: str, parameters: Mapping[str, object]) -> Written:
        """Run *cmdlet*; see `cmdlets.Call`."""
        self._waits = 0
        if cmdlet == "Get-Command":  # PowerShell's own, which REST does not carry
            return self._get_command(str(parameters["Name"]))
        said = {name: _value(value) for name, value in parameters.items()}
        body = json.dumps({"CmdletInput": {"CmdletName": cmdlet, "Parameters": said}}).encode()
        return self._all_pages(cmdlet, body)

    def _all_pages(self, cmdlet: str, body: bytes) -> Written:
        rows: list[Row] = []
        first = url = f"{self._base}/beta/{self._tenant.tenant}/InvokeCommand"
        for _ in range(MOST_PAGES):
            page = _read_page(self._ask(url, cmdlet, body))
            rows += page.rows
            if page.error or not page.following:
                return Written(rows, page.error)
            url = _following(first, page.following)
        raise UnavailableError(f"Exchange Online's answer to {cmdlet} has no end.")

    def _headers(self, cmdlet: str) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self._tokens.get()}",
            "Accept": "application/json",
            "Content-Type": "application/json; charset=utf-8",
            "Prefer": f"odata.maxpagesize={PAGE_ROWS}",
            "X-AnchorMailbox": f"APP:{_SYSTEM_MAILBOX}@{self._tenant.tenant}",
            "X-CmdletName": cmdlet,
            "CommandName": cmdlet,
            "X-ResponseFormat": "json",
            "X-SerializationLevel": "Partial",
            "client-request-id": str(uuid4()),
        }

    def _get_command(self, cmdlet: str) -> Written:
        """Tell whether this application's role holds *cmdlet*; REST does not say with what."""
        if self._known is None:
            self._known = self._exported()
        rows = [{"Name": cmdlet, "Parameters": None}] if cmdlet.casefold() in self._known else []
        return Written(rows)

    def _exported(self) -> frozenset[str]:
        """Return the cmdlets of our role: Microsoft's module loads the same list when it starts."""
        url = f"{self._base}/v1.0/{self._tenant.tenant}/EXOModuleFile?Version=3.7.1"
        page = _read_page(self._ask(url, "*"))
        said = page.rows[0].get("exportedCmdlets") if page.rows else None
        if page.error or not isinstance(said, str):
            raise UnavailableError(f"Exchange Online does not list our cmdlets. {page.error}")
        return frozenset(said.replace(",", " ").casefold().split())

    def _ask(self, url: str, cmdlet: str, body: bytes = b"") -> Answer:
        """Send; wait as asked, and sign in once more when the token is used up."""
        signed_in_again = False
        while True:
            headers = self._headers(cmdlet)
            answer = self._http.send("POST" if body else "GET", url, body, headers)
            if answer.status_code in _TOO_MANY:
                self._wait(answer)
            elif answer.status_code == 401 and not signed_in_again:
                signed_in_again = True
                self._tokens.forget()
            else:
                return answer

    def _wait(self, answer: Answer) -> None:
        seconds = _seconds(answer.headers.get("Retry-After", ""))
        self._waits += 1
        if seconds is None and answer.status_code == 503:
            raise UnavailableError("Exchange Online does not answer properly (status 503).")
        if seconds is None or seconds > LONGEST_WAIT_SECONDS or self._waits > MOST_WAITS:
            raise ThrottledError(
                f"Exchange Online asks for a pause (status {answer.status_code}).", seconds or 0
            )
        self._tally.waited_seconds += seconds
        time.sleep(seconds)


def _value(value: object) -> Any:
    """Return *value* as InvokeCommand takes it; @{Add; Remove} needs to say what it is."""
    if isinstance(value, dict):
        return {"@odata.type": "#Exchange.GenericHashTable", **value}
    return value


def _following(first: str, said: str) -> str:
    """Return the next page's address, which must be the same one with another query."""
    if not said.startswith(f"{first}?") or not said.isascii() or not said.isprintable():
        raise UnavailableError("Exchange Online's next page is elsewhere; it was not asked for.")
    return said


def _read_page(answer: Answer) -> _Page:
    """Return what *answer* holds; what a cmdlet itself refused is its error."""
    said = _object(answer.text)
    if answer.status_code != 200:
        return _Page([], error=_refusal(answer.status_code, said))
    rows, following = said.get("value"), said.get("@odata.nextLink", "")
    if (
        not isinstance(rows, list)
        or not all(isinstance(row, dict) for row in rows)
        or not isinstance(following, str)
    ):
        raise UnavailableError("Exchange Online's answer cannot be read: no list of objects.")
    return _Page(rows, following)


def _object(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _refusal(status: int, said: Mapping[str, Any]) -> str:
    """Return a cmdlet's own error; raise for what concerns the connection."""
    if text := _words(said, only_details=status in (401, 403)):
        return text
    if status in (401, 403):
        raise ConfigurationError(
            f"Exchange Online refuses this connector's application (status {status}). It needs "
            "the permission Exchange.ManageAsApp and a role group, see docs/exchange.md."
        )
    raise UnavailableError(f"Exchange Online does not answer properly (status {status}).")


def _words(said: Mapping[str, Any], only_details: bool) -> str:
    """Return the words of an OData error: its details' message ends a row of ``a|b|words``."""
    error = said.get("error")
    if not isinstance(error, dict):
        return ""
    details = error.get("details")
    found = details[0] if isinstance(details, list) and details else details
    text = found.get("message") if isinstance(found, dict) else None
    if not isinstance(text, str) and not only_details:
        text = error.get("message")
    if not isinstance(text, str):
        return ""
    if asks_for_pause(text):
        raise ThrottledError(f"Exchange Online asks for a pause: {text[:500]}")
    return text.rpartition("|")[2].strip()[:4000]


def _seconds(said: str) -> float | None:
    """Return a Retry-After in seconds; None for a date or nonsense."""
    text = said.strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else None
