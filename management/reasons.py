"""Says in the visitor's language what rules, signer, devices and other processes said in English.

Judgements, decisions and refusals are stored or raised once, in English, for the audit trail and
the API. The sentences below are theirs; one that is not there is shown as it was said, and
`tests/management/console/test_stored_sentences.py` finds it in the code.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice

from flask_babel import gettext

from management import (
    reasons_of_access,
    reasons_of_devices,
    reasons_of_exchange,
    reasons_of_invitations,
    reasons_of_mail,
    reasons_of_outgoing_mail,
    reasons_of_people,
    reasons_of_relays,
    reasons_of_server,
    reasons_of_sources,
    reasons_of_updates,
    reasons_of_work,
)
from management.words import RULES, SOURCES

_CATALOGUES = (
    reasons_of_access,
    reasons_of_devices,
    reasons_of_exchange,
    reasons_of_invitations,
    reasons_of_mail,
    reasons_of_outgoing_mail,
    reasons_of_people,
    reasons_of_relays,
    reasons_of_server,
    reasons_of_sources,
    reasons_of_updates,
    reasons_of_work,
)
# What _l is given there is found by pybabel (see translations/babel.cfg).
_SENTENCES = dict(pair for catalogue in _CATALOGUES for pair in catalogue.SENTENCES)
_GAP = re.compile(r"%\((\w+)\)s")
_BEGINNING = 4
"""By so many characters the patterns are found that may fit."""
_MOST_JOINED = 6
"""So many sentences may follow each other in one text."""
_LONGEST = 2000
"""A longer text, which only strangers send, is not looked through for sentences with gaps."""


def _by_beginning(texts: Iterable[str]) -> dict[str, list[tuple[re.Pattern[str], str]]]:
    """Return the sentences with gaps, those with more words of their own first."""
    found = defaultdict(list)
    for english in sorted(texts, key=lambda text: -len(_GAP.sub("", text))):
        beginning = english.partition("%(")[0][:_BEGINNING]
        pattern = re.sub(r"%\\\((\w+)\\\)s", r"(?P<\1>.+)", re.escape(english))
        key = beginning if len(beginning) == _BEGINNING else ""
        found[key].append((re.compile(pattern, re.DOTALL), english))
    return dict(found)


_PATTERNS = _by_beginning(english for english in _SENTENCES if "%(" in english)


def reason(said: str) -> str:
    """Return what was *said* in the visitor's language, or as it is.

    Sentences may follow each other, and a rule may stand before one (``not_rooted: ...``).
    """
    rule, mark, rest = said.partition(": ")
    if mark and rule in RULES:
        return f"{RULES[rule]}: {reason(rest)}"
    return _told(said, _MOST_JOINED) or said


def is_known(said: str) -> bool:
    """Return whether `reason` knows the whole of what was *said*."""
    return _told(said, _MOST_JOINED) is not None


def _told(said: str, most: int) -> str | None:
    """Return up to *most* sentences that we know in the visitor's language, or None.

    Two sentences are looked for before one with a gap, which would take in the other.
    """
    if said in _SENTENCES:
        return str(_SENTENCES[said])
    for end in islice(re.finditer(r"(?<=\.) ", said), _MOST_JOINED) if most > 1 else ():
        first = _told(said[: end.start()], 1)
        if first is not None and (rest := _told(said[end.end() :], most - 1)) is not None:
            return f"{first} {rest}"
    return _filled(said)


def _filled(said: str) -> str | None:
    """Return a sentence with gaps that we know in the visitor's language, or None."""
    for pattern, english in _fitting(said) if len(said) <= _LONGEST else ():
        if (found := pattern.fullmatch(said)) is not None:
            return str(gettext(english, **_values(found.groupdict())))
    return None


def _fitting(said: str) -> Iterator[tuple[re.Pattern[str], str]]:
    yield from _PATTERNS.get(said[:_BEGINNING], ())
    yield from _PATTERNS[""]


def _values(values: dict[str, str]) -> dict[str, str]:
    """Return what fills the gaps; a sentence or word of ours within is told too."""
    if (source := values.get("source", "")) in SOURCES:
        values["source"] = str(SOURCES[source])
    return values | {name: reason(values[name]) for name in ("inner", "state") if name in values}
