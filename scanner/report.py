"""A scan result as text for people."""

import shutil
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator

import click

from contracts.scan import Finding, ScanResult, Severity, Signer, Verdict

COLOURS = {
    Verdict.CLEAN: "green",
    Verdict.UNWANTED: "yellow",
    Verdict.SUSPICIOUS: "yellow",
    Verdict.MALICIOUS: "red",
    Verdict.UNSCANNABLE: "magenta",
}
WIDEST = 110
PLACES_SHOWN = 3
NOTE_LENGTH = 200
"""Of the place that a note tells; the JSON has them all."""
_MARGIN = 14


def as_text(result: ScanResult) -> str:
    """Return what a person wants to know: verdict, app, signer, why, and what was not looked at."""
    verdict = click.style(f"{result.verdict:<12}", fg=COLOURS[result.verdict], bold=True)
    lines = [f"{verdict}{click.style(result.file, bold=True)}"]
    if result.package:
        lines += _field("app", _app(result))
    for signer in result.signers:
        lines += _field("signed by", _signer(signer))
    grave = [finding for finding in result.findings if not _is_note(finding)]
    lines += [line for same in _by_rule(grave) for line in _finding(same)]
    notes = _by_rule(finding for finding in result.findings if _is_note(finding))
    for number, same in enumerate(notes):
        lines += _field("" if number else "to know", _note(same))
    for reason in result.skipped:
        lines += _field("skipped", reason)
    return "\n".join(lines)


def summary(verdicts: Counter[Verdict], seconds: float, patterns: str) -> str:
    """Return one line about all files."""
    total = sum(verdicts.values())
    counted = ", ".join(f"{verdicts[one]} {one}" for one in COLOURS if verdicts[one])
    files = "1 file" if total == 1 else f"{total} files"
    return f"{files} in {seconds:.1f} s: {counted}. Patterns {patterns}."


def _app(result: ScanResult) -> str:
    label = f" ({result.label})" if result.label else ""
    target = f", for Android API {result.target_sdk}" if result.target_sdk else ""
    return f"{result.package} {result.version_name}{label}{target}"


def _signer(signer: Signer) -> str:
    return f"{signer.subject} ({', '.join(signer.schemes)}), SHA-256 {signer.sha256}"


def _finding(same: list[Finding]) -> Iterator[str]:
    """Yield the lines about what one rule found."""
    first = same[0]
    tags = (f"{first.confidence} confidence", first.category, first.family, first.technique)
    about = click.style(", ".join(tag for tag in tags if tag), dim=True)
    yield from _field(str(first.severity), click.style(first.title or first.rule, bold=True))
    yield from _field("", f"{about}, rule {first.rule}")
    if first.meaning:
        yield from _field("", first.meaning)
    for finding in same[:PLACES_SHOWN]:
        yield from _field("", f"{finding.where}: {finding.evidence}")
    if len(same) > PLACES_SHOWN:
        yield from _field("", f"and in {len(same) - PLACES_SHOWN} more places")


def _note(same: list[Finding]) -> str:
    """Return one line about what one rule notes, with the first place of all."""
    first = same[0]
    places = [place for one in same for place in one.evidence.split("; ")]
    more = f", and {len(places) - 1} more" if len(places) > 1 else ""
    shown = textwrap.shorten(places[0] or first.where, NOTE_LENGTH, placeholder=" …")
    return f"{first.title or first.rule}: {shown}{more}"


def _field(name: str, text: str) -> list[str]:
    width = min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns) - _MARGIN
    wrapped = textwrap.wrap(text, max(30, width), break_on_hyphens=False) or [""]
    margin = " " * _MARGIN
    return [f"  {name:<{_MARGIN - 2}}{wrapped[0]}", *(margin + line for line in wrapped[1:])]


def _is_note(finding: Finding) -> bool:
    return finding.severity is Severity.NOTE and not finding.rule.startswith("deep_")


def _by_rule(findings: Iterable[Finding]) -> list[list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.rule, []).append(finding)
    return list(found.values())
