"""Scan one file: everything in it, archives in archives too. Runs in the child process.

`scanner.isolation.scan_file` is the way in; nothing else may call `scan` on a strange file.
"""

import struct
from collections.abc import Callable
from typing import Any

from patterns.opened import OpenSet
from scanner import app_traits
from scanner.base64_text import MOST_HEADS, code_in, decoded
from scanner.container import Archive, Part
from scanner.container_checks import heads_of_code
from scanner.container_rules import contradiction
from scanner.evidence import Evidence, Finding, printable
from scanner.known_rules import listed
from scanner.limits import Limits
from scanner.manifest import Manifest
from scanner.one_app import MANIFEST, OneApp
from scanner.split_set import unite
from scanner.unpacking import GZIP, Unpacked, gunzip
from scanner.yara_match import Matcher
from scanner.zip_records import Buffer, looks_like_archive

MOST_APPS = 300
"""Inside one file, the packages of a set included."""
MOST_JUDGED = 20
"""Apps inside; the rest is told as skipped."""
MOST_OUTSIDE = 16
"""Pieces of byte code outside the entries of one archive."""
_ARCHIVE_ENDINGS = (".apk", ".jar", ".zip", ".aar", ".apks", ".apkm", ".xapk")
_MAGIC = (
    (b"dex\n", "dex"),
    (b"\x7fELF", "elf"),
    (b"PK\x03\x04", "archive"),
    (b"\x03\x00\x08\x00", "xml"),
    (b"\x02\x00\x0c\x00", "resources"),
)


def scan(data: Buffer, patterns: OpenSet, limits: Limits) -> dict[str, Any]:
    """Return what *data* holds, as JSON fields of `contracts.scan.ScanResult` without verdict."""
    evidence = Evidence(limits)
    work = _Scan(patterns, evidence)
    try:
        work.file(data)
    except MemoryError:  # what was found must not get lost; what is kept for new rules is no whole
        evidence.skip("The file was not scanned: it needs more memory than the limit.")
        return work.answer() | {"features": {"v": 0}}
    return work.answer()


class _Scan:
    def __init__(self, patterns: OpenSet, evidence: Evidence) -> None:
        self._patterns = patterns
        self._evidence = evidence
        self._app = OneApp("", patterns, evidence)
        self._inner: list[OneApp] = []
        """Apps inside; those around others come first."""
        self._splits: list[OneApp] = []
        self._judged: list[OneApp] = []
        """Those of the apps inside to which the rules are applied."""
        self._matcher = Matcher(patterns.yara_by_kind, evidence, self._app.keep.library)

    def file(self, data: Buffer) -> None:
        """Scan the file itself."""
        if not looks_like_archive(data):
            self._plain(data)
            self._app.keep.findings(self._evidence)
            self._compare()
            return
        self._archive(data, Archive(data, "", self._evidence), self._app, "", 0)
        self._judge()

    def answer(self) -> dict[str, Any]:
        """Return everything found."""
        app = self._app.manifest or Manifest("")
        return {
            "package": _short(app.package),
            "label": _short(self._app.label),
            "version_name": _short(app.version_name),
            "version_code": _short(app.version_code),
            "minimum_sdk": app.minimum_sdk,
            "target_sdk": app.target_sdk,
            "permissions": [_short(name) for name in app.permissions],
            "splits": [printable(one.place, 300) for one in self._splits],
            "base_sha256": next(
                (o.sha256 for o in self._splits if o.place == self._app.place), None
            ),
            "signers": [
                signer._replace(subject=printable(signer.subject, 1000))._asdict()
                for signer in self._app.signatures.signers
            ],
            "findings": [finding._asdict() for finding in self._evidence.all_findings()],
            "skipped": self._evidence.skipped,
            "features": self._app.keep.features(self._evidence, self._judged),
        }

    # --- parts ---

    def _plain(self, data: Buffer) -> None:
        body = data[: self._evidence.limits.entry_bytes]
        kind = _kind(body)
        self._matcher.match("file", kind, 0, body)
        if kind != "dex":
            self._evidence.skip("The file is no Android package: it is not a ZIP archive.")
        else:
            self._look_at(Part("file", body), kind, "file", self._app)
            self._evidence.skip("The file is byte code without an Android package around it.")

    def _archive(self, data: Buffer, archive: Archive, app: OneApp, place: str, depth: int) -> None:
        """Scan every part of *archive*, of which *app* is told what belongs to it."""
        is_app = app.place == place
        if is_app:
            app.begin(data, archive)
        for part in archive.parts():
            if is_app:
                app.verify(part)
            self._part(part, place, depth, app)
        if is_app:
            app.end()

    def _part(self, part: Part, place: str, depth: int, app: OneApp) -> None:
        where = f"{place}!/{part.name}" if place else part.name
        kind = "outside" if part.places else _kind(part.data)
        if part.data:
            self._app.keep.count(kind)
            self._matcher.match(where, kind, depth, part.data, part.offset)
        if part.places:
            self._outside(part, where, app)
            return
        self._look_at(part, kind, where, app)
        if place == app.place:
            app.take(part, where)
        if part.data[:3] == GZIP:
            self._unpacked(part.data, gunzip, "(gzip)", where, depth, app)
        elif looks_like_archive(part.data):
            self._nested(part, where, depth + 1, app)
        elif kind == "other":
            self._written(part.data, where, depth, app)

    def _written(self, data: bytes, where: str, depth: int, app: OneApp) -> None:
        """Scan what *data* holds in Base64."""
        for number, text in enumerate(code_in(data)):
            if number == MOST_HEADS:
                self._evidence.skip(f"{where}: it holds more Base64 than is looked at.")
                return
            self._unpacked(text, decoded, "(Base64)", where, depth, app)

    def _nested(self, part: Part, where: str, depth: int, app: OneApp) -> None:
        if depth > self._evidence.limits.depth:
            self._evidence.skip(f"{where}: archives in archives, deeper than the limit.")
            return
        if not part.name.lower().endswith(_ARCHIVE_ENDINGS):
            self._disguised(part.data, where)
        archive = Archive(part.data, where, self._evidence)
        if archive.lists(MANIFEST):
            app = self._app_inside(where, app, part)
        self._archive(part.data, archive, app, where, depth)

    def _app_inside(self, where: str, outer: OneApp, part: Part) -> OneApp:
        if len(self._inner) >= MOST_APPS:
            self._evidence.skip(f"{where}: the file holds more apps than are judged.")
            return outer
        self._inner.append(OneApp(where, self._patterns, self._evidence, outer))
        self._inner[-1].sha256 = part.sha256.hex()
        return self._inner[-1]

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

    def _unpacked(
        self,
        data: bytes,
        unpack: Callable[[bytes, int], Unpacked],
        name: str,
        where: str,
        depth: int,
        app: OneApp,
    ) -> None:
        """Scan what *unpack* makes of *data*."""
        if depth >= self._evidence.limits.depth:
            self._evidence.skip(f"{where}: archives in archives, deeper than the limit.")
            return
        limits = self._evidence.limits
        room = limits.total_bytes - self._evidence.unpacked_bytes
        found = unpack(data, max(0, min(limits.entry_bytes, room)))
        self._evidence.unpacked_bytes += len(found.data)
        if found.is_too_large:
            self._evidence.skip(f"{where}: it unpacks to more than the limits.")
        # What only began like that is no damage; its bytes were matched as they are.
        if found.data:
            self._part(Part(name, found.data), where, depth + 1, app)

    def _outside(self, part: Part, where: str, app: OneApp) -> None:
        """Read byte code that stands in no entry, as whoever hides it there will."""
        for number, at in enumerate(heads_of_code(part.data)):
            if number == MOST_OUTSIDE:
                self._evidence.skip(f"{where}: it holds more code than is looked at.")
                return
            place = f"{where} at {part.offset(at):#x}"
            self._evidence.find(contradiction("container_code_outside", place, "Byte code."))
            (size,) = struct.unpack_from("<I", part.data, at + 32)
            self._look_at(Part(part.name, part.data[at : at + size]), "dex", place, app)

    def _look_at(self, part: Part, kind: str, where: str, app: OneApp) -> None:
        """Note what an entry is known by, and take byte code in."""
        if kind in ("dex", "elf", "archive"):
            self._app.keep.hash(part.sha256, where)
            if kind == "dex":
                self._dex(part, where, app)
            elif kind == "elf":
                app.trait("native_code")
        elif kind == "other" and (trait := app_traits.density(part.data)):
            app.trait(trait)
            if trait == "unmeasured_data":
                self._evidence.find(app_traits.unmeasured(where))
        place = where.removeprefix(f"{app.place}!/") if app.place else where
        if kind == "archive" or (kind == "dex" and not place.startswith("classes")):
            app.trait("nested_app")

    def _dex(self, part: Part, where: str, app: OneApp) -> None:
        file = app.dex(where, part.data, part.sha256)
        if file is not None:
            self._app.keep.count("classes", file.dex.classes.rows)
            self._app.keep.count("methods", file.dex.methods.rows)

    # --- as a whole ---

    def _judge(self) -> None:
        whole = self._app
        if not whole.has_manifest:
            members = [one for one in self._inner if one.outer is whole and one.has_manifest]
            if unite(whole, members, self._evidence):
                self._splits = members
        inner = [one for one in self._inner if one.manifest and one not in self._splits]
        for one in inner[MOST_JUDGED:]:
            self._evidence.skip(f"{one.place}: the file holds more apps than are judged.")
        self._judged = inner[:MOST_JUDGED]
        judged = [whole, *self._judged]
        for app in judged:
            app.look()
        whole.keep.values["asked"] = judged[-1].keep.values["asked"]  # of all the same
        whole.keep.findings(self._evidence)
        for app in judged:
            app.judge()
        if whole.manifest is None:
            self._compare()

    def _compare(self) -> None:
        """Compare what is in a file that is no app itself with the lists of known hashes."""
        for finding in listed(self._app.keep.values, self._patterns.data.lists):
            self._evidence.find(finding)


def _kind(data: bytes) -> str:
    return next((kind for magic, kind in _MAGIC if data.startswith(magic)), "other")


def _short(text: str) -> str:
    return printable(text, 255)
