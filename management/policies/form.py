"""Requirements as a form, and what one version changed against the one before."""

import re
from collections.abc import Mapping
from dataclasses import fields
from datetime import timedelta
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.datastructures import MultiDict

from contracts.scan import Verdict
from management.policies.rules import Requirements

FORBIDDABLE = (Verdict.UNWANTED, Verdict.SUSPICIOUS, Verdict.MALICIOUS, Verdict.UNSCANNABLE)
SWITCHES = {
    "not_rooted": _l("Not rooted or jailbroken"),
    "encrypted": _l("Storage is encrypted"),
    "passcode_set": _l("A screen lock is set"),
    "no_developer_options": _l("Developer options are off (Android)"),
    "no_usb_debugging": _l("USB debugging is off (Android)"),
    "no_unknown_sources": _l("Unknown sources are forbidden (Android)"),
}
PLATFORMS = ("android", "ios")
_VERSION = re.compile(r"\d{1,4}(\.\d{1,6}){0,3}")
_PACKAGE = re.compile(r"[A-Za-z0-9_.-]{1,255}")


def read_form(form: MultiDict[str, str]) -> tuple[Requirements, dict[str, str]]:
    """Return what the form asks, and for each field what is wrong with it."""
    errors: dict[str, str] = {}
    asked = Requirements(
        maximum_silence=_days(form, "maximum_silence", errors) or timedelta(days=3),
        inactive_after=_days(form, "inactive_after", errors) or timedelta(days=30),
        maximum_patch_age=_days(form, "maximum_patch_age", errors, optional=True),
        minimum_os_version=_versions(form, errors),
        forbidden_verdicts=tuple(
            verdict for verdict in FORBIDDABLE if verdict in form.getlist("forbidden_verdicts")
        ),
        forbidden_packages=_packages(form, "forbidden_packages", errors),
        required_packages=_packages(form, "required_packages", errors),
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


def _days(
    form: MultiDict[str, str], name: str, errors: dict[str, str], optional: bool = False
) -> timedelta | None:
    text = form.get(name, "").strip()
    if not text and optional:
        return None
    if not re.fullmatch(r"\d{1,4}", text) or int(text) < 1:
        errors[name] = _("Enter a number of days, 1 or more.")
        return None
    return timedelta(days=int(text))


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


def _packages(form: MultiDict[str, str], name: str, errors: dict[str, str]) -> tuple[str, ...]:
    found = list(dict.fromkeys(form.get(name, "").split()))
    wrong = [package for package in found if not _PACKAGE.fullmatch(package)]
    if wrong:
        errors[name] = _("This is not a package name: %(package)s", package=wrong[0][:80])
    return tuple(found)


def changes(before: Requirements | None, now: Requirements) -> Mapping[str, tuple[Any, Any]]:
    """Return field -> (before, now) for each that differs; the first version changes nothing."""
    if before is None:
        return {}
    return {
        field.name: (getattr(before, field.name), getattr(now, field.name))
        for field in fields(Requirements)
        if getattr(before, field.name) != getattr(now, field.name)
    }
