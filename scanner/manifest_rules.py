"""What an app asks for and calls, compared with the behaviours of a pattern set. Pure."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from scanner.evidence import Finding
from scanner.manifest import Manifest

PLACE = "AndroidManifest.xml"
_LAUNCHER = "android.intent.category.LAUNCHER"
_TRAITS = ("permissions", "actions", "guarded_by", "calls")


def behaviours_of(
    manifest: Manifest, calls: Collection[str], behaviours: list[dict[str, Any]]
) -> Iterator[Finding]:
    """Yield a finding for each of *behaviours* (see `patterns.rule_source.Behaviour`) that holds.

    *calls* are the methods, out of those the behaviours name, that the code refers to.
    """
    has = _traits(manifest, calls)
    for rule in behaviours:
        evidence = _evidence(rule, manifest, has)
        if evidence:
            yield Finding(
                rule=rule["id"],
                severity=rule["severity"],
                where=PLACE,
                evidence=", ".join(evidence),
                title=rule["title"],
                category=rule["category"],
                family=rule["family"],
                technique=rule["technique"],
            )


def oddities_of(manifest: Manifest, place: str) -> Iterator[Finding]:
    """Yield what is remarkable about the manifest itself."""
    if manifest.oddities:
        yield Finding(
            "manifest_malformed",
            "medium",
            place,
            "; ".join(manifest.oddities),
            "The manifest is built to mislead tools",
            "evasive-container",
            technique="T1406",
        )
    if manifest.debuggable:
        yield Finding(
            "debuggable_app",
            "low",
            place,
            "android:debuggable is true.",
            "The app lets a debugger in",
            "vulnerable",
        )


def wanted_calls(behaviours: list[dict[str, Any]]) -> list[str]:
    """Return every method that some behaviour asks about."""
    return sorted(
        {call for rule in behaviours for part in ("all", "some") for call in rule[part]["calls"]}
    )


def _traits(manifest: Manifest, calls: Collection[str]) -> dict[str, set[str]]:
    return {
        "permissions": set(manifest.permissions),
        "actions": {action for part in manifest.components for action in part.actions},
        "guarded_by": {part.permission for part in manifest.components},
        "calls": set(calls),
    }


def _evidence(
    rule: Mapping[str, Any], manifest: Manifest, has: Mapping[str, set[str]]
) -> list[str]:
    """Return the traits that make *rule* hold; empty when it does not."""
    needed = [trait for kind in _TRAITS for trait in rule["all"][kind]]
    if not all(set(rule["all"][kind]) <= has[kind] for kind in _TRAITS):
        return []
    some = [trait for kind in _TRAITS for trait in rule["some"][kind] if trait in has[kind]]
    if len(some) < rule["at_least"] or (rule["no_launcher"] and _has_launcher(manifest)):
        return []
    if rule["receiver_priority"] and not _is_first(rule, manifest):
        return []
    return needed + some


def _has_launcher(manifest: Manifest) -> bool:
    return any(_LAUNCHER in part.categories for part in manifest.components)


def _is_first(rule: Mapping[str, Any], manifest: Manifest) -> bool:
    return any(
        part.priority >= rule["receiver_priority"]
        and set(part.actions) & set(rule["all"]["actions"])
        for part in manifest.components
    )
