"""The little of DER (X.690) that certificates and PKCS #7 need, read within bounds."""

from collections.abc import Iterator
from typing import NamedTuple

SEQUENCE, SET, OID, INTEGER, OCTETS, BITS = 0x30, 0x31, 0x06, 0x02, 0x04, 0x03
UTC_TIME, GENERAL_TIME = 0x17, 0x18
_NAMES = {
    "2.5.4.3": "CN",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "1.2.840.113549.1.9.1": "EMAILADDRESS",
}


class BrokenDerError(Exception):
    """The bytes are no DER of the expected form. Stays inside the scanner."""


class Value(NamedTuple):
    """One tagged value; *whole* includes tag and length."""

    tag: int
    body: bytes
    whole: bytes


def values(data: bytes) -> Iterator[Value]:
    """Yield the values that follow one another in *data*."""
    at = 0
    while at < len(data):
        value = first(data[at:]) if at else first(data)
        yield value
        at += len(value.whole)


def first(data: bytes, tag: int | None = None) -> Value:
    """Return the value at the start of *data*, which must have *tag* if one is given."""
    if len(data) < 2 or (tag is not None and data[0] != tag):
        raise BrokenDerError("another value was expected")
    length, start = data[1], 2
    if length & 0x80:
        size = length & 0x7F
        if not 1 <= size <= 4 or len(data) < 2 + size:
            raise BrokenDerError("a length cannot be read")
        length, start = int.from_bytes(data[2 : 2 + size], "big"), 2 + size
    if start + length > len(data):
        raise BrokenDerError("a value is cut off")
    return Value(data[0], data[start : start + length], data[: start + length])


def inside(data: bytes, tag: int = SEQUENCE) -> list[Value]:
    """Return what the value at the start of *data* holds."""
    return list(values(first(data, tag).body))


def oid(value: Value) -> str:
    """Return an object identifier as dotted numbers."""
    if value.tag != OID or not value.body:
        raise BrokenDerError("an object identifier was expected")
    numbers, number = [], 0
    for byte in value.body:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    head = numbers[0]
    return ".".join(map(str, [min(head // 40, 2), head - 40 * min(head // 40, 2), *numbers[1:]]))


class Certificate(NamedTuple):
    """The parts of an X.509 certificate that matter here."""

    der: bytes
    serial: bytes
    issuer: bytes
    subject: str
    not_before: str
    not_after: str
    public_key: bytes
    """SubjectPublicKeyInfo."""


def certificate(data: bytes) -> Certificate:
    """Return the certificate at the start of *data*."""
    outer = first(data, SEQUENCE)
    fields = inside(outer.body)
    if fields and fields[0].tag == 0xA0:  # the version
        fields = fields[1:]
    if len(fields) < 6:
        raise BrokenDerError("the certificate is cut off")
    begin, end = [*values(fields[3].body), None, None][:2]
    return Certificate(
        der=outer.whole,
        serial=fields[0].body,
        issuer=fields[2].whole,
        subject=_name(fields[4].body),
        not_before=_time(begin),
        not_after=_time(end),
        public_key=fields[5].whole,
    )


def _name(body: bytes) -> str:
    parts = []
    for group in values(body):
        for pair in values(group.body):
            kind, text = [*values(pair.body), None, None][:2]
            if kind is not None and text is not None:
                name = _NAMES.get(oid(kind), oid(kind))
                coding = "utf-16-be" if text.tag == 0x1E else "utf-8"
                parts.append(f"{name}={text.body.decode(coding, 'replace')}")
    return ", ".join(parts)


def _time(value: Value | None) -> str:
    """Return RFC 3339, years of two digits as RFC 5280 section 4.1.2.5.1 reads them."""
    if value is None or value.tag not in (UTC_TIME, GENERAL_TIME):
        return ""
    text = value.body.decode("ascii", "replace")
    if value.tag == UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    if len(text) < 14 or not text[:14].isdigit():
        return ""
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}T{text[8:10]}:{text[10:12]}:{text[12:14]}Z"
