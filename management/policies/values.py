"""Reads settings as people and programs give them; what is stored keeps to the catalogue."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from flask_babel import gettext as _

from management.keys import Keys
from management.policies.catalogue.all import BY_NAME, CATEGORIES
from management.policies.schema import Category, Kind, Setting, Settings

LARGEST = 200_000
"""Most characters of all settings of a policy together; every device gets them."""
SEALED = "sealed"
KEPT = {"set": True}
"""In place of a secret: shown, that there is one; given, to keep it."""
WAS = "was"
"""In a given entry: its name before, when it is renamed."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(slots=True)
class Reader:
    """Checks what is given against the catalogue; *before* holds the secrets that may be kept."""

    keys: Keys
    before: Settings
    errors: dict[str, str] = field(default_factory=dict)
    """Place (``wifi.0.passphrase``) -> what is wrong, in a sentence."""

    def read(self, given: Any) -> dict[str, Any]:
        """Return the settings to store; a category left out asks nothing."""
        if not isinstance(given, Mapping):
            self.errors["settings"] = _("Settings are an object: category, setting, value.")
            return {}
        for name in sorted(set(map(str, given)) - set(BY_NAME)):
            self.errors[name] = _("There is no such category: %(name)s", name=name[:100])
        found = {
            category.name: self._category(category, given[category.name])
            for category in CATEGORIES
            if category.name in given
        }
        if len(str(found)) > LARGEST:
            self.errors["settings"] = _(
                "All settings together are too large for a device; the limit is %(most)s "
                "characters.",
                most=LARGEST,
            )
        return {name: value for name, value in found.items() if value}

    def _category(self, category: Category, given: Any) -> Any:
        if not category.entries:
            return self._entry(category, given, self.before.get(category.name, {}), category.name)
        if not isinstance(given, Sequence) or isinstance(given, str):
            self.errors[category.name] = _("A list is wanted here.")
            return []
        if len(given) > category.entries:
            self.errors[category.name] = _("At most %(most)s entries.", most=category.entries)
            return []
        entries = [
            self._entry(category, one, self._earlier(category, one), f"{category.name}.{place}")
            for place, one in enumerate(given)
        ]
        self._told_apart(category, entries)
        return entries

    def _earlier(self, category: Category, given: Any) -> Mapping[str, Any]:
        """Return the stored entry whose secrets a given one may keep: the one of its name."""
        name = (given.get(WAS) or given.get("name")) if isinstance(given, Mapping) else None
        for entry in self.before.get(category.name, ()):
            if entry.get("name") == name:
                return dict(entry)
        return {}

    def _told_apart(self, category: Category, entries: list[dict[str, Any]]) -> None:
        seen: set[str] = set()
        for place, entry in enumerate(entries):
            name = entry.get("name", "")
            if name in seen:
                self.errors.setdefault(
                    f"{category.name}.{place}.name", _("Another entry has this name.")
                )
            seen.add(name)

    def _entry(
        self, category: Category, given: Any, before: Mapping[str, Any], place: str
    ) -> dict[str, Any]:
        if not isinstance(given, Mapping):
            self.errors[place] = _("An object is wanted here: setting, value.")
            return {}
        known = {setting.name for setting in category.settings} | (
            {WAS} if category.entries else set()
        )
        for name in sorted(set(map(str, given)) - known):
            self.errors[f"{place}.{name[:100]}"] = _("There is no such setting.")
        found: dict[str, Any] = {}
        for setting in category.settings:
            if not setting.counts_in(found):
                continue
            value = given.get(setting.name, setting.default)
            read = self._value(setting, value, before.get(setting.name), f"{place}.{setting.name}")
            if read is not None:
                found[setting.name] = read
        return found

    def _value(self, setting: Setting, value: Any, before: Any, place: str) -> Any:
        if value is None or value == "":
            if setting.required:
                self.errors[place] = _("This must be filled in.")
            return None
        if setting.is_secret:
            return self._secret(setting, value, before, place)
        try:
            return _READ[setting.kind](setting, value)
        except ValueError as error:
            self.errors[place] = str(error)
            return None

    def _secret(self, setting: Setting, value: Any, before: Any, place: str) -> Any:
        if value == KEPT:
            return before
        try:
            plain = _text(setting, value, lines=bool(setting.pattern))
        except ValueError as error:
            self.errors[place] = str(error)
            return before
        if before and self.keys.unseal(before[SEALED]) == plain:
            return before
        return {SEALED: self.keys.seal(plain)}


def defaults() -> dict[str, Any]:
    """Return the settings of a new policy."""
    return {
        category.name: {
            setting.name: list(value) if isinstance(value, tuple) else value
            for setting in category.settings
            if (value := setting.default) is not None
        }
        for category in CATEGORIES
        if not category.entries
    }


def shown(settings: Settings) -> dict[str, Any]:
    """Return settings without their secrets: each reads ``{"set": true}``."""
    return {
        name: [_shown(entry) for entry in content] if isinstance(content, list) else _shown(content)
        for name, content in settings.items()
    }


def _shown(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: KEPT if isinstance(value, Mapping) and SEALED in value else value
        for name, value in entry.items()
    }


def _switch(setting: Setting, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(_("Say true or false."))
    return value


def _number(setting: Setting, value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(_("Enter a whole number."))
    if not setting.least <= value <= setting.most:
        raise ValueError(
            _("Enter a number from %(least)s to %(most)s.", least=setting.least, most=setting.most)
        )
    return value


def _text(setting: Setting, value: Any, lines: bool = False) -> str:
    if not isinstance(value, str):
        raise ValueError(_("A text is wanted here."))
    value = str(value).strip()
    if not setting.least <= len(value) <= setting.most:
        raise ValueError(
            _(
                "Enter %(least)s to %(most)s characters.",
                least=max(setting.least, 1),
                most=setting.most,
            )
        )
    if _CONTROL.search("".join(value.split()) if lines else value):
        raise ValueError(_("This contains characters that cannot be typed."))
    if setting.pattern and not re.fullmatch(setting.pattern, value):
        raise ValueError(_("This is not valid here: %(value)s", value=value[:80]))
    return str(value)


def _choice(setting: Setting, value: Any) -> str:
    if not isinstance(value, str) or value not in setting.choices:
        raise ValueError(_("Choose one of: %(choices)s", choices=", ".join(setting.choices)))
    return str(value)


def _choices(setting: Setting, value: Any) -> list[str]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError(_("A list is wanted here."))
    given = [_choice(setting, one) for one in value[: len(setting.choices) + 1]]
    return [one for one in setting.choices if one in given]


def _lines(setting: Setting, value: Any) -> list[str]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError(_("A list is wanted here."))
    if len(value) > setting.most:
        raise ValueError(_("At most %(most)s entries.", most=setting.most))
    for one in value:
        if not isinstance(one, str) or not re.fullmatch(setting.pattern, one):
            raise ValueError(_("This is not valid here: %(value)s", value=str(one)[:80]))
    return list(dict.fromkeys(value))


def _certificate(setting: Setting, value: Any) -> str:
    if not isinstance(value, str) or len(value) > setting.most:
        raise ValueError(_("A certificate as PEM text, at most %(most)s characters.", most=8_000))
    try:
        x509.load_pem_x509_certificate(value.strip().encode())
    except ValueError:
        raise ValueError(
            _("This is no certificate. Paste the text from BEGIN CERTIFICATE to END CERTIFICATE.")
        ) from None
    return f"{value.strip()}\n"


_READ: dict[Kind, Callable[[Setting, Any], Any]] = {
    Kind.SWITCH: _switch,
    Kind.NUMBER: _number,
    Kind.TEXT: _text,
    Kind.CHOICE: _choice,
    Kind.CHOICES: _choices,
    Kind.LINES: _lines,
    Kind.CERTIFICATE: _certificate,
}
