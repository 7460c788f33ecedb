"""The sources of a pattern set: read, and checked so that every rule explains itself.

A source folder holds ``VERSION``, ``yara/*.yar``, ``behaviours.toml`` and ``signers.toml`` (the
last three may be missing) and whatever else documents them; ``docs/patterns.md`` describes the
fields.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yara
from pydantic import Field, TypeAdapter, ValidationError

from patterns.opened import EXTERNALS
from runtime.errors import MalformedMessageError, NotFoundError

Category = Literal[
    "backdoor",
    "billing-fraud",
    "denial-of-service",
    "elevated-privilege-abuse",
    "evasive-container",
    "hostile-downloader",
    "impersonation",
    "non-android-threat",
    "phishing",
    "privacy",
    "ransomware",
    "rooting",
    "spam",
    "spyware",
    "stalkerware",
    "test-file",
    "trojan",
    "unwanted",
    "vulnerable",
]
"""Google's categories of potentially harmful apps, and ours for what they do not name."""

RuleId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{2,79}$")]
Words = Annotated[str, Field(min_length=5, max_length=255)]
Explanation = Annotated[str, Field(min_length=20, max_length=2000)]
Technique = Annotated[str, Field(pattern=r"^(T\d{4}(\.\d{3})?)?$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Call = Annotated[str, Field(pattern=r"^L[\w/$]+;->[\w<>$]+$", max_length=255)]
Text = Annotated[str, Field(min_length=3, max_length=255)]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What every rule says of itself, whatever its form."""

    id: RuleId
    title: Words
    severity: Literal["note", "low", "medium", "high"]
    category: Category
    meaning: Explanation
    """What an app that matches does."""
    why: Explanation
    """Why this is not usual in honest apps."""
    family: Annotated[str, Field(max_length=80)] = ""
    technique: Technique = ""
    """MITRE ATT&CK Mobile id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What is looked for in manifest and code."""

    permissions: tuple[Text, ...] = ()
    actions: tuple[Text, ...] = ()
    """Intent actions that a component of the app filters for."""
    guarded_by: tuple[Text, ...] = ()
    """Permissions that a component asks of its callers, which tell what kind of service it is."""
    calls: tuple[Call, ...] = ()
    """Methods that the code refers to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour(Rule):
    """Holds for an app with every trait of *all*, and as many of *some* as *at_least* says."""

    all: Traits
    some: Traits = field(default_factory=Traits)
    at_least: Annotated[int, Field(ge=0, le=50)] = 0
    no_launcher: bool = False
    """Only for an app that shows no icon."""
    receiver_priority: Annotated[int, Field(ge=0)] = 0
    """Only when a filter for one of the actions has at least this priority."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficialSigner:
    """An app whose publisher's certificates are known; another signer means a repackaged app."""

    package: Text
    publisher: Text
    sha256: tuple[Sha256, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A certificate whose private key anybody can have."""

    sha256: Sha256
    name: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Signers:
    official: tuple[OfficialSigner, ...] = ()
    public_key: tuple[PublicKey, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckedSource:
    """Sources in order: the files of the set, and its rules."""

    files: Mapping[str, bytes]
    rules: tuple[Rule, ...]
    signers: Signers


def read_source(folder: Path) -> CheckedSource:
    """Return the sources in *folder*; MalformedMessageError names what is not in order."""
    if not folder.is_dir():
        raise NotFoundError(f"There is no folder {folder} with pattern sources.")
    texts = {path.name: _text(path) for path in sorted((folder / "yara").glob("*.yar"))}
    behaviours = _toml(folder / "behaviours.toml", "rule", tuple[Behaviour, ...], ())
    signers = _toml(folder / "signers.toml", None, Signers, Signers())
    rules = (*_yara_rules(texts), *behaviours)
    if not rules:
        raise MalformedMessageError(f"{folder} holds no rule.")
    _unique(rule.id for rule in rules)
    files = {f"yara/{name}": text.encode() for name, text in texts.items()}
    files["behaviours.json"] = _json(tuple[Behaviour, ...], behaviours)
    files["signers.json"] = _json(Signers, signers)
    return CheckedSource(files, rules, signers)


def _yara_rules(texts: Mapping[str, str]) -> list[Rule]:
    found = []
    for name, text in texts.items():
        try:
            compiled = yara.compile(source=text, externals=EXTERNALS, includes=False)
        except yara.Error as error:
            raise MalformedMessageError(f"{name}: {error}.") from None
        found += [_yara_rule(name, rule) for rule in compiled if not rule.is_private]
    return found


def _yara_rule(file_name: str, rule: Any) -> Rule:
    fields = {"id": rule.identifier, **rule.meta}
    return _checked(Rule, fields, f"{file_name}, rule {rule.identifier}")


def _toml(path: Path, key: str | None, kind: type[T], absent: T) -> T:
    if not path.exists():
        return absent
    try:
        fields = tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise MalformedMessageError(f"{path.name}: {error}.") from None
    return _checked(kind, fields.get(key, []) if key else fields, path.name)


def _checked(kind: type[T], fields: Any, place: str) -> T:
    adapter: TypeAdapter[T] = TypeAdapter(kind)
    try:
        return adapter.validate_python(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MalformedMessageError(f"{place}: {where}: {first['msg']}.") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise MalformedMessageError(f"{path.name} is not UTF-8: {error}.") from None


def _unique(ids: Iterator[str]) -> None:
    seen: set[str] = set()
    for rule in ids:
        if rule in seen:
            raise MalformedMessageError(f"Two rules are called {rule}.")
        seen.add(rule)


def _json(kind: Any, value: object) -> bytes:
    return json.dumps(
        TypeAdapter(kind).dump_python(value, mode="json"), indent=1, sort_keys=True
    ).encode()
