"""Asks a process how it is."""

from typing import Any

import httpx

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
