"""Every way in which an update can fail, as a sentence that says what mends it."""

from collections.abc import Iterator
from contextlib import contextmanager

from tuf.api import exceptions
from tuf.api.serialization import DeserializationError

from runtime.errors import (
    MalformedMessageError,
    RefusedError,
    SekishoError,
    TooLargeError,
    UnavailableError,
)
from updater.source import SourceFetcher


@contextmanager
def translated(fetcher: SourceFetcher) -> Iterator[None]:
    """Turn the errors of tuf and of the local disk into ours; *fetcher* knows the file."""
    try:
        yield
    except exceptions.DownloadError as error:
        raise _download(error, fetcher.last_url) from error
    except exceptions.RepositoryError as error:
        raise _repository(error, fetcher.last_url) from error
    except OSError as error:
        raise UnavailableError(
            f"This server could not keep what it downloaded: {error}. Check free space and"
            " rights of the data folder."
        ) from error


def _download(error: exceptions.DownloadError, url: str) -> SekishoError:
    if isinstance(error, exceptions.DownloadHTTPError):
        return _answered(error, url)
    if isinstance(error, exceptions.DownloadLengthMismatchError):
        return TooLargeError(
            f"{url} is longer than its publisher signed for or than any such file may be; reading"
            " stopped there. The source was damaged or tampered with: publish to it again."
        )
    if isinstance(error, exceptions.SlowRetrievalError):
        return UnavailableError(
            f"{error}. The source is too slow or does not answer; check it and the network, then"
            " update again."
        )
    return UnavailableError(
        f"{error}. Check the source's address, the network and the certificate, then update again."
    )


def _answered(error: exceptions.DownloadHTTPError, url: str) -> SekishoError:
    if error.status_code == 404 and url.endswith("/timestamp.json"):
        return UnavailableError(
            f"No update repository is at this address: {url} does not exist. Check the source's"
            " address; it is the folder that holds 'metadata' and 'targets'."
        )
    if error.status_code == 404:
        return UnavailableError(
            f"The source lists {url} but does not hold it. A copy of it may be unfinished: update"
            " again later, or publish to it again."
        )
    return UnavailableError(f"{error}. Mend the source's server, then update again.")


def _repository(error: exceptions.RepositoryError, url: str) -> SekishoError:
    if isinstance(error, exceptions.ExpiredMetadataError):
        return RefusedError(
            f"What the source shows has expired ({error}). Either it was not signed anew in time or"
            " somebody holds newer patterns back. Run 'sekisho update sign-timestamp' where the"
            " source is published (for root: 'renew-root'), and check this server's clock."
        )
    if isinstance(error, exceptions.BadVersionNumberError):
        return RefusedError(
            f"The source shows older files than it did before, or a mixture of old and new"
            f" ({error}). Somebody may be putting outdated patterns in place of new ones. Publish"
            " again from the newest state of the source."
        )
    if isinstance(error, exceptions.UnsignedMetadataError):
        return RefusedError(
            f"{url} is not signed with the keys that this server trusts ({error}). If the"
            " publisher started the source afresh, enter its new root.json; otherwise somebody is"
            " tampering with the source."
        )
    return _damaged(error, url)


def _damaged(error: exceptions.RepositoryError, url: str) -> SekishoError:
    if isinstance(error, exceptions.LengthOrHashMismatchError):
        return RefusedError(
            f"{url} is not the file that its publisher signed ({error}): it was cut off, damaged"
            " or tampered with. Update again; if it stays, publish to the source again."
        )
    if isinstance(error, DeserializationError):
        return MalformedMessageError(
            f"{url} is not readable as TUF metadata: it was cut off, or the address leads to"
            " something else. Check the source's address, then update again."
        )
    return RefusedError(f"The source was refused: {error}. Publish to it again.")
