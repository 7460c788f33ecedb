"""The catalogue as a JSON Schema, for programs that write policies. Pure."""

from typing import Any

from management.policies.catalogue.all import CATEGORIES
from management.policies.schema import Category, Kind, Setting
from management.policies.values import WAS


def settings_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the settings of a policy, in the reader's language."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of a policy",
        "type": "object",
        "additionalProperties": False,
        "properties": {category.name: _category(category) for category in CATEGORIES},
    }


def _category(category: Category) -> dict[str, Any]:
    said = {"title": str(category.label), "description": str(category.help)}
    if not category.entries:
        return {**said, **_entry(category)}
    return {**said, "type": "array", "maxItems": category.entries, "items": _entry(category)}


def _entry(category: Category) -> dict[str, Any]:
    properties = {setting.name: _setting(setting) for setting in category.settings}
    if category.entries:
        properties[WAS] = {"type": "string", "description": "Its name before, when it is renamed."}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [setting.name for setting in category.settings if setting.required],
        "properties": properties,
    }


def _setting(setting: Setting) -> dict[str, Any]:
    default = list(setting.default) if isinstance(setting.default, tuple) else setting.default
    return {
        "title": str(setting.label),
        "description": str(setting.help),
        **_limits(setting),
        "default": default,
        "x-platforms": dict(setting.platforms),
        "x-modes": list(setting.modes),
        "x-when": {name: list(values) for name, values in setting.when.items()},
    }


def _limits(setting: Setting) -> dict[str, Any]:
    text = {"type": ["string", "null"], "minLength": setting.least, "maxLength": setting.most}
    if setting.pattern:
        text["pattern"] = f"^{setting.pattern}$"
    match setting.kind:
        case Kind.SWITCH:
            return {"type": "boolean"}
        case Kind.NUMBER:
            limits = {"minimum": setting.least, "maximum": setting.most}
            return {"type": ["integer", "null"], **limits}
        case Kind.CHOICE:
            return {"enum": list(setting.choices)}
        case Kind.CHOICES:
            return {"type": "array", "items": {"enum": list(setting.choices)}}
        case Kind.LINES:
            line = {"type": "string", "pattern": f"^{setting.pattern}$"}
            return {"type": "array", "maxItems": setting.most, "items": line}
        case Kind.SECRET:
            kept = {
                "type": "object",
                "required": ["set"],
                "properties": {"set": {"const": True}},
                "additionalProperties": False,
            }
            return {"anyOf": [text, kept], "writeOnly": True}
    return text
