"""One app in the file: the file itself, an app that it carries, or a package of a set of splits.

Byte code of an app inside belongs to the apps around it, too, for they can run it.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cached_property

from patterns.opened import OpenSet
from scanner import app_traits
from scanner.again import app_findings, placed_in
from scanner.app_code import AppCode
from scanner.chunks import BrokenChunkError
from scanner.code_file import CodeFile
from scanner.container import Archive, Part
from scanner.evidence import Evidence, Finding
from scanner.features import MAXIMUM_LABELS, class_of
from scanner.keep import Keep
from scanner.known_rules import as_seen
from scanner.manifest import Manifest
from scanner.manifest_reader import read_manifest
from scanner.manifest_rules import oddities_of
from scanner.resources import Resources
from scanner.screen import screen_of
from scanner.signature_rules import findings_of
from scanner.signatures import SignatureFacts, Verifier, signed_directory
from scanner.zip_records import Buffer

MANIFEST = b"AndroidManifest.xml"
LAUNCHER = "android.intent.category.LAUNCHER"
RESOURCES = b"resources.arsc"


class OneApp:
    """What is known of one app; *place* is its path in the file, empty for the file itself."""

    def __init__(
        self, place: str, patterns: OpenSet, evidence: Evidence, outer: "OneApp | None" = None
    ) -> None:
        self.place, self.outer = place, outer
        self.sha256 = ""
        """Of an app inside the file."""
        self.manifest: Manifest | None = None
        self.has_manifest = False
        self.signatures = SignatureFacts()
        self.code = AppCode(evidence)
        self.keep = Keep(patterns)
        self.is_installed = outer is None
        """Whether Android would install it with the file; else the app around it must do so."""
        self.told: list[Finding] = []
        """About manifest and signatures, to be kept by `look`."""
        self._patterns, self._evidence = patterns, evidence
        self._unread: list[tuple[bool, str]] = []
        """Of manifests that cannot be read: whether they are listed, and why."""
        self._resources = Resources(lambda: None)
        self._parsed_last: tuple[bytes, Manifest] | None = None
        self._verifier: Verifier | None = None

    def line(self) -> "Iterator[OneApp]":
        """Yield this app and those around it."""
        one: OneApp | None = self
        while one is not None:
            yield one
            one = one.outer

    # --- its parts ---

    def begin(self, data: Buffer, archive: Archive) -> None:
        """Get ready for the parts of *archive*, which lies in *data*."""
        if not archive.directories:
            return
        self._resources = Resources(lambda: archive.read(RESOURCES))
        body = archive.read(MANIFEST)
        try:
            app = self._parsed(body) if body else Manifest("")
        except BrokenChunkError:
            app = Manifest("")
        directory = signed_directory(archive.directories)
        self._verifier = Verifier(
            data, directory, archive.read, app.minimum_sdk or 1, app.target_sdk
        )

    def take(self, part: Part, where: str) -> None:
        """Take one entry of the app's own archive."""
        if part.raw_name == MANIFEST:
            self._read_manifest(part, where)
        elif part.raw_name == RESOURCES:
            self._resources.give(part.data)

    def verify(self, part: Part) -> None:
        """Compare one entry with what the signatures say."""
        if self._verifier and part.is_listed:
            self._verifier.check(part.raw_name, part.digest)

    def end(self) -> None:
        """All parts came by."""
        for is_listed, reason in self._unread:  # of several readings one may be meant for nobody
            if is_listed or self.manifest is None:
                self._evidence.skip(reason)
        if self._verifier:
            self.signatures = self._verifier.facts()
            self._verifier = None

    def dex(self, place: str, data: bytes, digest: bytes) -> CodeFile | None:
        """Take byte code in, for this app and those around it."""
        file = None
        for one in self.line():
            file = one.code.add(place, data, digest, file)
        return file

    def trait(self, name: str) -> None:
        """Note a trait of this app and of those around it."""
        for one in self.line():
            one.keep.trait(name)

    def _read_manifest(self, part: Part, where: str) -> None:
        self.has_manifest = True
        try:
            manifest = self._parsed(part.data)
        except BrokenChunkError as error:
            self._unread.append((part.is_listed, f"{where}: it cannot be read: {error}."))
            return
        if manifest.is_cut:
            self._evidence.skip(f"{where}: it has more, or longer texts, than the limits.")
        if manifest.unresolved:
            names = ", ".join(manifest.unresolved)
            self._evidence.skip(f"{where}: the resources do not say what {names} is.")
        self.told += oddities_of(manifest, where)
        self.manifest = self.manifest or manifest

    def read_beside(self, others: Iterable["OneApp"]) -> None:
        """Read the manifest again with the resources of the packages that are installed with it."""
        self._resources.join(one._resources for one in others)
        if self._parsed_last is None or self._parsed_last[1] is not self.manifest:
            return
        self.manifest = read_manifest(self._parsed_last[0], self._resources)
        if self.manifest.is_cut:
            self._evidence.skip(f"{self.place}: it has more, or longer texts, than the limits.")

    def _parsed(self, data: bytes) -> Manifest:
        """Return the manifest in *data*, which is wanted twice. Raises BrokenChunkError."""
        if self._parsed_last is None or self._parsed_last[0] != data:
            self._parsed_last = data, read_manifest(data, self._resources)
        return self._parsed_last[1]

    # --- as a whole ---

    def look(self) -> None:
        """Note what rules will ask for; then `judge` can be called."""
        if self.manifest is None:
            return
        app, signers = self.manifest, self.signatures.signers
        proven = [sha for one in signers for sha in (one.sha256, *one.rotated_from)]
        self.keep.app(app, self.label, [*dict.fromkeys(proven)], self.place)
        self._keep_labels()
        for finding in (*self.told, *self.signature_findings()):
            self.find(finding)
        screen = screen_of(self._patterns.behaviours)
        wanted = screen.references.union(app_traits.REFERENCES)
        self.keep.references(self.code.references(wanted, screen.told), wanted)
        for trait in self.code.traits(*self._classes(app)):
            self.keep.trait(trait)
        for note in self.code.notes(self.keep.values["traits"]):
            self.find(note)
        if hidden := app_traits.hidden_code(self.keep.values["traits"]):
            self.find(hidden)
            where = f"{self.place}!/byte code" if self.place else "byte code"
            self._evidence.skip(f"{where}: the app's own code is encrypted, so it was not seen.")

    def _keep_labels(self) -> None:
        if len(self.labels) > MAXIMUM_LABELS or self._resources.is_cut:
            where = f"{self.place}!/resources" if self.place else "resources"
            self._evidence.skip(f"{where}: there is more to look up than the limits.")
        self.keep.values["labels"] = self.labels[:MAXIMUM_LABELS]

    def judge(self) -> None:
        """Apply the rules."""
        if self.manifest is None:
            return
        found, needs = app_findings(self.keep.values, self._patterns.data, self.code.ask)
        for rule in needs:  # a scan looks for all that rules ask: none is left open
            self._evidence.skip(f"{self.place or 'the app'}: rule {rule} could not be judged.")
        self.keep.values["code"] = self.code.answers
        for finding in found:
            self.find(finding)

    def stand_for(self, base: "OneApp", manifest: Manifest) -> None:
        """Become the app that *base* and the packages beside it are together."""
        self.place, self.manifest = base.place, manifest
        self.signatures, self._resources = base.signatures, base._resources
        self.keep.values["traits"] = []

    def signature_findings(self) -> list[Finding]:
        """Return what the signatures say about themselves, with their places in the file."""
        return [placed_in(one, self.place) for one in findings_of(self.signatures, _now())]

    def find(self, finding: Finding) -> None:
        """Keep a finding about this app, unless an app around it has it already."""
        placed = placed_in(finding, self.place)
        known = self._evidence.findings.get(placed.rule, ()) if self.outer else ()
        if any(one.where == placed.where for one in known):
            return
        if not self.is_installed and placed.rule.startswith(_OF_INSTALLING):
            placed = placed._replace(severity="note")
        self._evidence.find(placed)

    @property
    def label(self) -> str:
        """The name that users see."""
        first = self.manifest.labels[0] if self.manifest and self.manifest.labels else ""
        if isinstance(first, str):
            return first
        return next(iter(self._resources.texts(first)), f"@{first:#x}")

    @cached_property
    def labels(self) -> list[str]:
        """The names that users may see, in every language: the app's, then those of its icons."""
        found: dict[str, None] = {}
        for one in self.manifest.labels if self.manifest else ():
            texts = self._resources.texts(one) if isinstance(one, int) else [one]
            found |= dict.fromkeys(as_seen(text) for text in texts)
        return [*found]

    def _classes(self, app: Manifest) -> tuple[str, list[str], list[str]]:
        """Return the descriptors of the application class (empty: Android's), of the components,
        and of those with an icon.
        """
        own = app.application_class and class_of(app.package, app.application_class)
        parts = [part for part in app.components if part.kind != "activity-alias"]
        with_icon = [part for part in parts if LAUNCHER in part.categories]
        whole, first = (
            [class_of(app.package, one.name) for one in some] for some in (parts, with_icon)
        )
        return own, whole, first


_OF_INSTALLING = ("signature_", "debug_key", "debuggable_app", "weak_signature")
"""Findings that weigh nothing for an app inside: Android asks when that one is installed."""


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
