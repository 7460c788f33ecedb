"""Which fact can be said by whom: what nothing on a device can say is not held against it. Pure."""

from enum import StrEnum

from management.compliance.judgement import AskedPolicy
from management.devices.rules import AGENT, APPLE_MDM, FactKind, Facts


class Reporter(StrEnum):
    """Software that speaks for a device."""

    ANDROID_AGENT = "android_agent"
    IOS_AGENT = "ios_agent"
    """Sees only what iOS shows to an app."""
    APPLE_MDM = "apple_mdm"
    """The device-management client of iOS on a company device."""
    APPLE_MDM_PERSONAL = "apple_mdm_personal"
    """The same on a personal device: it lists managed apps only."""


_APPLE = frozenset({Reporter.APPLE_MDM, Reporter.APPLE_MDM_PERSONAL})
_AGENTS = frozenset({Reporter.ANDROID_AGENT, Reporter.IOS_AGENT})
_ANDROID = frozenset({Reporter.ANDROID_AGENT})
_ALL = frozenset(Reporter)
CAN_SAY: dict[FactKind, frozenset[Reporter]] = {
    FactKind.ENROLMENT: _ALL,
    FactKind.CONTACT: _ALL,
    FactKind.APPLIED_POLICY: _AGENTS,
    FactKind.ROOTED: _AGENTS,
    FactKind.ATTESTATION: _ANDROID,
    FactKind.ENCRYPTED: _ALL,
    FactKind.PASSCODE_SET: _ALL,
    FactKind.DEVELOPER_OPTIONS: _ANDROID,
    FactKind.USB_DEBUGGING: _ANDROID,
    FactKind.UNKNOWN_SOURCES: _ANDROID,
    FactKind.OS_VERSION: _ALL,
    FactKind.OWNER_ACCOUNT: _ALL,
    FactKind.SECURITY_PATCH: _ANDROID,
    FactKind.SIMS: frozenset({Reporter.ANDROID_AGENT, Reporter.APPLE_MDM}),
    FactKind.PACKAGES: frozenset({Reporter.ANDROID_AGENT, Reporter.APPLE_MDM}),
    FactKind.BAD_APPS: frozenset({Reporter.ANDROID_AGENT, Reporter.APPLE_MDM}),
}
"""The facts that criteria ask for, and the SIM. What is said all the same counts, whoever said it.
"""


def reporters(facts: Facts, asked: AskedPolicy) -> frozenset[Reporter]:
    """Return what speaks for the device; an iPhone shows it by the sources of its facts.

    One that has said nothing yet is taken to have our agent, which is how devices enrol.
    """
    if asked.platform != "ios":
        return _ANDROID
    sources = {fact.source for fact in facts.values()}
    mdm = Reporter.APPLE_MDM if asked.ownership == "company" else Reporter.APPLE_MDM_PERSONAL
    found = {mdm} if APPLE_MDM in sources else set()
    if AGENT in sources or not found:
        found.add(Reporter.IOS_AGENT)
    return frozenset(found)


def not_applicable(facts: Facts, asked: AskedPolicy) -> frozenset[FactKind]:
    """Return what nobody says of the device because nothing on it can."""
    speaking = reporters(facts, asked)
    silent = (kind for kind in CAN_SAY if kind not in facts or facts[kind].value is None)
    return frozenset(kind for kind in silent if CAN_SAY[kind].isdisjoint(speaking))


def can_say(kind: FactKind, facts: Facts, asked: AskedPolicy) -> bool:
    """Tell whether anything on the device can say *kind*."""
    return not CAN_SAY[kind].isdisjoint(reporters(facts, asked))
