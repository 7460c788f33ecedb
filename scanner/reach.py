"""What a walk (`scanner.flow`) could come by at most, found without following values.

Most walks find nothing, because a call that their clause needs lies nowhere near. That is seen here
for a fraction of what walking costs. Errs to one side: each unit of code that looks like an
instruction counts as one, and any method of an object that is made on the way may be called.
"""

import struct
from collections.abc import Collection, Mapping, Sequence
from itertools import compress, islice
from typing import Any, NamedTuple

from scanner.code_file import Method
from scanner.code_sites import INVOKES, KINDS, READS
from scanner.dex import DAMAGE
from scanner.flow import USER_ACTS
from scanner.frames import Budget
from scanner.own_classes import Place
from scanner.program import Program

MOST_BODIES = 120
"""Looked at from one start; from a place that leads to more, walking alone decides."""
UNITS_A_STEP = 64
Step = Mapping[str, Any]
Noted = Sequence[tuple[Mapping[int, frozenset[str]], Mapping[int, frozenset[str]]]]
_Body = tuple[int, int]
"""File and offset of the code of a method."""
_Row = tuple[int, int]
"""File and row of its method table."""


class _Summary(NamedTuple):
    """What one method may do."""

    names: frozenset[str]
    """Of what is noted."""
    called: frozenset[str]
    """The names of the methods that it calls, of any class."""
    bodies: list[tuple[str, _Body]]
    """The own methods that it calls, unless its objects have others of that name."""
    kinds: list[Place]
    """The own classes that it names, to make objects of them or to hand them on."""


class Reach:
    """Asked about the code of one program; *noted* is as for `scanner.flow.Walk`."""

    def __init__(self, program: Program, noted: Noted, budget: Budget) -> None:
        self.program, self._noted, self._budget = program, noted, budget
        self._summaries: dict[_Body, _Summary] = {}
        self._targets: dict[_Row, tuple[str, _Body | None]] = {}
        self._near: dict[tuple[Sequence[Method], str, int, bool], frozenset[str] | None] = {}

    def may_hold(self, clause: Mapping[str, Any], methods: Sequence[Method], kind: str) -> bool:
        """Whether a walk from *methods* in an object of class *kind* may find all of *clause*."""
        near = self.near(methods, kind, clause["reach"], clause["user_acts"])
        return near is None or all(_may_be(step, near) for step in clause["steps"])

    def near(
        self, methods: Sequence[Method], kind: str, reach: int, user_acts: bool
    ) -> frozenset[str] | None:
        """Return the noted names that such a walk may come by; None: too much to say."""
        key = methods, kind, reach, user_acts
        if key not in self._near:
            try:
                self._near[key] = _Search(self, reach, user_acts).names(methods, kind)
            except DAMAGE:  # the walk may find its way around it
                self._near[key] = None
        return self._near[key]

    def summary(self, body: _Body) -> _Summary:
        """Return what the method with that code may do."""
        found = self._summaries.get(body)
        if found is None:
            found = self._summaries[body] = self._summed_up(*body)
        return found

    def _summed_up(self, number: int, at: int) -> _Summary:
        file, (methods, fields) = self.program.files[number], self._noted[number]
        code = file.code(at)
        units = struct.unpack(f"<{len(code) // 2}H", code)
        self._budget.spend(1 + len(units) // UNITS_A_STEP)
        marks = code[::2].translate(KINDS)[:-1]
        names: set[str] = set()
        targets, kinds = [], []
        for kind, row in {*zip(compress(marks, marks), compress(units[1:], marks), strict=False)}:
            if kind == READS:
                names.update(fields.get(row, ()))
            elif kind == INVOKES and row in methods:
                names |= methods[row]
            elif kind == INVOKES and row < file.dex.methods.rows:
                targets.append(self._target((number, row)))
            elif kind != INVOKES and (place := self.program.classes.of_type(number, row)):
                kinds.append(place)
        called = frozenset(name for name, _ in targets)
        bodies = [(name, body) for name, body in targets if body is not None]
        return _Summary(frozenset(names), called, bodies, kinds)

    def _target(self, row: _Row) -> tuple[str, _Body | None]:
        """Return the name of the method that *row* means, and the code of an own one."""
        found = self._targets.get(row)
        if found is None:
            file = self.program.files[row[0]]
            owner, _, name = file.method(row[1])
            place = self.program.classes.of_type(row[0], owner)
            body = self._body(place, *row) if place else None
            found = self._targets[row] = file.text(name), body
        return found

    def _body(self, place: Place, number: int, row: int) -> _Body | None:
        """Return the code of the own method that *row* means, of the class at *place*."""
        code = self.program.classes.codes(place).get(row) if place[0] == number else None
        if code is not None:
            return number, code
        method = self.program.target(number, row)
        return method and (method.file, method.code_at)


class _Search:
    """Goes from one start to all that may run, each body at its least depth."""

    def __init__(self, reach: Reach, depth: int, user_acts: bool) -> None:
        self._reach, self._most = reach, depth
        self._left_out = frozenset() if user_acts else USER_ACTS
        self._classes = reach.program.classes
        self._depths: dict[_Body, int] = {}
        self._waiting: list[list[_Body]] = [[] for _ in range(depth + 1)]
        self._held: set[Place] = set()
        self._lines: set[Place] = set()
        self._inherited: dict[str, list[_Body]] = {}
        self._called: set[str] = set()

    def names(self, methods: Sequence[Method], kind: str) -> frozenset[str] | None:
        """Return the noted names that may be come by; None: there is too much to say."""
        if (own := self._classes.find(kind)) is not None:
            self._inherit(own)
        for method in methods:
            self._enter(method.name, (method.file, method.code_at), 0)
        names: set[str] = set()
        while (depth := self._nearest()) is not None:
            if len(self._depths) > MOST_BODIES:
                return None
            body = self._waiting[depth].pop()
            if self._depths[body] < depth:
                continue
            done = self._reach.summary(body)
            names |= done.names
            if depth < self._most:
                self._call(done, depth + 1)
            for place in done.kinds:
                if place not in self._held:
                    self._hold(place)
        return frozenset(names)

    def _nearest(self) -> int | None:
        return next((depth for depth, bodies in enumerate(self._waiting) if bodies), None)

    def _enter(self, name: str, body: _Body, depth: int) -> None:
        if self._depths.get(body, self._most + 1) > depth and name not in self._left_out:
            self._depths[body] = depth
            self._waiting[depth].append(body)

    def _call(self, done: _Summary, depth: int) -> None:
        for name, body in done.bodies:
            self._enter(name, body, depth)
        for name in done.called - self._called:
            self._called.add(name)
            for body in self._inherited.get(name, ()):
                self._enter(name, body, 1)

    def _hold(self, place: Place) -> None:
        """Take in that there may be objects of a class, which Android may call in any way.

        From where an object is made it may be handed up, so its methods are one call away.
        """
        self._held.add(place)
        for name, methods in self._classes.named(place).items():
            if not name.startswith("<") and self._most:
                for _, code in methods:
                    self._enter(name, (place[0], code), 1)
        parent, *_ = [*islice(self._classes.line(place), 1, 2), None]
        if parent is not None:
            self._inherit(parent)

    def _inherit(self, place: Place) -> None:
        """Take in that code may call what objects have of a class and its ancestors, by name."""
        for one in self._classes.line(place):
            if one in self._lines or not self._most:
                return
            self._lines.add(one)
            for name, methods in self._classes.named(one).items():
                bodies = [(one[0], code) for _, code in methods]
                if not name.startswith("<"):
                    self._inherited.setdefault(name, []).extend(bodies)
                    if name in self._called:
                        for body in bodies:
                            self._enter(name, body, 1)


def _may_be(step: Step, near: Collection[str]) -> bool:
    """Whether a walk that notes no more than *near* may find *step*."""
    asked = [step["takes"], *(one["comes_from"] for one in step["arguments"].values())]
    for names in asked:
        if names and all("->" in name for name in names) and not _meet(names, near):
            return False
    if step["either"]:
        return any(_may_be(other, near) for other in step["either"])
    return _meet(step["call"], near)


def _meet(names: Sequence[str], near: Collection[str]) -> bool:
    return any(name in near for name in names)
