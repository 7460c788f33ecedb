"""A policy version as one device gets it: what its platform knows, secrets opened."""

from collections.abc import Callable, Mapping
from typing import Any

from contracts.agent import PolicyDocument, SettingNeed
from management.keys import Keys
from management.policies.catalogue.all import BY_NAME, CATEGORIES
from management.policies.models import Policy, PolicyVersion
from management.policies.schema import Category, Setting, Settings
from management.policies.values import SEALED


def document(
    policy: Policy, version: PolicyVersion, keys: Keys, platform: str, address: str
) -> PolicyDocument:
    """Return *version* for a device of *platform* whose user has the mail *address*."""
    return PolicyDocument(
        policy_id=policy.id,
        version=version.version,
        name=policy.name,
        settings=as_asked(version.settings, platform, keys.unseal, address),
        needs=needs(for_platform(version.settings, platform), platform),
    )


def as_asked(
    settings: Settings, platform: str, unseal: Callable[[str], Any], address: str | None
) -> dict[str, Any]:
    """Return what a device of *platform* is asked, each secret as *unseal* gives it.

    *address* is its user's, for what stands in place of it; None: those places stay.
    """
    return {
        name: [_open_entry(entry, unseal, address) for entry in content]
        if BY_NAME[name].entries
        else _open_entry(content, unseal, address)
        for name, content in for_platform(settings, platform).items()
    }


def for_platform(settings: Settings, platform: str) -> dict[str, Any]:
    """Return what devices of *platform* can be asked."""
    found: dict[str, Any] = {}
    for category in CATEGORIES:
        content = settings.get(category.name)
        if isinstance(content, list):
            found[category.name] = [_known(category, entry, platform) for entry in content]
        elif content:
            found[category.name] = _known(category, content, platform)
    return {name: content for name, content in found.items() if content}


def needs(settings: Settings, platform: str) -> tuple[SettingNeed, ...]:
    """Return what a device must be for each setting that asks for something."""
    found = (
        _need(category.name, setting, platform)
        for category in CATEGORIES
        for setting in category.settings
        if _is_asked(settings.get(category.name), setting)
    )
    return tuple(need for need in found if need.modes or need.minimum_os_version)


def _need(category: str, setting: Setting, platform: str) -> SettingNeed:
    return SettingNeed(
        setting=f"{category}.{setting.name}",
        modes=setting.modes_on(platform),
        minimum_os_version=setting.platforms.get(platform, ""),
    )


def _is_asked(content: Any, setting: Setting) -> bool:
    entries = content if isinstance(content, list) else [content or {}]
    return any(entry.get(setting.name) not in (None, False, "", []) for entry in entries)


def _known(category: Category, entry: Mapping[str, Any], platform: str) -> dict[str, Any]:
    return {
        setting.name: entry[setting.name]
        for setting in category.settings
        if setting.name in entry and platform in setting.platforms
    }


def _open_entry(
    entry: Mapping[str, Any], unseal: Callable[[str], Any], address: str | None
) -> dict[str, Any]:
    return {name: _open(value, unseal, address) for name, value in entry.items()}


def _open(value: Any, unseal: Callable[[str], Any], address: str | None) -> Any:
    if isinstance(value, Mapping) and SEALED in value:
        return unseal(value[SEALED])
    if isinstance(value, str) and address is not None:
        user = address.partition("@")[0]
        return value.replace("{user}", user).replace("{address}", address)
    return value
