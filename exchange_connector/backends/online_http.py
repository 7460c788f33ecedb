"""HTTPS for Exchange Online: two configured hosts and no other, no redirects, bounded answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from runtime.errors import ConfigurationError, UnavailableError

LARGEST_ANSWER_BYTES = 64 * 1024 * 1024
CONNECT_SECONDS = 10
Headers = Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as msal and we read it."""

    status_code: int
    text: str
    headers: "requests.structures.CaseInsensitiveDict[str]"

    def raise_for_status(self) -> None:
        """Raise UnavailableError for an error: msal calls this."""
        if self.status_code >= 400:
            raise UnavailableError(f"Microsoft's sign-in answers with status {self.status_code}.")


class Http:
    """Speaks only to the origins of *addresses*; it is also msal's HTTP client."""

    def __init__(self, addresses: tuple[str, ...], ca_file: str, timeout_seconds: int) -> None:
        self._origins = {origin(one) for one in addresses}
        self._timeout = (CONNECT_SECONDS, timeout_seconds)
        self._session = requests.Session()
        # The environment may name another CA or send our token through somebody's proxy.
        self._session.trust_env = False
        self._session.verify = ca_file or True

    def get(self, url: str, headers: Headers = None, params: Any = None, **_: Any) -> Answer:
        """Send GET, as msal asks for it."""
        return self.send("GET", url, None, headers, params)

    def post(
        self, url: str, data: Any = None, headers: Headers = None, params: Any = None, **_: Any
    ) -> Answer:
        """Send POST, as msal asks for it."""
        return self.send("POST", url, data, headers, params)

    def close(self) -> None:
        """Close every connection."""
        self._session.close()

    def send(
        self, method: str, url: str, data: Any, headers: Headers = None, params: Any = None
    ) -> Answer:
        """Send one request; UnavailableError without an answer, or to an address not ours."""
        self.check(url)
        try:
            with self._session.request(
                method,
                url,
                params=params,
                data=data,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as answer:
                body = _read(answer)
        except requests.RequestException as error:
            raise UnavailableError(f"Exchange Online does not answer: {error}") from None
        return Answer(answer.status_code, body, answer.headers)

    def check(self, url: str) -> None:
        """Raise UnavailableError unless *url* is at one of the configured origins."""
        if origin(url) not in self._origins:
            raise UnavailableError(
                f"Exchange Online leads to {urlsplit(url).hostname}, which was not configured; "
                "nothing was sent there."
            )


def origin(address: str) -> tuple[str, int]:
    """Return (host, port) of an https address; ConfigurationError for any other."""
    try:
        parts = urlsplit(address)
        port = parts.port or 443
    except ValueError:
        raise ConfigurationError(f"{address[:200]} is no address.") from None
    if parts.scheme != "https" or not parts.hostname or parts.username is not None:
        raise ConfigurationError(f"{address[:200]} is no https address.")
    return parts.hostname, port


def _read(answer: requests.Response) -> str:
    parts, size = [], 0
    for part in answer.iter_content(65_536):
        size += len(part)
        if size > LARGEST_ANSWER_BYTES:
            raise UnavailableError("Exchange Online's answer is larger than anything it sends.")
        parts.append(part)
    return b"".join(parts).decode("utf-8", "replace")
