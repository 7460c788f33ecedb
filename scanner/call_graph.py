"""Which methods of an app can lead to which: asked before much code is walked.

Errs to one side: what a walk (`scanner.flow`) would follow is here, and more. Whoever calls a
method leads to it, and whoever makes an object of its class or names that class, as the framework
may then call it.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from scanner.code_file import Method
from scanner.flow import USER_ACTS
from scanner.frames import Budget
from scanner.program import Program, Reference

MAXIMUM_SITES = 400
MAXIMUM_METHODS = 4_000


class Leading(NamedTuple):
    """What leads to some methods."""

    methods: frozenset[Method]
    is_all: bool
    """Whether no more would in more calls."""


class CallGraph:
    """The calls of one program, backwards."""

    def __init__(
        self, program: Program, budget: Budget, hands_on: Callable[[Method], bool]
    ) -> None:
        self._program, self._budget, self._hands_on = program, budget, hands_on
        self._families: dict[str, list[str]] = {}

    def towards(self, found: Iterable[Method], depth: int, user_acts: bool) -> Leading | None:
        """Return *found* and what leads to it in *depth* calls; None: nearly all may.

        Calls by methods that only hand on do not count.
        """
        seen: set[Method] = set()
        counted, is_all = 0, True
        while level := [method for method in {*found} if method not in seen]:
            seen.update(level)
            if len(level) > MAXIMUM_SITES or len(seen) > MAXIMUM_METHODS:
                return None
            if counted > depth:
                through = [method for method in level if self._hands_on(method)]
                is_all = is_all and len(through) == len(level)
                level = through
            counted += 1
            found = self._leading_to(level, user_acts)
        return Leading(frozenset(seen), is_all)

    def _leading_to(self, methods: Iterable[Method], user_acts: bool) -> list[Method]:
        rows: list[Reference] = []
        kinds: set[str] = set()
        for method in methods:
            family = self._family(method.owner)
            self._budget.spend(len(family))
            for owner in family:
                rows += self._program.rows_of(method._replace(owner=owner))
            if not method.name.startswith("<") and (user_acts or method.name not in USER_ACTS):
                kinds.update(family)
        return self._program.users(rows, kinds)

    def _family(self, descriptor: str) -> list[str]:
        """Return a class, what extends it and what it extends: code may name either."""
        if descriptor not in self._families:
            below = self._program.classes.below(descriptor, MAXIMUM_SITES)
            classes = self._program.classes
            above = map(classes.name, classes.line(classes.find(descriptor)))
            self._families[descriptor] = [*dict.fromkeys((descriptor, *below, *above))]
        return self._families[descriptor]
