"""One function for each thing that a policy can ask. Pure.

A criterion says how the facts break it, or None. When it depends on time it holds until just before
an instant that `next_changes` names, and is broken from that instant on.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from management.compliance.judgement import AskedPolicy, Rule, Violation
from management.devices.rules import EnrolmentState, Fact, FactKind, Facts

Criterion = Callable[[Facts, AskedPolicy, datetime], Violation | None]
_APPS_UNKNOWN = ("it never said which apps are installed", "Open the agent, so that it reports.")
END_OF_TIME = datetime.max.replace(tzinfo=UTC)
NOT_ON_IOS = frozenset(
    {Rule.NO_DEVELOPER_OPTIONS, Rule.NO_USB_DEBUGGING, Rule.NO_UNKNOWN_SOURCES, Rule.PATCH_AGE}
)
"""What iOS has no word for; asking it there would block every iPhone for ever."""


def applies(rule: Rule, platform: str) -> bool:
    """Tell whether devices of *platform* can keep or break *rule* at all."""
    return platform == "android" or rule not in NOT_ON_IOS


def later(moment: datetime, by: timedelta) -> datetime:
    """Return *moment* + *by*; the end of time when the calendar does not reach that far."""
    try:
        return moment + by
    except OverflowError:
        return END_OF_TIME


def last_heard(facts: Facts) -> Fact | None:
    """Return from when silence counts: the last signed report, or else the enrolment."""
    return facts.get(FactKind.CONTACT) or facts.get(FactKind.ENROLMENT)


def next_changes(facts: Facts, asked: AskedPolicy) -> Iterator[datetime]:
    """Yield every instant, past or future, at which time alone may change a judgement."""
    heard = last_heard(facts)
    if heard is not None:
        yield later(heard.said_at, asked.requirements.maximum_silence)
        yield later(heard.said_at, asked.requirements.inactive_after)
    patched = _patch_day(facts.get(FactKind.SECURITY_PATCH))
    if patched is not None and asked.requirements.maximum_patch_age is not None:
        yield later(patched, asked.requirements.maximum_patch_age)


def broken(
    rule: Rule, because: str, mend: str, fact: Fact | None, asked: AskedPolicy, kind: FactKind
) -> Violation:
    """Return a violation that holds since the fact was said, or since it was missed."""
    since = fact.said_at if fact else asked.since
    return Violation(rule, because, mend, since, (kind,))


def enrolled(facts: Facts, asked: AskedPolicy, now: datetime) -> Violation | None:
    """Ask that the device is ours."""
    fact = facts.get(FactKind.ENROLMENT)
    if fact is not None and fact.value == EnrolmentState.ENROLLED:
        return None
    said = f"the enrolment ended: {fact.value}" if fact else "it never enrolled"
    return broken(Rule.ENROLLED, said, "Invite the user again.", fact, asked, FactKind.ENROLMENT)


def in_contact(facts: Facts, asked: AskedPolicy, now: datetime) -> Violation | None:
    """Ask for a signed report within the maximum silence; a poll seen by a relay is none."""
    fact = facts.get(FactKind.CONTACT)
    if fact is None:
        return broken(
            Rule.IN_CONTACT,
            "it has not reported yet",
            "Wait for its first report.",
            facts.get(FactKind.ENROLMENT),
            asked,
            FactKind.CONTACT,
        )
    due = later(fact.said_at, asked.requirements.maximum_silence)
    if now < due:
        return None
    return Violation(
        Rule.IN_CONTACT,
        f"its last signed report is of {fact.said_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC",
        "Switch the device on, connect it and open the agent.",
        due,
        (FactKind.CONTACT,),
    )


@dataclass(frozen=True, slots=True)
class Flag:
    """A criterion about one fact that must have one value."""

    rule: Rule
    kind: FactKind
    wanted: bool
    broken: str
    unknown: str
    mend: str

    def __call__(self, facts: Facts, asked: AskedPolicy, now: datetime) -> Violation | None:
        """Say how the fact breaks the criterion; what is unknown does not pass."""
        if not getattr(asked.requirements, self.rule.value):
            return None
        fact = facts.get(self.kind)
        if fact is not None and fact.value is self.wanted:
            return None
        unknown = fact is None or fact.value is None
        because = f"{self.unknown if unknown else self.broken} ({_who(fact)})"
        mend = "Open the agent, so that it reports." if unknown else self.mend
        return broken(self.rule, because, mend, fact, asked, self.kind)


def minimum_os(facts: Facts, asked: AskedPolicy, now: datetime) -> Violation | None:
    """Ask for a system version."""
    wanted = asked.requirements.minimum_os_version.get(asked.platform)
    if not wanted:
        return None
    fact = facts.get(FactKind.OS_VERSION)
    said = fact.value if fact else None
    if said and version_key(said) >= version_key(wanted):
        return None
    return broken(
        Rule.MINIMUM_OS,
        f"system version {said or 'unknown'}, asked {wanted}",
        f"Update the system to {wanted} or later.",
        fact,
        asked,
        FactKind.OS_VERSION,
    )


def patch_age(facts: Facts, asked: AskedPolicy, now: datetime) -> Violation | None:
    """Ask for a recent security patch level."""
    age = asked.requirements.maximum_patch_age
    if age is None:
        return None
    fact = facts.get(FactKind.SECURITY_PATCH)
    patched = _patch_day(fact)
    if patched is None:
        because, mend = "its security patch level is unknown", "Open the agent, so that it reports."
        return broken(Rule.PATCH_AGE, because, mend, fact, asked, FactKind.SECURITY_PATCH)
    due = later(patched, age)
    if now < due:
        return None
    return Violation(
        Rule.PATCH_AGE,
        f"security patch of {patched:%Y-%m-%d}, at most {age.days} days old asked",
        "Install the system's security update.",
        due,
        (FactKind.SECURITY_PATCH,),
    )


def bad_apps(facts: Facts, asked: AskedPolicy, now: datetime) -> Violation | None:
    """Ask that no installed app has a forbidden verdict."""
    forbidden = {verdict.value for verdict in asked.requirements.forbidden_verdicts}
    if not forbidden:
        return None
    fact = facts.get(FactKind.BAD_APPS)
    if fact is None or fact.value is None:
        return broken(Rule.NO_BAD_APP, *_APPS_UNKNOWN, fact, asked, FactKind.BAD_APPS)
    found = [app for app in fact.value if app["verdict"] in forbidden]
    if not found:
        return None
    named = ", ".join(
        f"{app.get('name') or app['package']} ({app['verdict']}: {app.get('rule') or 'no rule'})"
        for app in found
    )
    return broken(
        Rule.NO_BAD_APP, f"installed: {named}", "Remove the app.", fact, asked, FactKind.BAD_APPS
    )


def forbidden_apps(facts: Facts, asked: AskedPolicy, now: datetime) -> Violation | None:
    """Ask that certain packages are absent."""
    listed = set(asked.requirements.forbidden_packages)
    if not listed:
        return None
    return _package_rule(
        facts,
        asked,
        Rule.NO_FORBIDDEN_APP,
        "installed although forbidden",
        "Remove the app.",
        lambda installed: listed & installed,
    )


def required_apps(facts: Facts, asked: AskedPolicy, now: datetime) -> Violation | None:
    """Ask that certain packages are there."""
    listed = set(asked.requirements.required_packages)
    if not listed:
        return None
    return _package_rule(
        facts,
        asked,
        Rule.REQUIRED_APP,
        "missing",
        "Install the app.",
        lambda installed: listed - installed,
    )


def _package_rule(
    facts: Facts,
    asked: AskedPolicy,
    rule: Rule,
    word: str,
    mend: str,
    wrong: Callable[[set[str]], set[str]],
) -> Violation | None:
    fact = facts.get(FactKind.PACKAGES)
    if fact is None or fact.value is None:
        because, mend = _APPS_UNKNOWN
    else:
        found = wrong(set(fact.value))
        if not found:
            return None
        because = f"{word}: {', '.join(sorted(found))}"
    return broken(rule, because, mend, fact, asked, FactKind.PACKAGES)


def policy_applied(facts: Facts, asked: AskedPolicy, now: datetime) -> Violation | None:
    """Ask that the device applied the version that holds for it."""
    fact = facts.get(FactKind.APPLIED_POLICY)
    said = fact.value if fact else None
    if said == {"policy_id": asked.policy_id, "version": asked.version}:
        return None
    return Violation(
        Rule.POLICY_APPLIED,
        f"{asked.name} version {asked.version} asked, the device has {_has(said, asked)}",
        "Wait for its next check-in, or open the agent.",
        asked.since,
        (FactKind.APPLIED_POLICY,),
    )


def version_key(version: str) -> tuple[int, ...]:
    """Return a dotted version as numbers for comparing; a part that begins with no digit is 0."""
    found = (re.match(r"[0-9]{1,9}", part) for part in version.split(".")[:8])
    parts = [int(match.group()) if match else 0 for match in found]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def _has(said: Any, asked: AskedPolicy) -> str:
    if not said:
        return "none"
    if said["policy_id"] == asked.policy_id:
        return f"version {said['version']}"
    return f"another policy, version {said['version']}"


def _who(fact: Fact | None) -> str:
    return fact.source if fact else "no report"


def _patch_day(fact: Fact | None) -> datetime | None:
    """Return the day of the patch level; None for none and for a day that no calendar has."""
    try:
        day = date.fromisoformat(fact.value) if fact and fact.value else None
    except ValueError:
        return None
    return None if day is None else datetime.combine(day, time(), UTC)
