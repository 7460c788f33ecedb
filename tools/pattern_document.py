"""Writes the list of the shipped rules into docs/patterns.md from the sources themselves.

python tools/pattern_document.py [--check]
"""

import sys
import textwrap
from itertools import groupby

from patterns import pattern_set, rule_source
from patterns.rule_language import Rule
from tools.generated import ROOT, write_or_check

TARGET = ROOT / "docs/patterns.md"
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


if __name__ == "__main__":
    sys.exit(write_or_check(TARGET, whole(TARGET.read_text(encoding="utf-8"))))
