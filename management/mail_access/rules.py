"""May this phone fetch mail, and why? Pure: no clock, no database, no network.

The judgement of the matched device decides, and whatever is not surely ours counts as unmanaged.
Two things hold everywhere: what is unsure never allows, and no reason depends on the present
moment, so that an unchanged decision reads the same tomorrow.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal
from uuid import UUID

from contracts.connector import Access, Door, WhenSilent
from management.compliance.judgement import Judgement, Rule, State
from management.mail_access.matching import Match

BRAKE_PERIOD = timedelta(hours=1)


class AutomaticFor(StrEnum):
    """Which enrolled phones are allowed and blocked by themselves."""

    ALL = "all"
    CHOSEN = "chosen"
    """Only those that an administrator chose one by one."""


class AllowedStates(StrEnum):
    """Which states of a managed device may fetch mail."""

    HEALTHY_ONLY = "healthy_only"
    HEALTHY_AND_OUT_OF_SYNC = "healthy_and_out_of_sync"
    HEALTHY_AND_NON_COMPLIANT = "healthy_and_non_compliant"

    @property
    def states(self) -> frozenset[State]:
        """The states of `compliance.rules` that this allows."""
        found = {State.HEALTHY}
        if self is not AllowedStates.HEALTHY_ONLY:
            found.add(State.OUT_OF_SYNC)
        if self is AllowedStates.HEALTHY_AND_NON_COMPLIANT:
            found.add(State.NON_COMPLIANT)
        return frozenset(found)


@dataclass(frozen=True, slots=True)
class By:
    """Who did something, from where, for the audit trail."""

    name: str
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """What an administrator chose for mail access."""

    automatic: bool = False
    """Off, until somebody saw who would lose mail: every partnership is left alone."""
    when_silent: WhenSilent | Literal[""] = ""
    """What a connector does that hears nothing from management; chosen before `automatic`."""
    silent_hours: int = 24
    """So long without management before ``when_silent`` acts."""
    automatic_for: AutomaticFor = AutomaticFor.ALL
    excluded_groups: tuple[UUID, ...] = ()
    """Enrolled phones in these groups and those below are left alone."""
    allowed: AllowedStates = AllowedStates.HEALTHY_ONLY
    block_unmanaged: bool = True
    unmanaged_grace_days: int = 14
    """Counted once a user, from the first unmanaged phone."""
    grace_restarts_after_days: int = 30
    """So long without an unmanaged phone, and the next one gets its grace anew."""
    managed_grace_hours: int = 0
    """So long a non-compliant or inactive device keeps the access it has."""
    out_of_sync_grace_hours: int = 24
    """So long a device that has not caught up with its policy keeps the access it has."""
    close_doors: tuple[Door, ...] = ()
    """Other ways to a mailbox that are closed while one of its phones is blocked."""
    block_limit: int = 10
    """New blocks an hour that need nobody's confirmation..."""
    block_limit_percent: int = 5
    """...or this share of all partnerships, whichever is more."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A partnership as far as the decision depends on it."""

    match: Match
    match_because: str
    wanted: Access
    """What was wanted until now."""
    exception: "Exempt | None" = None
    controlled: bool = False
    """An administrator chose this phone, see `AutomaticFor`."""


@dataclass(frozen=True, slots=True)
class Exempt:
    """An administrator's word about one phone, until a time; it wins over every judgement."""

    access: Access
    because: str
    by: str
    until: datetime


@dataclass(frozen=True, slots=True)
class MatchedDevice:
    """The matched device as far as the decision depends on it."""

    name: str
    enrolled_at: datetime
    policy_name: str
    judgement: Judgement | None
    excluded_by: str = ""
    """The group that is excluded from mail control, if it is in one."""


@dataclass(frozen=True, slots=True)
class Pause:
    """All enforcement is paused."""

    since: datetime
    by: str
    because: str

    def sentence(self) -> str:
        """Say who paused, when and why."""
        return (
            f"All enforcement is paused since {_moment(self.since)} by {self.by}: {self.because}."
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """What is wanted, everything that explains it, and when time alone changes it."""

    access: Access
    because: tuple[str, ...]
    due_at: datetime | None


def decide(
    partnership: Standing,
    device: MatchedDevice | None,
    settings: MailSettings,
    unmanaged_since: datetime,
    pause: Pause | None,
    now: datetime,
) -> Decision:
    """Return what is wanted for one partnership.

    *unmanaged_since* is when the user's grace began, see `grace_start`; it counts only for what is
    not managed. While enforcement is paused everything stays as it is and is due at once.

    What comes first wins: the pause, an exception, the switch, an excluded group, a phone that was
    not chosen, the judgement of the matched device or the rule for unmanaged phones.
    """
    if pause is not None:
        return Decision(partnership.wanted, (pause.sentence(),), now)
    spoken = partnership.exception
    if spoken is not None and now < spoken.until:
        return _exempt(spoken)
    if not settings.automatic:
        return Decision("leave", ("automatic allowing and blocking is switched off",), None)
    if device is None or not partnership.match.is_managed:
        return _unmanaged(partnership.match_because, settings, unmanaged_since, now)
    if device.excluded_by:
        because = f"{device.name} is in group {device.excluded_by}, which is excluded by setting"
        return Decision("leave", (because,), None)
    if device.judgement is None:
        return Decision("leave", (f"{device.name} has not been judged yet",), None)
    if device.judgement.state is State.NOT_ENROLLED:
        gone = f"{device.name} is no longer enrolled"
        return _unmanaged(gone, settings, unmanaged_since, now)
    if settings.automatic_for is AutomaticFor.CHOSEN and not partnership.controlled:
        because = f"{device.name} was not chosen for automatic control"
        return Decision("leave", (because,), None)
    return _managed(partnership.wanted, device, device.judgement, settings, now)


def _exempt(spoken: Exempt) -> Decision:
    words = {"allow": "allowed", "block": "blocked", "leave": "left alone"}[spoken.access]
    because = f"{words} by {spoken.by} until {_moment(spoken.until)}: {spoken.because}"
    return Decision(spoken.access, (because,), spoken.until)


def spared(
    partnership: Standing, decision: Decision, because: str, mend: str, now: datetime
) -> Decision:
    """Return *decision*, or while consequences are frozen what leaves the access that one has.

    Only a new block waits; who is healthy again gets mail again. It is looked at each minute.
    """
    if decision.access != "block" or partnership.wanted == "block":
        return decision
    reasons = (*decision.because, f"not blocked yet: {because} {mend}")
    return Decision(partnership.wanted, reasons, now + timedelta(minutes=1))


def _unmanaged(
    because: str, settings: MailSettings, unmanaged_since: datetime, now: datetime
) -> Decision:
    if not settings.block_unmanaged:
        return Decision("leave", (because, "unmanaged phones are left alone by setting"), None)
    days = settings.unmanaged_grace_days
    ends = unmanaged_since + timedelta(days=days)
    since = f"this user has an unmanaged phone since {_moment(unmanaged_since)}"
    if now < ends:
        return Decision(
            "leave",
            (because, since, f"the grace of {days} days ends on {_moment(ends)}, then it blocks"),
            ends,
        )
    return Decision(
        "block", (because, since, f"the grace of {days} days ended on {_moment(ends)}"), None
    )


def _managed(
    wanted: Access,
    device: MatchedDevice,
    judgement: Judgement,
    settings: MailSettings,
    now: datetime,
) -> Decision:
    reasons = _state_reasons(device, judgement)
    if judgement.state in settings.allowed.states:
        return Decision("allow", reasons, None)
    asked = judgement.mail_blocked_at()
    if asked is None:
        return Decision(wanted, (*reasons, "its policy blocks no mail because of this"), None)
    ends = max(asked, _managed_grace_end(device, judgement, settings))
    if now < ends and wanted != "block":  # grace protects an access that one has
        return Decision(
            wanted, (*reasons, f"keeps its access until {_moment(ends)}, then it blocks"), ends
        )
    return Decision("block", reasons, None)


def _managed_grace_end(
    device: MatchedDevice, judgement: Judgement, settings: MailSettings
) -> datetime:
    behind = judgement.state is State.OUT_OF_SYNC or _is_only_unsaid(judgement)
    hours = settings.out_of_sync_grace_hours if behind else settings.managed_grace_hours
    return max(judgement.since, device.enrolled_at) + timedelta(hours=hours)


def _is_only_unsaid(judgement: Judgement) -> bool:
    """Tell whether nothing bad was ever said: a device that just enrolled has yet to report."""
    unsaid = set(judgement.missing)
    return judgement.state is State.NON_COMPLIANT and all(
        set(violation.facts) <= unsaid or violation.rule in _BEHIND
        for violation in judgement.violations
    )


_BEHIND = (Rule.IN_CONTACT, Rule.POLICY_APPLIED)


def _state_reasons(device: MatchedDevice, judgement: Judgement) -> tuple[str, ...]:
    state = judgement.state.value.replace("_", " ")
    policy = f"policy {device.policy_name} version {judgement.policy_version}"
    return (
        f"{device.name} is {state} since {_moment(judgement.since)} ({policy})",
        *(
            f"rule {violation.rule.value}: {violation.because}, since {_moment(violation.since)}"
            for violation in judgement.violations
        ),
    )


def grace_start(
    since: datetime | None, seen_at: datetime | None, settings: MailSettings, now: datetime
) -> datetime:
    """Return when the grace of a user who has an unmanaged phone now began.

    *since* and *seen_at* are when it began and when an unmanaged phone of this user was last
    seen. A new DeviceId starts nothing anew; a long time without any unmanaged phone does.
    """
    if since is None or seen_at is None:
        return now
    quiet = timedelta(days=settings.grace_restarts_after_days)
    return now if now - seen_at > quiet else since


def grace_key(mailbox: str, user_address: str) -> str:
    """Return what the grace is counted for: the user's address, else the mailbox."""
    return (user_address.strip() or mailbox.strip()).casefold()


def room_for_blocks(recent: int, partnerships: int, settings: MailSettings) -> int:
    """Return how many more blocks may act now without an administrator's confirmation.

    *recent* is how many began within `BRAKE_PERIOD`, *partnerships* how many there are.
    """
    share = -(-partnerships * settings.block_limit_percent // 100)
    return max(0, max(settings.block_limit, share) - recent)


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
