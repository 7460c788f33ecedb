"""What one version of a policy says otherwise than the one before. Pure; secrets stay unseen."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from management.policies.catalogue.all import CATEGORIES
from management.policies.schema import Category, Setting, Settings
from management.policies.values import KEPT, SEALED


@dataclass(frozen=True, slots=True)
class Change:
    """One setting before and after; None: it was not asked."""

    category: Category
    entry: str
    """Name of the entry; empty where the category has none."""
    setting: Setting
    before: Any
    now: Any

    @property
    def is_new_secret(self) -> bool:
        """Whether a secret was replaced by another."""
        return bool(self.before == KEPT and self.now == KEPT)


def differences(before: Settings, now: Settings) -> list[Change]:
    """Return each setting that differs, in the order of the catalogue."""
    old, new = dict(_flat(before)), dict(_flat(now))
    paths = sorted(old.keys() | new.keys(), key=_place)
    return [
        Change(*_found(path), _said(old.get(path)), _said(new.get(path)))
        for path in paths
        if old.get(path) != new.get(path)
    ]


def listed(settings: Settings) -> list[Change]:
    """Return everything that settings ask, as changes from nothing."""
    return differences({}, settings)


Path = tuple[tuple[str, str], str]
_CATEGORIES = {one.name: place for place, one in enumerate(CATEGORIES)}
_SETTINGS = {
    (one.name, setting.name): place
    for one in CATEGORIES
    for place, setting in enumerate(one.settings)
}
_KNOWN = {
    (one.name, setting.name): (one, setting) for one in CATEGORIES for setting in one.settings
}


def _flat(settings: Settings) -> Iterator[tuple[Path, Any]]:
    for category, content in settings.items():
        for entry in content if isinstance(content, list) else [content]:
            name = entry.get("name", "") if isinstance(content, list) else ""
            for setting, value in entry.items():
                if (category, setting) in _KNOWN and asks(value):
                    yield ((category, setting), name), value


def _place(path: Path) -> tuple[int, str, int]:
    """Return by what to sort: category, entry, setting."""
    (category, setting), entry = path
    return _CATEGORIES[category], entry, _SETTINGS[category, setting]


def asks(value: Any) -> bool:
    """Tell whether a value asks for anything at all."""
    return not (value is None or value in ("", [], ()))


def _found(path: Path) -> tuple[Category, str, Setting]:
    category, setting = _KNOWN[path[0]]
    return category, path[1], setting


def _said(value: Any) -> Any:
    return KEPT if isinstance(value, Mapping) and SEALED in value else value
