"""Collects the features of one app while it is scanned; `scanner.features` says what they are."""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any

from patterns.opened import OpenSet
from scanner import features
from scanner.evidence import Evidence, printable
from scanner.libraries import MOST_VERSIONS, version_in
from scanner.manifest import Manifest

if TYPE_CHECKING:
    from scanner.one_app import OneApp

INNER_COMPONENTS = 200
"""Kept of an app inside."""
INNER_LABELS = 50
OF_THE_FILE = frozenset({"v", "asked", "yara", "kept", "apps", "libraries", "hashes"})
"""Features that are kept once for the whole file."""
MAXIMUM_KEPT = 100
"""Findings; the gravest stay."""


class Keep:
    """The features so far, in *values*."""

    def __init__(self, patterns: OpenSet) -> None:
        self._yara = patterns.data.yara
        self._counts: dict[str, int] = {}
        self.values: dict[str, Any] = {
            "v": features.FEATURES_VERSION,
            "is_app": False,
            "place": "",
            "package": "",
            "label": "",
            "labels": [],
            "minimum_sdk": None,
            "target_sdk": None,
            "permissions": [],
            "components": [],
            "components_cut": False,
            "flags": [],
            "meta_data": [],
            "traits": [],
            "signers": [],
            "libraries": {},
            "hashes": {},
            "hashes_cut": False,
            "references": [],
            "asked": "",
            "code": {},
            "yara": features.packed_digests(self._yara.values()),
            "kept": [],
            "apps": [],
        }

    def count(self, what: str, number: int = 1) -> None:
        """Count something, for people to see."""
        self._counts[what] = self._counts.get(what, 0) + number

    def trait(self, name: str) -> None:
        """Note a trait of `patterns.rule_language.Trait`."""
        if name not in self.values["traits"]:
            self.values["traits"].append(name)

    def library(self, name: str, where: str, text: str) -> None:
        """Note a library of others and the version in *text*."""
        version = version_in(text)
        known = self.values["libraries"].setdefault(name, []) if version else []
        if len(known) < MOST_VERSIONS and all(one[0] != version for one in known):
            known.append([version, printable(where, 300), printable(text, 100)])

    def hash(self, digest: bytes, where: str) -> None:
        """Note the SHA-256 of an entry that may be known."""
        self.values["hashes"].setdefault(digest.hex()[: features.HASH_LENGTH], where[:300])

    def app(self, app: Manifest, label: str, signers: list[str], place: str) -> None:
        """Note what manifest and signatures of the app at *place* say."""
        components = features.components_of(app)
        self.values |= {
            "is_app": True,
            "place": printable(place, 300),
            "package": printable(app.package, 255),
            "label": printable(label, 255),
            "minimum_sdk": app.minimum_sdk,
            "target_sdk": app.target_sdk,
            "permissions": [printable(one, 255) for one in app.permissions],
            "components": components,
            "flags": features.flags_of(app),
            "meta_data": [printable(one, 255) for one in app.meta_data],
            "signers": signers,
        }
        self.count("components", len(components))

    def references(self, found: Collection[str], wanted: Collection[str]) -> None:
        """Note what the code refers to, and what was looked for."""
        self.values["references"] = sorted(found)
        self.values["asked"] = features.asked(wanted)

    def findings(self, evidence: Evidence) -> None:
        """Note the findings of the scanner itself and of YARA; all others can be found again."""
        self.values["kept"] = [
            [self._yara.get(finding.rule, ""), finding._asdict()]
            for finding in evidence.all_findings()[:MAXIMUM_KEPT]
        ]

    def inner(self) -> dict[str, Any]:
        """Return the features of an app inside, without what stands in those of the file."""
        kept = {name: value for name, value in self.values.items() if name not in OF_THE_FILE}
        labels = kept["labels"]
        return {
            **kept,
            **self._components(INNER_COMPONENTS),
            "labels": labels[:INNER_LABELS],
            "labels_cut": len(labels) > INNER_LABELS,
        }

    def features(self, evidence: Evidence, inner: Iterable["OneApp"]) -> dict[str, Any]:
        """Return all features, for the answer, with those of the apps inside."""
        hashes = [*self.values["hashes"].items()]
        return {
            **self.values,
            **self._components(features.MAXIMUM_COMPONENTS),
            "hashes": {h: printable(where, 300) for h, where in hashes[: features.MAXIMUM_HASHES]},
            "hashes_cut": len(hashes) > features.MAXIMUM_HASHES,
            "apps": [one.keep.inner() for one in inner],
            "counts": self._counts,
            "unpacked_bytes": evidence.unpacked_bytes,
            "skipped": evidence.skipped,
        }

    def _components(self, most: int) -> dict[str, Any]:
        kept, is_cut = features.kept_components(self.values["components"], most)
        if lost := len(self.values["components"]) - len(kept):
            self.count("components_not_kept", lost)
        return {"components": kept, "components_cut": is_cut}
