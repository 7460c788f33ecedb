"""Could code hold the constant texts that a step asks for? Cheap, and never wrongly no."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from scanner.behaviour_rules import alternatives
from scanner.code_sites import TEXTS, section
from scanner.program import Program

_ANCHORS = re.compile(r"^\^|\$$|\\[bB]")
_PLAIN = re.compile(rb"[\w /:=-]*")
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_CLASS = re.compile(rb"\[[^\[\]]*\]")
_GROUP = re.compile(rb"\([^()]*\)")
_UNSURE = re.compile(r"[^\x20-\x7e]|[\^$](?!\])|\\[AZzdDwWsSbB]|\(\?[^:]|(?<!\\)\.")
"""Among them ``.``: one letter of a text is more than one byte of it."""
_FOLDED = re.compile("[iks]", re.IGNORECASE)
"""Letters that are the other case of one beyond ASCII, too: ``İ``, ``K``, ``ſ``."""


class Constants:
    """The texts of one program."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._equal: dict[str, bool] = {}
        self._matching: dict[str, bool] = {}

    def may_fit(self, step: Mapping[str, Any]) -> bool:
        """Whether the arguments that *step* or all of its alternatives ask for may be there."""
        if not all(self._may_be(asked) for asked in step["arguments"].values()):
            return False
        return not step["either"] or any(self.may_fit(other) for other in step["either"])

    def _may_be(self, asked: Mapping[str, Any]) -> bool:
        equals = asked["equals"]
        if equals and all(isinstance(one, str) for one in equals):
            return any(self._has(one) for one in equals)
        return not asked["matches"] or self._has_match(asked["matches"])

    def _has(self, text: str) -> bool:
        if text not in self._equal:
            self._equal[text] = any(file.find_strings((text,)) for file in self._program.files)
        return self._equal[text]

    def _has_match(self, pattern: str) -> bool:
        if pattern not in self._matching:
            self._matching[pattern] = any(
                _may_match(pattern, file.data, section(file.data, TEXTS))
                for file in self._program.files
            )
        return self._matching[pattern]


def _may_match(pattern: str, data: bytes, area: tuple[int, int]) -> bool:
    """Whether *pattern* may be found between two places of *data*; the plain text is looked for."""
    weaker = _weaker(pattern)
    if weaker is None:
        return True
    plain = _plain_beginning(weaker)
    return data.find(plain, *area) >= 0 and weaker.search(data, *area) is not None


def prepare(clauses: Iterable[Mapping[str, Any]]) -> None:
    """Compile the expressions that *clauses* ask for, so that no copy of this process must."""
    for step in alternatives([step for clause in clauses for step in clause["steps"]]):
        for asked in step["arguments"].values():
            if asked["matches"]:
                re.compile(asked["matches"])  # `scanner.code_rules` finds it in the cache of `re`
                if (weaker := _weaker(asked["matches"])) is not None:
                    _plain_beginning(weaker)


@cache
def _weaker(pattern: str) -> re.Pattern[bytes] | None:
    """Return an expression over bytes that is found wherever *pattern* is; None: not sure."""
    folds, body = "(?i)" in pattern, _ANCHORS.sub("", pattern).replace("(?i)", "")
    if _UNSURE.search(body) or "[^" in body or (folds and _FOLDED.search(body)):
        return None
    return re.compile(body.encode(), re.IGNORECASE if folds else 0)


@cache
def _plain_beginning(expression: re.Pattern[bytes]) -> bytes:
    """Return text that stands at the beginning of whatever *expression* finds; it may be empty."""
    body = expression.pattern
    outer = _CLASS.sub(b"", _ESCAPED.sub(b"", body))
    while (inside := _GROUP.search(outer)) is not None:
        outer = outer.replace(inside[0], b"")
    if expression.flags & re.IGNORECASE or not {*outer}.isdisjoint(b"|()[]"):
        return b""
    found = _PLAIN.match(body)
    plain = found[0] if found else b""
    return plain[:-1] if body[len(plain) : len(plain) + 1] in (b"?", b"*", b"{") else plain
