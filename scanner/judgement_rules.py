"""From findings to a verdict. Pure."""

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from contracts.scan import Confidence, Severity, Verdict

RATINGS = ("privacy", "vulnerable")
"""Categories that rate honest apps too: at most unwanted."""
_VERDICT_OF = {
    Severity.HIGH: Verdict.MALICIOUS,
    Severity.MEDIUM: Verdict.SUSPICIOUS,
    Severity.LOW: Verdict.UNWANTED,
}
_WEIGHT = {str(severity): number for number, severity in enumerate(Severity)}
_CONFIDENCE = {str(confidence): number for number, confidence in enumerate(Confidence)}


class Judged(Protocol):
    """What is asked of a finding: that of `contracts.scan` or of `scanner.evidence`."""

    @property
    def severity(self) -> str: ...
    @property
    def category(self) -> str: ...
    @property
    def family(self) -> str: ...
    @property
    def technique(self) -> str: ...
    @property
    def confidence(self) -> str: ...


F = TypeVar("F", bound=Judged)


def weight(finding: Judged) -> int:
    """Return a number that is higher for what is graver."""
    number = _WEIGHT[finding.severity]
    return min(number, _WEIGHT[Severity.LOW]) if finding.category in RATINGS else number


def sorted_findings(findings: Iterable[F]) -> list[F]:
    """Return the gravest and surest first."""
    return sorted(findings, key=lambda one: (-weight(one), -_CONFIDENCE[one.confidence]))


def judge(findings: Iterable[Judged], skipped: Iterable[str]) -> Verdict:
    """Return the verdict.

    The gravest finding decides. What was skipped could hide something grave, so a file with
    skipped parts is never called clean, nor merely unwanted.
    """
    gravest = max(map(weight, findings), default=0)
    verdict = _VERDICT_OF.get(tuple(Severity)[gravest], Verdict.CLEAN)
    if verdict in (Verdict.CLEAN, Verdict.UNWANTED) and any(True for _ in skipped):
        return Verdict.UNSCANNABLE
    return verdict


def categories(findings: Iterable[Judged]) -> tuple[str, ...]:
    """Return the categories of findings that count, the gravest first."""
    return _unique(one.category for one in _counted(findings))


def techniques(findings: Iterable[Judged]) -> tuple[str, ...]:
    """Return the ATT&CK ids of findings that count, the gravest first."""
    return _unique(one.technique for one in _counted(findings))


def family(findings: Iterable[Judged]) -> str:
    """Return the family that the gravest finding with one names."""
    return next((one.family for one in _counted(findings) if one.family), "")


def confidence(findings: Sequence[Judged], skipped: Iterable[str]) -> Confidence:
    """Return how sure the verdict is: as the surest of its gravest findings.

    Two different behaviours or patterns that agree are surer than either.
    """
    counted = _counted(findings)
    if not counted:
        return Confidence.LOW if any(True for _ in skipped) else Confidence.MEDIUM
    gravest = [one for one in counted if weight(one) == weight(counted[0])]
    best = max(_CONFIDENCE[one.confidence] for one in gravest)
    agree = len({(one.category, one.technique) for one in gravest}) > 1
    return tuple(Confidence)[min(best + agree, len(Confidence) - 1)]


def _counted(findings: Iterable[F]) -> list[F]:
    return [one for one in sorted_findings(findings) if weight(one)]


def _unique(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for word in words if word))
