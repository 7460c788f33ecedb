"""Says in the visitor's language what the scanner and the rules of pattern sets say in English.

Results of scans are stored in English, for the API and for programs. What rules of a pattern set
say is translated by the words that came with the set; what the scanner says by itself is in the
catalogues below, and `tests/management/test_sayings.py` finds what is missing there. What is in
neither is shown as it was said.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from flask_babel import get_locale

from management import (
    sayings_of_code,
    sayings_of_files,
    sayings_of_rules,
    sayings_of_signatures,
)
from management.sentences import Catalogue
from patterns.opened import open_words

ENGLISH = "en"
_CATALOGUES = (sayings_of_code, sayings_of_files, sayings_of_rules, sayings_of_signatures)
_MOST_PLACES = 4
"""Before so many colons a text may name a place."""


def sayings(folder: Path) -> Callable[[str], str]:
    """Return what translates the texts of a scan; the rules are those of the set in *folder*."""
    locale = get_locale()
    language = locale.language if locale else ENGLISH
    if language == ENGLISH:
        return str
    words = _words(folder, language)
    return lambda said: words.get(said) or saying(said)


@lru_cache(maxsize=4)
def _words(folder: Path, language: str) -> Mapping[str, str]:
    return open_words(str(folder), language)


def saying(said: str) -> str:
    """Return what the scanner *said* in the visitor's language, or as it is."""
    whole = _told(said)
    if whole is not None:
        return whole
    return "; ".join(_told(part) or _place(part) for part in said.split("; "))


def _told(said: str) -> str | None:
    """Return one saying, which may stand behind its place, or before a full stop."""
    for place, rest in _places(said):
        told = _CATALOGUE.told(rest, 1)
        if told is None and rest.endswith(".") and (bare := _CATALOGUE.told(rest[:-1], 1)):
            told = f"{bare}。"
        if told is not None:
            return f"{_place(place)}: {told}" if place else told
    return None


def _places(said: str) -> Iterator[tuple[str, str]]:
    """Yield what may be a place, and what was said of it: none first, then the shortest."""
    yield "", said
    at = -1
    for _ in range(_MOST_PLACES):
        if (at := said.find(": ", at + 1)) < 0:
            return
        yield said[:at], said[at + 2 :]


def _place(place: str) -> str:
    """Return a place whose last part may be a word of ours."""
    path, mark, last = place.rpartition("!/")
    return f"{path}{mark}{_CATALOGUE.told(last, 1) or last}"


def _values(values: dict[str, str]) -> dict[str, str]:
    """Return what fills the gaps; what is said within is told too."""
    if "inner" in values:
        values["inner"] = saying(values["inner"])
    if "call" in values:
        values["call"] = "、".join(values["call"].split(" or "))
    if "loads" in values:
        values["loads"] = "、".join(saying(one) for one in values["loads"].split(" and "))
    for name in ("carried", "signed", "mine", "theirs", "place"):
        if name in values:
            values[name] = _place(values[name])
    return values


# What _l is given there is found by pybabel (see translations/babel.cfg).
_CATALOGUE = Catalogue((pair for one in _CATALOGUES for pair in one.SENTENCES), _values)
