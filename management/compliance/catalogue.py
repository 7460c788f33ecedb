"""All that a policy can ask, in the order in which it is told. Pure."""

from management.compliance.criteria import (
    Criterion,
    Flag,
    bad_apps,
    enrolled,
    forbidden_apps,
    in_contact,
    minimum_os,
    patch_age,
    policy_applied,
    required_apps,
)
from management.compliance.judgement import Rule
from management.devices.rules import FactKind

CRITERIA: tuple[tuple[Rule, str, Criterion], ...] = (
    (Rule.ENROLLED, "", enrolled),
    (Rule.IN_CONTACT, "maximum_silence", in_contact),
    *(
        (flag.rule, flag.rule.value, flag)
        for flag in (
            Flag(
                Rule.NOT_ROOTED,
                FactKind.ROOTED,
                False,
                "root access found",
                "it never said whether it is rooted",
                "Restore the manufacturer's system.",
            ),
            Flag(
                Rule.ENCRYPTED,
                FactKind.ENCRYPTED,
                True,
                "storage is not encrypted",
                "it never said whether its storage is encrypted",
                "Switch on encryption.",
            ),
            Flag(
                Rule.PASSCODE_SET,
                FactKind.PASSCODE_SET,
                True,
                "no screen lock is set",
                "it never said whether a screen lock is set",
                "Set a screen lock.",
            ),
            Flag(
                Rule.NO_DEVELOPER_OPTIONS,
                FactKind.DEVELOPER_OPTIONS,
                False,
                "developer options are on",
                "it never said whether developer options are on",
                "Switch off developer options.",
            ),
            Flag(
                Rule.NO_USB_DEBUGGING,
                FactKind.USB_DEBUGGING,
                False,
                "USB debugging is on",
                "it never said whether USB debugging is on",
                "Switch off USB debugging.",
            ),
            Flag(
                Rule.NO_UNKNOWN_SOURCES,
                FactKind.UNKNOWN_SOURCES,
                False,
                "unknown sources are allowed",
                "it never said whether unknown sources are allowed",
                "Forbid unknown sources.",
            ),
        )
    ),
    (Rule.MINIMUM_OS, "minimum_os_version", minimum_os),
    (Rule.PATCH_AGE, "maximum_patch_age", patch_age),
    (Rule.NO_BAD_APP, "forbidden_verdicts", bad_apps),
    (Rule.NO_FORBIDDEN_APP, "forbidden_packages", forbidden_apps),
    (Rule.REQUIRED_APP, "required_packages", required_apps),
    (Rule.POLICY_APPLIED, "", policy_applied),
)
"""In the order in which they are told, each with the field of `Requirements` that asks it."""
