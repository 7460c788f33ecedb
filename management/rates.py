"""How often one account may ask what costs the server much: a few at once, then one at a time.

One token bucket for each account, token and kind of question, in the memory of the web process. A
program that asks without end slows nobody else down, nor its own maker in the console; a person who
looks twice never meets it.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import timedelta
from math import ceil
from threading import Lock
from time import monotonic
from typing import cast
from uuid import UUID

from flask import Flask, current_app, g, request
from flask.typing import ResponseReturnValue

from management import web_errors
from management.access import refuse_unless_allowed, signed_in, who_asks
from runtime.clock import utc_now
from runtime.errors import SekishoError

MOST_BUCKETS = 10_000
"""Kept at once; the one that was asked longest ago is forgotten first, and is full again."""

ROUNDING = 1e-6
"""Of what sums of times lack: whoever waited as long as told is not told to wait again."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, and after that one more each time that *every* has passed."""

    name: str
    most: int
    every: timedelta


VERIFY = Rate("verification", 5, timedelta(seconds=12))
CHECK = Rate("checks of a verification", 150, timedelta(seconds=1))
DRY_RUN = Rate("dry runs", 10, timedelta(seconds=60))
FILE = Rate("files", 20, timedelta(seconds=15))
MAILS = Rate("mails of invitations", 6000, timedelta(seconds=10))
"""Taken by number (`take_mails`), of an account with all its tokens: a roll-out to thousands goes
through at once and is sent over hours, and whoever stole a token mails no more than that.
"""
RATES: dict[str, Rate] = {
    "verification.index": VERIFY,
    "verification.show": CHECK,
    "verification_api.verify_configuration": VERIFY,
    "dry_run.try_policy": DRY_RUN,
    "dry_run.try_patterns": DRY_RUN,
    "dry_run_api.try_policy": DRY_RUN,
    "dry_run_api.try_patterns": DRY_RUN,
    "dry_run.export": FILE,
    "dry_run_api.export_dry_run_devices": FILE,
    "devices.export": FILE,
    "devices_api.export_devices": FILE,
    "commands.export": FILE,
    "commands_api.export_commands": FILE,
    "allow_list.download": FILE,
    "allow_list_api.export_allowed": FILE,
}
"""Endpoint -> how often an account may ask it. Verification dials out to every other part."""
MAILING = frozenset({"make_invitation", "send_reminders"})
"""Operations that take `MAILS`."""
OPERATIONS = MAILING | {name.partition(".")[2] for name in RATES if "_api." in name}
"""Those that may answer 429."""


class TooOftenError(SekishoError):
    """An account asked too often what costs much."""

    def __init__(self, said: str, seconds: int) -> None:
        super().__init__(said)
        self.seconds = seconds
        """After them it may ask again."""


@dataclass(slots=True)
class Bucket:
    """What is left to whoever holds it."""

    left: float
    at: float
    """When that was so."""
    began: float
    """When it was full the last time."""
    taken: int = 0
    """How many were taken since."""


class Buckets:
    """What each account has left of each kind of question."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._found: OrderedDict[tuple[UUID, str, str], Bucket] = OrderedDict()
        """By account, token and kind."""

    def take(
        self, account: UUID, rate: Rate, now: float, token: str = "", number: int = 1
    ) -> tuple[int, Bucket]:
        """Take so many, if so many are left; return the seconds until they are, and what was left.

        Zero seconds: they were taken.
        """
        every, key = rate.every.total_seconds(), (account, token, rate.name)
        with self._lock:
            bucket = self._found.pop(key, None) or Bucket(rate.most, now, now)
            bucket.left = min(float(rate.most), bucket.left + (now - bucket.at) / every)
            if bucket.left >= rate.most:
                bucket.began, bucket.taken = now, 0
            bucket.at, missing = now, number - bucket.left
            if missing <= ROUNDING:
                bucket.left, bucket.taken = max(0, bucket.left - number), bucket.taken + number
            self._found[key] = bucket
            if len(self._found) > MOST_BUCKETS:
                self._found.popitem(last=False)
            wait = max(1, ceil(missing * every)) if missing > ROUNDING else 0
            return wait, replace(bucket)


def take_mails(number: int) -> None:
    """Let the account of this request have so many invitations mailed; TooOftenError says why not,
    since when, and when again.
    """
    now = monotonic()
    seconds, bucket = _taken(MAILS, number, now)
    if seconds:
        at = utc_now()
        since, again = at - timedelta(seconds=now - bucket.began), at + timedelta(seconds=seconds)
        raise TooOftenError(
            f"Your account had {bucket.taken} invitations mailed since {since:%Y-%m-%d %H:%M} UTC. "
            "Many more at once would be taken for spam, and the token may be in wrong hands. So "
            f"many again can go out after {again:%Y-%m-%d %H:%M} UTC.",
            seconds,
        )


def register(app: Flask) -> None:
    """Ask of every request whether its account may ask this now."""
    app.extensions["sekisho-rates"] = Buckets()
    app.before_request(_take)
    app.register_error_handler(TooOftenError, _answer)


def _take() -> None:
    """Whoever may not ask is refused before anything is taken from the account."""
    rate, identity = RATES.get(request.endpoint or ""), who_asks()
    if rate is None or identity is None:
        return
    refuse_unless_allowed(current_app.view_functions[request.endpoint or ""], identity)
    seconds, _ = _taken(rate, 1, monotonic())
    if seconds:
        raise TooOftenError(
            f"Each of these questions keeps the server busy, and your account asked {rate.most} in "
            f"a short time. Ask again in {seconds} seconds.",
            seconds,
        )


def _taken(rate: Rate, number: int, now: float) -> tuple[int, Bucket]:
    buckets = cast(Buckets, current_app.extensions["sekisho-rates"])
    token = "" if rate is MAILS else str(g.get("token_hash", ""))  # tokens can be made
    return buckets.take(signed_in().administrator_id, rate, now, token, number)


def _answer(error: TooOftenError) -> ResponseReturnValue:
    body, status, headers = web_errors.answer(429, str(error))
    return body, status, {**headers, "Retry-After": str(error.seconds)}
