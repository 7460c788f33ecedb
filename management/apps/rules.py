"""What verdicts mean for devices and lists. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from contracts.agent import InstalledApp
from contracts.scan import Verdict

LARGEST_APP_BYTES = 512 * 1024 * 1024
"""An uploaded file may be so large."""
LARGEST_UPLOAD_BYTES = LARGEST_APP_BYTES + 64 * 1024
"""The same with what the form adds."""
BLAMELESS = frozenset({Verdict.CLEAN, Verdict.UNSCANNABLE})
"""No fact about a device follows from these."""
_SEVERITIES = ("note", "low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Reputation:
    """The current verdict about one hash."""

    sha256: str
    verdict: str
    pattern_version: str
    rule: str
    family: str


def reputation(sha256: str, result: Mapping[str, Any]) -> Reputation:
    """Return the verdict in a stored `contracts.scan.ScanResult` with its gravest finding."""
    gravest: Mapping[str, str] = max(
        result.get("findings", ()),
        key=lambda finding: _SEVERITIES.index(finding["severity"]),
        default={},
    )
    return Reputation(
        sha256,
        result["verdict"],
        result["pattern_version"],
        gravest.get("rule", ""),
        gravest.get("family", ""),
    )


def bad_apps(
    installed: Iterable[tuple[str, str, str]], known: Mapping[str, Reputation]
) -> list[dict[str, str]]:
    """Return the value of `FactKind.BAD_APPS` for apps given as (hash, package, name).

    Apps that nobody scanned, and clean ones, are left out. Sorted, so that equal holdings give
    equal facts.
    """
    return [
        {
            "sha256": sha256,
            "package": package,
            "name": name,
            "verdict": found.verdict,
            "rule": found.rule,
            "family": found.family,
            "pattern_version": found.pattern_version,
        }
        for sha256, package, name in sorted(installed)
        if (found := known.get(sha256)) is not None and found.verdict not in BLAMELESS
    ]


def urgency(known: Reputation | None) -> int:
    """Return what sorts apps: bad verdicts first, apps that nobody judged last but the clean."""
    order = ("malicious", "suspicious", "unwanted", "unscannable", "", "clean")
    verdict = known.verdict if known else ""
    return order.index(verdict) if verdict in order else 0


def packages(apps: Iterable[InstalledApp]) -> list[str]:
    """Return the value of `FactKind.PACKAGES`."""
    return sorted({app.package for app in apps})


def shown_name(file_name: str) -> str:
    """Return the last part of an uploaded file's name, without what a page or log may trip over."""
    name = PurePath(file_name.replace("\\", "/")).name
    return "".join(letter for letter in name if letter.isprintable())[:255] or "unnamed.apk"


def is_same_judgement(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether two stored results say the same, however long they took."""
    passing = {"elapsed_ms", "file"}
    return {k: v for k, v in old.items() if k not in passing} == {
        k: v for k, v in new.items() if k not in passing
    }
