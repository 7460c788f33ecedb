"""From findings to a verdict. Pure."""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, Protocol, TypeVar

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


class Conclusion(NamedTuple):
    """All that follows from findings."""

    verdict: Verdict
    categories: tuple[str, ...]
    family: str
    techniques: tuple[str, ...]
    confidence: Confidence


F = TypeVar("F", bound=Judged)


def weight(finding: Judged) -> int:
    """Return a number that is higher for what is graver."""
    number = _WEIGHT[finding.severity]
    return min(number, _WEIGHT[Severity.LOW]) if finding.category in RATINGS else number


def sorted_findings(findings: Iterable[F]) -> list[F]:
    """Return the gravest and surest first."""
    return sorted(findings, key=lambda one: (-weight(one), -_CONFIDENCE[one.confidence]))


def conclude(findings: Iterable[F], skipped: Collection[str]) -> Conclusion:
    """Return the verdict with all that is said beside it."""
    counted = _counted(findings)
    return Conclusion(
        judge(counted[:1], skipped),
        _unique(one.category for one in counted),
        next((one.family for one in counted if one.family), ""),
        _unique(one.technique for one in counted),
        _confidence(counted, skipped),
    )


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


def _confidence(counted: Sequence[Judged], skipped: Collection[str]) -> Confidence:
    """Return how sure the verdict is: as the surest of its gravest findings.

    Two different behaviours or patterns that agree are surer than either.
    """
    if not counted:
        return Confidence.LOW if skipped else Confidence.MEDIUM
    gravest = [one for one in counted if weight(one) == weight(counted[0])]
    best = max(_CONFIDENCE[one.confidence] for one in gravest)
    agree = len({(one.category, one.technique) for one in gravest}) > 1
    return tuple(Confidence)[min(best + agree, len(Confidence) - 1)]


def _counted(findings: Iterable[F]) -> list[F]:
    """Return the findings that weigh anything, the gravest first."""
    return [one for one in sorted_findings(findings) if weight(one)]


def _unique(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for word in words if word))
