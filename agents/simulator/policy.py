"""What of a policy the phone cannot apply, and why. No I/O."""

from collections.abc import Iterator
from hmac import compare_digest
from typing import Any

from agents.simulator.phone import Phone
from contracts.agent import ManagementMode, NotApplied, PolicyDocument, SettingNeed
from runtime.errors import ForbiddenError

MOST_TOLD = 200
"""In one posture (contracts/agent.py)."""
_SAID = {
    "": "nothing in particular",
    "device_owner": "device owner",
    "work_profile": "work profile",
    "agent": "agent without device administration",
    "supervised": "supervised",
    "user": "user enrolment",
}
_USUAL: dict[tuple[str, str], ManagementMode] = {
    ("android", "company"): "device_owner",
    ("android", "personal"): "work_profile",
    ("ios", "company"): "supervised",
    ("ios", "personal"): "user",
}


def mode_of(phone: Phone) -> ManagementMode:
    """Return how the phone is managed; one that does not say is what its owner usually has."""
    about = phone.description
    return about.management_mode or _USUAL[about.platform, about.ownership]


def not_applied(phone: Phone, policy: PolicyDocument) -> tuple[NotApplied, ...]:
    """Return the settings of *policy* that the phone cannot apply, each with its reason."""
    found = (
        NotApplied(setting=need.setting, entry=entry, because=because)
        for need in policy.needs
        if (because := _obstacle(phone, need))
        for entry in _entries(policy.settings, need.setting)
    )
    return tuple(found)[:MOST_TOLD]


def check_password(policy: PolicyDocument, given: str) -> None:
    """Raise ForbiddenError unless *given* is the password of the agent's settings, if it has one.

    The key ``general.settings_password`` of the policy.
    """
    wanted = (policy.settings.get("general") or {}).get("settings_password", "")
    if wanted and not compare_digest(str(wanted).encode(), given.encode()):
        raise ForbiddenError(
            "Its policy asks for the password of the agent's settings before it is removed. Ask "
            "whoever manages it (--password)."
        )


def _obstacle(phone: Phone, need: SettingNeed) -> str:
    mode, version = mode_of(phone), phone.posture.os_version or ""
    if need.modes and mode not in need.modes:
        wanted = " or ".join(_SAID[one] for one in need.modes)
        return f"This needs {wanted}; this device is managed as {_SAID[mode]}."
    if _numbers(version) < _numbers(need.minimum_os_version):
        return f"This needs system version {need.minimum_os_version}; this device has {version}."
    return ""


def _entries(settings: dict[str, Any], path: str) -> Iterator[str]:
    """Yield the name of each entry that has the setting; one empty name where there are none."""
    category, _, name = path.partition(".")
    content = settings.get(category)
    if isinstance(content, list):
        yield from (str(entry.get("name", ""))[:255] for entry in content if entry.get(name))
    elif content and content.get(name):
        yield ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
