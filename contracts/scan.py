"""The outcome of scanning one file, as command, API and console show it."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from contracts.types import Sha256, Short, Text


class Verdict(StrEnum):
    """The conclusion about an app, mildest first; `UNSCANNABLE` is no judgement at all."""

    CLEAN = "clean"
    UNWANTED = "unwanted"
    SUSPICIOUS = "suspicious"
    MALICIOUS = "malicious"
    UNSCANNABLE = "unscannable"


class Severity(StrEnum):
    """How much one finding weighs."""

    NOTE = "note"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Confidence(StrEnum):
    """How sure a finding, or a verdict, is to be what it says."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fact about a file that a rule found remarkable."""

    rule: Short
    severity: Severity
    where: Text
    """The place: entry path (nesting with ``!/``), offset or manifest element."""
    evidence: Text
    title: Short = ""
    category: Short = ""
    family: Short = ""
    technique: Short = ""
    """MITRE ATT&CK Mobile id."""
    confidence: Confidence = Confidence.MEDIUM
    meaning: Text = ""
    """What an app that matches does, in the rule's words."""
    reference: Short = ""
    """Address to read more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """One signer of an APK."""

    sha256: Sha256
    """Of the DER certificate."""
    subject: Text
    not_before: Short
    not_after: Short
    schemes: tuple[Short, ...]
    """Schemes under which the signature was verified: ``v1``, ``v2``, ``v3``, ``v3.1``."""
    key: Short = ""
    """Kind and length of the key: ``RSA 2048``."""
    rotated_from: tuple[Sha256, ...] = ()
    """The signer's earlier certificates, the oldest first, as its proof of rotation names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanResult:
    """All that one scan found out."""

    v: int = 1
    file: Text
    sha256: Sha256 | None
    size_bytes: int
    package: Short = ""
    label: Short = ""
    version_name: Short = ""
    version_code: Short = ""
    minimum_sdk: int | None = None
    target_sdk: int | None = None
    permissions: tuple[Short, ...] = ()
    splits: tuple[Text, ...] = ()
    """Paths of the packages, when the file is a set of them (``.apks``, ``.xapk``, ``.apkm``)."""
    base_sha256: Sha256 | None = None
    """Of the base package of such a set: what devices that installed the set report as its hash."""
    signers: tuple[Signer, ...] = ()
    verdict: Verdict
    categories: tuple[Short, ...] = ()
    family: Short = ""
    """Of the gravest finding that names one."""
    techniques: tuple[Short, ...] = ()
    """MITRE ATT&CK Mobile ids of the findings that count."""
    confidence: Confidence = Confidence.MEDIUM
    """Of the verdict."""
    findings: tuple[Finding, ...] = ()
    skipped: tuple[Text, ...] = ()
    """What was not looked at and why; never empty for `UNSCANNABLE`, always empty for `CLEAN`."""
    pattern_version: Short
    elapsed_ms: int
    features: dict[str, Any] = field(default_factory=dict)
    """Kept so that a new pattern set can judge again without the file."""
