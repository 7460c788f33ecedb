"""What code does to stay unread, told as notes with the places: honest apps do it, too."""

import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from scanner import app_traits
from scanner.code_file import CodeFile
from scanner.evidence import Finding
from scanner.program import Reference

CATEGORY = "evasive-container"
SITES = 5
"""Methods that are named for one note."""
CLASSES = 200
"""Looked at, from all over the files."""
FEWEST = 20
"""Classes of which a share says something."""
SHARE = 0.5
_SHORT = re.compile(r"(?:^L|/)(?:[^/;$]{1,2}|[Il1i0Oo]{3,})(?:\$.*)?;$|[^\x00-\x7f]")


class Habit(NamedTuple):
    """Something that code does with these calls."""

    rule: str
    calls: Sequence[str]
    title: str
    meaning: str
    technique: str


HABITS = (
    Habit(
        "trait_reflection",
        app_traits.REFLECTION,
        "Calls methods by their names",
        "Which method runs is a text that the app may make up when it runs. Libraries do it for"
        " settings and tests; who hides what the app does, does it to keep names out of the code.",
        "T1406",
    ),
    Habit(
        "trait_loads_code",
        app_traits.LOADS_CODE,
        "Loads code when it runs",
        "What is loaded need not be in the file: it was read where it lies in there, and what comes"
        " from elsewhere was not.",
        "T1407",
    ),
    Habit(
        "trait_loads_native",
        app_traits.LOADS_NATIVE,
        "Loads native code",
        "Native libraries are searched for known programs and texts; what they do is not followed.",
        "T1575",
    ),
)
"""The notes; what no rule about behaviour blames weighs nothing."""


def habits(
    files: Sequence[CodeFile], references: Mapping[str, Sequence[Reference]], traits: Iterable[str]
) -> Iterator[Finding]:
    """Yield a note for each of *traits* that a habit shows, with the first methods that do so."""
    for habit in HABITS:
        if habit.rule.removeprefix("trait_") in traits:
            sites = [*islice(_sites(files, references, habit.calls), SITES)]
            if sites:
                yield _note(habit, sites)


def _sites(
    files: Sequence[CodeFile], references: Mapping[str, Sequence[Reference]], calls: Iterable[str]
) -> Iterator[str]:
    for number, file in enumerate(files):
        for call in calls:
            rows = [
                row for at, field, row in references.get(call, ()) if at == number and not field
            ]
            for method in file.users(rows, (), most=SITES)[:SITES]:
                where = f"{file.place} at {method.code_at:#x}"
                yield f"{where}: {method.owner}->{method.name} uses {call}"


def _note(habit: Habit, sites: Sequence[str]) -> Finding:
    return Finding(
        habit.rule,
        "note",
        sites[0].split(": ", 1)[0],
        "; ".join(sites),
        habit.title,
        CATEGORY,
        technique=habit.technique,
        confidence="high",
        meaning=habit.meaning,
    )


def renamed(files: Sequence[CodeFile]) -> Finding | None:
    """Return a note when most classes have names that say nothing; a few of each file are read."""
    most = max(1, CLASSES // max(1, len(files)))
    names = [name for file in files for name in _names(file, most)]
    odd = [name for name in names if _SHORT.search(name)]
    if len(names) < FEWEST or len(odd) < SHARE * len(names):
        return None
    return Finding(
        "trait_renamed",
        "note",
        "byte code",
        f"{len(odd)} of {len(names)} classes looked at, for example {', '.join(odd[:3])}.",
        "Names in the code were replaced",
        CATEGORY,
        technique="T1406",
        confidence="high",
        meaning="Tools that make apps smaller replace names by letters; so do those that make code"
        " hard to read. Rules here ask for what code does, not for its names.",
    )


def _names(file: CodeFile, most: int) -> Iterator[str]:
    table = file.dex.classes
    for row in range(0, table.rows, max(1, -(-table.rows // most))):
        (kind,) = struct.unpack_from("<I", file.data, table.at + 32 * row)
        yield file.type_name(kind)
