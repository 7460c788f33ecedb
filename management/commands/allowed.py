"""Which commands a device can get, and why not. Pure; sentences are translated by `reasons`."""

from dataclasses import dataclass

from contracts.agent import CommandKind

_AGENT = frozenset(
    {
        CommandKind.LOCATE,
        CommandKind.SCAN_NOW,
        CommandKind.UPDATE_NOW,
        CommandKind.MESSAGE,
        CommandKind.SELECTIVE_WIPE,
        CommandKind.RENEW_KEYS,
    }
)
_APPS = frozenset({CommandKind.INSTALL_APP, CommandKind.REMOVE_APP})
_NOT_ON_APPLE = {
    CommandKind.SCAN_NOW: "Apple lets no app read which other apps are installed.",
    CommandKind.UPDATE_NOW: "The App Store updates the agent on Apple devices.",
}
_MODES = {
    ("android", "work_profile"): (
        _AGENT | _APPS | {CommandKind.LOCK, CommandKind.RESET_PASSCODE},
        "The device has a work profile: management reaches only what is inside it.",
    ),
    ("android", "agent"): (
        _AGENT,
        "The agent is not device owner, so Android lets it do little. Set the device up anew as "
        "device owner or with a work profile.",
    ),
    ("ios", "user"): (
        _AGENT | _APPS | {CommandKind.LOCK},
        "The device enrolled as its user's own: Apple lets management reach company data only.",
    ),
}
_PRIVATE = {
    CommandKind.WIPE: "The device belongs to its user; only company data may be wiped.",
    CommandKind.LOST_MODE: "The device belongs to its user; lost mode would lock them out of it.",
}


@dataclass(frozen=True, slots=True)
class Target:
    """What decides which commands a device can get."""

    platform: str
    ownership: str
    management_mode: str = ""
    """`contracts.agent.ManagementMode`; where it is not said, the device itself answers."""
    enrolment_state: str = "enrolled"


def not_allowed(kind: CommandKind, target: Target) -> str:
    """Return in a sentence why the device cannot get the command, or nothing when it can."""
    if target.enrolment_state != "enrolled":
        return f"The device cannot get commands: it is {target.enrolment_state}."
    if target.ownership == "personal" and kind in _PRIVATE:
        return _PRIVATE[kind]
    if target.platform == "ios" and kind in _NOT_ON_APPLE:
        return _NOT_ON_APPLE[kind]
    reached, why = _MODES.get((target.platform, target.management_mode), (frozenset(), ""))
    if why and kind not in reached:
        return why
    supervised = target.management_mode in ("supervised", "")
    if target.platform == "ios" and kind is CommandKind.LOST_MODE and not supervised:
        return "Apple's lost mode needs a supervised device."
    return ""


def kinds_for(target: Target) -> dict[CommandKind, str]:
    """Return every kind with why the device cannot get it, empty when it can."""
    return {kind: not_allowed(kind, target) for kind in CommandKind}
