"""An unpacked pattern set, ready to match. Imports little: every scanner child pays for it."""

import json
import os
from typing import Any, NamedTuple

import yara

from runtime.errors import NotFoundError, RefusedError

EXTERNALS: dict[str, str | int] = {"kind": "", "entry": "", "depth": 0}
"""What a YARA condition may ask of the part of the file at hand: ``kind`` (``dex``, ``elf``,
``xml``, ``resources``, ``archive``, ``outside`` or ``other``), its path, how deep it is nested."""


class OpenSet(NamedTuple):
    """Rules of one version; the fields of *behaviours* and *signers* are `rule_source`'s."""

    version: str
    yara: Any
    behaviours: list[dict[str, Any]]
    signers: dict[str, Any]


def open_set(folder: str) -> OpenSet:
    """Return the set that `pattern_set.unpack` wrote to *folder*, its YARA rules compiled.

    Raises NotFoundError when the folder holds none, RefusedError when a rule does not compile.
    """
    try:
        manifest = json.loads(_read(folder, "manifest.json"))
        sources = {
            name: _read(folder, name).decode()
            for name in manifest["files"]
            if name.endswith(".yar")
        }
        behaviours = json.loads(_read(folder, "behaviours.json"))
        signers = json.loads(_read(folder, "signers.json"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotFoundError(f"{folder} holds no readable pattern set: {error!r}.") from None
    try:
        rules = yara.compile(sources=sources, externals=EXTERNALS, includes=False)
    except yara.Error as error:
        raise RefusedError(f"The pattern set in {folder} does not compile: {error}.") from None
    return OpenSet(str(manifest["version"]), rules, behaviours, signers)


def _read(folder: str, name: str) -> bytes:
    file = os.open(f"{folder}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(file, "rb") as opened:
        return opened.read()
