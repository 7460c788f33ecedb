"""Fetches releases through management, and believes only what the project's keys signed.

Management is a mirror here and nothing more: the lists and the wheel are checked (TUF) against the
root that came with this program, or that somebody put beside its pairing by hand. So a management
server in other hands can hold a release back and say when one is tried, but it can neither change
one nor give an older one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from tuf.api.exceptions import DownloadError, DownloadHTTPError

import updater
from exchange_connector.management_client import ManagementClient
from runtime.errors import ConfigurationError, MalformedMessageError, SekishoError
from updater.limits import Limits
from updater.source import SourceFetcher
from updater.trust import ReleaseOffer, TrustedSource, open_with
from updater.trusted_root import read_root

OWN_ROOT = "release-root.json"
"""In the connector's folder: a root that somebody put there wins over the shipped one."""
SHIPPED_ROOT = Path(updater.__path__[0]) / "release_root.json"
LIMITS = Limits(total_seconds=300)
LARGEST_BYTES = 128 * 1024 * 1024
NO_ROOT = (
    "This program came without the root of the project's releases, so it cannot check one. Give it"
    " by hand: sekisho exchange-connector release-root FILE"
)


class ManagementFetcher(SourceFetcher):
    """Reads an update source that management hands on over our signed connection."""

    def __init__(self, management: ManagementClient) -> None:
        super().__init__(LIMITS)
        self._management = management

    def _http(self, url: str) -> Iterator[bytes]:
        try:
            with self._management.release_file(url) as answer:
                if answer.status_code != 200:
                    words = f"{url} answered with HTTP status {answer.status_code}"
                    raise DownloadHTTPError(words, answer.status_code)
                yield from answer.iter_bytes(64 * 1024)
        except (httpx.HTTPError, SekishoError) as error:
            raise DownloadError(f"{url} cannot be read: {error}") from error


@contextmanager
def open_releases(management: ManagementClient, connector: Path) -> Iterator[TrustedSource]:
    """Yield management's copy of the releases, trusted as far as the root in *connector* leads."""
    folder = connector / "updates"
    fetcher = ManagementFetcher(management)
    with open_with(fetcher, management.releases_url, trusted_root(connector), folder) as source:
        source.refresh()
        yield source


def newest(source: TrustedSource) -> ReleaseOffer:
    """Return the newest release that is signed; MalformedMessageError when there is none."""
    offers = source.releases()
    if not offers:
        raise MalformedMessageError("The signed list that management has names no release.")
    if offers[-1].length > LARGEST_BYTES:
        raise MalformedMessageError("The newest release is larger than one may be.")
    return offers[-1]


def trusted_root(connector: Path) -> bytes:
    """Return the root of all trust in releases; ConfigurationError when there is none."""
    for path in (connector / OWN_ROOT, SHIPPED_ROOT):
        if path.is_file():
            content = path.read_bytes()
            read_root(content)
            return content
    raise ConfigurationError(NO_ROOT)
