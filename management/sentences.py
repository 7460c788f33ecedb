"""Finds a sentence that was said in English in a catalogue, and says it in the visitor's language.

A catalogue holds pairs of the English and its translation; ``%(name)s`` in the English is a gap.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from flask_babel import gettext
from flask_babel.speaklater import LazyString

_GAP = re.compile(r"%\(\w+\)s")
_FORMS = {
    "offset": r"0x[0-9a-f]+",
    "method": r"\S+->\S+",
    "call": r"\S+(?: or \S+)*",
    "component": r"[\w.$]+",
    "carried": r".+?",
}
"""What may fill gaps of these names; the others hold anything."""
_BEGINNING = 4
"""By so many characters the patterns are found that may fit."""
MOST_JOINED = 6
"""So many sentences may follow each other in one text."""
_LONGEST = 2000
"""A longer text, which only strangers send, is not looked through for sentences with gaps."""
Pairs = Iterable[tuple[str, LazyString]]
Values = dict[str, str]


class _Pattern(NamedTuple):
    """A sentence with gaps."""

    english: str
    pattern: re.Pattern[str]
    words: str
    """The longest piece between its gaps; a text without it is another one."""


class Catalogue:
    """Sentences of ours; *filled* may translate what fills their gaps."""

    def __init__(self, pairs: Pairs, filled: Callable[[Values], Values]) -> None:
        self._sentences = dict(pairs)
        self._patterns = _by_beginning(one for one in self._sentences if "%(" in one)
        self._values = filled

    def told(self, said: str, most: int = MOST_JOINED) -> str | None:
        """Return up to *most* sentences that we know in the visitor's language, or None.

        Two sentences are looked for before one with a gap, which would take in the other.
        """
        if said in self._sentences:
            return str(self._sentences[said])
        for end in islice(re.finditer(r"(?<=\.) ", said), MOST_JOINED) if most > 1 else ():
            first = self.told(said[: end.start()], 1)
            if first is not None and (rest := self.told(said[end.end() :], most - 1)) is not None:
                return f"{first} {rest}"
        return self._with_gaps(said)

    def _with_gaps(self, said: str) -> str | None:
        for one in self._fitting(said) if len(said) <= _LONGEST else ():
            if one.words in said and (found := one.pattern.fullmatch(said)) is not None:
                return str(gettext(one.english, **self._values(found.groupdict())))
        return None

    def _fitting(self, said: str) -> Iterator[_Pattern]:
        yield from self._patterns.get(said[:_BEGINNING], ())
        yield from self._patterns.get("", ())


def _by_beginning(texts: Iterable[str]) -> Mapping[str, list[_Pattern]]:
    """Return the sentences with gaps, those with more words of their own first."""
    found = defaultdict(list)
    for english in sorted(texts, key=lambda text: -len(_GAP.sub("", text))):
        beginning = english.partition("%(")[0][:_BEGINNING]
        pattern = _expression(english)
        key = beginning if len(beginning) == _BEGINNING else ""
        words = max(_GAP.split(english), key=len)
        found[key].append(_Pattern(english, re.compile(pattern, re.DOTALL), words))
    return dict(found)


def _expression(english: str) -> str:
    """Return what fits a sentence. A gap ends where the words behind it come first, for good: so
    texts that are full of our words cost no more than others.
    """
    first, *rest = _GAP.split(english)
    names = [found[2:-2] for found in _GAP.findall(english)]
    pattern = re.escape(first)
    for number, (name, words) in enumerate(zip(names, rest, strict=True), 1):
        form = _FORMS.get(name, ".+" if number == len(names) else ".+?")
        gap = f"(?P<{name}>{form}){re.escape(words)}"
        pattern += gap if number == len(names) else f"(?>{gap})"
    return pattern
