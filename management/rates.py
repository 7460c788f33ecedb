"""How often one account may ask what costs the server much: a few at once, then one at a time.

One token bucket for each account, token and kind of question, in the memory of the web process. A
program that asks without end slows nobody else down, nor its own maker in the console; a person who
looks twice never meets it.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from threading import Lock
from time import monotonic
from typing import cast
from uuid import UUID

from flask import Flask, current_app, g, request
from flask.typing import ResponseReturnValue

from management import web_errors
from management.access import who_asks
from runtime.errors import SekishoError

MOST_BUCKETS = 10_000
"""Kept at once; the one that was asked longest ago is forgotten first, and is full again."""


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
OPERATIONS = frozenset(name.partition(".")[2] for name in RATES if "_api." in name)


class TooOftenError(SekishoError):
    """An account asked too often what costs much."""

    def __init__(self, rate: Rate, seconds: int) -> None:
        super().__init__(
            f"Each of these questions keeps the server busy, and your account asked {rate.most} in "
            f"a short time. Ask again in {seconds} seconds."
        )
        self.seconds = seconds


class Buckets:
    """What each account has left of each kind of question."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._found: OrderedDict[tuple[UUID, str, str], tuple[float, float]] = OrderedDict()
        """Account, token and kind -> how much was left, and when."""

    def take(self, account: UUID, rate: Rate, now: float, token: str = "") -> None:
        """Take one; TooOftenError, which says when there is one again, when none is left."""
        every, key = rate.every.total_seconds(), (account, token, rate.name)
        with self._lock:
            left, at = self._found.pop(key, (float(rate.most), now))
            left = min(float(rate.most), left + (now - at) / every)
            taken = left >= 1
            self._found[key] = (left - 1 if taken else left, now)
            if len(self._found) > MOST_BUCKETS:
                self._found.popitem(last=False)
        if not taken:
            raise TooOftenError(rate, max(1, ceil((1 - left) * every)))


def register(app: Flask) -> None:
    """Ask of every request whether its account may ask this now."""
    app.extensions["sekisho-rates"] = Buckets()
    app.before_request(_take)
    app.register_error_handler(TooOftenError, _answer)


def _take() -> None:
    rate, identity = RATES.get(request.endpoint or ""), who_asks()
    if rate is not None and identity is not None:
        buckets = cast(Buckets, current_app.extensions["sekisho-rates"])
        token = str(g.get("token_hash", ""))
        buckets.take(identity.administrator_id, rate, monotonic(), token)


def _answer(error: TooOftenError) -> ResponseReturnValue:
    body, status, headers = web_errors.answer(429, str(error))
    return body, status, {**headers, "Retry-After": str(error.seconds)}
