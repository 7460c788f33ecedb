"""Which YARA rules can hold for which kind of part of a file: the others need not be looked for.

A condition says so itself: `kind == "elf" and …`. Where it does not say so plainly, the rule stays
with all kinds.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any

import yara

KINDS = frozenset({"dex", "elf", "xml", "resources", "archive", "outside", "other"})
_RULE = re.compile(r"^(?:(?:private|global)\s+)*rule\s+(\w+)", re.MULTILINE)
_CONDITION = re.compile(r"\bcondition\s*:")
_IS_KIND = re.compile(r'\bkind\s*==\s*"(\w+)"')
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/|/(?:[^/\\\n]|\\.)+/', re.DOTALL)
_TOKEN = re.compile(r"[()]|[^\s()]+")
_MARK = "kind_is_"


def split_yara(text: str) -> dict[str, str]:
    """Return rule -> its text, of a YARA file; the whole file where its rules may need each other.

    So what did not change need not be matched again.
    """
    starts = [*_RULE.finditer(text)]
    ends = [*(start.start() for start in starts[1:]), len(text)]
    alone = not re.search(r"^(private|global|import)\b", text, re.MULTILINE)
    return {
        start[1]: (text[start.start() : end] if alone else text).rstrip()
        for start, end in zip(starts, ends, strict=True)
    }


def compiled(
    sources: Mapping[str, str], externals: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Return all rules of the files in *sources*, and kind -> those that can hold for it.

    Raises yara.Error when they do not compile.
    """

    def rules(texts: Mapping[str, str]) -> Any:
        return yara.compile(sources=dict(texts), externals=dict(externals), includes=False)

    whole, known, found = rules(sources), {}, {}
    for kind in KINDS:
        texts = {name: "\n".join(_fitting(text, kind)) for name, text in sources.items()}
        key = tuple(texts.values())
        if key not in known:
            try:
                known[key] = rules(texts)
            except yara.Error:  # a rule names another, which was left out
                known[key] = whole
        found[kind] = known[key]
    return whole, found


def _fitting(text: str, kind: str) -> Iterator[str]:
    rules = split_yara(text)
    if text in rules.values():  # they may need each other
        yield text
        return
    for body in rules.values():
        if kind in kinds_of(body):
            yield body


def kinds_of(rule: str) -> frozenset[str]:
    """Return the kinds for which the rule with this text can hold; all, where it is not plain."""
    plain = _QUOTED.sub(" _ ", _IS_KIND.sub(rf"{_MARK}\1", rule))
    condition = _CONDITION.split(plain, maxsplit=1)[-1].strip().removesuffix("}")
    return _kinds(_TOKEN.findall(condition))


def _kinds(tokens: list[str]) -> frozenset[str]:
    """Return those kinds for an expression in which nothing is quoted."""
    if len(alternatives := _parts(tokens, "or")) > 1:
        return frozenset().union(*map(_kinds, alternatives))
    if len(conjuncts := _parts(tokens, "and")) > 1:
        return KINDS.intersection(*map(_kinds, conjuncts))
    if tokens[:1] == ["("] and _is_group(tokens):
        return _kinds(tokens[1:-1])
    if len(tokens) == 1 and tokens[0].startswith(_MARK):
        return KINDS & {tokens[0].removeprefix(_MARK)}
    return KINDS


def _parts(tokens: list[str], word: str) -> list[list[str]]:
    """Return what stands between the *word*s that are in no parentheses."""
    found: list[list[str]] = [[]]
    for text, depth in zip(tokens, accumulate(map(_step, tokens)), strict=True):
        if text == word and not depth:
            found.append([])
        else:
            found[-1].append(text)
    return found


def _is_group(tokens: list[str]) -> bool:
    """Whether the parenthesis that *tokens* begin with ends with them."""
    depths = [*accumulate(map(_step, tokens))]
    return 0 not in depths[:-1] and depths[-1] == 0


def _step(text: str) -> int:
    return (text == "(") - (text == ")")
