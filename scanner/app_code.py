"""The code of the app that is being scanned: collected, asked by rules, within limits."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from scanner import app_traits, code_notes
from scanner.code_file import CodeFile
from scanner.code_rules import CodeSearch
from scanner.dex import DAMAGE
from scanner.evidence import Evidence, Finding
from scanner.frames import Budget, BudgetError
from scanner.framework import ANDROIDS
from scanner.program import Program, Reference
from scanner.values import Told, keep_all

KEPT_BYTES = 256 * 1024 * 1024
"""Of all DEX files of one app together."""
FILES = 500
INSTRUCTIONS = 4_000_000
"""That may be walked for one app."""
_LOADED = re.compile(r"classes([2-9]|[1-9]\d{1,3})?\.dex")


class AppCode:
    """All DEX files of an app."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._files: list[CodeFile] = []
        self._known: set[bytes] = set()
        self._kept_bytes = 0
        self._program = Program([])
        self._references: dict[str, list[Reference]] = {}
        self._search: CodeSearch | None = None
        self._has_told = False
        self._budget = Budget(INSTRUCTIONS, evidence.is_late)
        self.answers: dict[str, list[str]] = {}
        """Digest of a code clause -> its evidence, for those that were asked."""

    def add(
        self, place: str, data: bytes, digest: bytes, read: CodeFile | None = None
    ) -> CodeFile | None:
        """Take one DEX file in; None when it cannot be read, or is there already.

        *read* is the file as another app has read it.
        """
        if digest in self._known:
            return None
        self._known.add(digest)
        self._kept_bytes += len(data)
        if self._kept_bytes > KEPT_BYTES or len(self._files) >= FILES:
            self._evidence.skip(f"{place}: the app has more code than is looked through.")
            return None
        try:
            file = read or CodeFile(place, data)
        except DAMAGE as error:
            self._evidence.skip(f"{place}: its tables cannot be read: {error}.")
            return None
        self._files.append(file)
        return file

    def references(self, wanted: Iterable[str], told: Told = keep_all) -> list[str]:
        """Return which of *wanted* the code refers to; the other methods want this done first."""
        self._program = Program(in_androids_order(self._files), told)
        try:
            self._references = self._program.references(wanted)
        except DAMAGE as error:
            self._evidence.skip(f"byte code: its tables cannot be read: {error}.")
        return sorted(self._references)

    def ask(self, clause: Mapping[str, Any], classes: list[str]) -> list[str]:
        """Return the evidence for a code clause; what cannot be told is noted as skipped."""
        lines = self._evidence_for(clause, classes)
        if self._program.classes.is_cut and not self._has_told:
            self._has_told = True
            self._evidence.skip("byte code: classes descend from more others than are looked at.")
        self.answers[clause["digest"]] = lines
        return lines

    def traits(
        self, application: str, components: Sequence[str], first: Collection[str] = ()
    ) -> list[str]:
        """Return what the code shows of itself; all are descriptors of classes in the manifest.

        *first* are those of *components* that the launcher starts.
        """
        found = app_traits.from_references(self._references)
        try:
            own = {*components} - ANDROIDS  # a class of Android is never in the file
            missing = {one for one in own if self._program.classes.find(one) is None}
        except DAMAGE:  # told by `references` already
            missing = set()
        if len(missing) > app_traits.MOST * len({*components}) or missing.intersection(first):
            found.append("missing_code")
        if application and self._is_stub(found, application):
            found.append("stub_application")
        return found

    def notes(self, traits: Collection[str]) -> list[Finding]:
        """Return what the code does to stay unread, with the places."""
        try:
            renamed = code_notes.renamed(self._files)
            found = [*code_notes.habits(self._files, self._references, traits)]
        except DAMAGE:  # told by `references` already
            return []
        return [*found, *([renamed] if renamed else [])]

    def _is_stub(self, traits: list[str], application: str) -> bool:
        if {"missing_code", "loads_native"} <= set(traits):
            return True
        return "loads_code" in traits and bool(
            self._evidence_for(app_traits.STUB_CLAUSE, [application])
        )

    def _evidence_for(self, clause: Mapping[str, Any], classes: list[str]) -> list[str]:
        try:
            if self._search is None:
                self._search = CodeSearch(self._program, self._references, self._budget)
            return self._search.evidence(clause, classes)
        except BudgetError:
            self._evidence.skip("byte code: there is more of it than can be followed in time.")
        except DAMAGE as error:
            self._evidence.skip(f"byte code: it is damaged where a rule looks: {error}.")
        return []


def in_androids_order(files: Iterable[CodeFile]) -> list[CodeFile]:
    """Return *files* as Android loads them: of two classes with one name the first one runs.

    ``classes.dex``, ``classes2.dex`` and so on, package by package; then what only the app loads.
    """
    archives: dict[str, int] = {}

    def place(file: CodeFile) -> tuple[bool, int, int, int]:
        archive, _, name = file.place.rpartition("!/")
        number = archives.setdefault(archive, len(archives))
        found = _LOADED.fullmatch(name)
        return not found, file.place.count("!/"), number, int(found[1] or 1) if found else 0

    return sorted(files, key=place)
