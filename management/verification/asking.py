"""Asks a process how it is, and which certificate it shows."""

import ssl
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
from cryptography import x509

from runtime.errors import UnavailableError


def healthz(url: str, verify: Any = True) -> dict[str, Any]:
    """Return the answer of ``/healthz`` at *url*: ``wrong`` maps what is wrong to its sentence.

    UnavailableError when nothing answers, or the TLS certificate is not one that *verify* takes.
    """
    try:
        found = httpx.get(url, timeout=10.0, verify=verify, trust_env=False).json()
    except (httpx.HTTPError, ValueError) as error:
        raise UnavailableError(str(error) or type(error).__name__) from None
    return found if isinstance(found, dict) and "wrong" in found else {"wrong": {"": str(found)}}


def certificate_until(url: str) -> datetime:
    """Return when the TLS certificate ends that *url* shows, whoever issued it.

    UnavailableError when nothing answers there.
    """
    place = urlsplit(url)
    try:
        shown = ssl.get_server_certificate((place.hostname or "", place.port or 443), timeout=10.0)
        return x509.load_pem_x509_certificate(shown.encode()).not_valid_after_utc
    except (OSError, ValueError) as error:
        raise UnavailableError(str(error) or type(error).__name__) from None
