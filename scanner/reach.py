"""What code can lead to, forwards: asked before code is walked, as walking is dear.

Errs to one side: what a walk (`scanner.flow`) would come to is here, and more. Whoever names a
class may have the framework, or any other method on the way, call all that its objects can do.
"""

import sys
from array import array
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from itertools import compress
from typing import NamedTuple

from scanner.code_file import Method
from scanner.code_index import INVOKES, KINDS, READS
from scanner.program import Program, Reference

MAXIMUM_METHODS = 1_500
"""From one start; the way back from the end is shorter then."""
MAXIMUM_READ = 6_000
"""Of one program."""
Place = tuple[int, int]
"""File and offset of a method's code, or file and row of a class or method."""
Enough = Callable[[set[Reference]], bool]
Noted = Sequence[tuple[Container[int], Container[int]]]


class _Content(NamedTuple):
    """What the code of one method names."""

    references: frozenset[Reference]
    calls: frozenset[Place]
    """Own methods."""
    names: frozenset[Place]
    """Own classes."""


class Reach:
    """The calls of one program, forwards."""

    def __init__(self, program: Program, noted: Noted) -> None:
        """Only references in *noted* are told: file -> (method rows, field rows)."""
        self._program, self._noted = program, noted
        self._classes = program.classes
        self._contents: dict[Place, _Content] = {}
        self._targets: dict[Place, tuple[Place, ...]] = {}

    def leads(
        self, methods: Iterable[Method], kind: str, depth: int, enough: Enough
    ) -> bool | None:
        """Whether *methods*, in objects of class *kind*, use enough in *depth* calls; None: much.

        *enough* is asked for each set of noted references until it says so.
        """
        waiting = deque(((method.file, method.code_at), 0) for method in methods)
        named: set[Place] = set()
        if own := self._classes.find(kind):
            waiting += self._named(own, named)
        found: set[Reference] = set()
        nearest: dict[Place, int] = {}
        while waiting:
            place, distance = waiting.popleft()
            if distance > depth or nearest.get(place, depth + 1) <= distance:
                continue
            nearest[place] = distance
            if len(nearest) > MAXIMUM_METHODS or len(self._contents) > MAXIMUM_READ:
                return None
            content = self._content(place)
            if not content.references <= found:
                found |= content.references
                if enough(found):
                    return True
            waiting += [(target, distance + 1) for target in content.calls]
            for one in content.names - named:
                waiting += self._named(one, named)
        return False

    def _named(self, place: Place, named: set[Place]) -> list[tuple[Place, int]]:
        """Return what objects of a class can do: something else than its namer may call it."""
        named.add(place)
        return [
            ((one[0], code), 1)
            for one in self._classes.line(place)
            for name, methods in self._classes.named(one).items()
            if not name.startswith("<")
            for _, code in methods
        ]

    def _content(self, place: Place) -> _Content:
        if place not in self._contents:
            self._contents[place] = self._read(*place)
        return self._contents[place]

    def _read(self, number: int, code_at: int) -> _Content:
        body = self._program.files[number].code(code_at)
        units = array("H", body)
        if sys.byteorder == "big":
            units.byteswap()
        kinds = body[::2].translate(KINDS)[:-1]
        used = set(zip(compress(kinds, kinds), compress(units[1:], kinds), strict=True))
        methods, fields = self._noted[number]
        invoked = [row for kind, row in used if kind == INVOKES]
        references = [Reference(number, False, row) for row in invoked if row in methods]
        references += [
            Reference(number, True, row) for kind, row in used if kind == READS and row in fields
        ]
        types = (
            self._classes.of_type(number, row) for kind, row in used if kind not in (INVOKES, READS)
        )
        return _Content(
            frozenset(references),
            frozenset(target for row in invoked for target in self._called(number, row)),
            frozenset(one for one in types if one is not None),
        )

    def _called(self, number: int, row: int) -> tuple[Place, ...]:
        key = number, row
        if key not in self._targets:
            self._targets[key] = tuple(self._find_called(number, row))
        return self._targets[key]

    def _find_called(self, number: int, row: int) -> Iterator[Place]:
        """Yield what a call may run: the method itself, or those of that name above it."""
        file = self._program.files[number]
        if row >= file.dex.methods.rows:
            return
        owner, _, name = file.method(row)
        place = self._classes.of_type(number, owner)
        if place is None:
            return
        if place[0] == number and row in self._classes.codes(place):
            yield number, self._classes.codes(place)[row]
            return
        text = file.text(name)
        for above in self._classes.line(place):
            for _, code in self._classes.named(above).get(text, ()):
                yield above[0], code
