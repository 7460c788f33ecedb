"""A strict, bounded reader of DER (ITU-T X.690), for structures that strangers send. Pure.

Only what it is asked for is descended into, so nothing nests deeper than the caller goes. Anything
that a correct encoder would not write is refused: one structure has one encoding.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from runtime.errors import MalformedMessageError, TooLargeError

UNIVERSAL, CONTEXT = 0, 2
BOOLEAN, INTEGER, OCTET_STRING, NULL, ENUMERATED, SEQUENCE = 1, 2, 4, 5, 10, 16
MOST_BYTES = 64 * 1024
MOST_CHILDREN = 200
_LONGEST_TAG = 3
_LONGEST_LENGTH = 3


@dataclass(frozen=True, slots=True)
class Element:
    """One tag with its content."""

    tag_class: int
    is_constructed: bool
    number: int
    content: bytes

    def children(self) -> tuple["Element", ...]:
        """Return the elements inside a constructed one."""
        if not self.is_constructed:
            raise MalformedMessageError("DER: a simple element holds no others.")
        return tuple(_elements(self.content))

    def only_child(self) -> "Element":
        """Return the one element inside, as an explicit tag has it."""
        found = self.children()
        if len(found) != 1:
            raise MalformedMessageError(f"DER: {len(found)} elements where one belongs.")
        return found[0]

    def sequence(self) -> tuple["Element", ...]:
        """Return the elements of a SEQUENCE."""
        self._expect(SEQUENCE, True)
        return self.children()

    def octets(self) -> bytes:
        """Return the value of an OCTET STRING."""
        self._expect(OCTET_STRING, False)
        return self.content

    def whole(self, number: int = INTEGER) -> int:
        """Return the value of an INTEGER or ENUMERATED that is not negative and below 2**63."""
        self._expect(number, False)
        said = self.content
        if not 1 <= len(said) <= 8 or said[0] & 0x80:
            raise MalformedMessageError("DER: a number is empty, negative or too large.")
        if len(said) > 1 and said[0] == 0 and not said[1] & 0x80:
            raise MalformedMessageError("DER: a number is not written in its shortest form.")
        return int.from_bytes(said)

    def flag(self) -> bool:
        """Return the value of a BOOLEAN."""
        self._expect(BOOLEAN, False)
        if self.content not in (b"\x00", b"\xff"):
            raise MalformedMessageError("DER: a BOOLEAN is neither true nor false.")
        return self.content == b"\xff"

    def _expect(self, number: int, is_constructed: bool) -> None:
        found = (self.tag_class, self.number, self.is_constructed)
        if found != (UNIVERSAL, number, is_constructed):
            raise MalformedMessageError(
                f"DER: tag {self.number} of class {self.tag_class} where universal tag {number} "
                "belongs."
            )


def read(encoded: bytes) -> Element:
    """Return the one element that *encoded* is; MalformedMessageError, TooLargeError otherwise."""
    if len(encoded) > MOST_BYTES:
        raise TooLargeError(f"DER: more than {MOST_BYTES} bytes.")
    element, end = _element(encoded, 0)
    if end != len(encoded):
        raise MalformedMessageError("DER: something follows the end.")
    return element


def _elements(content: bytes) -> Iterator[Element]:
    place = 0
    for _ in range(MOST_CHILDREN):
        if place == len(content):
            return
        element, place = _element(content, place)
        yield element
    if place != len(content):
        raise TooLargeError(f"DER: more than {MOST_CHILDREN} elements in one.")


def _element(data: bytes, place: int) -> tuple[Element, int]:
    first, place = _byte(data, place)
    number = first & 0x1F
    if number == 0x1F:
        number, place = _high_tag(data, place)
    length, place = _length(data, place)
    end = place + length
    if end > len(data):
        raise MalformedMessageError("DER: an element reaches beyond the end.")
    return Element(first >> 6, bool(first & 0x20), number, data[place:end]), end


def _high_tag(data: bytes, place: int) -> tuple[int, int]:
    """Read a tag number of 31 and above, seven bits in a byte (X.690, 8.1.2.4)."""
    number = 0
    for at in range(_LONGEST_TAG):
        said, place = _byte(data, place)
        if at == 0 and said == 0x80:
            break
        number = number << 7 | said & 0x7F
        if not said & 0x80:
            if number < 0x1F:
                break
            return number, place
    raise MalformedMessageError("DER: a tag number is too large or not in its shortest form.")


def _length(data: bytes, place: int) -> tuple[int, int]:
    said, place = _byte(data, place)
    if said < 0x80:
        return said, place
    count = said & 0x7F
    if not 1 <= count <= _LONGEST_LENGTH or place + count > len(data):
        raise MalformedMessageError("DER: a length is indefinite, too large or cut off.")
    length = int.from_bytes(data[place : place + count])
    if length < 0x80 or length.bit_length() <= 8 * (count - 1):
        raise MalformedMessageError("DER: a length is not written in its shortest form.")
    return length, place + count


def _byte(data: bytes, place: int) -> tuple[int, int]:
    if place >= len(data):
        raise MalformedMessageError("DER: the end is missing.")
    return data[place], place + 1
