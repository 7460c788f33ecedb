"""One pattern set, ready to judge apps without their files: from what scans kept, or from reports.

The one place that knows how the scanner judges again.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from management.apps.rules import Reputation, reputation
from patterns.opened import open_data
from scanner import judgement_rules
from scanner.again import judge_again
from scanner.evidence import Finding
from scanner.features import HASH_LENGTH
from scanner.known_rules import listed, published


class Judge:
    """Judges by the set in one folder."""

    def __init__(self, folder: Path) -> None:
        """Read the set unpacked in *folder*; NotFoundError when there is none."""
        self._rules = open_data(str(folder))
        self.version = self._rules.version
        self._lists_hashes = any(rule["kind"] == "sha256" for rule in self._rules.lists)

    def again(
        self, features: Mapping[str, Any] | None, result: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Return *result* as this set gives it, or None when the file must be read for that."""
        if features is None:
            return None
        said = judge_again(self._with_own_hash(features, result), self._rules)
        if said.needs_file:
            return None
        concluded = said.said
        return {
            **result,
            "pattern_version": self.version,
            "verdict": concluded.verdict.value,
            "categories": list(concluded.categories),
            "findings": [finding._asdict() for finding in said.findings],
            "family": concluded.family,
            "techniques": list(concluded.techniques),
            "confidence": concluded.confidence.value,
        }

    def _with_own_hash(
        self, features: Mapping[str, Any], result: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Return *features* with the hash of the file itself, which a scan compares too."""
        if not self._lists_hashes or "hashes" not in features:
            return features
        own = {result["sha256"][:HASH_LENGTH]: "the file"}
        return {**features, "hashes": {**features["hashes"], **own}}

    def reported(
        self, sha256: str, package: str, label: str, signer_sha256: str
    ) -> Reputation | None:
        """Return what the set says of an app of which only a device's report is known."""
        said = {
            "hashes": {sha256[:HASH_LENGTH]: "the file"},
            "package": package,
            "label": label,
            "signers": [signer_sha256] if signer_sha256 else [],
        }
        found = [*listed(said, self._rules.lists)]
        if signer_sha256:
            found += published(said, self._rules.signers)
        return self._reputation(sha256, found) if found else None

    def _reputation(self, sha256: str, found: Sequence[Finding]) -> Reputation:
        fields = {
            "verdict": judgement_rules.judge(found, ()).value,
            "pattern_version": self.version,
            "findings": [finding._asdict() for finding in found],
        }
        return reputation(sha256, fields)
