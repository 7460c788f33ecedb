"""Turns settings into payloads, and tells of each setting where it went or why it did not. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid5

from flask_babel import lazy_gettext as _l

from management.policies.apple.keys import (
    FIXED,
    NAMES,
    OWN_UUID,
    PROFILE,
    REQUIRED,
    Entry,
    Key,
    Reference,
)
from management.policies.apple.mapping import APPLE, TYPE_OF_ENTRY
from management.policies.catalogue.all import CATEGORIES
from management.policies.schema import Category, Setting, Settings, Words

_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What XML cannot say."""
_WITHHELD = _l("Secrets are left out of this file; the device asks its user.")
_LACKS = _l("The device cannot use this without what is missing here.")
_SAYS_NOTHING = _l("Apple's profiles have nothing for what is asked here.")
_NO_CERTIFICATE = _l("The certificate that it names is not in this file.")


class Withheld:
    """Stands for a secret that is set, but not to be given out."""


WITHHELD = Withheld()


@dataclass(frozen=True, slots=True)
class Line:
    """One setting at one key."""

    category: Category
    setting: Setting
    key: Key
    value: Any


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One setting that stands nowhere in the profile."""

    category: Category
    setting: Setting
    entry: str
    because: Words


@dataclass(slots=True)
class Payload:
    """One payload, setting by setting."""

    kind: str
    category: Category
    entry: str
    uuid: UUID
    lines: dict[str, Line] = field(default_factory=dict)
    """Path -> what decides it; the last setting that does, wins."""

    def content(self) -> dict[str, Any]:
        """Return the payload's own keys and values, nested."""
        found: dict[str, Any] = dict(FIXED.get(self.kind, {}))
        for path, line in self.lines.items():
            _put(found, path.split("."), line.value)
        return found


@dataclass(frozen=True, slots=True)
class Built:
    """What a profile says and what it does not."""

    payloads: tuple[Payload, ...]
    left_out: tuple[LeftOut, ...]


def build(settings: Settings, base: UUID) -> Built:
    """Return what devices of Apple get of *settings* (of one platform, secrets opened).

    UUIDs come from *base* and the place of a payload, so they stay from version to version: iOS
    then changes an account in place instead of making it anew.
    """
    building = _Building(base)
    for category in CATEGORIES:
        content = settings.get(category.name) or ()
        for entry in content if category.entries else (content,):
            if entry:
                building.read(category, entry)
    return building.finished()


class _Building:
    def __init__(self, base: UUID) -> None:
        self._base = base
        self._found: dict[tuple[str, str, str], Payload] = {}
        self._left_out: list[LeftOut] = []
        self._names: set[tuple[str, str]] = set()

    def read(self, category: Category, entry: Entry) -> None:
        usual = name = ""
        if category.entries:
            usual = TYPE_OF_ENTRY[category.name](_known(entry))
            name = self._own_name(category, entry)
        for setting in category.settings:
            value = entry.get(setting.name)
            if not (value is None or value == ""):
                self._read(category, setting, value, _known(entry), (usual, name))

    def _own_name(self, category: Category, entry: Entry) -> str:
        """Return the entry's name, told from others that became the same for one user."""
        name = clean_text(str(entry.get("name") or "?"))
        while (category.name, name) in self._names:
            name += "'"
        self._names.add((category.name, name))
        return name

    def _read(
        self, category: Category, setting: Setting, value: Any, entry: Entry, at: tuple[str, str]
    ) -> None:
        mapped = APPLE.get(f"{category.name}.{setting.name}")
        if mapped is None:
            return
        used = [key for key in mapped.keys if key.counts_in(entry)]
        said = [] if value is WITHHELD else [(key, key.value(value, entry)) for key in used]
        said = [(key, one) for key, one in said if one is not None]
        for key, one in said:
            self._write(Line(category, setting, key, _clean(one)), at)
        if not said and mapped.because is not None and value is not False and value != []:
            because = _WITHHELD if value is WITHHELD else mapped.because or _SAYS_NOTHING
            self._left_out.append(LeftOut(category, setting, at[1], because))

    def _write(self, line: Line, at: tuple[str, str]) -> None:
        kind, name = (line.key.payload, "") if line.key.payload else at
        place = (kind, line.category.name if name else "", name)
        payload = self._found.get(place)
        if payload is None:
            unit = uuid5(self._base, "/".join(place))
            payload = self._found[place] = Payload(kind, line.category, name, unit)
        before = payload.lines.get(line.key.path)
        if before is not None and isinstance(line.value, list):
            line = replace(line, value=[*dict.fromkeys([*before.value, *line.value])])
        payload.lines[line.key.path] = line

    def finished(self) -> Built:
        whole = [one for one in self._found.values() if self._is_whole(one)]
        units = {one.entry: one.uuid for one in whole if one.category.name == "certificates"}
        for payload in whole:
            self._resolve(payload, units)
        return Built(tuple(whole), tuple(self._left_out))

    def _is_whole(self, payload: Payload) -> bool:
        missing = set(REQUIRED.get(payload.kind, ())) - payload.lines.keys()
        if missing:
            lost = {line.setting.name: line for line in payload.lines.values()}.values()
            self._left_out += [
                LeftOut(one.category, one.setting, payload.entry, _LACKS) for one in lost
            ]
        return not missing

    def _resolve(self, payload: Payload, units: Mapping[str, UUID]) -> None:
        for path, line in list(payload.lines.items()):
            try:
                value = _resolved(line.value, units, payload.uuid)
            except KeyError:
                del payload.lines[path]
                self._left_out.append(
                    LeftOut(payload.category, line.setting, payload.entry, _NO_CERTIFICATE)
                )
            else:
                payload.lines[path] = replace(line, value=value)


def _known(entry: Entry) -> Entry:
    """Return what an entry says without what is withheld."""
    return {name: value for name, value in entry.items() if value is not WITHHELD}


def _resolved(value: Any, units: Mapping[str, UUID], own: UUID) -> Any:
    """Return *value* with UUIDs in place of references; KeyError when one leads nowhere."""
    if isinstance(value, list):
        return [_resolved(one, units, own) for one in value]
    if isinstance(value, Reference):
        return apple_uuid(units[clean_text(value.name)])
    return apple_uuid(own) if value is OWN_UUID else value


def apple_uuid(unit: UUID) -> str:
    """Return a UUID as Apple writes them."""
    return str(unit).upper()


def _clean(value: Any) -> Any:
    """Return *value* without characters that no profile can hold."""
    if isinstance(value, list):
        return [_clean(one) for one in value]
    return clean_text(value) if isinstance(value, str) else value


def clean_text(text: str) -> str:
    """Return *text* without characters that XML cannot say."""
    return _UNWRITABLE.sub("", text)


def _put(within: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Write *value* at *path*; ``0`` in it is the first place of a list of dictionaries."""
    name, *rest = path
    if not rest:
        within[name] = value
    elif rest[0] == "0":
        _put(within.setdefault(name, [{}])[0], rest[1:], value)
    else:
        _put(within.setdefault(name, {}), rest, value)


def shown_payloads(built: Built) -> Iterator[Payload]:
    """Yield what stands in the profile; what is said of the profile itself comes first."""
    yield from sorted(built.payloads, key=lambda one: list(NAMES).index(one.kind))


def of_profile(built: Built) -> dict[str, Any]:
    """Return what is said of the profile itself."""
    found: dict[str, Any] = {}
    for one in built.payloads:
        if one.kind == PROFILE:
            found |= one.content()
    return found
