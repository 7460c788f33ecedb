"""Scan one file: everything in it, archives in archives too. Runs in the child process.

`scanner.isolation.scan_file` is the way in; nothing else may call `scan` on a strange file.
"""

from datetime import UTC, datetime
from typing import Any

from patterns.opened import OpenSet
from scanner import app_traits
from scanner.again import app_findings
from scanner.app_code import AppCode, digest_of
from scanner.behaviour_rules import wanted_references
from scanner.chunks import BrokenChunkError
from scanner.container import Archive, Part
from scanner.evidence import Evidence, Finding, printable
from scanner.features import class_of
from scanner.keep import Keep
from scanner.limits import Limits
from scanner.manifest import Manifest, read_manifest
from scanner.manifest_rules import oddities_of
from scanner.resources import find_string
from scanner.signature_rules import findings_of
from scanner.signatures import SignatureFacts, Verifier, signed_directory
from scanner.unpacking import GZIP, gunzip
from scanner.yara_match import Matcher
from scanner.zip_records import Buffer, looks_like_archive

MANIFEST = b"AndroidManifest.xml"
RESOURCES = b"resources.arsc"
_ARCHIVE_ENDINGS = (".apk", ".jar", ".zip", ".aar", ".apks", ".xapk")
_MAGIC = (
    (b"dex\n", "dex"),
    (b"\x7fELF", "elf"),
    (b"PK\x03\x04", "archive"),
    (b"\x03\x00\x08\x00", "xml"),
    (b"\x02\x00\x0c\x00", "resources"),
)


def scan(data: Buffer, patterns: OpenSet, limits: Limits) -> dict[str, Any]:
    """Return what *data* holds, as JSON fields of `contracts.scan.ScanResult` without verdict."""
    work = _Scan(patterns, Evidence(limits))
    work.file(data)
    return work.answer()


class _Scan:
    def __init__(self, patterns: OpenSet, evidence: Evidence) -> None:
        self._patterns = patterns
        self._evidence = evidence
        self._code = AppCode(evidence)
        self._keep = Keep(patterns)
        self._matcher = Matcher(patterns.yara, evidence, self._keep.library)
        self._manifest: Manifest | None = None
        self._has_manifest = False
        self._label_source = b""
        self._signatures = SignatureFacts()

    def file(self, data: Buffer) -> None:
        """Scan the file itself."""
        if not looks_like_archive(data):
            self._plain(data)
            return
        archive = Archive(data, "", self._evidence)
        verifier = self._verifier(data, archive)
        for part in archive.parts():
            if verifier and part.is_listed:
                verifier.check(part.raw_name, part.data)
            self._part(part, "", 0)
        if verifier:
            self._signatures = verifier.facts()
        self._judge_app()

    def answer(self) -> dict[str, Any]:
        """Return everything found."""
        app = self._manifest or Manifest("")
        return {
            "package": _short(app.package),
            "label": _short(self._label(app)),
            "version_name": _short(app.version_name),
            "version_code": _short(app.version_code),
            "minimum_sdk": app.minimum_sdk,
            "target_sdk": app.target_sdk,
            "permissions": [_short(name) for name in app.permissions],
            "signers": [
                signer._replace(subject=printable(signer.subject, 1000))._asdict()
                for signer in self._signatures.signers
            ],
            "findings": [finding._asdict() for finding in self._evidence.all_findings()],
            "skipped": self._evidence.skipped,
            "features": self._keep.features(self._evidence),
        }

    # --- parts ---

    def _plain(self, data: Buffer) -> None:
        body = data[: self._evidence.limits.entry_bytes]
        kind = _kind(body)
        self._matcher.match("file", kind, 0, body)
        if kind != "dex":
            self._evidence.skip("The file is no Android package: it is not a ZIP archive.")
        else:
            self._look_at(body, kind, "file")
            self._evidence.skip("The file is byte code without an Android package around it.")

    def _part(self, part: Part, place: str, depth: int) -> None:
        where = f"{place}!/{part.name}" if place else part.name
        kind = "outside" if part.places else _kind(part.data)
        if part.data:
            self._keep.count(kind)
            self._matcher.match(where, kind, depth, part.data, part.offset)
        if part.places:
            return
        self._look_at(part.data, kind, where)
        if depth == 0 and part.raw_name == MANIFEST:
            self._app_manifest(part.data, where)
        elif depth == 0 and part.raw_name == RESOURCES and not self._label_source:
            self._label_source = part.data
        if part.data[:3] == GZIP:
            self._gzip(part.data, where, depth)
        elif looks_like_archive(part.data):
            self._nested(part, where, depth + 1)

    def _nested(self, part: Part, where: str, depth: int) -> None:
        if depth > self._evidence.limits.depth:
            self._evidence.skip(f"{where}: archives in archives, deeper than the limit.")
            return
        if not part.name.lower().endswith(_ARCHIVE_ENDINGS):
            self._disguised(part.data, where)
        for inner in Archive(part.data, where, self._evidence).parts():
            self._part(inner, where, depth)

    def _disguised(self, data: bytes, where: str) -> None:
        """Tell of an app that is named as if it were something else."""
        if b"classes.dex" in data and b"AndroidManifest.xml" in data:
            self._evidence.find(
                Finding(
                    "disguised_app",
                    "medium",
                    where,
                    "The entry is an Android package, its name says something else.",
                    "Another app is hidden inside",
                    "hostile-downloader",
                    technique="T1406",
                )
            )

    def _gzip(self, data: bytes, where: str, depth: int) -> None:
        if depth >= self._evidence.limits.depth:
            self._evidence.skip(f"{where}: archives in archives, deeper than the limit.")
            return
        limits = self._evidence.limits
        room = limits.total_bytes - self._evidence.unpacked_bytes
        found = gunzip(data, max(0, min(limits.entry_bytes, room)))
        self._evidence.unpacked_bytes += len(found.data)
        if found.is_too_large:
            self._evidence.skip(f"{where}: it unpacks to more than the limits.")
        # What only began like gzip is no damage; its bytes were matched as they are.
        if found.data:
            self._part(Part("(gzip)", found.data), where, depth + 1)

    def _look_at(self, data: bytes, kind: str, where: str) -> None:
        """Note what an entry is known by, and take byte code in."""
        if kind in ("dex", "elf", "archive"):
            digest = digest_of(data)
            self._keep.hash(digest, where)
            if kind == "dex":
                self._dex(data, where, digest)
            elif kind == "elf":
                self._keep.trait("native_code")
        elif kind == "other" and app_traits.is_payload(data):
            self._keep.trait("encrypted_payload")
        if kind == "archive" or (kind == "dex" and not where.startswith("classes")):
            self._keep.trait("nested_app")

    def _dex(self, data: bytes, where: str, digest: bytes) -> None:
        file = self._code.add(where, data, digest)
        if file is not None:
            self._keep.count("classes", file.dex.classes.rows)
            self._keep.count("methods", file.dex.methods.rows)

    # --- the app as a whole ---

    def _verifier(self, data: Buffer, archive: Archive) -> Verifier | None:
        if not archive.directories:
            return None
        body = archive.read(MANIFEST)
        try:
            app = read_manifest(body) if body else Manifest("")
        except BrokenChunkError:
            app = Manifest("")
        directory = signed_directory(archive.directories)
        return Verifier(data, directory, archive.read, app.minimum_sdk or 1, app.target_sdk)

    def _app_manifest(self, data: bytes, where: str) -> None:
        self._has_manifest = True
        try:
            manifest = read_manifest(data)
        except BrokenChunkError as error:
            self._evidence.skip(f"{where}: it cannot be read: {error}.")
            return
        if manifest.is_cut:
            self._evidence.skip(f"{where}: it has more elements than the limits.")
        for finding in oddities_of(manifest, where):
            self._evidence.find(finding)
        self._manifest = self._manifest or manifest

    def _judge_app(self) -> None:
        if not self._has_manifest:
            self._evidence.skip("The file is no Android package: it has no AndroidManifest.xml.")
            return
        if self._manifest is None:
            return
        app, patterns = self._manifest, self._patterns
        signers = self._signatures.signers
        proven = [sha for one in signers for sha in (one.sha256, *one.rotated_from)]
        self._keep.app(app, self._label(app), [*dict.fromkeys(proven)])
        for finding in findings_of(self._signatures, _now()):
            self._evidence.find(finding)
        wanted = wanted_references(patterns.behaviours) | {*app_traits.REFERENCES}
        self._keep.references(self._code.references(wanted), wanted)
        for trait in self._code.traits(*self._classes(app)):
            self._keep.trait(trait)
        if hidden := app_traits.hidden_code(self._keep.values["traits"]):
            self._evidence.find(hidden)
            self._evidence.skip("byte code: the app's own code is encrypted, so it was not seen.")
        self._keep.findings(self._evidence)
        found, _ = app_findings(self._keep.values, patterns.data, self._code.ask)
        self._keep.values["code"] = self._code.answers
        for finding in found:
            self._evidence.find(finding)

    def _classes(self, app: Manifest) -> tuple[str, list[str]]:
        """Return the descriptors of the application class (empty: Android's) and the components."""
        own = app.application_class and class_of(app.package, app.application_class)
        parts = [part for part in app.components if part.kind != "activity-alias"]
        return own, [class_of(app.package, part.name) for part in parts]

    def _label(self, app: Manifest) -> str:
        if app.label or not app.label_reference:
            return app.label
        return find_string(self._label_source, app.label_reference) or f"@{app.label_reference:#x}"


def _kind(data: bytes) -> str:
    return next((kind for magic, kind in _MAGIC if data.startswith(magic)), "other")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _short(text: str) -> str:
    return printable(text, 255)
