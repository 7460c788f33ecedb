"""What is known of the values that code works with."""

from collections.abc import Sequence

Constant = str | int | None
ARRAY = "["
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


def mixed(values: Sequence[Value], more: frozenset[int] = frozenset()) -> Value:
    """Return what was made of *values*."""
    origins = more.union(*(value.origins for value in values))
    holds: frozenset[str] = frozenset().union(*(value.holds for value in values))
    return Value(None, origins, holds) if origins or holds else EMPTY


def put_into(this: Value, given: Sequence[Value]) -> None:
    origins, holds = [], []
    for value in given:
        origins.append(value.origins)
        holds.append(value.holds)
    this.origins = this.origins.union(*origins)
    this.holds = this.holds.union(*holds)
