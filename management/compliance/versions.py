"""System versions: how they compare, and when each was published. Pure.

The days are those on which Apple published an iOS and Google the source of an Android version, by
its first two numbers; the list is as old as this release of Sekisho.
"""

import re
from datetime import date
from functools import lru_cache
from itertools import pairwise
from typing import Any

_PUBLISHED = {
    "android": """
        5 2014-11-12, 6 2015-10-05, 7 2016-08-22, 7.1 2016-10-04, 8 2017-08-21, 8.1 2017-12-05,
        9 2018-08-06, 10 2019-09-03, 11 2020-09-08, 12 2021-10-04, 13 2022-08-15, 14 2023-10-04,
        15 2024-09-03, 16 2025-06-10
    """,
    "ios": """
        12 2018-09-17, 12.5 2020-12-14, 13 2019-09-19, 13.7 2020-09-01, 14 2020-09-16,
        14.8 2021-09-13, 15 2021-09-20, 15.1 2021-10-25, 15.2 2021-12-13, 15.3 2022-01-26,
        15.4 2022-03-14, 15.5 2022-05-16, 15.6 2022-07-20, 15.7 2022-09-12, 15.8 2023-10-25,
        16 2022-09-12, 16.1 2022-10-24, 16.2 2022-12-13, 16.3 2023-01-23, 16.4 2023-03-27,
        16.5 2023-05-18, 16.6 2023-07-24, 16.7 2023-09-21, 17 2023-09-18, 17.1 2023-10-25,
        17.2 2023-12-11, 17.3 2024-01-22, 17.4 2024-03-05, 17.5 2024-05-13, 17.6 2024-07-29,
        17.7 2024-09-16, 18 2024-09-16, 18.1 2024-10-28, 18.2 2024-12-11, 18.3 2025-01-27,
        18.4 2025-03-31, 18.5 2025-05-12, 18.6 2025-07-29, 18.7 2025-09-15, 26 2025-09-15,
        26.1 2025-11-03
    """,
}
Version = tuple[int, ...]


@lru_cache(maxsize=512)
def version_key(version: str) -> Version:
    """Return a dotted version as numbers for comparing; a part that begins with no digit is 0."""
    found = (re.match(r"[0-9]{1,9}", part) for part in version.split(".")[:8])
    parts = [int(match.group()) if match else 0 for match in found]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def _read(text: str) -> list[tuple[Version, date]]:
    pairs = (one.split() for one in text.split(","))
    return [(version_key(version), date.fromisoformat(day)) for version, day in pairs]


PUBLISHED = {platform: _read(text) for platform, text in _PUBLISHED.items()}
"""Platform -> each version and its day, in the order of versions."""
assert all(one < other for known in PUBLISHED.values() for one, other in pairwise(known))


def published_on(platform: str, version: Any) -> date | None:
    """Return when a system version was published; None for one that is newer than we know.

    A version between two known ones counts as the lower, one below all as the lowest. One above
    the last that is known of its main number may be of today, so nothing is held against it.
    """
    known = PUBLISHED.get(platform)
    if known is None or not isinstance(version, str) or not version:
        return None
    key = version_key(version)[:2]
    of_main = [one for one, _ in known if one[:1] == key[:1]]
    if key > (of_main or [one for one, _ in known])[-1]:
        return None
    return next((day for one, day in reversed(known) if one <= key), known[0][1])
