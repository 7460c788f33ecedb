"""What a profile says, line by line, for people. Pure; secrets are never shown."""

from dataclasses import dataclass
from typing import Any

from flask_babel import gettext as _
from flask_babel import ngettext

from management.policies.apple.building import Built, Line, Payload, shown_payloads
from management.policies.apple.keys import NAMES
from management.policies.schema import Words


@dataclass(frozen=True, slots=True)
class ShownLine:
    """One key of a payload, and the setting that decides it."""

    setting: str
    """``CATEGORY.SETTING``"""
    label: Words
    key: str
    value: Any
    """As JSON could hold it; None for a secret."""
    is_secret: bool
    supervised: bool
    since: str
    note: Words


@dataclass(frozen=True, slots=True)
class ShownPayload:
    """One payload."""

    kind: str
    name: Words
    entry: str
    lines: tuple[ShownLine, ...]


def payloads(built: Built) -> tuple[ShownPayload, ...]:
    """Return what stands in the profile, in its order."""
    return tuple(_payload(one) for one in shown_payloads(built))


def _payload(payload: Payload) -> ShownPayload:
    lines = tuple(_line(payload, path, line) for path, line in payload.lines.items())
    return ShownPayload(payload.kind, NAMES[payload.kind], payload.entry, lines)


def _line(payload: Payload, path: str, line: Line) -> ShownLine:
    hidden = line.setting.is_secret and isinstance(line.value, str | bytes)
    return ShownLine(
        setting=f"{line.category.name}.{line.setting.name}",
        label=line.setting.label,
        key=path,
        value=None if hidden else _value(line.value),
        is_secret=hidden,
        supervised=line.key.supervised,
        since=line.key.since,
        note=line.key.note,
    )


def _value(value: Any) -> Any:
    if isinstance(value, bytes):
        return ngettext("%(num)s byte", "%(num)s bytes", len(value))
    return value


def as_words(value: Any) -> str:
    """Return a value as a page shows it, in the words of a property list."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or _("an empty list")
    return str(value) if value != "" else _("an empty text")


def oldest_system(shown: tuple[ShownPayload, ...]) -> str:
    """Return the version of iOS from which on all of it is applied; empty: any."""
    since = (line.since for one in shown for line in one.lines if line.since)
    return max(since, key=lambda said: tuple(map(int, said.split("."))), default="")


def supervised_lines(shown: tuple[ShownPayload, ...]) -> int:
    """Return how many keys only supervised devices take."""
    return sum(line.supervised for one in shown for line in one.lines)
