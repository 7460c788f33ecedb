"""Apply the YARA rules of a pattern set to one part of a file."""

from collections.abc import Callable, Mapping
from typing import Any

import yara

from scanner.evidence import PLACE_LENGTH, Evidence, Finding, printable

STRINGS_SHOWN = 3
BYTES_SHOWN = 60
INSTANCES = 50
"""Looked at of the versions of one library in one part of a file."""
LIBRARY = "library"
"""Meta of the rules that only tell of a library (`patterns.library_source`)."""


class Matcher:
    """Turns matches into findings that name rule, place and matched text."""

    def __init__(
        self,
        rules: Mapping[str, Any],
        evidence: Evidence,
        library: Callable[[str, str, str], None],
    ) -> None:
        """*rules* are those of each kind; *library* is told name, place and text of each found."""
        self._rules = rules
        self._evidence = evidence
        self._library = library

    def match(
        self,
        place: str,
        kind: str,
        depth: int,
        data: bytes,
        offset: Callable[[int], int] = int,
    ) -> None:
        """Match *data*; *offset* turns an offset in it into one that a reader can look up.

        What cannot be matched within the time limit is noted as skipped.
        """
        limits = self._evidence.limits
        try:
            matches = self._rules[kind].match(
                data=data,
                externals={"kind": kind, "entry": printable(place, PLACE_LENGTH), "depth": depth},
                timeout=limits.yara_seconds,
            )
        except yara.TimeoutError:
            self._evidence.skip(f"{place}: matching took more than {limits.yara_seconds} s.")
            return
        except yara.Error as error:
            self._evidence.skip(f"{place}: matching failed: {error}.")
            return
        for match in matches:
            if LIBRARY not in match.meta:
                self._evidence.find(_finding(match, place, offset))
                continue
            for at, text in _versions(match):
                self._library(str(match.meta[LIBRARY]), f"{place} at {offset(at):#x}", text)


def _versions(match: Any) -> list[tuple[int, str]]:
    """Return offset and text of what tells the version of a library."""
    return [
        (instance.offset, bytes(instance.matched_data[:BYTES_SHOWN]).decode("latin-1"))
        for string in match.strings
        if string.identifier == "$version"
        for instance in string.instances[:INSTANCES]
    ]


def _finding(match: Any, place: str, offset: Callable[[int], int]) -> Finding:
    shown = [
        (instance.offset, string.identifier, bytes(instance.matched_data[:BYTES_SHOWN]))
        for string in match.strings[:STRINGS_SHOWN]
        for instance in string.instances[:1]
    ]
    meta = match.meta
    first = f" at {offset(shown[0][0]):#x}" if shown else ""
    return Finding(
        rule=match.rule,
        severity=str(meta.get("severity", "medium")),
        where=f"{place}{first}",
        evidence="; ".join(
            f"{name} at {offset(at):#x}: {body.decode('latin-1')}" for at, name, body in shown
        )
        or f"the entry's name, {place.rpartition('/')[2]}",
        title=str(meta.get("title", "")),
        category=str(meta.get("category", "")),
        family=str(meta.get("family", "")),
        technique=str(meta.get("technique", "")),
        confidence=str(meta.get("confidence", "medium")),
        meaning=str(meta.get("meaning", "")),
        reference=str(meta.get("reference", "")),
    )
