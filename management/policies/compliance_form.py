"""The criteria of compliance as a form, and what one version changed against the one before.

A rule's treatment has the fields ``RULE.severity``, ``RULE.grace``, ``RULE.unknown``,
``RULE.not_applicable``, ``RULE.group``, and for each consequence ``RULE.KIND`` (``yes``) with
``RULE.KIND.after``. Times are days; part of a day is written with a point or comma.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.datastructures import MultiDict

from contracts.scan import Verdict
from management.policies.rules import Requirements
from management.policies.treatment import (
    LONGEST,
    STANDARD,
    Consequence,
    ConsequenceKind,
    Counts,
    Rule,
    Severity,
    Treatment,
)

FORBIDDABLE = (Verdict.MALICIOUS, Verdict.SUSPICIOUS, Verdict.UNWANTED, Verdict.UNSCANNABLE)
SWITCHES = {
    "not_rooted": _l("Not rooted or jailbroken"),
    "attested": _l("The hardware proves an untouched system (Android)"),
    "encrypted": _l("Storage is encrypted"),
    "passcode_set": _l("A screen lock is set"),
    "no_developer_options": _l("Developer options are off (Android)"),
    "no_usb_debugging": _l("USB debugging is off (Android)"),
    "no_unknown_sources": _l("Unknown sources are forbidden (Android)"),
    "owner_active": _l("The owner's account is active (directory)"),
    "policy_applied": _l("The policy is applied"),
}
PLATFORMS = ("android", "ios")
TREATED = tuple(rule for rule in Rule if rule is not Rule.ENROLLED)
"""Rules whose treatment a policy chooses; a device that left is treated as unmanaged."""
_VERSION = re.compile(r"\d{1,4}(\.\d{1,6}){0,3}")
_PACKAGE = re.compile(r"[A-Za-z0-9_.-]{1,255}")
_DAYS = re.compile(r"\d{1,4}([.,]\d{1,4})?")
DAY = timedelta(days=1)


def read_form(form: MultiDict[str, str]) -> tuple[Requirements, dict[str, str]]:
    """Return what the form asks, and for each field what is wrong with it."""
    errors: dict[str, str] = {}
    asked = Requirements(
        maximum_silence=_whole_days(form, "maximum_silence", errors) or timedelta(days=3),
        inactive_after=_whole_days(form, "inactive_after", errors) or timedelta(days=30),
        maximum_patch_age=_whole_days(form, "maximum_patch_age", errors, optional=True),
        maximum_os_age=_ages(form, errors),
        minimum_patch_level=_date(form, "minimum_patch_level", errors),
        minimum_os_version=_versions(form, errors),
        forbidden_verdicts=tuple(
            verdict for verdict in FORBIDDABLE if verdict in form.getlist("forbidden_verdicts")
        ),
        forbidden_packages=_packages(form, "forbidden_packages", errors),
        required_packages=_packages(form, "required_packages", errors),
        treatments={rule: _treatment(form, rule, errors) for rule in TREATED},
        **{name: form.get(name) == "yes" for name in SWITCHES},
    )
    if not errors and asked.inactive_after < asked.maximum_silence:
        errors["inactive_after"] = _("This must not be shorter than the longest silence.")
    both = set(asked.forbidden_packages) & set(asked.required_packages)
    if both:
        errors["required_packages"] = _(
            "Forbidden and required at once: %(packages)s", packages=", ".join(sorted(both))
        )
    return asked, errors


def _treatment(form: MultiDict[str, str], rule: Rule, errors: dict[str, str]) -> Treatment:
    """Return how the form treats *rule*; a form without the fields has the standard."""
    if f"{rule}.severity" not in form:
        return STANDARD[rule]
    try:
        return Treatment(
            severity=Severity(form[f"{rule}.severity"]),
            grace=_days(form, f"{rule}.grace", errors),
            consequences=tuple(_consequences(form, rule, errors)),
            unknown=Counts(form.get(f"{rule}.unknown", Counts.BROKEN)),
            not_applicable=Counts(form.get(f"{rule}.not_applicable", Counts.KEPT)),
        )
    except ValueError:
        errors[f"{rule}.severity"] = _("Choose one of the list.")
        return STANDARD[rule]


def _consequences(
    form: MultiDict[str, str], rule: Rule, errors: dict[str, str]
) -> Iterator[Consequence]:
    for kind in ConsequenceKind:
        if form.get(f"{rule}.{kind}") != "yes":
            continue
        after = _days(form, f"{rule}.{kind}.after", errors)
        if kind is not ConsequenceKind.MOVE_GROUP:
            yield Consequence(kind=kind, after=after)
            continue
        try:
            yield Consequence(kind=kind, after=after, group_id=UUID(form.get(f"{rule}.group", "")))
        except ValueError:
            errors[f"{rule}.group"] = _("Choose the group.")


def _days(form: MultiDict[str, str], name: str, errors: dict[str, str]) -> timedelta:
    text = form.get(name, "").strip() or "0"
    if not _DAYS.fullmatch(text) or (days := float(text.replace(",", ".")) * DAY) > LONGEST:
        errors[name] = _("Enter days, for example 0, 0.5 or 14.")
        return timedelta(0)
    return timedelta(seconds=round(days.total_seconds()))


def shown_days(value: timedelta | None) -> str:
    """Return a time as the form writes it."""
    return "" if value is None else f"{value / DAY:.4f}".rstrip("0").rstrip(".")


def _whole_days(
    form: MultiDict[str, str], name: str, errors: dict[str, str], optional: bool = False
) -> timedelta | None:
    text = form.get(name, "").strip()
    if not text and optional:
        return None
    if not re.fullmatch(r"\d{1,4}", text) or int(text) < 1:
        errors[name] = _("Enter a number of days, 1 or more.")
        return None
    return timedelta(days=int(text))


def _date(form: MultiDict[str, str], name: str, errors: dict[str, str]) -> date | None:
    text = form.get(name, "").strip()
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        errors[name] = _("Enter a day, for example 2026-10-05.")
        return None


def _versions(form: MultiDict[str, str], errors: dict[str, str]) -> dict[str, str]:
    found = {}
    for platform in PLATFORMS:
        name = f"minimum_{platform}"
        text = form.get(name, "").strip()
        if text and not _VERSION.fullmatch(text):
            errors[name] = _("Enter a version as numbers with dots, for example 14 or 17.2.")
        elif text:
            found[platform] = text
    return found


def _ages(form: MultiDict[str, str], errors: dict[str, str]) -> dict[str, timedelta]:
    names = {platform: f"maximum_{platform}_age" for platform in PLATFORMS}
    found = {key: _whole_days(form, name, errors, optional=True) for key, name in names.items()}
    return {platform: age for platform, age in found.items() if age is not None}


def _packages(form: MultiDict[str, str], name: str, errors: dict[str, str]) -> tuple[str, ...]:
    found = list(dict.fromkeys(form.get(name, "").split()))
    wrong = [package for package in found if not _PACKAGE.fullmatch(package)]
    if wrong:
        errors[name] = _("This is not a package name: %(package)s", package=wrong[0][:80])
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a form shows of one rule's treatment."""

    rule: Rule
    treatment: Treatment
    after: Mapping[ConsequenceKind, Consequence]

    @property
    def is_standard(self) -> bool:
        """Whether the policy says nothing of its own."""
        return self.treatment == STANDARD[self.rule]


def standing(asked: Requirements, rule: Rule) -> Standing:
    """Return how *asked* treats a rule."""
    treatment = asked.treatments[Rule(rule)]
    return Standing(Rule(rule), treatment, {one.kind: one for one in treatment.consequences})


def changes(before: Requirements | None, now: Requirements) -> Mapping[str, tuple[Any, Any]]:
    """Return field -> (before, now) for each that differs; the first version changes nothing.

    A treatment stands under the name of its rule.
    """
    if before is None:
        return {}
    old, new = _flat(before), _flat(now)
    return {name: (old[name], new[name]) for name in new if old[name] != new[name]}


def _flat(asked: Requirements) -> dict[str, Any]:
    named = {field.name: getattr(asked, field.name) for field in fields(Requirements)}
    treatments: Mapping[Rule, Treatment] = named.pop("treatments")
    return named | {f"treatment:{rule}": one for rule, one in treatments.items()}
