"""Reads whose attestation counts: roots of the administrator's own, and what was revoked."""

import logging
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from cryptography import x509

from management.attestation.rules import GOOGLE_ROOTS, Anchors, UnprovedError, fingerprint
from management.settings import Settings
from runtime.errors import ConfigurationError, MalformedMessageError, TooLargeError
from updater.revocations import MOST_BYTES, read_revoked

STATUS_NAME = "attestation-status.json"
Reader = Callable[[Path, tuple[int, int]], frozenset[str]]
log = logging.getLogger(__name__)
_LAST: dict[tuple[Reader, Path], frozenset[str]] = {}
"""What each file said when it was read last."""


def anchors(settings: Settings) -> Anchors:
    """Return what counts now.

    A file that was spoilt meanwhile counts as it was read last; ConfigurationError names one that
    this process could never read.
    """
    roots = Path(settings.attestation_roots) if settings.attestation_roots else None
    status = Path(settings.attestation_status or settings.home / STATUS_NAME)
    counting = GOOGLE_ROOTS | (_latest(_roots, roots) if roots else frozenset())
    has_list = bool(settings.attestation_status) or status.exists()
    revoked = _latest(_revoked, status) if has_list else frozenset()
    return Anchors(counting, revoked, boot_keys(settings))


def boot_keys(settings: Settings) -> frozenset[str]:
    """Return the keys of others than the makers that may sign a system."""
    found = (key.strip().lower() for key in settings.attestation_boot_keys.split(","))
    return frozenset(key for key in found if key)


def _latest(read: Reader, path: Path) -> frozenset[str]:
    try:
        found = read(path, _stamp(path))
    except ConfigurationError as error:
        if (read, path) not in _LAST:
            raise
        log.error("%s What it said before counts until it is mended.", error)
        return _LAST[read, path]
    _LAST[read, path] = found
    return found


def _stamp(path: Path) -> tuple[int, int]:
    """Return what changes with the file, so that it is read once."""
    try:
        found = path.stat()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}).") from None
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=8)
def _roots(path: Path, stamp: tuple[int, int]) -> frozenset[str]:
    try:
        found = x509.load_pem_x509_certificates(_read(path, stamp))
        return frozenset(map(fingerprint, found))
    except (ValueError, UnprovedError):
        raise ConfigurationError(f"{path} holds no certificates (PEM).") from None


@lru_cache(maxsize=8)
def _revoked(path: Path, stamp: tuple[int, int]) -> frozenset[str]:
    """Return the serial numbers in a list as Google publishes it; all that stand in it count."""
    try:
        return read_revoked(_read(path, stamp), str(path))
    except (MalformedMessageError, TooLargeError) as error:
        raise ConfigurationError(str(error)) from None


def _read(path: Path, stamp: tuple[int, int]) -> bytes:
    if stamp[1] > MOST_BYTES:
        raise ConfigurationError(f"{path} is larger than {MOST_BYTES} bytes.")
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}).") from None
