"""All that a policy can ask, in the order in which it is told, and the sentences for it. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contracts.scan import Verdict
from management.compliance import criteria
from management.compliance.criteria import Check
from management.compliance.judgement import AskedPolicy, Rule
from management.devices.rules import FactKind
from management.policies.rules import wish_name

OPEN_AGENT = "Open the agent, so that it reports."
CHECK_AGENT = "If it does report: its agent is too old to say this. Let it update."
ASK_ADMINISTRATOR = "Ask your administrator."
CANNOT_SAY = "nothing on this device can say it, and the policy counts that as broken"
BEAR_OR_INSTALL = "Install the agent on it, or let the policy bear what such devices cannot say."


def _asks(field: str) -> Callable[[AskedPolicy], str | None]:
    """Return the wish that *field* of the requirements is, unless it asks nothing."""
    return lambda asked: field if getattr(asked.requirements, field) else None


def _asks_verdict(verdict: Verdict) -> Callable[[AskedPolicy], str | None]:
    wish = wish_name("forbidden_verdicts", verdict.value)
    return lambda asked: wish if verdict in asked.requirements.forbidden_verdicts else None


def _asks_of_platform(field: str) -> Callable[[AskedPolicy], str | None]:
    def wish(asked: AskedPolicy) -> str | None:
        given = getattr(asked.requirements, field).get(asked.platform)
        return wish_name(field, asked.platform) if given else None

    return wish


def _is_flag(value: Any) -> bool:
    return value is True or value is False


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _is_day(value: Any) -> bool:
    return criteria.patch_day(value) is not None


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and {str}.issuperset(map(type, value))


def _are_apps(value: Any) -> bool:
    return isinstance(value, list) and {dict}.issuperset(map(type, value))


def _is_proof(value: Any) -> bool:
    return isinstance(value, dict) and _is_flag(value.get("passed"))


def _is_account(value: Any) -> bool:
    return isinstance(value, dict) and _is_text(value.get("state"))


@dataclass(frozen=True, slots=True)
class Criterion:
    """One thing that a policy can ask, and how it is told."""

    rule: Rule
    kind: FactKind
    """The fact that decides it."""
    parameter: str
    """The field of `Requirements` that asks it; empty: it is always asked."""
    wish: Callable[[AskedPolicy], str | None]
    """Name of the wish (`policies.rules.wishes_in`), or None when the policy does not ask."""
    says: Callable[[Any], bool]
    """Whether the value of a fact says anything; other values count as none."""
    check: Check
    unknown: str
    """Why it is not kept when nobody said."""
    mend: str
    """For the user; ``{}`` takes the value of the breach."""
    administrator_mend: str


def _flag(
    rule: Rule, kind: FactKind, wanted: bool, because: str, unknown: str, mend: str, by_us: str
) -> Criterion:
    field = rule.value
    check = criteria.flag(wanted, because)
    return Criterion(rule, kind, field, _asks(field), _is_flag, check, unknown, mend, by_us)


def _verdict(rule: Rule, verdict: Verdict, by_us: str) -> Criterion:
    return Criterion(
        rule,
        FactKind.BAD_APPS,
        "forbidden_verdicts",
        _asks_verdict(verdict),
        _are_apps,
        criteria.no_app_with(verdict),
        "it never said which apps are installed",
        "Remove the app: {}.",
        by_us,
    )


CRITERIA: tuple[Criterion, ...] = (
    Criterion(
        Rule.ENROLLED,
        FactKind.ENROLMENT,
        "",
        lambda asked: "",
        _is_text,
        criteria.enrolled,
        "it never enrolled",
        "Ask your administrator for a new invitation.",
        "Invite the user again.",
    ),
    Criterion(
        Rule.IN_CONTACT,
        FactKind.CONTACT,
        "maximum_silence",
        _asks("maximum_silence"),
        _is_flag,
        criteria.in_contact,
        "it has not reported yet",
        "Switch the device on, connect it and open the agent.",
        "Ask the user to open the agent. If others are silent too, look at the relay.",
    ),
    Criterion(
        Rule.POLICY_APPLIED,
        FactKind.APPLIED_POLICY,
        "policy_applied",
        _asks("policy_applied"),
        lambda value: isinstance(value, dict),
        criteria.policy_applied,
        "it never said which policy it applied",
        "Open the agent: it fetches the policy.",
        "Wait for its next check-in. If it has reported since, look at what it could not apply.",
    ),
    _flag(
        Rule.NOT_ROOTED,
        FactKind.ROOTED,
        False,
        "root access found",
        "it never said whether it is rooted",
        "Restore the manufacturer's system.",
        "Wipe the company data, and let the user restore the system and enrol again.",
    ),
    Criterion(
        Rule.ATTESTED,
        FactKind.ATTESTATION,
        "attested",
        _asks("attested"),
        _is_proof,
        criteria.attested,
        "its hardware has not proved its system yet",
        "Restore the manufacturer's system and lock the boot loader.",
        "Look at the reason. Without an explanation treat the device as taken over.",
    ),
    _flag(
        Rule.ENCRYPTED,
        FactKind.ENCRYPTED,
        True,
        "storage is not encrypted",
        "it never said whether its storage is encrypted",
        "Switch on encryption in the system's settings.",
        "Let the policy ask for encryption; very old models cannot do it.",
    ),
    _flag(
        Rule.PASSCODE_SET,
        FactKind.PASSCODE_SET,
        True,
        "no screen lock is set",
        "it never said whether a screen lock is set",
        "Set a screen lock in the system's settings.",
        "Let the policy ask for a passcode, so that the device demands one.",
    ),
    _flag(
        Rule.NO_DEVELOPER_OPTIONS,
        FactKind.DEVELOPER_OPTIONS,
        False,
        "developer options are on",
        "it never said whether developer options are on",
        "Switch off developer options.",
        "Lock developer options by policy; it needs a company device.",
    ),
    _flag(
        Rule.NO_USB_DEBUGGING,
        FactKind.USB_DEBUGGING,
        False,
        "USB debugging is on",
        "it never said whether USB debugging is on",
        "Switch off USB debugging.",
        "Lock USB debugging by policy; it needs a company device.",
    ),
    _flag(
        Rule.NO_UNKNOWN_SOURCES,
        FactKind.UNKNOWN_SOURCES,
        False,
        "unknown sources are allowed",
        "it never said whether unknown sources are allowed",
        "Forbid unknown sources.",
        "Lock unknown sources by policy; it needs a company device.",
    ),
    Criterion(
        Rule.MINIMUM_OS,
        FactKind.OS_VERSION,
        "minimum_os_version",
        _asks_of_platform("minimum_os_version"),
        _is_text,
        criteria.minimum_os,
        "it never said its system version",
        "Update the system to {} or later.",
        "If the maker offers no such version for the model, replace the device.",
    ),
    Criterion(
        Rule.OS_AGE,
        FactKind.OS_VERSION,
        "maximum_os_age",
        _asks_of_platform("maximum_os_age"),
        _is_text,
        criteria.os_age,
        "it never said its system version",
        "Update the system to the newest version.",
        "If the maker offers no newer version for the model, replace the device.",
    ),
    Criterion(
        Rule.MINIMUM_PATCH,
        FactKind.SECURITY_PATCH,
        "minimum_patch_level",
        _asks("minimum_patch_level"),
        _is_day,
        criteria.minimum_patch,
        "its security patch level is unknown",
        "Install the system's security update of {} or later.",
        "If the maker offers no such update for the model, replace the device.",
    ),
    Criterion(
        Rule.PATCH_AGE,
        FactKind.SECURITY_PATCH,
        "maximum_patch_age",
        _asks("maximum_patch_age"),
        _is_day,
        criteria.patch_age,
        "its security patch level is unknown",
        "Install the system's newest security update.",
        "If the maker offers no newer update for the model, replace the device.",
    ),
    _verdict(
        Rule.NO_MALICIOUS_APP,
        Verdict.MALICIOUS,
        "Look at the evidence. Until the app is gone treat what the user typed as known.",
    ),
    _verdict(
        Rule.NO_SUSPICIOUS_APP,
        Verdict.SUSPICIOUS,
        "Look at the evidence; approve the app if it is harmless.",
    ),
    _verdict(
        Rule.NO_UNWANTED_APP,
        Verdict.UNWANTED,
        "Approve the app if your company needs it.",
    ),
    _verdict(
        Rule.NO_UNSCANNABLE_APP,
        Verdict.UNSCANNABLE,
        "Look at why it could not be read; approve the app if you know it.",
    ),
    Criterion(
        Rule.NO_FORBIDDEN_APP,
        FactKind.PACKAGES,
        "forbidden_packages",
        _asks("forbidden_packages"),
        _are_texts,
        criteria.forbidden_apps,
        "it never said which apps are installed",
        "Remove the app: {}.",
        "Remove it by command on a company device, or take it off the policy's list.",
    ),
    Criterion(
        Rule.REQUIRED_APP,
        FactKind.PACKAGES,
        "required_packages",
        _asks("required_packages"),
        _are_texts,
        criteria.required_apps,
        "it never said which apps are installed",
        "Install the app: {}.",
        "Install it by command on a company device.",
    ),
    Criterion(
        Rule.OWNER_ACTIVE,
        FactKind.OWNER_ACCOUNT,
        "owner_active",
        _asks("owner_active"),
        _is_account,
        criteria.owner_active,
        "no directory said how the account of its owner stands",
        "Ask your administrator.",
        "Give the device to somebody else, or wipe the company data on it.",
    ),
)
"""Each rule once, in the order of `Rule`."""
