"""What an attribute of the manifest says, as Android takes it; the rest of a name's readings, too.

Sources (AOSP): XmlBlock reads package, split, action and category by their names as texts, raw.
TypedArray reads all else by resource id, as what it was compiled to, references looked up.
"""

from collections.abc import Iterator

from scanner.binary_xml import (
    ANDROID,
    FIRST_NUMBER,
    LAST_NUMBER,
    TYPE_DYNAMIC_REFERENCE,
    TYPE_REFERENCE,
    Attribute,
    Element,
)
from scanner.resources import Resources

NAME = 0x01010003
TEXT_LENGTH = 255
"""Of what people read. Names of classes are as long as `scanner.chunks` reads them."""
_REFERENCES = (TYPE_REFERENCE, TYPE_DYNAMIC_REFERENCE)


class Values:
    """Reads attributes, and notes what misleads about them."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self.oddities: dict[str, None] = {}
        self.unresolved: dict[str, None] = {}
        """References in names that the resources do not answer."""

    @property
    def is_cut(self) -> bool:
        """Whether a reference was not looked up because of the limits."""
        return self._resources.is_cut

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
        return [*dict.fromkeys(text for text in found if text)]

    def texts(self, given: Attribute | None) -> list[str]:
        """Return what a text can be: several, where a reference differs with the device."""
        if given is None:
            return []
        if given.kind not in _REFERENCES:
            return [str(given.number) if given.text is None else given.text]
        found = self._resources.texts(given.number)
        if not found and given.number:
            self.unresolved[f"@{given.number:#010x}"] = None
        return found

    def text(self, given: Attribute | None) -> str:
        """Return a text for people to read."""
        for one in self._each(given):
            return (str(one.number) if one.text is None else one.text).lstrip()[:TEXT_LENGTH]
        return f"@{given.number:#010x}" if given else ""

    def numbers(self, given: Attribute | None) -> list[int]:
        """Return what a number can be, the likeliest first."""
        found = map(_integer, self._each(given))
        return [number for number in found if number is not None]

    def truths(self, given: Attribute | None) -> list[bool]:
        """Return what a boolean can be, the likeliest first; empty: nothing is said."""
        return [*map(_truth, self._each(given))]

    def truth(self, given: Attribute | None) -> bool | None:
        """Return the likeliest of `truths`."""
        return next(iter(self.truths(given)), None)

    def label(self, given: Attribute | None) -> list[str | int]:
        """Return a label, at most one: a text, or the id of a resource."""
        if given is None:
            return []
        return [given.number if given.kind in _REFERENCES else self.text(given)]

    def _each(self, given: Attribute | None) -> Iterator[Attribute]:
        if given is None:
            return
        if given.kind not in _REFERENCES:
            yield given
            return
        for value in self._resources.values(given.number):
            yield Attribute(value.text, None, value.kind, value.number)

    def _readings(self, given: Attribute | None) -> list[str]:
        if given is None:
            return []
        self._compare(given)
        return [*self.texts(given), given.raw or ""]

    def _compare(self, given: Attribute) -> None:
        if given.text is None or given.raw is None or given.raw == given.text:
            return
        if given.raw.strip() != given.text.strip() and "\\" not in given.raw:
            self.oddities["a text says one thing raw and another one compiled"] = None


def _integer(value: Attribute) -> int | None:
    if value.text is not None:
        try:
            return int(value.text[:12], 0)
        except ValueError:
            return None
    return value.number - (1 << 32) if value.number >= 1 << 31 else value.number


def _truth(value: Attribute) -> bool:
    if value.text is not None:
        return value.text in ("1", "true", "TRUE")
    return value.number != 0 and FIRST_NUMBER <= value.kind <= LAST_NUMBER
