"""The criteria of compliance as the API says them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from contracts.scan import Verdict
from management.api.operations import STRICT, Whole
from management.policies.rules import Requirements, read_requirements
from management.policies.treatment import (
    LONGEST,
    MOST_CONSEQUENCES,
    Consequence,
    ConsequenceKind,
    Counts,
    Rule,
    Severity,
    Treatment,
)
from runtime.errors import RefusedError

_MOST = int(LONGEST.total_seconds())
Seconds = Annotated[int, Field(ge=60, le=_MOST), Whole]
Wait = Annotated[int, Field(ge=0, le=_MOST), Whole]
Version = Annotated[str, Field(pattern=r"^[0-9]{1,4}(\.[0-9]{1,6}){0,3}$")]
Package = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,255}$")]
Level = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsequenceForm:
    """One thing that follows from a broken rule; each kind at most once."""

    __pydantic_config__ = STRICT

    kind: ConsequenceKind
    after_seconds: Wait = 0
    """Counted from the end of the grace period."""
    group_id: UUID | None = None
    """Where ``move_group`` puts the device; no other kind has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TreatmentForm:
    """What a policy makes of one broken rule."""

    __pydantic_config__ = STRICT

    severity: Severity = Severity.MEDIUM
    grace_seconds: Wait = 0
    """So long nothing follows; the state tells the truth at once."""
    consequences: Annotated[tuple[ConsequenceForm, ...], Field(max_length=MOST_CONSEQUENCES)] = ()
    unknown: Counts = Counts.BROKEN
    """What holds when the device could say it and has not."""
    not_applicable: Counts = Counts.KEPT
    """What holds when its platform, ownership or reporter cannot say it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """What a policy asks; a criterion that is off (false, null, empty) asks nothing."""

    maximum_silence_seconds: Seconds = 3 * 86_400
    """Older good news is stale: the device is out of sync."""
    inactive_after_seconds: Seconds = 30 * 86_400
    policy_applied: bool = True
    not_rooted: bool = True
    attested: bool = False
    encrypted: bool = True
    passcode_set: bool = True
    no_developer_options: bool = False
    no_usb_debugging: bool = False
    no_unknown_sources: bool = False
    owner_active: bool = False
    """The owner's account is neither disabled nor left, as the directory says."""
    minimum_android_version: Version | None = None
    minimum_ios_version: Version | None = None
    maximum_android_age_seconds: Seconds | None = None
    """How long ago the system version may have been published."""
    maximum_ios_age_seconds: Seconds | None = None
    minimum_patch_level: Level | None = None
    """The oldest security patch level (Android)."""
    maximum_patch_age_seconds: Seconds | None = None
    forbidden_verdicts: tuple[Verdict, ...] = (Verdict.MALICIOUS,)
    forbidden_packages: tuple[Package, ...] = ()
    required_packages: tuple[Package, ...] = ()
    treatments: dict[Rule, TreatmentForm] = field(default_factory=dict)
    """Rule -> what is made of its violation; one that is left out has the standard."""


_SAME = (
    "policy_applied",
    "not_rooted",
    "attested",
    "encrypted",
    "passcode_set",
    "no_developer_options",
    "no_usb_debugging",
    "no_unknown_sources",
    "owner_active",
    "forbidden_verdicts",
    "forbidden_packages",
    "required_packages",
)


def read_criteria(criteria: Criteria) -> Requirements:
    """Return what the API asks; RefusedError says what contradicts itself."""
    versions = {
        "android": criteria.minimum_android_version,
        "ios": criteria.minimum_ios_version,
    }
    ages = {
        "android": criteria.maximum_android_age_seconds,
        "ios": criteria.maximum_ios_age_seconds,
    }
    age, level = criteria.maximum_patch_age_seconds, criteria.minimum_patch_level
    try:
        return Requirements(
            maximum_silence=timedelta(seconds=criteria.maximum_silence_seconds),
            inactive_after=timedelta(seconds=criteria.inactive_after_seconds),
            maximum_patch_age=None if age is None else timedelta(seconds=age),
            minimum_patch_level=None if level is None else date.fromisoformat(level),
            minimum_os_version={name: version for name, version in versions.items() if version},
            maximum_os_age={name: timedelta(seconds=age) for name, age in ages.items() if age},
            treatments={rule: _treatment(form) for rule, form in criteria.treatments.items()},
            **{name: getattr(criteria, name) for name in _SAME},
        )
    except ValueError as error:
        raise RefusedError(f"The criteria are not valid: {error}.") from None


def write_criteria(fields: Mapping[str, Any]) -> Criteria:
    """Return stored requirements as the API says them."""
    asked = read_requirements(dict(fields))
    age, level = asked.maximum_patch_age, asked.minimum_patch_level
    return Criteria(
        maximum_silence_seconds=int(asked.maximum_silence.total_seconds()),
        inactive_after_seconds=int(asked.inactive_after.total_seconds()),
        maximum_patch_age_seconds=_seconds(age),
        maximum_android_age_seconds=_seconds(asked.maximum_os_age.get("android")),
        maximum_ios_age_seconds=_seconds(asked.maximum_os_age.get("ios")),
        minimum_patch_level=None if level is None else level.isoformat(),
        minimum_android_version=asked.minimum_os_version.get("android"),
        minimum_ios_version=asked.minimum_os_version.get("ios"),
        treatments={rule: _shown(one) for rule, one in asked.treatments.items()},
        **{name: getattr(asked, name) for name in _SAME},
    )


def _seconds(age: timedelta | None) -> int | None:
    return None if age is None else int(age.total_seconds())


def _treatment(form: TreatmentForm) -> Treatment:
    return Treatment(
        severity=form.severity,
        grace=timedelta(seconds=form.grace_seconds),
        consequences=tuple(
            Consequence(
                kind=one.kind, after=timedelta(seconds=one.after_seconds), group_id=one.group_id
            )
            for one in form.consequences
        ),
        unknown=form.unknown,
        not_applicable=form.not_applicable,
    )


def _shown(treatment: Treatment) -> TreatmentForm:
    return TreatmentForm(
        severity=treatment.severity,
        grace_seconds=int(treatment.grace.total_seconds()),
        consequences=tuple(
            ConsequenceForm(
                kind=one.kind, after_seconds=int(one.after.total_seconds()), group_id=one.group_id
            )
            for one in treatment.consequences
        ),
        unknown=treatment.unknown,
        not_applicable=treatment.not_applicable,
    )
