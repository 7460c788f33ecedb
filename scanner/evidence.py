"""What a scan has found so far: bounded, whatever the file tries."""

import time
from typing import NamedTuple

from scanner.limits import Limits

FINDINGS_A_RULE = 20
RULES = 500
FINDINGS = 300
SKIPPED = 50
SEVERITIES = ("note", "low", "medium", "high")
PLACE_LENGTH = 300
EVIDENCE_LENGTH = 600


class Finding(NamedTuple):
    """One remarkable fact; the words are those of `contracts.scan.Finding`."""

    rule: str
    severity: str
    where: str
    evidence: str
    title: str = ""
    category: str = ""
    family: str = ""
    technique: str = ""
    confidence: str = "medium"
    meaning: str = ""
    reference: str = ""


class Evidence:
    """Collects findings, what was skipped, and how much of the limits is used up."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.findings: dict[str, list[Finding]] = {}
        self.skipped: list[str] = []
        self.unpacked_bytes = 0
        self.entries = 0
        self._end = time.monotonic() + limits.seconds * 0.8
        self._cpu_end = time.process_time() + limits.cpu_seconds * 0.8

    def find(self, finding: Finding) -> None:
        """Keep *finding*, unless its rule has been found often enough."""
        known = self.findings.setdefault(finding.rule, []) if self._has_room(finding) else []
        if len(known) < FINDINGS_A_RULE:
            known.append(
                finding._replace(
                    where=printable(finding.where, PLACE_LENGTH),
                    evidence=printable(finding.evidence, EVIDENCE_LENGTH),
                )
            )

    def skip(self, reason: str) -> None:
        """Note what was not looked at and why; from now on the file cannot be clean."""
        if len(self.skipped) < SKIPPED:
            self.skipped.append(printable(reason, EVIDENCE_LENGTH))
        else:
            self.skipped[-1] = "More was skipped than is listed here."

    def is_late(self) -> bool:
        """Whether the time for this scan is nearly over."""
        return time.monotonic() > self._end or time.process_time() > self._cpu_end

    def all_findings(self) -> list[Finding]:
        """Return the findings, the gravest first; those beyond `FINDINGS` are the mildest."""
        found = [finding for known in self.findings.values() for finding in known]
        return sorted(found, key=lambda finding: -SEVERITIES.index(finding.severity))[:FINDINGS]

    def _has_room(self, finding: Finding) -> bool:
        return finding.rule in self.findings or len(self.findings) < RULES


def printable(text: str, length: int) -> str:
    """Return *text* with odd characters escaped, cut to *length* characters."""
    text = text[: length + 1]
    if not text.isprintable():
        text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return text if len(text) <= length else text[: length - 1] + "…"
