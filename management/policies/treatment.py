"""How a policy treats a broken rule: how bad it is, how long it is borne, what follows. Pure."""

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

DAY = timedelta(days=1)
LONGEST = timedelta(days=3650)
MOST_CONSEQUENCES = 10


class Rule(StrEnum):
    """One thing that a policy can ask of a device; the order in which they are told."""

    ENROLLED = "enrolled"
    IN_CONTACT = "in_contact"
    POLICY_APPLIED = "policy_applied"
    NOT_ROOTED = "not_rooted"
    ATTESTED = "attested"
    ENCRYPTED = "encrypted"
    PASSCODE_SET = "passcode_set"
    NO_DEVELOPER_OPTIONS = "no_developer_options"
    NO_USB_DEBUGGING = "no_usb_debugging"
    NO_UNKNOWN_SOURCES = "no_unknown_sources"
    MINIMUM_OS = "minimum_os"
    OS_AGE = "os_age"
    MINIMUM_PATCH = "minimum_patch"
    PATCH_AGE = "patch_age"
    NO_MALICIOUS_APP = "no_malicious_app"
    NO_SUSPICIOUS_APP = "no_suspicious_app"
    NO_UNWANTED_APP = "no_unwanted_app"
    NO_UNSCANNABLE_APP = "no_unscannable_app"
    NO_FORBIDDEN_APP = "no_forbidden_app"
    REQUIRED_APP = "required_app"
    OWNER_ACTIVE = "owner_active"


class Severity(StrEnum):
    """How bad it is when a rule is broken, mildest first."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class ConsequenceKind(StrEnum):
    """What can follow from a broken rule, mildest first."""

    TELL_USER = "tell_user"
    TELL_ADMINISTRATORS = "tell_administrators"
    BLOCK_MAIL = "block_mail"
    MOVE_GROUP = "move_group"
    SELECTIVE_WIPE = "selective_wipe"


class Counts(StrEnum):
    """What a rule counts as when no fact says whether it is kept."""

    BROKEN = "broken"
    KEPT = "kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consequence:
    """One thing that follows from a broken rule."""

    kind: ConsequenceKind
    after: timedelta = timedelta(0)
    """Counted from the end of the grace period."""
    group_id: UUID | None = None
    """Where `MOVE_GROUP` puts the device."""

    def __post_init__(self) -> None:
        if not timedelta(0) <= self.after <= LONGEST:
            raise ValueError(f"a consequence follows after 0 to {LONGEST.days} days")
        if (self.kind is ConsequenceKind.MOVE_GROUP) != (self.group_id is not None):
            raise ValueError("a group belongs to the consequence move_group, and to no other")


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """What a policy makes of one broken rule."""

    severity: Severity = Severity.MEDIUM
    grace: timedelta = timedelta(0)
    """So long nothing follows; the state tells the truth at once."""
    consequences: tuple[Consequence, ...] = ()
    """In the order of their times; each kind once."""
    unknown: Counts = Counts.BROKEN
    """What holds when the device could say it and has not."""
    not_applicable: Counts = Counts.KEPT
    """What holds when its platform, ownership or reporter cannot say it."""

    def __post_init__(self) -> None:
        kinds = [one.kind for one in self.consequences]
        if len(set(kinds)) != len(kinds):
            raise ValueError("each consequence follows once from a rule")
        if not timedelta(0) <= self.grace <= LONGEST:
            raise ValueError(f"a grace period has 0 to {LONGEST.days} days")
        ordered = sorted(
            self.consequences, key=lambda one: (one.after, list(ConsequenceKind).index(one.kind))
        )
        object.__setattr__(self, "consequences", tuple(ordered))


def _usual(severity: Severity, *kinds: ConsequenceKind) -> Treatment:
    return Treatment(
        severity=severity, consequences=tuple(Consequence(kind=kind) for kind in kinds)
    )


_TELL_AND_BLOCK = (ConsequenceKind.TELL_USER, ConsequenceKind.BLOCK_MAIL)
_ALARM = (*_TELL_AND_BLOCK, ConsequenceKind.TELL_ADMINISTRATORS)
# Who just enrolled reports soon, and a changed policy takes a while to arrive: these wait a day.
STANDARD: dict[Rule, Treatment] = {
    Rule.ENROLLED: Treatment(severity=Severity.HIGH),
    Rule.IN_CONTACT: Treatment(
        severity=Severity.LOW,
        consequences=(
            Consequence(kind=ConsequenceKind.BLOCK_MAIL),
            Consequence(kind=ConsequenceKind.TELL_USER, after=DAY),
        ),
    ),
    Rule.POLICY_APPLIED: Treatment(
        severity=Severity.LOW,
        consequences=(
            Consequence(kind=ConsequenceKind.BLOCK_MAIL, after=DAY),
            Consequence(kind=ConsequenceKind.TELL_ADMINISTRATORS, after=7 * DAY),
        ),
    ),
    Rule.NOT_ROOTED: _usual(Severity.CRITICAL, *_ALARM),
    Rule.ATTESTED: _usual(Severity.CRITICAL, *_ALARM),
    Rule.ENCRYPTED: _usual(Severity.HIGH, *_TELL_AND_BLOCK),
    Rule.PASSCODE_SET: _usual(Severity.HIGH, *_TELL_AND_BLOCK),
    Rule.NO_DEVELOPER_OPTIONS: _usual(Severity.LOW, *_TELL_AND_BLOCK),
    Rule.NO_USB_DEBUGGING: _usual(Severity.MEDIUM, *_TELL_AND_BLOCK),
    Rule.NO_UNKNOWN_SOURCES: _usual(Severity.MEDIUM, *_TELL_AND_BLOCK),
    Rule.MINIMUM_OS: _usual(Severity.MEDIUM, *_TELL_AND_BLOCK),
    Rule.OS_AGE: _usual(Severity.MEDIUM, *_TELL_AND_BLOCK),
    Rule.MINIMUM_PATCH: _usual(Severity.MEDIUM, *_TELL_AND_BLOCK),
    Rule.PATCH_AGE: _usual(Severity.MEDIUM, *_TELL_AND_BLOCK),
    Rule.NO_MALICIOUS_APP: _usual(Severity.CRITICAL, *_ALARM),
    Rule.NO_SUSPICIOUS_APP: _usual(Severity.HIGH, *_TELL_AND_BLOCK),
    Rule.NO_UNWANTED_APP: _usual(Severity.MEDIUM, *_TELL_AND_BLOCK),
    Rule.NO_UNSCANNABLE_APP: _usual(Severity.LOW, *_TELL_AND_BLOCK),
    Rule.NO_FORBIDDEN_APP: _usual(Severity.MEDIUM, *_TELL_AND_BLOCK),
    Rule.REQUIRED_APP: _usual(Severity.LOW, *_TELL_AND_BLOCK),
    # A list need not name everybody: who is not in it is borne.
    Rule.OWNER_ACTIVE: replace(
        _usual(Severity.HIGH, ConsequenceKind.BLOCK_MAIL, ConsequenceKind.TELL_ADMINISTRATORS),
        unknown=Counts.KEPT,
    ),
}
"""What holds where a policy says nothing else."""


def complete(given: dict[Rule, Treatment]) -> dict[Rule, Treatment]:
    """Return *given* with the standard for each rule that it does not name."""
    return {rule: given.get(rule, STANDARD[rule]) for rule in Rule}
