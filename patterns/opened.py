"""An unpacked pattern set, ready to match. Imports little: every scanner child pays for it."""

import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from runtime.errors import NotFoundError, RefusedError

EXTERNALS: dict[str, str | int] = {"kind": "", "entry": "", "depth": 0}
"""What a YARA condition may ask of the part of the file at hand: ``kind`` (``dex``, ``elf``,
``xml``, ``resources``, ``archive``, ``outside`` or ``other``), its path, how deep it is nested."""


class RuleData(NamedTuple):
    """Rules of one version that need no file; the fields are those of `patterns.rule_language`."""

    version: str
    behaviours: list[dict[str, Any]]
    signers: dict[str, Any]
    lists: list[dict[str, Any]]
    yara: dict[str, str]
    """YARA rule -> digest of its text."""


class OpenSet(NamedTuple):
    """Rules of one version, ready to match."""

    yara: Any
    data: RuleData
    yara_by_kind: Mapping[str, Any]
    """Kind of a part of the file -> those of the YARA rules that can hold for it."""

    @property
    def version(self) -> str:
        return self.data.version

    @property
    def behaviours(self) -> list[dict[str, Any]]:
        return self.data.behaviours

    @property
    def signers(self) -> dict[str, Any]:
        return self.data.signers


def open_set(folder: str) -> OpenSet:
    """Return the set that `pattern_set.unpack` wrote to *folder*, its YARA rules compiled.

    Raises NotFoundError when the folder holds none, RefusedError when a rule does not compile.
    """
    import yara

    from patterns.by_kind import compiled

    data = open_data(folder)
    try:
        names = json.loads(_read(folder, "manifest.json"))["files"]
        sources = {name: _read(folder, name).decode() for name in names if name.endswith(".yar")}
        rules, by_kind = compiled(sources, EXTERNALS)
    except (OSError, ValueError) as error:
        raise NotFoundError(f"{folder} holds no readable pattern set: {error!r}.") from None
    except yara.Error as error:
        raise RefusedError(f"The pattern set in {folder} does not compile: {error}.") from None
    return OpenSet(rules, data, by_kind)


def open_data(folder: str) -> RuleData:
    """Return the rules in *folder* that can be judged from stored features, without YARA.

    Raises NotFoundError when the folder holds no set.
    """
    try:
        manifest = json.loads(_read(folder, "manifest.json"))
        parts = {
            name: json.loads(_read(folder, f"{name}.json"))
            for name in ("behaviours", "signers", "lists", "yara")
        }
        return RuleData(str(manifest["version"]), **parts)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotFoundError(f"{folder} holds no readable pattern set: {error!r}.") from None


def open_words(folder: str, language: str) -> dict[str, str]:
    """Return English text -> *language* for what the rules in *folder* say; most sets have none."""
    try:
        words = json.loads(_read(folder, f"words_{language}.json"))
        return {str(english): str(translated) for english, translated in words.items()}
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}


def _read(folder: str, name: str) -> bytes:
    file = os.open(f"{folder}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(file, "rb") as opened:
        return opened.read()
