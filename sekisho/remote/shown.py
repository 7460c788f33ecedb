"""How answers look on a terminal. Names come from devices: nothing in them steers the terminal."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from unicodedata import category, east_asian_width

WIDEST = 48
"""Of a column, in places of the terminal."""
KEPT = "\n\t"
Columns = Sequence[tuple[str, str]]
"""Title -> path of the value in an item: ``a.b``."""


def safe(text: str) -> str:
    """Return *text* with control characters and changes of direction written out."""
    return "".join(one if one in KEPT or not _steers(one) else _written(one) for one in text)


def as_json(value: Any, indent: int | None = None) -> str:
    """Return a value as JSON that a terminal may show."""
    return safe(json.dumps(value, ensure_ascii=False, indent=indent))


def table(columns: Columns, items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line of titles and one for each item."""
    rows = [[title.upper() for title, _ in columns]]
    rows += [[_cell(value_of(item, path)) for _, path in columns] for item in items]
    widths = [min(WIDEST, max(map(width, column))) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [_padded(cell, room) for cell, room in zip(row[:-1], widths[:-1], strict=True)]
        yield "  ".join([*cells, row[-1]]).rstrip()


def fields(answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each field of one thing; what is empty is left out."""
    told = {name.replace("_", " "): words(value) for name, value in answer.items()}
    told = {name: value for name, value in told.items() if value}
    room = max(map(len, told), default=0)
    for name, value in told.items():
        yield f"{name.ljust(room)}  {_cell(value)}"


def value_of(item: Mapping[str, Any], path: str) -> str:
    """Return the value at a path, for people."""
    found: Any = item
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return words(found)


def words(value: Any) -> str:
    """Return a value of JSON in words."""
    if value is None or value in ("", [], {}):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "; ".join(map(words, value))
    return as_json(value) if isinstance(value, dict) else minute(str(value))


def minute(text: str) -> str:
    """Return an instant to the minute, other text as it is."""
    if len(text) < 20 or text[10] != "T":
        return text
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return text


def width(text: str) -> int:
    """Return how many places of a terminal *text* takes."""
    return sum(2 if east_asian_width(one) in "WF" else 1 for one in text)


def _cell(text: str) -> str:
    return safe(" ".join(text.split()))


def _padded(text: str, room: int) -> str:
    while width(text) > room:
        text = f"{text[:-2]}…"
    return text + " " * (room - width(text))


def _steers(one: str) -> bool:
    return category(one) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def _written(one: str) -> str:
    return json.dumps(one)[1:-1] if ord(one) != 0x7F else "\\u007f"
