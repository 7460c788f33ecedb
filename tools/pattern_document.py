"""Writes the list of the shipped rules into docs/patterns.md from the sources themselves.

python tools/pattern_document.py [--check]
"""

import sys
import textwrap
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from patterns import pattern_set, rule_source
from patterns.rule_language import Rule

TARGET = Path(__file__).parent.parent / "docs/patterns.md"
BEGIN = "## The shipped rules\n"
SEVERITIES = ("high", "medium", "low", "note")
WIDTH = 119


def text() -> str:
    """Return the part of the document from `BEGIN` on."""
    rules = sorted(rule_source.read_source(pattern_set.SHIPPED).rules, key=_order)
    head = (
        f"\n{len(rules)} rules in `patterns/base/`. `sekisho pattern show RULE` tells what each"
        " means and why it is not usual in honest\napps; `tests/scanner/samples/apps/RULE.app`"
        " shows what it finds and what it leaves alone. Written by\n"
        "`tools/pattern_document.py`.\n"
    )
    parts = [
        f"\n### {category}\n\n" + "\n".join(map(_line, group)) + "\n"
        for category, group in groupby(rules, lambda rule: rule.category)
    ]
    return BEGIN + head + "".join(parts)


def _order(rule: Rule) -> tuple[str, int, str]:
    return rule.category, SEVERITIES.index(rule.severity), rule.id


def _line(rule: Rule) -> str:
    about = ", ".join(word for word in (rule.severity, rule.technique) if word)
    words = f"- `{rule.id}` ({about}): {rule.title}"
    return "\n".join(textwrap.wrap(words, WIDTH, subsequent_indent="  "))


def whole(document: str) -> str:
    """Return *document* with its last part written anew."""
    return document.partition(BEGIN)[0].rstrip("\n") + "\n\n" + text()


def problems() -> Iterator[str]:
    """Yield a sentence when the list is not what the sources say."""
    document = TARGET.read_text(encoding="utf-8")
    if document != whole(document):
        yield "docs/patterns.md is out of date: run `PYTHONPATH=. python tools/pattern_document.py`"


def main(arguments: list[str]) -> int:
    """Write the list, or only look whether it is right."""
    if "--check" in arguments:
        found = [*problems()]
        print(*found, sep="\n", end="\n" if found else "")
        return 1 if found else 0
    TARGET.write_text(whole(TARGET.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
