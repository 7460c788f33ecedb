"""Where a page of a list ended, as one opaque word in the address (keyset paging, never OFFSET)."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from runtime.errors import NotFoundError

PAGE = 50
Part = str | int | datetime | UUID
Row = TypeVar("Row")


def write_cursor(*parts: Part) -> str:
    """Return *parts* (sort value and id of the last row) as one word."""
    text = json.dumps([str(part) for part in parts], separators=(",", ":"))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(word: str, count: int) -> list[str]:
    """Return the *count* parts; NotFoundError for anything `write_cursor` did not make."""
    try:
        padded = word + "=" * (-len(word) % 4)
        parts = json.loads(urlsafe_b64decode(padded.encode("ascii")))
    except (Error, ValueError):
        parts = None
    if (
        not isinstance(parts, list)
        or len(parts) != count
        or not all(isinstance(part, str) for part in parts)
    ):
        raise _broken()
    return parts


def cut(
    found: Sequence[Row], limit: int, place: Callable[[Row], tuple[Part, ...]]
) -> tuple[Sequence[Row], str | None]:
    """Return the rows to show of *found*, which asked for one more, and the cursor of the rest.

    *place* gives sort value and id of a row; None: nothing follows.
    """
    shown = found[:limit]
    return shown, write_cursor(*place(shown[-1])) if len(found) > limit else None


def page_of(
    found: Sequence[Row], after: str, limit: int, place: Callable[[Row], Part]
) -> tuple[Sequence[Row], str | None]:
    """Return the page after a cursor of rows that are all at hand, and the cursor of the rest.

    For lists that are bounded by themselves; *place* is unique. NotFoundError when the row at which
    the page before ended is gone.
    """
    start = 0
    if after:
        (last,) = read_cursor(after, 1)
        places = [str(place(row)) for row in found]
        if last not in places:
            raise _broken()
        start = places.index(last) + 1
    return cut(found[start : start + limit + 1], limit, lambda row: (place(row),))


def time_cursor(word: str) -> tuple[datetime, UUID]:
    """Return a cursor made of an instant and an id."""
    at, row_id = read_cursor(word, 2)
    try:
        return datetime.fromisoformat(at), UUID(row_id)
    except ValueError:
        raise _broken() from None


def name_cursor(word: str) -> tuple[str, UUID]:
    """Return a cursor made of a name and an id."""
    name, row_id = read_cursor(word, 2)
    try:
        return name, UUID(row_id)
    except ValueError:
        raise _broken() from None


def pair_cursor(word: str) -> tuple[str, str]:
    """Return a cursor made of two texts."""
    first, second = read_cursor(word, 2)
    if "\x00" in first + second:
        raise _broken()
    return first, second


def number_cursor(word: str) -> int:
    """Return a cursor made of a number."""
    (number,) = read_cursor(word, 1)
    if not number.isascii() or not number.isdigit() or len(number) > 18:
        raise _broken()
    return int(number)


def uuid_cursor(word: str) -> UUID | None:
    """Return a cursor made of an id; None where there is none."""
    if not word:
        return None
    try:
        return UUID(read_cursor(word, 1)[0])
    except ValueError:
        raise _broken() from None


def _broken() -> NotFoundError:
    return NotFoundError("There is no such place in the list. Start at the first page.")
