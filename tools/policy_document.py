"""Writes docs/policy-settings.md from the catalogue; ``--check`` tells if it is stale."""

import sys

from management.policies.catalogue.all import CATEGORIES
from management.policies.schema import Category, Kind, Setting
from tools.generated import ROOT, write_or_check

PAGE = ROOT / "docs" / "policy-settings.md"
HEAD = """# Settings of policies

What a policy can make devices apply. This page is written from the catalogue in
`management/policies/catalogue/` by `tools/policy_document.py`; the console's form, the API
(`GET /api/v1/policy-settings/schema`), the checks and what devices get come from the same.

A device gets what its system knows. *Where* names the systems, the oldest version and, after
a comma, how the device must be managed; a device that is not so reports the setting as not
applied, with its reason. Criteria of compliance are in [compliance.md](compliance.md).
"""


def page() -> str:
    """Return the whole document."""
    return HEAD + "".join(map(_category, CATEGORIES))


def _category(category: Category) -> str:
    entries = f" A list of at most {category.entries}." if category.entries else ""
    parts = "".join(map(_setting, category.settings))
    return f"\n## {category.label} (`{category.name}`)\n\n{category.help}{entries}\n\n{parts}"


def _setting(setting: Setting) -> str:
    default = "" if setting.default in (None, (), "") else f" Default: {_word(setting.default)}."
    must = " Required." if setting.required else ""
    lines = (
        f"- `{setting.name}`: **{setting.label}.**",
        f"  {setting.help}",
        f"  {_value(setting)}{default}{must}{_when(setting)}",
        f"  *Where:* {_where(setting)}.",
    )
    return "\n".join(lines) + "\n"


def _value(setting: Setting) -> str:
    match setting.kind:
        case Kind.SWITCH:
            return "On or off."
        case Kind.NUMBER:
            return f"A number from {setting.least} to {setting.most}."
        case Kind.CHOICE:
            return f"One of {', '.join(f'`{one}`' for one in setting.choices)}."
        case Kind.CHOICES:
            return f"Any of {', '.join(f'`{one}`' for one in setting.choices)}."
        case Kind.LINES:
            return f"A list of at most {setting.most}."
        case Kind.CERTIFICATE:
            return "A certificate as PEM."
        case Kind.SECRET:
            return f"A secret of {setting.least} to {setting.most} characters, stored sealed."
    return f"A text of at most {setting.most} characters."


def _when(setting: Setting) -> str:
    rules = (
        f"`{name}` is {' or '.join(f'`{value}`' for value in values)}"
        for name, values in setting.when.items()
    )
    return f" Counts when {' and '.join(rules)}." if setting.when else ""


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"`{value}`"


def _where(setting: Setting) -> str:
    return "; ".join(_on(setting, platform, since) for platform, since in setting.platforms.items())


def _on(setting: Setting, platform: str, since: str) -> str:
    name = {"android": "Android", "ios": "iOS"}[platform]
    modes = " or ".join(mode.replace("_", " ") for mode in setting.modes_on(platform))
    return f"{name}{f' {since}' if since else ''}{f', {modes}' if modes else ''}"


if __name__ == "__main__":
    sys.exit(write_or_check(PAGE, page()))
