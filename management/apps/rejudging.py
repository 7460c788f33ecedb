"""One pattern set, ready to judge apps without their files: from what scans kept, or from reports.

The one place that knows how the scanner judges again.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from management.apps.rules import Reputation, reputation
from patterns.opened import RuleData, open_data
from scanner import judgement_rules
from scanner.again import judge_again
from scanner.evidence import Finding
from scanner.features import FEATURES_VERSION, HASH_LENGTH, Component
from scanner.known_rules import listed, published

TOLD = ("permissions", "meta_data", "flags", "traits")
"""Traits of which features hold all that there are; so do `Component.actions` and `permission`."""
GUARD, ACTIONS = Component._fields.index("permission"), Component._fields.index("actions")


class Judge:
    """Judges by the set in one folder."""

    def __init__(self, folder: Path) -> None:
        """Read the set unpacked in *folder*; NotFoundError when there is none."""
        self._rules = open_data(str(folder))
        self.version = self._rules.version
        self._lists_hashes = any(rule["kind"] == "sha256" for rule in self._rules.lists)
        self._musts = [
            (frozenset(_musts(rule)), frozenset(one["name"] for one in rule["library"]), rule)
            for rule in self._rules.behaviours
        ]

    def again(
        self, features: Mapping[str, Any] | None, result: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Return *result* as this set gives it, or None when the file must be read for that."""
        if features is None:
            return None
        said = judge_again(self._with_own_hash(features, result), self._possible(features))
        if said.needs_file:
            return None
        found = said.findings
        return {
            **result,
            "pattern_version": self.version,
            "verdict": said.verdict.value,
            "categories": list(said.categories),
            "findings": [finding._asdict() for finding in found],
            "family": judgement_rules.family(found),
            "techniques": list(judgement_rules.techniques(found)),
            "confidence": judgement_rules.confidence(found, result["skipped"]).value,
        }

    def _with_own_hash(
        self, features: Mapping[str, Any], result: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Return *features* with the hash of the file itself, which a scan compares too."""
        if not self._lists_hashes or "hashes" not in features:
            return features
        own = {result["sha256"][:HASH_LENGTH]: "the file"}
        return {**features, "hashes": {**features["hashes"], **own}}

    def _possible(self, features: Mapping[str, Any]) -> RuleData:
        """Return the rules without the behaviours that lack a trait which features always tell.

        Most rules fall here, so that a hundred thousand apps are judged in a minute.
        """
        if features.get("v") != FEATURES_VERSION:
            return self._rules
        told: set[str] = set()
        for app in (features, *features["apps"]):
            told.update(*(app[kind] for kind in TOLD))
            for component in app["components"]:
                told.add(component[GUARD])
                told.update(component[ACTIONS])
        held = features["libraries"].keys()
        possible = [
            rule
            for musts, libraries, rule in self._musts
            if musts <= told and (not libraries or libraries & held)
        ]
        return self._rules._replace(behaviours=possible)

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


def _musts(rule: Mapping[str, Any]) -> list[str]:
    """Return the traits without which a behaviour never holds, of the kinds always told."""
    return [one for kind in (*TOLD, "actions", "guarded_by") for one in rule["all"][kind]]
