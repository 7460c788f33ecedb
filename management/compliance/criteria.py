"""One check for each thing that a policy can ask. Pure.

A check gets a fact that says something and returns how it breaks the criterion, or None. When it
depends on time it holds until just before an instant that `next_changes` names, and is broken from
that instant on.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

from contracts.scan import Verdict
from management.compliance.judgement import AskedPolicy
from management.compliance.versions import published_on, version_key
from management.devices.rules import EnrolmentState, Fact, FactKind, Facts
from management.policies.rules import wish_name

END_OF_TIME = datetime.max.replace(tzinfo=UTC)
NAMED = 5
"""So many apps are named in a reason; the rest is counted."""


class Breach(NamedTuple):
    """How a fact breaks a criterion."""

    because: str
    since: datetime
    values: tuple[str, ...] = ()
    """What the sentences that mend it need."""


Check = Callable[[Fact, AskedPolicy, datetime], Breach | None]


def later(moment: datetime, by: timedelta) -> datetime:
    """Return *moment* + *by*; the end of time when the calendar does not reach that far."""
    try:
        return moment + by
    except OverflowError:
        return END_OF_TIME


def last_heard(facts: Facts) -> Fact | None:
    """Return from when silence counts: the last signed report, or else the enrolment."""
    return facts.get(FactKind.CONTACT) or facts.get(FactKind.ENROLMENT)


def silent_from(heard: Fact, asked: AskedPolicy) -> datetime:
    """Return the moment from which a device is silent for too long."""
    wanted = asked.requirements
    return later(heard.said_at, min(wanted.maximum_silence, wanted.inactive_after))


def next_changes(facts: Facts, asked: AskedPolicy) -> Iterator[datetime]:
    """Yield every instant, past or future, at which time alone may break something."""
    heard = last_heard(facts)
    if heard is not None:
        yield silent_from(heard, asked)
        yield later(heard.said_at, asked.requirements.inactive_after)
    age = asked.requirements.maximum_patch_age
    if age is not None and (fact := facts.get(FactKind.SECURITY_PATCH)) is not None:
        day = patch_day(fact.value)
        if day is not None:
            yield later(_midnight(day), age)
    age = asked.requirements.maximum_os_age.get(asked.platform)
    if age is not None and (fact := facts.get(FactKind.OS_VERSION)) is not None:
        day = published_on(asked.platform, fact.value)
        if day is not None:
            yield later(_midnight(day), age)


def enrolled(fact: Fact, asked: AskedPolicy, now: datetime) -> Breach | None:
    """Ask that the device is ours."""
    if fact.value == EnrolmentState.ENROLLED:
        return None
    return Breach(f"the enrolment ended: {fact.value}", fact.said_at)


def in_contact(fact: Fact, asked: AskedPolicy, now: datetime) -> Breach | None:
    """Ask for a signed report within the maximum silence; a poll seen by a relay is none."""
    due = silent_from(fact, asked)
    if now < due:
        return None
    said = f"{fact.said_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return Breach(f"its last signed report is of {said}", due)


def policy_applied(fact: Fact, asked: AskedPolicy, now: datetime) -> Breach | None:
    """Ask that the device applied the version that holds."""
    said = fact.value
    if (said.get("policy_id"), said.get("version")) == (asked.policy_id, asked.version):
        return None
    same = said.get("policy_id") == asked.policy_id
    has = (
        f"version {said.get('version')}"
        if same
        else f"another policy, version {said.get('version')}"
    )
    return Breach(
        f"{asked.name} version {asked.version} asked, the device has {has}",
        max(asked.since, fact.said_at),
    )


def flag(wanted: bool, because: str) -> Check:
    """Return a check for one fact that must have one value."""

    def check(fact: Fact, asked: AskedPolicy, now: datetime) -> Breach | None:
        if fact.value is wanted:
            return None
        return Breach(f"{because} ({fact.source})", fact.said_at)

    check.__doc__ = f"Ask that the device says {'yes' if wanted else 'no'}."
    return check


def attested(fact: Fact, asked: AskedPolicy, now: datetime) -> Breach | None:
    """Ask that the hardware proved an untouched system."""
    if fact.value["passed"] is True:
        return None
    because = str(fact.value.get("because") or "no reason given")[:200]
    return Breach(f"attestation failed: {because} ({fact.source})", fact.said_at)


def owner_active(fact: Fact, asked: AskedPolicy, now: datetime) -> Breach | None:
    """Ask that the account of the owner is in use."""
    state = fact.value["state"]
    if state == "active":
        return None
    because = {"left": "its owner has left", "disabled": "the account of its owner is disabled"}
    return Breach(f"{because.get(state, state)} ({fact.source})", fact.said_at)


def minimum_os(fact: Fact, asked: AskedPolicy, now: datetime) -> Breach | None:
    """Ask for a system version."""
    wanted = asked.requirements.minimum_os_version[asked.platform]
    if version_key(fact.value) >= version_key(wanted):
        return None
    return Breach(f"system version {fact.value}, asked {wanted}", fact.said_at, (wanted,))


def os_age(fact: Fact, asked: AskedPolicy, now: datetime) -> Breach | None:
    """Ask for a system version that was published lately."""
    age = asked.requirements.maximum_os_age[asked.platform]
    day = published_on(asked.platform, fact.value)
    if day is None or now < (due := later(_midnight(day), age)):
        return None
    because = f"system version {fact.value} is of {day}, at most {age.days} days old asked"
    return Breach(because, due)


def minimum_patch(fact: Fact, asked: AskedPolicy, now: datetime) -> Breach | None:
    """Ask for a security patch level not older than a day."""
    wanted, day = asked.requirements.minimum_patch_level, patch_day(fact.value)
    if day is None or wanted is None or day >= wanted:
        return None
    return Breach(f"security patch of {day}, asked {wanted}", fact.said_at, (str(wanted),))


def patch_age(fact: Fact, asked: AskedPolicy, now: datetime) -> Breach | None:
    """Ask for a recent security patch level."""
    age, day = asked.requirements.maximum_patch_age, patch_day(fact.value)
    if age is None or day is None or now < (due := later(_midnight(day), age)):
        return None
    return Breach(f"security patch of {day}, at most {age.days} days old asked", due)


def no_app_with(verdict: Verdict) -> Check:
    """Return a check that no installed app has *verdict*."""

    def check(fact: Fact, asked: AskedPolicy, now: datetime) -> Breach | None:
        found = [app for app in fact.value if app.get("verdict") == verdict.value]
        if not found:
            return None
        names = [str(app.get("name") or app.get("package")) for app in found]
        rules = [str(app.get("rule") or "no rule") for app in found]
        told = listed(f"{name} ({rule})" for name, rule in zip(names, rules, strict=True))
        return Breach(f"installed: {told}", fact.said_at, (listed(names),))

    check.__doc__ = f"Ask that no installed app is {verdict.value}."
    return check


def forbidden_apps(fact: Fact, asked: AskedPolicy, now: datetime) -> Breach | None:
    """Ask that certain packages are absent."""
    found = sorted(set(asked.requirements.forbidden_packages).intersection(fact.value))
    return _packages(found, "forbidden_packages", "installed although forbidden", fact, asked)


def required_apps(fact: Fact, asked: AskedPolicy, now: datetime) -> Breach | None:
    """Ask that certain packages are installed."""
    found = sorted(set(asked.requirements.required_packages).difference(fact.value))
    return _packages(found, "required_packages", "missing", fact, asked)


def _packages(
    found: list[str], field: str, words: str, fact: Fact, asked: AskedPolicy
) -> Breach | None:
    if not found:
        return None
    since = min(asked.no_earlier(fact.said_at, wish_name(field, package)) for package in found)
    names = listed(found)
    return Breach(f"{words}: {names}", since, (names,))


def listed(names: Iterable[str]) -> str:
    """Return the first names, and how many more there are."""
    every = [name[:80] for name in names]
    rest = f", … +{len(every) - NAMED}" if len(every) > NAMED else ""
    return ", ".join(every[:NAMED]) + rest


def patch_day(said: Any) -> date | None:
    """Return the day of a patch level; None for none and for a day that no calendar has."""
    try:
        return date.fromisoformat(said)
    except (TypeError, ValueError):
        return None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
