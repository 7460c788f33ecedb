"""Does a device keep its policy, and if not, why? Pure: no clock, no database, no network.

Everything that shows or uses a device's state (dashboard, device page, API, mail decision) reads
the one `Judgement` that `judge` returns.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from management.policies.rules import Requirements


class State(StrEnum):
    """How a device stands, in one word."""

    HEALTHY = "healthy"
    NON_COMPLIANT = "non_compliant"
    OUT_OF_SYNC = "out_of_sync"
    INACTIVE = "inactive"
    NOT_ENROLLED = "not_enrolled"


class Rule(StrEnum):
    """One thing that a policy can ask of a device."""

    ENROLLED = "enrolled"
    IN_CONTACT = "in_contact"
    NOT_ROOTED = "not_rooted"
    ENCRYPTED = "encrypted"
    PASSCODE_SET = "passcode_set"
    NO_DEVELOPER_OPTIONS = "no_developer_options"
    NO_USB_DEBUGGING = "no_usb_debugging"
    NO_UNKNOWN_SOURCES = "no_unknown_sources"
    MINIMUM_OS = "minimum_os"
    PATCH_AGE = "patch_age"
    NO_BAD_APP = "no_bad_app"
    NO_FORBIDDEN_APP = "no_forbidden_app"
    REQUIRED_APP = "required_app"
    POLICY_APPLIED = "policy_applied"


class FactKind(StrEnum):
    """What can be said of a device."""

    ENROLMENT = "enrolment"
    """``enrolled``, ``retired``, ``wiped`` or ``reset``."""
    CONTACT = "contact"
    """True, said at the device's latest signed and sequenced report."""
    OS_VERSION = "os_version"
    SECURITY_PATCH = "security_patch"
    ROOTED = "rooted"
    ENCRYPTED = "encrypted"
    PASSCODE_SET = "passcode_set"
    DEVELOPER_OPTIONS = "developer_options"
    USB_DEBUGGING = "usb_debugging"
    UNKNOWN_SOURCES = "unknown_sources"
    ROAMING = "roaming"
    AGENT_VERSION = "agent_version"
    PATTERN_VERSION = "pattern_version"
    APPLIED_POLICY = "applied_policy"
    """{"policy_id": text, "version": number}."""
    PACKAGES = "packages"
    """Sorted names of the installed packages."""
    BAD_APPS = "bad_apps"
    """List of {"sha256", "package", "name", "verdict", "rule", "family", "pattern_version"}."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something said of a device by a source at a time; *value* None: it cannot or does not say."""

    value: Any
    source: str
    said_at: datetime


Facts = Mapping[FactKind, Fact]


@dataclass(frozen=True, slots=True)
class AskedPolicy:
    """The policy version that holds for the device."""

    policy_id: str
    name: str
    version: int
    since: datetime
    platform: str
    requirements: Requirements


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule: what an administrator reads, what mends it, and since when it holds."""

    rule: Rule
    because: str
    mend: str
    since: datetime
    facts: tuple[FactKind, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """The answer: a state and everything that explains it."""

    state: State
    since: datetime
    violations: tuple[Violation, ...]
    missing: tuple[FactKind, ...]
    """Facts that the policy asks for and that nobody ever said."""
    policy_id: str
    policy_version: int
    next_due_at: datetime | None
    """When time alone may change the answer; None: never."""


def read_facts(row: Mapping[str, Any]) -> dict[FactKind, Fact]:
    """Return the facts of a `DeviceFacts` row; kinds of another release are left out."""
    known = set(FactKind)
    return {
        FactKind(kind): Fact(said["value"], said["source"], datetime.fromisoformat(said["said_at"]))
        for kind, said in row.items()
        if kind in known
    }


def write_fact(fact: Fact) -> dict[str, Any]:
    """Return *fact* as JSON fields."""
    return {"value": fact.value, "source": fact.source, "said_at": fact.said_at.isoformat()}


def write_violation(violation: Violation) -> dict[str, Any]:
    """Return *violation* as JSON fields."""
    return {**asdict(violation), "since": violation.since.isoformat()}


def read_violation(fields: Mapping[str, Any]) -> Violation:
    """Return what `write_violation` wrote."""
    return Violation(
        Rule(fields["rule"]),
        fields["because"],
        fields["mend"],
        datetime.fromisoformat(fields["since"]),
        tuple(FactKind(kind) for kind in fields["facts"]),
    )


def judge(facts: Facts, asked: AskedPolicy, now: datetime) -> Judgement:
    """Return how a device stands at *now*.

    Silence is a violation of its own and hides none: what was broken stays broken until the
    device says otherwise. What the policy asks and nobody ever said is not a pass.
    """
    violations = tuple(_violations(facts, asked, now))
    state = _state(facts, asked, violations, now)
    return Judgement(
        state=state,
        since=_since(state, facts, violations),
        violations=violations,
        missing=tuple(
            kind
            for v in violations
            for kind in v.facts
            if kind not in facts or facts[kind].value is None
        ),
        policy_id=asked.policy_id,
        policy_version=asked.version,
        next_due_at=_next_due(facts, asked, now),
    )


def _violations(facts: Facts, asked: AskedPolicy, now: datetime) -> Iterator[Violation]:
    if (gone := _not_enrolled(facts, now)) is not None:
        yield gone
    for rule in _RULES:
        if (found := rule(facts, asked, now)) is not None:
            yield found


def _state(
    facts: Facts, asked: AskedPolicy, violations: tuple[Violation, ...], now: datetime
) -> State:
    rules = {violation.rule for violation in violations}
    if Rule.ENROLLED in rules:
        return State.NOT_ENROLLED
    contact = facts.get(FactKind.CONTACT)
    if contact is not None and now > contact.said_at + asked.requirements.inactive_after:
        return State.INACTIVE
    if rules - {Rule.IN_CONTACT, Rule.POLICY_APPLIED}:
        return State.NON_COMPLIANT
    return State.OUT_OF_SYNC if rules else State.HEALTHY


def _since(state: State, facts: Facts, violations: tuple[Violation, ...]) -> datetime:
    """Return the moment from which the facts at hand give this state."""
    if state is State.HEALTHY:
        return max(
            (fact.said_at for kind, fact in facts.items() if kind is not FactKind.CONTACT),
            default=datetime.min,
        )
    return min(violation.since for violation in violations)


def _next_due(facts: Facts, asked: AskedPolicy, now: datetime) -> datetime | None:
    contact = facts.get(FactKind.CONTACT)
    due: list[datetime] = []
    if contact is not None:
        due += [
            contact.said_at + asked.requirements.maximum_silence,
            contact.said_at + asked.requirements.inactive_after,
        ]
    patch, age = facts.get(FactKind.SECURITY_PATCH), asked.requirements.maximum_patch_age
    if patch is not None and patch.value and age is not None:
        due.append(_patch_day(patch.value, now) + age)
    return min((moment for moment in due if moment >= now), default=None)


# --- the rules, in the order in which they are told ---


def _not_enrolled(facts: Facts, now: datetime) -> Violation | None:
    fact = facts.get(FactKind.ENROLMENT)
    if fact is not None and fact.value == "enrolled":
        return None
    said = f"the enrolment ended: {fact.value}" if fact else "it never enrolled"
    return Violation(
        Rule.ENROLLED,
        said,
        "Invite the user again.",
        fact.said_at if fact else now,
        (FactKind.ENROLMENT,),
    )


def _contact(facts: Facts, asked: AskedPolicy, now: datetime) -> Violation | None:
    fact = facts.get(FactKind.CONTACT)
    if fact is None:
        return Violation(
            Rule.IN_CONTACT,
            "it has not reported yet",
            "Wait for its first report.",
            asked.since,
            (FactKind.CONTACT,),
        )
    due = fact.said_at + asked.requirements.maximum_silence
    if now <= due:
        return None
    return Violation(
        Rule.IN_CONTACT,
        f"its last signed report is of {fact.said_at:%Y-%m-%d %H:%M} UTC",
        "Switch the device on, connect it and open the agent.",
        due,
        (FactKind.CONTACT,),
    )


@dataclass(frozen=True, slots=True)
class _Flag:
    """A rule about one fact that must have one value."""

    rule: Rule
    kind: FactKind
    wanted: bool
    broken: str
    unknown: str
    mend: str

    def __call__(self, facts: Facts, asked: AskedPolicy, now: datetime) -> Violation | None:
        if not getattr(asked.requirements, self.rule.value):
            return None
        fact = facts.get(self.kind)
        if fact is not None and fact.value is self.wanted:
            return None
        known = fact is not None and fact.value is not None
        because = (
            f"{self.broken if known else self.unknown} ({fact.source if fact else 'no report'})"
        )
        return Violation(
            self.rule, because, self.mend, fact.said_at if fact else asked.since, (self.kind,)
        )


def _system(facts: Facts, asked: AskedPolicy, now: datetime) -> Violation | None:
    wanted = asked.requirements.minimum_os_version.get(asked.platform)
    if not wanted:
        return None
    fact = facts.get(FactKind.OS_VERSION)
    said = fact.value if fact else None
    if said and version_key(said) >= version_key(wanted):
        return None
    return Violation(
        Rule.MINIMUM_OS,
        f"system version {said or 'unknown'}, asked {wanted}",
        f"Update the system to {wanted} or later.",
        fact.said_at if fact else asked.since,
        (FactKind.OS_VERSION,),
    )


def _patch(facts: Facts, asked: AskedPolicy, now: datetime) -> Violation | None:
    age = asked.requirements.maximum_patch_age
    if age is None or asked.platform != "android":
        return None
    fact = facts.get(FactKind.SECURITY_PATCH)
    if fact is None or not fact.value:
        return Violation(
            Rule.PATCH_AGE,
            "its security patch level is unknown",
            "Open the agent.",
            fact.said_at if fact else asked.since,
            (FactKind.SECURITY_PATCH,),
        )
    due = _patch_day(fact.value, now) + age
    if now <= due:
        return None
    return Violation(
        Rule.PATCH_AGE,
        f"security patch of {fact.value}, at most {age.days} days old asked",
        "Install the system's security update.",
        due,
        (FactKind.SECURITY_PATCH,),
    )


def _bad_apps(facts: Facts, asked: AskedPolicy, now: datetime) -> Violation | None:
    forbidden = {verdict.value for verdict in asked.requirements.forbidden_verdicts}
    fact = facts.get(FactKind.BAD_APPS)
    found = [app for app in (fact.value if fact else None) or () if app["verdict"] in forbidden]
    if not forbidden or not found or fact is None:
        return None
    named = ", ".join(
        f"{app['name'] or app['package']} ({app['verdict']}: {app['rule']})" for app in found
    )
    return Violation(
        Rule.NO_BAD_APP,
        f"installed: {named}",
        "Remove the app.",
        fact.said_at,
        (FactKind.BAD_APPS,),
    )


def _forbidden_apps(facts: Facts, asked: AskedPolicy, now: datetime) -> Violation | None:
    return _package_rule(
        facts,
        asked,
        Rule.NO_FORBIDDEN_APP,
        "installed although forbidden",
        "Remove the app.",
        lambda installed: sorted(set(asked.requirements.forbidden_packages) & installed),
        bool(asked.requirements.forbidden_packages),
    )


def _required_apps(facts: Facts, asked: AskedPolicy, now: datetime) -> Violation | None:
    return _package_rule(
        facts,
        asked,
        Rule.REQUIRED_APP,
        "missing",
        "Install the app.",
        lambda installed: sorted(set(asked.requirements.required_packages) - installed),
        bool(asked.requirements.required_packages),
    )


def _package_rule(
    facts: Facts,
    asked: AskedPolicy,
    rule: Rule,
    word: str,
    mend: str,
    wrong: Callable[[set[str]], list[str]],
    asks: bool,
) -> Violation | None:
    if not asks:
        return None
    fact = facts.get(FactKind.PACKAGES)
    if fact is None or fact.value is None:
        return Violation(
            rule,
            "it never said which apps are installed",
            "Open the agent.",
            fact.said_at if fact else asked.since,
            (FactKind.PACKAGES,),
        )
    found = wrong(set(fact.value))
    if not found:
        return None
    return Violation(rule, f"{word}: {', '.join(found)}", mend, fact.said_at, (FactKind.PACKAGES,))


def _policy_applied(facts: Facts, asked: AskedPolicy, now: datetime) -> Violation | None:
    fact = facts.get(FactKind.APPLIED_POLICY)
    said = fact.value if fact else None
    if said == {"policy_id": asked.policy_id, "version": asked.version}:
        return None
    has = f"version {said['version']}" if said else "no version"
    return Violation(
        Rule.POLICY_APPLIED,
        f"{asked.name} version {asked.version} asked, the device has {has}",
        "Wait for its next check-in, or open the agent.",
        asked.since,
        (FactKind.APPLIED_POLICY,),
    )


_RULES: tuple[Callable[[Facts, AskedPolicy, datetime], Violation | None], ...] = (
    _contact,
    _Flag(
        Rule.NOT_ROOTED,
        FactKind.ROOTED,
        False,
        "root access found",
        "it never said whether it is rooted",
        "Restore the manufacturer's system.",
    ),
    _Flag(
        Rule.ENCRYPTED,
        FactKind.ENCRYPTED,
        True,
        "storage is not encrypted",
        "it never said whether its storage is encrypted",
        "Switch on encryption.",
    ),
    _Flag(
        Rule.PASSCODE_SET,
        FactKind.PASSCODE_SET,
        True,
        "no screen lock is set",
        "it never said whether a screen lock is set",
        "Set a screen lock.",
    ),
    _Flag(
        Rule.NO_DEVELOPER_OPTIONS,
        FactKind.DEVELOPER_OPTIONS,
        False,
        "developer options are on",
        "it never said whether developer options are on",
        "Switch off developer options.",
    ),
    _Flag(
        Rule.NO_USB_DEBUGGING,
        FactKind.USB_DEBUGGING,
        False,
        "USB debugging is on",
        "it never said whether USB debugging is on",
        "Switch off USB debugging.",
    ),
    _Flag(
        Rule.NO_UNKNOWN_SOURCES,
        FactKind.UNKNOWN_SOURCES,
        False,
        "unknown sources are allowed",
        "it never said whether unknown sources are allowed",
        "Forbid unknown sources.",
    ),
    _system,
    _patch,
    _bad_apps,
    _forbidden_apps,
    _required_apps,
    _policy_applied,
)


def version_key(version: str) -> tuple[int, ...]:
    """Return a dotted version as numbers for comparing; what is no number counts as 0."""
    parts = [int(part) if part.isdigit() else 0 for part in version.split(".")[:8]]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def _patch_day(patch: str, now: datetime) -> datetime:
    return datetime.combine(date.fromisoformat(patch), datetime.min.time(), now.tzinfo)


def silence_left(facts: Facts, asked: AskedPolicy, now: datetime) -> timedelta | None:
    """Return how long the device may still be silent, or None when it never reported."""
    fact = facts.get(FactKind.CONTACT)
    return None if fact is None else fact.said_at + asked.requirements.maximum_silence - now
