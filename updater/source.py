"""Reads the files of an update source: https, http, file addresses and folders.

TUF decides what to believe; this decides only how long to wait and how much to read. Every
failure, also in the middle of a file, becomes one of tuf's own download errors.
"""

import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore
from tuf.api.exceptions import DownloadError, DownloadHTTPError, SlowRetrievalError
from tuf.ngclient.fetcher import FetcherInterface

from runtime.errors import MalformedMessageError
from updater.deadline import Deadline, DeadlineNetwork
from updater.limits import Limits

PIECE_BYTES = 64 * 1024
ACCEPTED = (
    "An address starting with https:// or http://, an address starting with file:///, or the"
    " absolute path of a folder is accepted."
)


def read_address(text: str) -> str:
    """Return the source's address as a URL without a slash at its end.

    MalformedMessageError says what is accepted when *text* is something else.
    """
    text = text.strip()
    if text.startswith("/") and not text.startswith("//"):
        return Path(text).as_uri().rstrip("/")
    try:
        parts = urlsplit(text)
        _ = parts.port  # reading it checks it
    except ValueError as error:
        raise MalformedMessageError(f"The address cannot be read: {error}. {ACCEPTED}") from None
    if parts.query or parts.fragment or parts.username is not None:
        raise MalformedMessageError(
            "The address of an update source has no user name, question mark or hash sign."
            f" {ACCEPTED}"
        )
    if not _is_accepted(parts.scheme, parts.hostname, parts.path):
        raise MalformedMessageError(f"This is no address of an update source. {ACCEPTED}")
    return text.rstrip("/")


def _is_accepted(scheme: str, host: str | None, path: str) -> bool:
    if scheme in ("https", "http"):
        return bool(host)
    return scheme == "file" and not host and path.startswith("/")


class SourceFetcher(FetcherInterface):
    """Fetches for one update; remembers the last address, for a sentence about what failed."""

    def __init__(self, limits: Limits, arrived: Callable[[str, int], None] | None = None) -> None:
        """Start the clock of ``limits.total_seconds``; *arrived* hears (address, bytes so far)."""
        self.limits = limits
        self.deadline = Deadline(limits.total_seconds, limits.gap_seconds)
        self.last_url = ""
        self._connections: dict[str, httpcore.ConnectionPool] = {}
        self._arrived = arrived or (lambda _url, _count: None)

    def close(self) -> None:
        """Hang up."""
        for connections in self._connections.values():
            connections.close()
        self._connections.clear()

    def _fetch(self, url: str) -> Iterator[bytes]:
        self.last_url = url
        pieces = self._file(url) if url.startswith("file:") else self._http(url)
        return self._guarded(url, pieces)

    def _guarded(self, url: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Pass pieces on while they come fast enough; translate what breaks on the way."""
        started, count = time.monotonic(), 0
        try:
            for piece in pieces:
                count += len(piece)
                self._check_rate(url, count, time.monotonic() - started)
                self._arrived(url, count)
                yield piece
        except (httpcore.TimeoutException, TimeoutError) as error:
            raise SlowRetrievalError(f"{url} did not answer in time") from error
        except (httpcore.ConnectError, ssl.SSLError) as error:
            raise DownloadError(f"{url} cannot be reached: {error}") from error
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError) as error:
            raise DownloadError(f"{url} broke off: {error}") from error
        except (OSError, ValueError) as error:
            raise DownloadError(f"{url} cannot be read: {error}") from error

    def _check_rate(self, url: str, count: int, seconds: float) -> None:
        self.deadline.left()  # raises when the whole update takes too long
        too_few = count < seconds * self.limits.minimum_bytes_a_second
        if seconds > self.limits.grace_seconds and too_few:
            raise SlowRetrievalError(f"{url} sent {count} bytes in {seconds:.0f} s")

    def _http(self, url: str) -> Iterator[bytes]:
        seconds = dict.fromkeys(("connect", "read", "write", "pool"), self.limits.gap_seconds)
        scheme = urlsplit(url).scheme
        if scheme not in self._connections:
            self._connections[scheme] = _connections(url, self.deadline)
        with self._connections[scheme].stream(
            "GET",
            url,
            headers={"User-Agent": "sekisho", "Accept-Encoding": "identity"},
            extensions={"timeout": seconds},
        ) as response:
            if response.status != 200:
                raise DownloadHTTPError(_status_words(url, response), response.status)
            yield from response.iter_stream()

    def _file(self, url: str) -> Iterator[bytes]:
        path = Path(unquote(urlsplit(url).path))
        if not path.exists():
            raise DownloadHTTPError(f"{path} does not exist", 404)
        if not path.is_file():  # a pipe would block for ever
            raise DownloadError(f"{path} is not a file")
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                yield piece


def _status_words(url: str, response: httpcore.Response) -> str:
    if 300 <= response.status < 400:
        target = dict(response.headers).get(b"Location", b"elsewhere").decode("ascii", "replace")
        return f"{url} moved to {target[:500]}: enter that address as the source"
    return f"{url} answered with HTTP status {response.status}"


def _connections(url: str, deadline: Deadline) -> httpcore.ConnectionPool:
    """Return connections that keep *deadline*, through the proxy that the environment names.

    Certificates are checked against the operating system's store, where a company adds its own.
    """
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    return httpcore.ConnectionPool(
        ssl_context=ssl.create_default_context(),
        network_backend=DeadlineNetwork(deadline),
        proxy=httpcore.Proxy(proxy) if proxy and not proxy_bypass(parts.hostname or "") else None,
    )
