"""Tries a pattern set before it is built: what slows every scan, or hits what is good, is refused.

The corpus is what every installation has: Python's interpreter and library, names as byte code has
them, and bytes without any order. A rule's cost is compared with that of a rule that looks for one
plain text, measured in the same run, so that the machine does not matter.
"""

import random
import sys
import sysconfig
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yara

from contracts.scan import Verdict
from patterns.by_kind import split_yara
from patterns.opened import EXTERNALS, open_data
from scanner.many import scan_all

MEGABYTE = 1_000_000
ROUNDS = 3
SLOWEST = 6.0
"""Times the cost of the plain rule."""
PLAIN = 'rule plain { strings: $a = "a text that is nowhere" condition: $a }'
SECONDS = 60
"""For one rule and one part of the corpus."""


class Cost(NamedTuple):
    """What one YARA rule costs on the corpus."""

    rule: str
    microseconds: float
    """CPU, for each megabyte."""
    ratio: float
    """To a rule that looks for one plain text."""
    hits: tuple[str, ...]
    """Parts of the corpus that it matches."""


def corpus() -> list[tuple[str, str, bytes]]:
    """Return (name, kind, content) of what no rule may match; about four megabytes."""
    library = Path(sysconfig.get_path("stdlib"))
    sources = b"".join(path.read_bytes() for path in sorted(library.glob("*.py")))[:MEGABYTE]
    chosen = random.Random(2026)  # noqa: S311  (the same in each run)
    words = sorted({*sources[:300_000].decode("utf-8", "ignore").split()})
    names = "\0".join(f"Landroid/{a}/{b};" for a, b in zip(words, reversed(words), strict=True))
    dex = b"dex\n035\0" + (names.encode() * 20)[:MEGABYTE]
    return [
        ("Python's interpreter", "elf", Path(sys.executable).read_bytes()[:MEGABYTE]),
        ("Python's library", "other", sources),
        ("names of classes", "dex", dex),
        ("random bytes", "outside", chosen.randbytes(MEGABYTE // 2)),
        ("zeros", "other", bytes(MEGABYTE // 2)),
    ]


def costs(texts: Iterable[str]) -> Iterator[Cost]:
    """Yield the cost of each rule in the sources *texts* of YARA files."""
    parts = corpus()
    size = sum(len(body) for _, _, body in parts) / MEGABYTE
    floor, _ = _measure(yara.compile(source=PLAIN, externals=EXTERNALS), parts)
    for text in texts:
        for name, body in split_yara(text).items():
            seconds, hits = _measure(_compiled(body, text), parts)
            mine = tuple(place for rule, place in hits if rule == name)
            yield Cost(name, seconds / size * 1e6, seconds / floor, mine)


def problems_of(measured: Iterable[Cost]) -> Iterator[str]:
    """Yield a sentence for each rule that is too slow or matches what is good."""
    for cost in measured:
        if cost.ratio > SLOWEST:
            yield (
                f"Rule {cost.rule} is slow: {cost.microseconds:,.0f} µs for each MB,"
                f" {cost.ratio:.1f} times a plain text; {SLOWEST:g} times is the most."
                " Begin each text and expression with four fixed bytes that are rare."
            )
        for place in cost.hits:
            yield f"Rule {cost.rule} hits {place}, which is good."


def good_files_hit(patterns: Path, files: Sequence[Path]) -> Iterator[str]:
    """Yield a sentence for each rule of the set in *patterns* that calls a good file bad."""
    data = open_data(str(patterns))
    ours = {*data.yara, *(rule["id"] for rule in (*data.behaviours, *data.lists))}
    for result in scan_all(files, patterns):
        if result.verdict not in (Verdict.SUSPICIOUS, Verdict.MALICIOUS):
            continue
        for finding in result.findings:
            if finding.rule in ours and finding.severity in ("medium", "high"):
                yield (
                    f"Rule {finding.rule} hits the good file {result.file}:"
                    f" {finding.where}: {finding.evidence}"
                )


def _compiled(body: str, whole: str) -> Any:
    """Return one rule alone, or with its file when it needs others there."""
    try:
        return yara.compile(source=body, externals=EXTERNALS, includes=False)
    except yara.Error:
        return yara.compile(source=whole, externals=EXTERNALS, includes=False)


def _measure(
    rules: Any, parts: Sequence[tuple[str, str, bytes]]
) -> tuple[float, list[tuple[str, str]]]:
    """Return CPU seconds, the best of some rounds, and (rule, part) for each match."""
    best = float("inf")
    hits: list[tuple[str, str]] = []
    for _ in range(ROUNDS):
        began, hits = time.process_time(), []
        for name, kind, body in parts:
            hits += [(rule, name) for rule in _matched(rules, kind, body)]
        best = min(best, time.process_time() - began)
    return best, hits


def _matched(rules: Any, kind: str, body: bytes) -> list[str]:
    externals = {"kind": kind, "entry": "corpus", "depth": 0}
    try:
        found = rules.match(data=body, externals=externals, timeout=SECONDS)
    except yara.TimeoutError:
        return []  # its time is counted, and is too long
    return [match.rule for match in found]
