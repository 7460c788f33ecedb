"""The question that a passkey must answer: random, for one purpose, in one browser, for minutes.

It lies in the browser's session: a visitor's is a signed cookie, so that strangers fill no table.
That it counts once is kept where an answer held; see `passkeys.spend`.
"""

from datetime import datetime, timedelta
from secrets import token_bytes
from typing import Literal

from flask import session as browser_session

from management.administrators.passkey_proofs import to_bytes, to_text
from runtime.errors import RefusedError

Purpose = Literal["register", "sign in", "step up"]
LIVES = timedelta(minutes=5)
_KEY = "passkey"
TOO_LATE = "This was answered too late, or in another window. Try again."


def ask(purpose: Purpose, now: datetime) -> bytes:
    """Return a fresh challenge; an earlier one of this browser no longer counts."""
    challenge = token_bytes(32)
    until = (now + LIVES).timestamp()
    browser_session[_KEY] = [purpose, to_text(challenge), until]
    return challenge


def take(purpose: Purpose, now: datetime) -> bytes:
    """Return the challenge and forget it; RefusedError when there is none for this purpose."""
    asked = browser_session.pop(_KEY, None)
    if asked is None or asked[0] != purpose or asked[2] <= now.timestamp():
        raise RefusedError(TOO_LATE)
    return to_bytes(asked[1])
