"""What the list of devices can be asked for, and the words by which a device is found. Pure."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from re import compile as pattern
from re import sub
from typing import Any
from uuid import UUID

from management.devices.rules import FactKind

LONGEST = 40
"""Characters of a token that count; longer words are cut, in devices and in questions alike."""
MOST_TOKENS = 60
MOST_WORDS = 8
LONGEST_NUMBER = 80
MOST_NUMBERS = 1_000
"""Serial numbers and IMEIs in one question."""
SHORTEST_TAIL, LONGEST_TAIL = 4, 6
"""A number is also found by so many of its last digits."""
SORTS = ("name", "contact", "since")
CAP = 10_000
"""Up to so many matches every sort is offered and every count is exact."""
_WORDS = pattern(r"[^\s|,;:/\\()\[\]{}<>\"'“”「」・]+")
_NUMBERS = pattern(r"[^\s,;|\"']+")
_GROUPED = pattern(r"[0-9]+(?:[-./][0-9]+)+")
_RUNS = pattern(r"[^\W_a-z0-9]+")
_DIGITS = pattern(r"[0-9]{4,}$")
_LAST = pattern(r"[^\W_]{4,}$")
_PARTS = pattern(r"[^\W_]+")
_PATCH = pattern(r"20\d\d-[01]\d")
_VERSION = pattern(r"[0-9]{1,3}")
_PATTERNS = pattern(r"[0-9A-Za-z.+-]{1,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFilter:
    """Which devices are wanted; what is empty filters nothing.

    The list, its count, bulk commands, the CSV file, saved views and the API all use this one.
    """

    state: str = ""
    """`compliance.rules.State`."""
    risk: str = ""
    """`compliance.judgement.Risk`."""
    rule: str = ""
    """A broken `policies.treatment.Rule`."""
    platform: str = ""
    enrolment: str = ""
    """`devices.rules.EnrolmentState`."""
    ownership: str = ""
    policy_id: UUID | None = None
    group_id: UUID | None = None
    """Those in the group and in all groups below it."""
    mail: str = ""
    """What the mail server said of its mail last: ``allowed``, ``blocked``..."""
    os: str = ""
    """Main version of the system, see `os_label`."""
    patch: str = ""
    """Month of the security patch level, see `patch_label`; ``unknown``: none said."""
    patterns: str = ""
    """Version of its pattern set."""
    owner_address: str = ""
    app: str = ""
    """SHA-256 of the file of an app that the device holds."""
    command: str = ""
    """Of a command that the device has: one that ``failed``, one that is ``waiting``."""
    numbers: str = ""
    """Serial numbers and IMEIs, of which the device has one; see `asked_numbers`."""
    text: str = ""
    """Words that name, owner, address, model or a number begin with; see `tokens`."""

    @property
    def is_empty(self) -> bool:
        """Whether all devices are wanted."""
        return self == DeviceFilter()


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are; with *more* at least so many: nobody counted on."""

    number: int
    more: bool = False


def folded(text: str) -> str:
    """Return *text* in the one form in which it is compared: NFKC, no letter case."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def asked_words(text: str) -> list[str]:
    """Return the words of a question, each of which a device must have."""
    found = (word[:LONGEST] for word in _WORDS.findall(folded(text)))
    return list(dict.fromkeys(found))[:MOST_WORDS]


def asked_numbers(text: str) -> list[str]:
    """Return the serial numbers and IMEIs of a pasted list, each once."""
    said = unicodedata.normalize("NFKC", text)
    return list(dict.fromkeys(one[:LONGEST_NUMBER] for one in _NUMBERS.findall(said)))


def spellings(number: str) -> set[str]:
    """Return how a device may have said a number: in either case, digits without their groups."""
    found = {number, number.upper(), number.lower()}
    return found | ({sub(r"\D", "", number)} if _GROUPED.fullmatch(number) else set())


def tokens(texts: Iterable[str], numbers: Iterable[str]) -> list[str]:
    """Return what a device is found by: each word that one of these begins with.

    Words of names and addresses, and their ends behind a sign; of a Japanese run every tail, so
    that any two characters of it find it; of a number its last digits too.
    """
    found: dict[str, None] = {}
    for number in map(folded, numbers):
        found.update(dict.fromkeys(word[:LONGEST] for word in _WORDS.findall(number)))
        last = _LAST.search(number)
        ends = range(SHORTEST_TAIL, LONGEST_TAIL + 1) if last else ()
        found.update((last[0][-length:], None) for length in ends if last)
        found.update((run[:LONGEST], None) for run in _DIGITS.findall(number))
    for text in map(folded, texts):
        found.update(dict.fromkeys(token[:LONGEST] for token in _of(text)))
    return list(found)[:MOST_TOKENS]


def _of(text: str) -> Iterator[str]:
    for word in _WORDS.findall(text):
        yield word
        yield from (word[part.start() :] for part in _PARTS.finditer(word) if part.start())
        for run in _RUNS.findall(word):
            yield from (run[start:] for start in range(1, len(run)))


def behind(word: str) -> str:
    """Return the first text, in the order of code points, that does not begin with *word*."""
    last = ord(word[-1]) + 1
    last = 0xE000 if 0xD800 <= last <= 0xDFFF else min(last, 0x10FFFF)
    return word[:-1] + chr(last)


def search_text(found: Iterable[str]) -> str:
    """Return the tokens as one text in which ``|word`` stands where one begins with *word*."""
    return "|" + "|".join(found)


def sort_name(name: str) -> str:
    """Return what the list is sorted by."""
    return folded(name)[:80]


def os_label(version: Any) -> str:
    """Return the main version of a system, nothing when it says none."""
    found = _VERSION.match(version) if isinstance(version, str) else None
    return found[0] if found else ""


def patch_label(day: Any) -> str:
    """Return the month of a patch level, ``unknown`` when it says none."""
    found = _PATCH.match(day) if isinstance(day, str) else None
    return found[0] if found else "unknown"


def patterns_label(version: Any) -> str:
    """Return the version of a pattern set, nothing when it is none that we could have given."""
    return version if isinstance(version, str) and _PATTERNS.fullmatch(version) else ""


def rules_label(violations: Iterable[Mapping[str, Any]]) -> str:
    """Return the broken rules as ``|one|two|``, sorted."""
    found = sorted({str(one["rule"]) for one in violations})
    return "".join(("|", "|".join(found), "|")) if found else ""


def shape_of(values: Iterable[object]) -> int:
    """Return a number for a combination of values, the same wherever it is made."""
    text = "\x1f".join(str(value) for value in values)
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big") >> 1


FACTS = (
    FactKind.OS_VERSION,
    FactKind.SECURITY_PATCH,
    FactKind.PATTERN_VERSION,
    FactKind.MAIL_STATE,
)
"""The facts that the list knows."""


def listed_facts(facts: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what a `DeviceFacts` row says of `FACTS`."""
    return tuple((facts.get(kind.value) or {}).get("value") for kind in FACTS)


def mail_label(value: Any) -> str:
    """Return what the mail server said, in one word."""
    return str(value.get("state", ""))[:20].lower() if isinstance(value, dict) else ""
