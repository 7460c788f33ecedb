"""What a setting is: its kind of value, its limits, where it works, how it is said to people.

The catalogue (`management.policies.catalogue`) holds all settings as data made of these. Form, API,
validation, comparison of versions, what devices get and ``docs/policy-settings.md`` come from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from flask_babel.speaklater import LazyString

from contracts.agent import ManagementMode

Words = LazyString | str
Settings = Mapping[str, Any]
"""Category -> {setting: value}, or a list of those where a category has entries."""


class Kind(StrEnum):
    """What kind of value a setting has."""

    SWITCH = "switch"
    NUMBER = "number"
    TEXT = "text"
    CHOICE = "choice"
    CHOICES = "choices"
    """Any of the choices, as a list."""
    LINES = "lines"
    """A list of texts; in the form one a line."""
    CERTIFICATE = "certificate"
    """X.509 as PEM."""
    SECRET = "secret"  # noqa: S105  (a kind, no password)
    """Stored sealed, given to devices only, never shown again."""


BOTH = {"android": "", "ios": ""}
ANDROID = {"android": ""}
IOS = {"ios": ""}

MODES: Mapping[str, tuple[ManagementMode, ...]] = {
    "android": ("device_owner", "work_profile", "agent"),
    "ios": ("supervised", "user"),
}
"""Platform -> how its devices are managed (contracts/agent.py, `ManagementMode`)."""
OWNER: tuple[ManagementMode, ...] = ("device_owner",)
PROFILE: tuple[ManagementMode, ...] = ("device_owner", "work_profile")
SUPERVISED: tuple[ManagementMode, ...] = ("supervised",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting."""

    name: str
    kind: Kind
    label: Words
    help: Words
    default: Any = None
    """What a new policy has; None: nothing is asked."""
    platforms: Mapping[str, str] = field(default_factory=lambda: BOTH)
    """Platform -> the oldest system version that can apply it; empty: every version."""
    modes: tuple[ManagementMode, ...] = ()
    """How a device must be managed; for a platform of which none is named, any way will do."""
    choices: Mapping[str, Words] = field(default_factory=dict)
    least: int = 0
    """Of a number; of a text its length."""
    most: int = 255
    """Of a number; of a text its length; of a list its entries."""
    pattern: str = ""
    """Of a text, and of each line."""
    example: str = ""
    required: bool = False
    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Choice beside it -> its values for which this setting counts; else it is dropped."""

    @property
    def is_secret(self) -> bool:
        """Whether the value is sealed and never shown."""
        return self.kind is Kind.SECRET

    @property
    def is_limited(self) -> bool:
        """Whether some devices cannot apply it."""
        return bool(self.modes) or dict(self.platforms) != BOTH

    def counts_in(self, entry: Mapping[str, Any]) -> bool:
        """Tell whether the setting has a meaning beside what else *entry* says."""
        return all(entry.get(name) in values for name, values in self.when.items())

    def modes_on(self, platform: str) -> tuple[ManagementMode, ...]:
        """Return how a device of *platform* must be managed for it; empty: in any way."""
        return tuple(mode for mode in self.modes if mode in MODES[platform])


@dataclass(frozen=True, slots=True, kw_only=True)
class Category:
    """Settings that belong together and are inherited together."""

    name: str
    label: Words
    icon: str
    help: Words
    settings: tuple[Setting, ...]
    entries: int = 0
    """More than 0: a list of at most so many entries (networks, accounts), told by ``name``."""

    def find(self, name: str) -> Setting | None:
        """Return the setting called *name*."""
        return next((one for one in self.settings if one.name == name), None)


def switch(name: str, label: Words, help: Words, default: bool = False, **more: Any) -> Setting:
    """Return a setting that is on or off."""
    return Setting(name=name, kind=Kind.SWITCH, label=label, help=help, default=default, **more)


def number(name: str, label: Words, help: Words, least: int, most: int, **more: Any) -> Setting:
    """Return a whole number from *least* to *most*."""
    kind = Kind.NUMBER
    return Setting(name=name, kind=kind, label=label, help=help, least=least, most=most, **more)


def text(name: str, label: Words, help: Words, most: int = 255, **more: Any) -> Setting:
    """Return one line of text."""
    return Setting(name=name, kind=Kind.TEXT, label=label, help=help, most=most, **more)


def choice(
    name: str, label: Words, help: Words, choices: Mapping[str, Words], default: str, **more: Any
) -> Setting:
    """Return one of *choices*."""
    kind = Kind.CHOICE
    return Setting(
        name=name, kind=kind, label=label, help=help, choices=choices, default=default, **more
    )


def lines(name: str, label: Words, help: Words, pattern: str, most: int, **more: Any) -> Setting:
    """Return a list of at most *most* texts."""
    more = {"default": (), "pattern": pattern, "most": most, **more}
    return Setting(name=name, kind=Kind.LINES, label=label, help=help, **more)


def secret(name: str, label: Words, help: Words, least: int, most: int, **more: Any) -> Setting:
    """Return a text that is sealed."""
    kind = Kind.SECRET
    return Setting(name=name, kind=kind, label=label, help=help, least=least, most=most, **more)
