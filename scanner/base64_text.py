"""Base64 as apps read it: Android's decoder skips every byte that is no letter of it. Pure."""

import base64
import re
from collections.abc import Iterator
from heapq import merge
from operator import itemgetter

from scanner.unpacking import GZIP, Unpacked

MOST_HEADS = 16
"""Places in one text that may begin code; the rest is told as skipped."""
_BEGINNINGS = (b"dex\n", b"PK\x03\x04", b"\x7fELF", GZIP)
_ARCHIVE = b"UEsDB"
_HEADS = [*map(re.compile, (_ARCHIVE, b"ZGV4C", b"f0VMR", b"H4sI"))]
"""How they begin in Base64. One by one: an expression that begins with one byte is six times as
fast as one with a choice."""
_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_OTHERS = bytes(value for value in range(256) if value not in _PLAIN + b"+/-_")
_SAFE = bytes.maketrans(b"-_", b"+/")
_ESCAPES = (
    re.compile(rb"%([0-9a-fA-F]{2})"),
    re.compile(rb"\\(?:u00([0-9a-fA-F]{2})|[nrtbf]|u[0-9a-fA-F]{4})"),
    re.compile(rb"&#()x?[0-9a-fA-F]{1,6};"),
)
"""Of addresses, JSON and XML."""
_CONTROLS = bytes({*range(1, 9), *range(14, 32), 127})
_LOOKED_AT = 1024
_LONG = re.compile(rb"[A-Za-z0-9+/_-]{60,}")
SAMPLE = 4096


def may_be_base64(data: bytes) -> bool:
    """Whether *data* begins like text with few letters that are none of Base64."""
    head = data[:_LOOKED_AT]
    return 50 * (len(head) - len(head.translate(None, _CONTROLS))) <= len(head)


def letters(data: bytes) -> list[bytes]:
    """Return the letters of Base64 in *data*, read as either alphabet if it has signs of both."""
    for escape in _ESCAPES:
        data = escape.sub(_unescaped, data)
    text = data.translate(None, _OTHERS)
    if b"-" not in text and b"_" not in text:
        return [text]
    plain = text.translate(None, b"-_")
    safe = text.translate(_SAFE)
    return [safe, plain] if b"+" in text or b"/" in text else [safe]


def _unescaped(found: re.Match[bytes]) -> bytes:
    return bytes([int(found[1], 16)]) if found[1] else b""


def from_base64(data: bytes, cap: int) -> Unpacked:
    """Return what *data* says in Base64, from its first long line on if it has one."""
    found = _LONG.search(data, 0, _LOOKED_AT)
    return decoded(letters(data[found.start() :] if found else data)[0], cap)


def decoded(text: bytes, cap: int) -> Unpacked:
    """Return what *text* says, of letters only; padding may be missing."""
    text = text[: 4 * (cap // 3 + 2)]
    whole = text[:-1] if len(text) % 4 == 1 else text
    body = base64.b64decode(whole + b"=" * (-len(whole) % 4))
    return Unpacked(body[:cap], len(text), "", len(body) > cap)


def code_in(data: bytes) -> Iterator[bytes]:
    """Yield the letters from each place where *data* has code or an archive in Base64."""
    if not may_be_base64(data):
        return
    for text in letters(data):
        archive: int | None = None
        for head, at in _heads(text):
            is_inside = archive is not None and (at - archive) % 4 == 0
            if head == _ARCHIVE and is_inside:
                continue  # an archive in or behind an archive is found there
            if base64.b64decode(text[at : at + 8].ljust(8, b"A")).startswith(_BEGINNINGS):
                archive = at if head == _ARCHIVE else archive
                yield text[at:]


def _heads(text: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield what may be heads of code, and where, as they follow each other."""
    there = [head for head in _HEADS if head.search(text)]  # hardly ever one
    found = (((one[0], one.start()) for one in head.finditer(text)) for head in there)
    return merge(*found, key=itemgetter(1)) if there else iter(())
