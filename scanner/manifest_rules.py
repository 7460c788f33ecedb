"""What is remarkable about a manifest itself. Pure."""

from collections.abc import Iterator

from scanner.evidence import Finding
from scanner.manifest import Manifest


def oddities_of(manifest: Manifest, place: str) -> Iterator[Finding]:
    """Yield what is remarkable about the manifest itself."""
    if manifest.oddities:
        yield Finding(
            "manifest_malformed",
            "medium",
            place,
            "; ".join(manifest.oddities[:10]),
            "The manifest is built to mislead tools",
            "evasive-container",
            technique="T1406",
        )
    if manifest.unusual:
        yield Finding(
            "manifest_unusual",
            "note",
            place,
            "; ".join(manifest.unusual[:10]),
            "The manifest says things in places that Android passes over",
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
