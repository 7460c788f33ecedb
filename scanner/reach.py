"""What a walk (`scanner.flow`) could come by at most, found without following values.

Most walks find nothing, because a call that their clause needs lies nowhere near. That is seen here
for a fraction of what walking costs. Errs to one side: any method of an object that is made on the
way may be called, and so may what has the name of what is called.
"""

import struct
from collections import deque
from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from itertools import islice
from typing import Any, NamedTuple

from scanner.behaviour_rules import may_hold
from scanner.code_file import Method
from scanner.code_sites import INVOKES, READS, named_rows
from scanner.dex import DAMAGE
from scanner.flow import ALL, USER_ACTS
from scanner.frames import Budget
from scanner.own_classes import Place, Signature
from scanner.program import Program

MOST_BODIES = 2_000
"""Looked at from one start: what leads to more is followed no deeper than its rule says."""
FEW_BODIES = 200
"""Followed to their end whatever that costs, and looked at when `MOST_LOOKS` were taken."""
MOST_LOOKS = 100_000
"""From all starts of an app."""
SHORT = 64
"""Bytes of code of a method that does little more than call another one."""
MOST_IDLE = 4
"""Methods that one calls and that are looked at, whether they do anything."""
UNITS_A_STEP = 64
MOST_WHOLE = 8
Noted = Sequence[tuple[Mapping[int, frozenset[str]], Mapping[int, frozenset[str]]]]
_Body = tuple[int, int]
"""File and offset of the code of a method."""
_Row = tuple[int, int]
"""File and row of its method table."""


class _Summary(NamedTuple):
    """What one method may do."""

    names: frozenset[str]
    """Of what is noted."""
    called: frozenset[Signature]
    """The methods that it calls, of any class."""
    bodies: list[tuple[Signature, _Body]]
    """The own methods that it calls, unless its objects have others of that name."""
    kinds: list[Place]
    """The own classes that it names, to make objects of them or to hand them on."""
    is_short: bool


class Near(NamedTuple):
    """What a walk may come by."""

    names: frozenset[str] | None
    """Of what is noted; None: too much to say."""
    depth: int
    """How deep to walk."""
    is_long: bool = False
    """Whether that may be given up: there are more than `FEW_BODIES`."""


class Reach:
    """Asked about the code of one program; *noted* is as for `scanner.flow.Walk`."""

    def __init__(self, program: Program, noted: Noted, budget: Budget) -> None:
        self.program, self._noted, self._budget = program, noted, budget
        self._summaries: dict[_Body, _Summary] = {}
        self._targets: dict[_Row, tuple[Signature, _Body | None]] = {}
        self._leads_on: dict[_Body, bool] = {}
        self._near: dict[tuple[Sequence[Method], str, int, bool], Near] = {}
        self._whole: deque[_Search] = deque(maxlen=MOST_WHOLE)
        """Came to their end, the last used last: who starts in one's midst comes by little more."""
        self.looks = MOST_LOOKS
        """That are left."""

    def near_for(
        self, clause: Mapping[str, Any], methods: Sequence[Method], kind: str
    ) -> Near | None:
        """Return what lies near *methods* in an object of class *kind*; None: a walk is in vain."""
        asked = methods, kind, clause["reach"], clause["user_acts"]
        if asked not in self._near and self._was_in_vain(clause, methods, kind):
            return None
        near = self.near(*asked)
        return None if _is_in_vain(clause, near) else near

    def _was_in_vain(self, clause: Mapping[str, Any], methods: Sequence[Method], kind: str) -> bool:
        """Whether a search that came by *methods* itself found nothing, and they add nothing."""
        for search in [*self._whole] if clause["reach"] else ():
            if search.came_by(methods, clause["user_acts"]):
                self._whole.remove(search)
                near = search.near(methods, kind)
                if near.depth == ALL:  # neither damaged nor too large by now
                    self._whole.append(search)
                    if _is_in_vain(clause, near):
                        return True
        return False

    def near(self, methods: Sequence[Method], kind: str, reach: int, user_acts: bool) -> Near:
        """Return what a walk may come by that goes *reach* deep, or to the end of a short way."""
        asked = methods, kind, reach, user_acts
        if asked not in self._near:
            search = _Search(self, reach, user_acts)
            self._near[asked] = near = search.near(methods, kind)
            if near.depth == ALL:
                self._whole.append(search)
        return self._near[asked]

    def hands_on(self, method: Method) -> bool:
        """Whether *method* may stand between any two: it leads to one own method at most."""
        return self.leads_on((method.file, method.code_at))

    def leads_on(self, body: _Body) -> bool:
        """Whether a method calls one own method at most, but for its object and for nothing."""
        if body not in self._leads_on:
            self._leads_on[body] = self._is_short(body) and self._has_one_way(self.summary(body))
        return self._leads_on[body]

    def _is_short(self, body: _Body) -> bool:
        known = self._summaries.get(body)
        return known.is_short if known else len(self.program.files[body[0]].code(body[1])) <= SHORT

    def _has_one_way(self, done: _Summary) -> bool:
        called = {body for (name, _), body in done.bodies if name != "<init>"}
        if len(done.bodies) > len(called) + 1 or len(called) > MOST_IDLE:
            return False
        return len(called) <= 1 or sum(not self._is_idle(body) for body in called) <= 1

    def _is_idle(self, body: _Body) -> bool:
        """Whether a method does nothing of note and leads nowhere."""
        done = self.summary(body)
        return not (done.names or done.bodies or done.kinds)

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
        names: set[str] = set()
        targets, kinds = [], []
        for kind, row in {*named_rows(units)}:
            if kind == INVOKES:
                if row in methods:
                    names |= methods[row]
                elif row < file.dex.methods.rows:
                    targets.append(self._target((number, row)))
            elif kind == READS:
                names.update(fields.get(row, ()))
            elif place := self.program.classes.of_type(number, row):
                kinds.append(place)
        called = frozenset([signature for signature, _ in targets])
        bodies = [(signature, body) for signature, body in targets if body is not None]
        return _Summary(frozenset(names), called, bodies, kinds, len(code) <= SHORT)

    def _target(self, row: _Row) -> tuple[Signature, _Body | None]:
        """Return which method *row* means, and the code of an own one."""
        found = self._targets.get(row)
        if found is None:
            file = self.program.files[row[0]]
            owner, proto, name = file.method(row[1])
            place = self.program.classes.of_type(row[0], owner)
            body = self._body(place, *row) if place else None
            found = self._targets[row] = (file.text(name), file.proto(proto)), body
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
        self._reach, self._wanted = reach, depth
        self._most = ALL if depth else 0
        self._left_out = frozenset() if user_acts else USER_ACTS
        self._classes = reach.program.classes
        self._is_whole = False
        """Whether it came to its end: how deep a body lies does not matter any more."""
        self._names: set[str] = set()
        self._depths: dict[_Body, int] = {}
        self._waiting: list[tuple[int, _Body]] = []
        """A heap: what is least deep is looked at first."""
        self._held: set[Place] = set()
        self._lines: set[Place] = set()
        self._inherited: dict[Signature, list[_Body]] = {}
        self._called: set[Signature] = set()
        self._first = min(1, self._most)
        """The least depth of what is not called from a start by its place."""

    def near(self, methods: Sequence[Method], kind: str) -> Near:
        """Return what may be come by from *methods*, and from those that were given before."""
        try:
            return self._near(methods, kind)
        except DAMAGE:  # the walk may find its way around it
            return Near(None, self._wanted)

    def _near(self, methods: Sequence[Method], kind: str) -> Near:
        if self._most and any(map(self._reach.hands_on, methods)):
            self._first = 0
        if (own := self._classes.find(kind)) is not None:
            self._inherit(own)
        for method in methods:
            if method.name not in self._left_out:
                self._enter((method.file, method.code_at), 0)
        within: frozenset[str] | None = None
        while self._waiting:
            depth, body = heappop(self._waiting)
            if depth > self._wanted and within is None:
                within = frozenset(self._names)
            if len(self._depths) > (MOST_BODIES if self._reach.looks > 0 else FEW_BODIES):
                return Near(within, self._wanted)
            if self._depths[body] == depth:
                self._names |= self._look(body, depth)
        self._is_whole = True
        return Near(frozenset(self._names), self._most, len(self._depths) > FEW_BODIES)

    def came_by(self, methods: Sequence[Method], user_acts: bool) -> bool:
        """Whether this search came by all of *methods* itself."""
        if not self._most or user_acts == bool(self._left_out):
            return False
        bodies = ((one.file, one.code_at) for one in methods if one.name not in self._left_out)
        return all(body in self._depths for body in bodies)

    def _look(self, body: _Body, depth: int) -> frozenset[str]:
        self._reach.looks -= 1
        done = self._reach.summary(body)
        below = depth + (not self._most or not self._reach.leads_on(body))
        if below <= self._most:
            self._call(done, below)
        for place in done.kinds:
            if place not in self._held:
                self._hold(place)
        return done.names

    def _enter(self, body: _Body, depth: int) -> None:
        known = self._depths.get(body)
        if known is None or (depth < known and not self._is_whole):
            self._depths[body] = depth
            heappush(self._waiting, (depth, body))

    def _call(self, done: _Summary, depth: int) -> None:
        for _, body in done.bodies:
            self._enter(body, depth)
        for signature in done.called - self._called:
            self._called.add(signature)
            for body in self._inherited.get(signature, ()):
                self._enter(body, self._first)

    def _hold(self, place: Place) -> None:
        """Take in that there may be objects of a class, which Android may call in any way.

        From where an object is made it may be handed up, so its methods are one call away. What
        Android calls when the user acts, code may call by itself.
        """
        self._held.add(place)
        for signature, code in self._classes.methods(place).items() if self._most else ():
            if signature[0] in self._left_out:
                self._may_call(signature, (place[0], code))
            elif not signature[0].startswith("<"):
                self._enter((place[0], code), self._first)
        parent, *_ = [*islice(self._classes.line(place), 1, 2), None]
        if parent is not None:
            self._inherit(parent)

    def _inherit(self, place: Place) -> None:
        """Take in that code may call what objects have of a class and its ancestors, by name."""
        for one in self._classes.line(place):
            if one in self._lines or not self._most:
                return
            self._lines.add(one)
            for signature, code in self._classes.methods(one).items():
                if not signature[0].startswith("<"):
                    self._may_call(signature, (one[0], code))

    def _may_call(self, signature: Signature, body: _Body) -> None:
        self._inherited.setdefault(signature, []).append(body)
        if signature in self._called:
            self._enter(body, self._first)


def _is_in_vain(clause: Mapping[str, Any], near: Near) -> bool:
    return near.names is not None and not may_hold(clause["steps"], near.names)
