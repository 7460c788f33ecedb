"""From findings to a verdict. Pure."""

from collections.abc import Iterable

from contracts.scan import Finding, Severity, Verdict

_VERDICT_OF = {
    Severity.HIGH: Verdict.MALICIOUS,
    Severity.MEDIUM: Verdict.SUSPICIOUS,
    Severity.LOW: Verdict.UNWANTED,
}
_ORDER = tuple(Severity)


def weight(severity: Severity) -> int:
    """Return a number that is higher for what is graver."""
    return _ORDER.index(severity)


def judge(findings: Iterable[Finding], skipped: Iterable[str]) -> Verdict:
    """Return the verdict.

    The gravest finding decides. What was skipped could hide something grave, so a file with
    skipped parts is never called clean, nor merely unwanted.
    """
    gravest = max((finding.severity for finding in findings), key=weight, default=Severity.NOTE)
    verdict = _VERDICT_OF.get(gravest, Verdict.CLEAN)
    if verdict in (Verdict.CLEAN, Verdict.UNWANTED) and any(True for _ in skipped):
        return Verdict.UNSCANNABLE
    return verdict


def categories(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Return the categories of findings that count, the gravest first."""
    counted = sorted(
        (finding for finding in findings if finding.severity is not Severity.NOTE),
        key=lambda finding: -weight(finding.severity),
    )
    return tuple(dict.fromkeys(finding.category for finding in counted if finding.category))
