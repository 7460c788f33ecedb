"""Settings as a form: fields named ``s.CATEGORY.SETTING`` or ``s.CATEGORY.N.SETTING``.

It only turns words into the values that programs would give; `values.Reader` checks both.
"""

from collections.abc import Mapping
from typing import Any

from werkzeug.datastructures import MultiDict

from management.policies.catalogue.all import CATEGORIES
from management.policies.schema import Category, Kind, Setting, Settings
from management.policies.values import KEPT, WAS, shown

PART = "part"
"""Name of the hidden fields that say which categories the form holds; others stay as they are."""
Form = MultiDict[str, str]


def read_settings_form(form: Form, before: Settings) -> dict[str, Any]:
    """Return what the form asks, as a program would give it."""
    parts = set(form.getlist(PART))
    given = shown(before)
    for category in CATEGORIES:
        if category.name in parts:
            given[category.name] = _category(category, form)
    return given


def _category(category: Category, form: Form) -> Any:
    if not category.entries:
        return _fields(category, form, f"s.{category.name}")
    places = form.getlist(f"entry.{category.name}")[: category.entries + 1]
    entries = [_entry(category, form, f"s.{category.name}.{place}") for place in places]
    return [entry for entry in entries if entry]


def _entry(category: Category, form: Form, at: str) -> dict[str, Any]:
    """Return one entry; empty when it is to be removed or nothing was typed."""
    if form.get(f"{at}.remove") == "yes":
        return {}
    found = _fields(category, form, at)
    typed = (
        found.get(setting.name)
        for setting in category.settings
        if setting.kind in (Kind.TEXT, Kind.SECRET, Kind.CERTIFICATE, Kind.LINES)
        and found.get(setting.name) != (setting.default or None)
    )
    if not form.get(f"{at}.{WAS}") and not any(typed):
        return {}
    return {**found, WAS: form.get(f"{at}.{WAS}", "")}


def _fields(category: Category, form: Form, at: str) -> dict[str, Any]:
    return {
        setting.name: _value(setting, form, f"{at}.{setting.name}") for setting in category.settings
    }


def _value(setting: Setting, form: Form, name: str) -> Any:
    text = form.get(name, "").strip()
    match setting.kind:
        case Kind.SWITCH:
            return text == "yes"
        case Kind.NUMBER:
            return (
                int(text) if text.isascii() and text.isdigit() and len(text) < 9 else text or None
            )
        case Kind.CHOICES:
            return form.getlist(name)
        case Kind.LINES:
            return [line.strip() for line in text.splitlines() if line.strip()]
        case Kind.SECRET:
            forgotten = form.get(f"{name}.forget") == "yes"
            return text or (None if forgotten else _kept(form, name))
    return text or None


def _kept(form: Form, name: str) -> Mapping[str, bool] | None:
    return KEPT if form.get(f"{name}.set") == "yes" else None
