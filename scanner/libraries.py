"""Libraries of others in an app, by version. Pure.

`patterns.library_source` says how they are found. A version is dotted numbers, with letters behind
them where OpenSSL counts so: ``1.0.2`` < ``1.0.2a`` < ``1.0.2z`` < ``1.0.2za``.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

MOST_VERSIONS = 5
"""Of one library in one app."""
_VERSION = re.compile(r"\d{1,6}(?:\.\d{1,6}){1,5}(?:[a-z]{1,2}(?![a-z]))?")
_PART = re.compile(r"(\d+)([a-z]*)")
_PARTS = 6
Found = Mapping[str, Sequence[Sequence[str]]]
"""Library -> what was found of it, each as the fields of `Place`."""


class Place(NamedTuple):
    """A version of a library, and what tells of it."""

    version: str
    where: str
    text: str


def version_in(text: str) -> str:
    """Return the version in *text*; empty when there is none."""
    found = _VERSION.search(text)
    return found[0] if found else ""


def is_between(version: str, since: str, before: str) -> bool:
    """Whether *version* is *since* (empty: the first) or later, and earlier than *before*."""
    return (not since or _order(since) <= _order(version)) and _order(version) < _order(before)


def asked_for(asked: Iterable[Mapping[str, Any]], found: Found) -> Iterator[tuple[str, Place]]:
    """Yield (library, place) for each of *asked* (`LibraryVersions`) that the app contains."""
    for one in asked:
        for fields in found.get(one["name"], ()):
            place = Place(*fields)
            if is_between(place.version, one["since"], one["before"]):
                yield one["name"], place


@lru_cache(maxsize=4_096)  # rules ask for the same versions of a hundred thousand apps
def _order(version: str) -> tuple[tuple[int, str], ...]:
    parts = [(int(number), letters) for number, letters in _PART.findall(version)]
    return tuple((parts + [(0, "")] * _PARTS)[:_PARTS])
