"""One pattern set, ready to judge apps without their files: from what scans kept, or from reports.

The one place that knows how the scanner judges again.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from contracts.scan import Finding, Severity
from management.apps.rules import Reputation, reputation
from patterns.opened import OpenSet, open_set
from scanner import judgement_rules


class Judge:
    """Judges by the set in one folder."""

    def __init__(self, folder: Path) -> None:
        """Open the set unpacked in *folder*; NotFoundError, RefusedError when it cannot be used."""
        self._set: OpenSet = open_set(str(folder))
        self.version = self._set.version

    def again(
        self, features: Mapping[str, Any] | None, read_with: str, result: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Return *result* as this set gives it, or None when the file must be read for that.

        *features* is what the scan kept with set *read_with*.
        """
        if features is None or read_with != self.version:
            return None
        return {**result, "pattern_version": self.version}

    def reported(self, sha256: str, package: str, signer_sha256: str) -> Reputation | None:
        """Return what the set says of an app of which only a device's report is known."""
        findings = list(self._of_report(package, signer_sha256))
        if not findings:
            return None
        said = {
            "verdict": judgement_rules.judge(findings, ()).value,
            "pattern_version": self.version,
            "findings": [
                {"rule": found.rule, "severity": found.severity.value, "family": found.family}
                for found in findings
            ],
        }
        return reputation(sha256, json.loads(json.dumps(said)))

    def _of_report(self, package: str, signer: str) -> Iterator[Finding]:
        known = self._set.signers
        if not signer:
            return
        for app in known["official"]:
            if app["package"] == package and signer not in app["sha256"]:
                evidence = f"{package} is published by {app['publisher']}, but signed by {signer}."
                yield _finding("repackaged_app", Severity.HIGH, evidence)
        for key in known["public_key"]:
            if key["sha256"] == signer:
                yield _finding("public_key", Severity.LOW, f"{key['name']}, SHA-256 {signer}")


def _finding(rule: str, severity: Severity, evidence: str) -> Finding:
    return Finding(rule=rule, severity=severity, where="signature", evidence=evidence)
