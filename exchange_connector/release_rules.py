"""Whether it is time to look for a newer release. Pure."""

from datetime import datetime, timedelta

from contracts.connector import ReleaseWish
from exchange_connector.release_book import Book
from runtime.errors import MalformedMessageError
from updater.wheel import is_newer

RETRY_AFTER = timedelta(hours=1)
"""After an attempt that failed on the way."""
AGAIN_AFTER = timedelta(days=1)
"""An order may have a refused release tried again: management in other hands orders without end."""
ONLY_DAILY = " An order has it tried again once a day at most; install it by hand if it hurries."


def may_look(wish: ReleaseWish, book: Book, running: str, now: datetime) -> bool:
    """Tell whether a connector that runs *running* may look for what management has, now."""
    if wish.order is not None:
        return book.last is None or book.last.order != str(wish.order)
    if wish.version in book.refused or not _newer(wish.version, running):
        return False
    return in_window(wish, now) and not _failed_lately(book, now)


def why_still_refused(book: Book, version: str, ordered: bool, now: datetime) -> str:
    """Return why *version* must not be tried, though management has it, or nothing."""
    why = book.refused.get(version, "").removesuffix(ONLY_DAILY)
    if not why or not ordered:
        return why
    again = book.again.get(version)
    recently = again and timedelta() <= now - datetime.fromisoformat(again) < AGAIN_AFTER
    return why + ONLY_DAILY if recently else ""


def in_window(wish: ReleaseWish, now: datetime) -> bool:
    """Tell whether *now* (UTC) lies in the hours in which it may update by itself."""
    return (now.hour - wish.hour) % 24 < wish.hours


def _newer(offered: str, running: str) -> bool:
    try:
        return is_newer(offered, running)
    except MalformedMessageError:
        return False


def _failed_lately(book: Book, now: datetime) -> bool:
    last = book.last
    if last is None or last.state != "failed":
        return False
    return timedelta() <= now - datetime.fromisoformat(last.at) < RETRY_AFTER
