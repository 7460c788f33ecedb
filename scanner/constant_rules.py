"""Could code hold the constant texts that a step asks for? Cheap, and never wrongly no."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from scanner.program import Program

_ANCHORS = re.compile(r"^\^|\$$|\\[bB]")
_UNSURE = re.compile(r"[^\x20-\x7e]|[\^$](?!\])|\\[AZzdDwWsSbB]|\(\?[^:]")


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
            weaker = _weaker(pattern)
            self._matching[pattern] = weaker is None or any(
                weaker.search(file.data, *file.text_area) for file in self._program.files
            )
        return self._matching[pattern]


@cache
def _weaker(pattern: str) -> re.Pattern[bytes] | None:
    """Return an expression over bytes that is found wherever *pattern* is; None: not sure."""
    body = _ANCHORS.sub("", pattern)
    if _UNSURE.search(body.replace("(?i)", "")) or "[^" in body:
        return None
    flags = re.DOTALL | (re.IGNORECASE if "(?i)" in body else 0)
    return re.compile(body.replace("(?i)", "").encode(), flags)
