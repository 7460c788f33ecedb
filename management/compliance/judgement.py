"""The words in which a judgement is given. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from management.devices.rules import FactKind
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


@dataclass(frozen=True, slots=True)
class AskedPolicy:
    """The policy version that holds for the device."""

    policy_id: str
    name: str
    version: int
    since: datetime
    """When this version began to hold for the device."""
    platform: str
    requirements: Requirements
    asked_since: Mapping[str, datetime] = field(default_factory=dict)
    """Field of `Requirements` -> since when it asks what it asks now; missing: always.

    A violation cannot be older than the wish that it breaks, and a new version that changes
    something else does not make it younger.
    """


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
    """The first moment at which time alone may change the answer; None: never."""


def write_violation(violation: Violation) -> dict[str, Any]:
    """Return *violation* as JSON fields."""
    return {
        "rule": violation.rule.value,
        "because": violation.because,
        "mend": violation.mend,
        "since": violation.since.isoformat(),
        "facts": [kind.value for kind in violation.facts],
    }


def read_violation(fields: Mapping[str, Any]) -> Violation:
    """Return what `write_violation` wrote."""
    return Violation(
        Rule(fields["rule"]),
        fields["because"],
        fields["mend"],
        datetime.fromisoformat(fields["since"]),
        tuple(FactKind(kind) for kind in fields["facts"]),
    )
