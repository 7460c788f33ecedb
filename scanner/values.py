"""What is known of the values that code works with."""

import re
from collections.abc import Callable, Iterable, Sequence

Constant = str | int | None
ARRAY = "["
MATCHED = 4096
"""Characters of a constant that are compared with an expression."""
SOME = 1 << 80
"""A constant of which no rule asks what it is; code has none so large."""
Told = Callable[[str | int], str | int]
"""What is kept of a constant: itself, or `SOME`."""
Key = tuple[Constant, frozenset[int], frozenset[str], str]


class Value:
    """What is known of the content of a register. Shared by registers that hold the same object."""

    __slots__ = ("constant", "holds", "is_new", "kind", "origins")

    def __init__(
        self,
        constant: Constant = None,
        origins: frozenset[int] = frozenset(),
        holds: frozenset[str] = frozenset(),
        is_new: bool = False,
        kind: str = "",
    ) -> None:
        self.constant = constant
        self.origins = origins
        """Numbers of the events whose results it was made of."""
        self.holds = holds
        """Own classes that it is an object of, or refers to like an Intent."""
        self.is_new = is_new
        """Whether it was made here, so that what is put into it stays in it."""
        self.kind = kind
        """The own class that it is an object of, when its `holds` must not say so."""

    def key(self) -> Key:
        return (self.constant, self.origins, self.holds, self.kind)


EMPTY = Value()
_NOTHING: frozenset[str] = frozenset()


def mixed(values: Sequence[Value], more: frozenset[int] = frozenset()) -> Value:
    """Return what was made of *values*."""
    origins, holds = more, _NOTHING
    for value in values:  # nothing is known of most, so no set is made for them
        if value.origins:
            origins = origins | value.origins if origins else value.origins
        if value.holds:
            holds = holds | value.holds if holds else value.holds
    return Value(None, origins, holds) if origins or holds else EMPTY


def put_into(this: Value, given: Sequence[Value]) -> None:
    """Let *this* be made of *given* too."""
    made = mixed((this, *given))
    this.origins, this.holds = made.origins, made.holds


def keep_all(constant: str | int) -> str | int:
    """Keep *constant*, whatever rules ask."""
    return constant


def told_apart(equals: Iterable[str | int], matches: Iterable[str]) -> Told:
    """Return what keeps those constants that are asked for: runs need not differ by others."""
    asked, patterns = frozenset(equals), [re.compile(pattern) for pattern in {*matches}]

    def keep(constant: str | int) -> str | int:
        if constant in asked:
            return constant
        if isinstance(constant, str) and any(one.search(constant[:MATCHED]) for one in patterns):
            return constant
        return SOME

    return keep
