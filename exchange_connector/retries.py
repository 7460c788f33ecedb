"""Remembers which mailboxes failed, so that each is retried ever more slowly and told of once."""

from dataclasses import dataclass
from datetime import datetime, timedelta

FIRST = timedelta(seconds=30)
LONGEST = timedelta(hours=1)


@dataclass(slots=True)
class _Failure:
    attempts: int
    again_at: datetime
    broke: bool
    """The session ended with it, so the others waited too."""


class Retries:
    """In memory only: after a restart everything is tried at once."""

    def __init__(self) -> None:
        self._failures: dict[str, _Failure] = {}
        self._told: dict[tuple[str, str], tuple[str, str]] = {}

    def may_try(self, mailbox: str, now: datetime) -> bool:
        """Tell whether *mailbox* may be tried now."""
        failure = self._failures.get(mailbox)
        return failure is None or now >= failure.again_at

    def failed(self, mailbox: str, now: datetime, broke: bool = False) -> None:
        """Wait twice as long as the last time; *broke*: the whole session ended with it."""
        before = self._failures.get(mailbox)
        attempts = before.attempts + 1 if before else 1
        wait = min(FIRST * 2 ** min(attempts - 1, 10), LONGEST)
        self._failures[mailbox] = _Failure(attempts, now + wait, broke)

    def worked(self, mailbox: str) -> None:
        """Forget the failures of *mailbox*."""
        self._failures.pop(mailbox, None)

    def retry_now(self) -> None:
        """Try again at once what failed alone: what is wanted has changed.

        What broke a session waits on: where decisions change each minute it would starve all that
        come after it.
        """
        self._failures = {name: one for name, one in self._failures.items() if one.broke}

    def is_news(self, pair: tuple[str, str], access: str, error: str) -> bool:
        """Tell whether this error was not the last thing told of *pair*; remember it."""
        news = self._told.get(pair) != (access, error)
        self._told[pair] = (access, error)
        return news

    def is_over(self, pair: tuple[str, str]) -> bool:
        """Tell whether an error was told of *pair*; forget it."""
        return self._told.pop(pair, None) is not None
