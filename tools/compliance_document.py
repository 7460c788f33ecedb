"""Writes docs/compliance.md from the rules of compliance themselves.

python tools/compliance_document.py [--check]
"""

import sys
from dataclasses import MISSING, fields
from datetime import timedelta
from textwrap import wrap
from typing import Any

from management.compliance.catalogue import (
    ASK_ADMINISTRATOR,
    BEAR_OR_INSTALL,
    CHECK_AGENT,
    CRITERIA,
    OPEN_AGENT,
    Criterion,
)
from management.compliance.following import NEVER_BORNE
from management.compliance.judgement import Finding, Risk, State
from management.compliance.reporters import CAN_SAY, Reporter
from management.compliance.rules import TRANSIENT
from management.policies.rules import Requirements
from management.policies.treatment import STANDARD, Treatment
from tools.generated import ROOT, write_or_check

TARGET = ROOT / "docs/compliance.md"
HEAD = ROOT / "tools/compliance_head.md"
UNKNOWN = f"""
## Sentences for what is not said

- Unknown: user: {OPEN_AGENT}
  Administrator: {CHECK_AGENT}
- Not applicable, where the policy counts it as broken: user: {ASK_ADMINISTRATOR}
  Administrator: {BEAR_OR_INSTALL}
"""


def text() -> str:
    """Return the whole document."""
    head = HEAD.read_text(encoding="utf-8").format(
        states=_codes(State),
        transient=" and ".join(f"`{rule}`" for rule in sorted(TRANSIENT)),
        inactive=_span(Requirements().inactive_after),
        silence=_span(Requirements().maximum_silence),
        risks=_codes(Risk),
        findings=_codes(Finding),
        never=_codes(sorted(NEVER_BORNE)),
        reporters=_reporters(),
        table=_table(),
    )
    return head + "".join(_rule(one) for one in CRITERIA) + UNKNOWN


def _codes(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _reporters() -> str:
    rows = [
        f"| `{kind}` | " + " | ".join("yes" if one in can else "" for one in Reporter) + " |"
        for kind, can in CAN_SAY.items()
    ]
    heads = ("Android agent", "iOS agent", "Apple MDM", "Apple MDM, personal device")
    return "\n".join([f"| fact | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|", *rows])


def _table() -> str:
    rows = [
        f"| `{one.rule}` | {_parameter(one)} | `{one.kind}` | {STANDARD[one.rule].severity} |"
        for one in CRITERIA
    ]
    return "\n".join(["| rule | asked by | fact | severity |", "|---|---|---|---|", *rows])


def _parameter(one: Criterion) -> str:
    return f"`{one.parameter}`" if one.parameter else "always"


def _rule(one: Criterion) -> str:
    standard = STANDARD[one.rule]
    lines = [
        f"Fact `{one.kind}`: {' '.join((one.check.__doc__ or '').split())}",
        f"Asked {'by ' if one.parameter else ''}{_parameter(one)}{_default(one.parameter)}. "
        f"Can be said by: {_who(one)}.",
        f"Standard: severity {standard.severity}; {_following(standard)}.",
        f"When nobody said: {one.unknown}; {_unsaid(one, standard)}.",
        f"User: {one.mend.replace('{}', '…')}",
        f"Administrator: {one.administrator_mend}",
    ]
    return f"\n### `{one.rule}`\n\n" + "\n".join(_item(line) for line in lines) + "\n"


def _item(line: str) -> str:
    return "\n  ".join(wrap(f"- {line}", 110, break_long_words=False, break_on_hyphens=False))


def _default(parameter: str) -> str:
    found = next((one for one in fields(Requirements) if one.name == parameter), None)
    if found is None:
        return ""
    value = found.default if found.default is not MISSING else None
    return f" (standard: {_value(value)})"


def _value(value: Any) -> str:
    if value is None or value is False or value == ():
        return "not asked"
    if value is True:
        return "asked"
    if isinstance(value, timedelta):
        return _span(value)
    return ", ".join(value)


def _span(value: timedelta) -> str:
    return f"{value.days} days"


def _who(one: Criterion) -> str:
    return ", ".join(who.replace("_", " ") for who in Reporter if who in CAN_SAY[one.kind])


def _following(standard: Treatment) -> str:
    if not standard.consequences:
        return "nothing follows"
    steps = [f"{one.kind.replace('_', ' ')}{_after(one.after)}" for one in standard.consequences]
    grace = f"grace of {_span(standard.grace)}, then " if standard.grace else "at once: "
    return grace + ", ".join(steps)


def _after(wait: timedelta) -> str:
    return f" after {_span(wait)}" if wait else ""


def _unsaid(one: Criterion, standard: Treatment) -> str:
    if one.rule in NEVER_BORNE:
        return "always a violation"
    never = "borne" if standard.not_applicable == "kept" else "broken"
    unknown = "borne" if standard.unknown == "kept" else "broken"
    return f"unknown counts as {unknown}, not applicable as {never}"


if __name__ == "__main__":
    sys.exit(write_or_check(TARGET, text()))
