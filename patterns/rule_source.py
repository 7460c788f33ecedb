"""The sources of a pattern set: read, and checked so that every rule explains itself.

A source folder holds ``VERSION``, ``yara/*.yar``, ``behaviours.toml``, ``behaviours/*.toml``,
``steps.toml``, ``lists/*.toml``, ``libraries.toml``, ``signers.toml`` and ``words/*.toml`` (all but
``VERSION`` may be missing) and whatever else documents them; ``docs/patterns.md`` describes the
fields. All problems are told at once.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import yara
from pydantic import TypeAdapter, ValidationError

from patterns import library_source, rule_checks, words
from patterns.by_kind import split_yara
from patterns.opened import EXTERNALS
from patterns.rule_language import Behaviour, KnownList, Libraries, Library, Rule, Signers
from runtime.errors import MalformedMessageError, NotFoundError

T = TypeVar("T")
SHIPPED = Path(__file__).parent / "base"
"""Sources of the set that comes with the release."""
DIGEST_LENGTH = 16
LIBRARIES = "libraries.yar"
"""What ``libraries.toml`` becomes in the set."""


@dataclass(frozen=True, slots=True)
class CheckedSource:
    """Sources in order: the files of the set, and its rules."""

    files: Mapping[str, bytes]
    rules: tuple[Rule, ...]
    signers: Signers


class _Reader:
    """Reads one source folder and collects what is wrong with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: list[str] = []
        self.named = self.toml(folder / "steps.toml")

    def text(self, path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            self.problems.append(f"{path.name} is no readable UTF-8: {error}.")
            return ""

    def toml(self, path: Path) -> dict[str, Any]:
        try:
            return tomllib.loads(self.text(path)) if path.exists() else {}
        except tomllib.TOMLDecodeError as error:
            self.problems.append(f"{path.name}: {error}.")
            return {}

    def checked(self, kind: type[T], fields: Any, place: str) -> T | None:
        try:
            value: T = _adapter(kind).validate_python(fields)
            return value
        except ValidationError as error:
            for problem in error.errors(include_url=False, include_input=False):
                where = ".".join(str(part) for part in problem["loc"])
                self.problems.append(f"{place}: {where or 'it'}: {problem['msg']}.")
            return None

    def rules(self, paths: Iterable[Path], kind: type[T]) -> list[tuple[Path, T]]:
        """Return the rules in TOML files, each a table of ``[[rule]]``."""
        found = []
        for path in paths:
            fields = self.toml(path)
            for other in fields.keys() - {"rule"}:
                self.problems.append(f"{path.name}: '{other}' is not known here, only [[rule]].")
            for number, one in enumerate(fields.get("rule", ())):
                name = one.get("id", f"number {number + 1}") if isinstance(one, dict) else number
                place = f"{path.name}, rule {name}"
                rule = self.checked(kind, self.filled(one, place), place)
                if rule is not None:
                    found.append((path, rule))
        return found

    def filled(self, rule: Any, place: str) -> Any:
        """Fill in what code clauses and their steps `use` of ``steps.toml``."""
        given = rule.get("code", ()) if isinstance(rule, dict) else ()
        clauses = [clause for clause in given if isinstance(clause, dict)]
        steps = [s for c in clauses for s in c.get("steps", ()) if isinstance(s, dict)]
        for one in (*clauses, *steps):
            name = one.pop("use", None)
            if name in self.named:
                one.update({**self.named[name], **one})
            elif name is not None:
                self.problems.append(f"{place}: steps.toml has no {name!r}.")
        return rule

    def yara(self, texts: Mapping[str, str]) -> list[Rule]:
        found = []
        for name, text in texts.items():
            try:
                compiled = yara.compile(source=text, externals=EXTERNALS, includes=False)
            except yara.Error as error:
                self.problems.append(f"{name}: {error}.")
                continue
            for one in compiled:
                fields = {"id": one.identifier, **one.meta}
                rule = self.checked(Rule, fields, f"{name}, rule {one.identifier}")
                if rule is not None and not one.is_private:
                    found.append(rule)
        return found

    def libraries(self) -> tuple[Library, ...]:
        fields = self.toml(self.folder / "libraries.toml")
        found = self.checked(Libraries, fields, "libraries.toml") or Libraries()
        for one in found.library:
            if problem := library_source.problem_of(one):
                self.problems.append(f"libraries.toml, {one.name}: {problem}.")
        return found.library

    def words(self, rules: Iterable[Rule]) -> dict[str, dict[str, Any]]:
        """Return language -> English text -> translated text."""
        rules = tuple(rules)
        paths = sorted((self.folder / "words").glob("*.toml"))
        found = {path.stem: self.toml(path) for path in paths}
        for language, said in found.items():
            self.problems += words.problems_of(language, said, rules)
        if self.folder.resolve() == SHIPPED.resolve():
            self.problems += words.missing(found, rules)
        return found

    def lists(self) -> list[KnownList]:
        paths = sorted((self.folder / "lists").glob("*.toml"))
        return [self._filled(path, rule) for path, rule in self.rules(paths, KnownList)]

    def _filled(self, path: Path, rule: KnownList) -> KnownList:
        if not rule.values_file:
            return rule
        lines = self.text(path.parent / rule.values_file).splitlines()
        more = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
        return replace(rule, values=tuple(dict.fromkeys((*rule.values, *more))))


def read_source(folder: Path) -> CheckedSource:
    """Return the sources in *folder*; MalformedMessageError names all that is not in order."""
    if not folder.is_dir():
        raise NotFoundError(f"There is no folder {folder} with pattern sources.")
    reader = _Reader(folder)
    texts = {path.name: reader.text(path) for path in sorted((folder / "yara").glob("*.yar"))}
    paths = [folder / "behaviours.toml", *sorted((folder / "behaviours").glob("*.toml"))]
    behaviours = [rule for _, rule in reader.rules(paths, Behaviour)]
    lists = reader.lists()
    fields = reader.toml(folder / "signers.toml")
    signers = reader.checked(Signers, fields, "signers.toml") or Signers()
    libraries = reader.libraries()
    rules = (*reader.yara(texts), *behaviours, *lists)
    translated = {words.file_of(name): _json(said) for name, said in reader.words(rules).items()}
    problems = [*reader.problems, *rule_checks.problems_of(rules, libraries)]
    if not rules and not problems:
        problems.append(f"{folder} holds no rule.")
    if problems:
        raise MalformedMessageError("\n".join(problems))
    if libraries:
        texts[LIBRARIES] = library_source.as_yara(libraries)
    files = _files(texts, behaviours, lists, signers) | translated
    return CheckedSource(files, rules, signers)


def _files(
    texts: Mapping[str, str],
    behaviours: list[Behaviour],
    lists: list[KnownList],
    signers: Signers,
) -> dict[str, bytes]:
    files = {f"yara/{name}": text.encode() for name, text in texts.items()}
    files["yara.json"] = _json(_yara_digests(texts))
    files["behaviours.json"] = _json([_with_digests(rule) for rule in behaviours])
    files["lists.json"] = _json([asdict(rule) for rule in lists])
    files["signers.json"] = _json(asdict(signers))
    return files


def _yara_digests(texts: Mapping[str, str]) -> dict[str, str]:
    return {
        name: _digest(body) for text in texts.values() for name, body in split_yara(text).items()
    }


def _with_digests(rule: Behaviour) -> dict[str, Any]:
    """Add to each code clause what tells whether a stored answer is an answer to it."""
    fields = asdict(rule)
    for clause in fields["code"]:
        starts = [one for one in fields["component"] if one["label"] == clause["component"]]
        asked = [clause, starts if clause["component"] else []]
        clause["digest"] = _digest(json.dumps(asked, sort_keys=True))
    return fields


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode()


_ADAPTERS: dict[Any, TypeAdapter[Any]] = {}


def _adapter(kind: Any) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]
