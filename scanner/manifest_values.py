"""What an attribute of the manifest says, as Android takes it; the rest of a name's readings, too.

Sources (AOSP): XmlBlock reads package, split, action and category by their names as texts, raw.
TypedArray reads all else by resource id, as what it was compiled to, references looked up.

A reference has a value for each kind of device, some of which no device is, and others every one:
whoever asks must take the reading that reveals more.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from scanner.binary_xml import (
    ANDROID,
    FIRST_NUMBER,
    LAST_NUMBER,
    Attribute,
    Element,
)
from scanner.resources import REFERENCES, Resources

NAME = 0x01010003
TEXT_LENGTH = 255
"""Of what people read. Names of classes are as long as `scanner.chunks` reads them."""
MAXIMUM_TEXT = 4_000_000
"""Characters of all names in one manifest together."""
MAXIMUM_NAMES = 100
"""That one reference leads to."""
NUMBER_LENGTH = 200
"""Of a number that is written as a text: it may begin with many zeros."""
_NULL = 0


_NUMBER = re.compile(r"(-?)(0[xX]|#|0)?([0-9a-fA-F]*)")


class Values:
    """Reads attributes, and notes what misleads about them."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self.oddities: dict[str, None] = {}
        self.unresolved: dict[str, None] = {}
        """References in names that the resources do not answer."""
        self._kept: dict[str, str] = {}
        self._room = MAXIMUM_TEXT
        self._is_cut = False

    @property
    def is_cut(self) -> bool:
        """Whether a name or reference was not taken because of the limits."""
        return self._is_cut or self._resources.is_cut

    def raw(self, element: Element, name: str) -> str:
        """Return an attribute of no namespace, as Android takes those: raw."""
        given = element.named(name)
        if given is None:
            return ""
        self._compare(given)
        return given.raw[:TEXT_LENGTH] if given.raw is not None else self.text(given)

    def names(self, element: Element) -> list[str]:
        """Return each android:name that one of Android's readers finds; one, unless it misleads."""
        by_id, by_name = element.given(NAME), element.named("name", ANDROID)
        found = self._readings(by_id)
        if by_name is not None and by_name != by_id:
            self.oddities["android:name is another one by its number than by its name"] = None
            found += self._readings(by_name)
        return self._bounded(text for text in found if text)

    def action(self, element: Element) -> str:
        """Return android:name as Android reads it for actions and categories: raw."""
        given = element.named("name", ANDROID)
        if given is None:
            return ""
        return (given.text or "") if given.raw is None else given.raw

    def guards(self, given: Attribute) -> list[str]:
        """Return what a permission can be; one that differs with the device guards nothing."""
        found = self._bounded(self._texts(given))
        differs = given.kind in REFERENCES and len(self._resources.values(given.number)) > 1
        return [*found, ""] if differs or not found else found

    def _texts(self, given: Attribute | None) -> list[str]:
        """Return what a text can be: several, where a reference differs with the device."""
        if given is None or given.kind == _NULL:
            return []
        if given.kind not in REFERENCES:
            return [str(given.number) if given.text is None else given.text]
        found = self._resources.texts(given.number)
        if not found and given.number:
            self.unresolved[f"@{given.number:#010x}"] = None
        return found

    def _bounded(self, texts: Iterable[str]) -> list[str]:
        """Return the different *texts*, but no more of them than the limits let be kept."""
        found = [*islice(dict.fromkeys(texts), MAXIMUM_NAMES + 1)]
        self._is_cut |= len(found) > MAXIMUM_NAMES
        for text in found[:MAXIMUM_NAMES]:
            if text not in self._kept and self._room >= len(text):
                self._room -= len(text)
                self._kept[text] = text
        kept = [self._kept[text] for text in found if text in self._kept]
        self._is_cut |= len(kept) < len(found)
        return kept

    def text(self, given: Attribute | None) -> str:
        """Return a text for people to read."""
        for one in self._each(given):
            if one.kind not in REFERENCES:
                return (str(one.number) if one.text is None else one.text).lstrip()[:TEXT_LENGTH]
        return f"@{given.number:#010x}" if given else ""

    def numbers(self, given: Attribute | None) -> list[int]:
        """Return what a number can be, the likeliest first."""
        found = map(_integer, self._each(given))
        return [number for number in found if number is not None]

    def may_be(self, truth: bool, given: Attribute | None) -> bool:
        """Return whether a boolean has that value somewhere, or the resources do not say."""
        return any(one in (truth, None) for one in self._truths(given))

    def truth(self, given: Attribute | None) -> bool | None:
        """Return whether a boolean is true on some device; None: nothing is said, or not by us."""
        found = self._truths(given)
        return True if True in found else None if None in found or not found else False

    def _truths(self, given: Attribute | None) -> list[bool | None]:
        """Return what a boolean can be; None: the resources do not say. Empty: nothing is said."""
        return [None if one.kind in REFERENCES else _truth(one) for one in self._each(given)]

    def label(self, given: Attribute | None) -> list[str | int]:
        """Return a label, at most one: a text, or the id of a resource."""
        if given is None:
            return []
        return [given.number if given.kind in REFERENCES else self.text(given)]

    def _each(self, given: Attribute | None) -> Iterator[Attribute]:
        """Yield the readings; none for @null and @empty, which say nothing."""
        if given is None or given.kind == _NULL:
            return
        if given.kind not in REFERENCES:
            yield given
            return
        for value in self._resources.values(given.number):
            if value.kind != _NULL and (value.number or value.kind not in REFERENCES):
                yield Attribute(value.text, None, value.kind, value.number)

    def _readings(self, given: Attribute | None) -> list[str]:
        if given is None:
            return []
        self._compare(given)
        return [*self._texts(given), given.raw or ""]

    def _compare(self, given: Attribute) -> None:
        if given.text is None or given.raw is None or given.raw == given.text:
            return
        if given.raw.strip() != given.text.strip() and "\\" not in given.raw:
            self.oddities["a text says one thing raw and another one compiled"] = None


def _integer(value: Attribute) -> int | None:
    if value.kind in REFERENCES:
        return None
    if value.text is not None:
        return _written(value.text.strip())
    return value.number - (1 << 32) if value.number >= 1 << 31 else value.number


def _written(text: str) -> int | None:
    """Return the number that Android reads in a text (XmlUtils.convertValueToInt): of 32 bits."""
    found = _NUMBER.fullmatch(text[:NUMBER_LENGTH])
    if found is None:
        return None
    sign, prefix, digits = found.groups()
    base = 16 if prefix in ("0x", "0X", "#") else 8 if prefix else 10
    try:
        number = int(sign + (digits or "0"), base)
    except ValueError:
        return None
    return number if -(1 << 31) <= number < 1 << 31 else None


def _truth(value: Attribute) -> bool:
    if value.text is not None:
        return value.text in ("1", "true", "TRUE")
    return value.number != 0 and FIRST_NUMBER <= value.kind <= LAST_NUMBER
