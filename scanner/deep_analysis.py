"""A second, slow look at one app: who calls what, and how a component of the app gets there.

For an analyst who wants to know more about a file; costs seconds to minutes and up to gigabytes, so
it is a job of its own with limits of its own (`scanner.limits.DEEP`). It adds notes to a result and
never changes the verdict.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from contracts import codec
from contracts.scan import Finding, ScanResult, Severity
from contracts.types import Short, Text
from runtime.errors import MalformedMessageError, RefusedError, TooLargeError
from scanner.evidence import printable
from scanner.isolation import FailedError, ask_child, open_file
from scanner.limits import DEEP, Limits

_TITLES = {
    "reflection": "Methods are called by name at run time",
    "dynamic_loading": "Code is loaded at run time",
    "native_loading": "Native libraries are loaded",
    "programs": "Programs are started",
    "sms": "Text messages are sent or read",
    "accessibility": "Other apps are read or operated through accessibility",
    "device_administration": "The device is locked, wiped or changed as its administrator",
    "overlay": "Windows are laid over other apps",
    "recording": "Sound or pictures are recorded",
    "package_installation": "Apps are installed",
}
_PROGRAM = "scanner.deep_child"
_OF_A_SET = "It is a set of split packages: unpack it and let each package be analysed alone."


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One call of a method of interest."""

    topic: Short
    calls: Text
    caller: Text
    offset: int
    chain: tuple[Text, ...]
    """From a component of the app to the caller; empty: none was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepAnalysis:
    """What the process of a deep analysis says."""

    v: int = 1
    sites: tuple[Site, ...]
    missed: tuple[Text, ...]
    classes: int
    features: dict[str, Any]


def deepen(path: Path, result: ScanResult, limits: Limits = DEEP) -> ScanResult:
    """Return *result* of the file at *path* with what a deep analysis found added as notes.

    Raises NotFoundError when the file is gone, and RefusedError when it is another one than
    *result* is about. Whatever the file brings about is told in a note.
    """
    with open_file(path) as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != result.sha256:
            raise RefusedError(f"{path} is not the file that was scanned.")
        if result.splits:
            note = _note("deep_analysis_gap", "file", _OF_A_SET, "Not analysed")
            return replace(result, findings=(*result.findings, note))
        try:
            said = _checked(ask_child(file, limits, _PROGRAM))
        except FailedError as error:
            note = _note("deep_analysis_unfinished", "file", f"{error}.", "It did not finish")
            return replace(result, findings=(*result.findings, note))
    found = [_of_site(site) for site in said.sites]
    found += [_note("deep_analysis_gap", "file", gap, "Not analysed") for gap in said.missed]
    deep = {"classes": said.classes, **said.features}
    return replace(
        result,
        findings=(*result.findings, *found),
        features={**result.features, "deep": deep},
    )


def _checked(said: dict[str, Any]) -> DeepAnalysis:
    try:
        return codec.read(
            DeepAnalysis, json.dumps({"v": 1, **said}), maximum_bytes=2 * DEEP.answer_bytes
        )
    except (MalformedMessageError, TooLargeError) as error:
        raise FailedError(f"the answer cannot be used: {error}"[:500]) from None


def _of_site(site: Site) -> Finding:
    chain = " → ".join(site.chain)
    reached = f"reached by {chain}" if chain else "no component of the app is seen to reach it"
    return _note(
        f"deep_{site.topic}",
        f"{site.caller} at {site.offset:#x}",
        f"calls {site.calls}; {reached}",
        _TITLES.get(site.topic, site.topic),
    )


def _note(rule: str, where: str, evidence: str, title: str) -> Finding:
    return Finding(
        rule=printable(rule, 255),
        severity=Severity.NOTE,
        where=printable(where, 2000),
        evidence=printable(evidence, 4000),
        title=title,
    )
