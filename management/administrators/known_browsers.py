"""Browsers in which an account signed in before: strangers cannot keep its owner waiting there.

A signed cookie says so. It opens nothing; it only lets failures be counted for this browser alone.
"""

import hmac
from datetime import datetime, timedelta
from secrets import token_hex
from uuid import UUID

from flask import Response, g, request

from management.keys import Keys

COOKIE = "__Host-sekisho-browser"
LIVES = timedelta(days=90)


def known_as(keys: Keys, administrator_id: UUID, now: datetime) -> str:
    """Return this browser's id, if that administrator signed in here before; else nothing."""
    told, _, mac = request.cookies.get(COOKIE, "").rpartition(".")
    if not told or not hmac.compare_digest(_mac(keys, told).encode(), mac.encode()):
        return ""
    owner, browser, until = told.split(".")
    if UUID(owner) != administrator_id or float(until) <= now.timestamp():
        return ""
    return browser


def remember(keys: Keys, administrator_id: UUID, now: datetime) -> None:
    """Let the answer carry the cookie."""
    until = int((now + LIVES).timestamp())
    told = f"{administrator_id.hex}.{token_hex(16)}.{until}"
    g.known_browser = f"{told}.{_mac(keys, told)}"


def keep(response: Response) -> None:
    """Set the cookie of who signed in with this request."""
    if "known_browser" in g:
        response.set_cookie(
            COOKIE,
            g.known_browser,
            max_age=LIVES,
            secure=True,
            httponly=True,
            samesite="Strict",
        )


def _mac(keys: Keys, told: str) -> str:
    return keys.mac(f"a browser of an administrator: {told}".encode())
