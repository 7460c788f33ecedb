"""What rules say of themselves in other languages: the sources' ``words/LANGUAGE.toml``. Pure.

Such a file maps each English text to its translation. A rule whose English was changed is so told
in English until it is translated anew, never in words that no longer hold.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from patterns.rule_language import Rule

LANGUAGES = ("ja",)
"""Of the console besides English; the shipped set speaks them throughout."""
LONGEST = 2000
_LANGUAGE = re.compile(r"[a-z]{2,3}")


def file_of(language: str) -> str:
    """Return the name of the file inside a set with the words in *language*."""
    return f"words_{language}.json"


def texts_of(rules: Iterable[Rule]) -> dict[str, str]:
    """Return each English text that people are shown, with the rule that says it first."""
    found: dict[str, str] = {}
    for rule in rules:
        for text in (rule.title, rule.meaning, rule.why):
            found.setdefault(text, rule.id)
    return found


def problems_of(language: str, words: Mapping[str, object], rules: Iterable[Rule]) -> Iterator[str]:
    """Yield a sentence for each thing in one file of words that is not in order."""
    place = f"words/{language}.toml"
    if not _LANGUAGE.fullmatch(language):
        yield f"{place}: the file's name is no language, as ja.toml."
    said = texts_of(rules)
    for english, translated in words.items():
        if english not in said:
            yield f"{place}: no rule says {english[:80]!r}."
        if not isinstance(translated, str) or not 0 < len(translated.strip()) <= LONGEST:
            yield f"{place}: {english[:80]!r} needs a text of at most {LONGEST} characters."


def missing(words: Mapping[str, Mapping[str, str]], rules: Iterable[Rule]) -> Iterator[str]:
    """Yield a sentence for each text that is not said in all of `LANGUAGES`."""
    for english, rule in texts_of(rules).items():
        for language in LANGUAGES:
            if english not in words.get(language, {}):
                yield f"Rule {rule}: words/{language}.toml does not say {english[:80]!r}."
