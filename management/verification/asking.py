"""Asks a process how it is, and which certificate it shows."""

import json
import ssl
import time
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import httpx
from cryptography import x509

from management.context import Context
from management.verification.rules import Finding, Tone
from management.verification.rules import sentence as _l
from runtime import http_in_time
from runtime.connecting import shown_certificate
from runtime.errors import UnavailableError

WHOLE_SECONDS = 10.0
MOST_BYTES = 64 * 1024
Check = Callable[[Context, datetime], Finding]


def alone(check: Check) -> Check:
    """Let one at a time ask the communication servers this: one that never comes to an end of its
    answer holds one thread of the console, not all.
    """
    lock = Lock()

    @wraps(check)
    def checked(context: Context, now: datetime) -> Finding:
        if not lock.acquire(blocking=False):
            return Finding(
                Tone.WARN,
                _l("Not looked at: somebody else asks the communication servers just now."),
                _l("Look again in half a minute."),
                "relays.index",
            )
        try:
            return check(context, now)
        finally:
            lock.release()

    return checked


def healthz(url: str, verify: ssl.SSLContext | None = None) -> dict[str, Any]:
    """Return the answer of ``/healthz`` at *url*: ``wrong`` maps what is wrong to its sentence.

    UnavailableError when nothing answers, or the TLS certificate is not one that *verify* takes.
    """
    try:
        trust = verify or ssl.create_default_context()
        with http_in_time.client(WHOLE_SECONDS, trust) as http, http.stream("GET", url) as answer:
            found = json.loads(_body(answer))
    except (httpx.HTTPError, ValueError) as error:
        raise UnavailableError(str(error) or type(error).__name__) from None
    return found if isinstance(found, dict) and "wrong" in found else {"wrong": {"": str(found)}}


def _body(answer: httpx.Response) -> bytes:
    body = b""
    for part in answer.iter_bytes():
        body += part
        if len(body) > MOST_BYTES:
            raise UnavailableError("Its answer is too long.")
    return body


def certificate_until(url: str) -> datetime:
    """Return when the TLS certificate ends that *url* shows, whoever issued it.

    UnavailableError when nothing answers there.
    """
    place = urlsplit(url)
    try:
        ends_at = time.monotonic() + WHOLE_SECONDS
        shown = shown_certificate(place.hostname or "", place.port or 443, ends_at)
        return x509.load_der_x509_certificate(shown).not_valid_after_utc
    except (OSError, ValueError) as error:
        raise UnavailableError(str(error) or type(error).__name__) from None
