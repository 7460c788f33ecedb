"""What one walk through code remembers: which calls it knows already, and what fields may hold."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from scanner.code_file import Method
from scanner.frames import Budget, BudgetError
from scanner.values import EMPTY, Key, Value, mixed

SEVERAL = 4
"""Runs of one method, from which on values that were made in the same way count as one."""
COMPARED_A_STEP = 32
MAXIMUM_NESTED = 100
"""Runs inside each other: Python's own stack ends at some 150."""
Call = tuple[Method, tuple[Key, ...]]
"""A method and what it is given, as far as runs differ by it."""


class Run(NamedTuple):
    """A call that was walked."""

    given: Value
    """What it returned."""
    begin: int
    end: int
    """Of it in the order of events."""
    depth: int
    is_cut: bool
    """Whether something deeper was left out."""
    reads: frozenset[str]
    """Fields."""
    since: int
    """How many changes of fields there had been."""


class Origins:
    """In which ways the values of a walk were made: where, and of values from where."""

    def __init__(self) -> None:
        self._places: list[int] = []
        self._ways: list[int] = []
        self._known: dict[tuple[int, frozenset[int]], int] = {}
        self._numbers: dict[tuple[int, int], int] = {}

    def add(self, file: int, offset: int, values: Iterable[Value]) -> None:
        """Take in the next event: a call at *offset* with *values*."""
        place = self._numbers.setdefault((file, offset), len(self._numbers))
        of = frozenset(self._places[number] for value in values for number in value.origins)
        self._places.append(place)
        self._ways.append(self._known.setdefault((place, of), len(self._known)))

    def ways(self, origins: frozenset[int]) -> frozenset[int]:
        """Return the ways in which the events of these numbers came about."""
        return frozenset([self._ways[number] for number in origins]) if origins else origins


class Fields:
    """What fields may hold, of any object, as they are not told apart by it."""

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self._values: dict[str, Value] = {}
        self._ways: dict[str, frozenset[int]] = {}
        self._changed: dict[str, int] = {}
        self.changes = 0
        """How often a field gained something: then what reads it may do something else."""
        self.reads: set[str] = set()
        """By the run that goes on."""

    def get(self, key: str) -> Value:
        """Return what is known of a field."""
        self.reads.add(key)
        known = self._values.get(key)
        if known is None:  # what is put into the object that it holds stays there
            known = self._values[key] = Value(is_new=True)
        return known

    def put(self, key: str, value: Value) -> None:
        """Keep *value* beside what the field may hold already."""
        before = self._values.get(key)
        if before is None or before.key() == EMPTY.key():
            self._values[key] = value
            if not (value.origins or value.holds):
                return
        elif value.origins <= before.origins and value.holds <= before.holds:
            return
        else:
            self._values[key] = mixed((before, value))
        ways, known = self._origins.ways(value.origins), self._ways.get(key, frozenset())
        if not ways <= known or not value.holds <= (before or EMPTY).holds:
            self._ways[key] = known | ways
            self.changes += 1
            self._changed[key] = self.changes

    def are_as(self, run: Run) -> bool:
        """Whether what *run* read is as it was then."""
        changed = self._changed
        return run.since == self.changes or all(changed.get(k, 0) <= run.since for k in run.reads)


class Runs:
    """The calls that a walk has come by."""

    def __init__(self, origins: Origins, fields: Fields, budget: Budget) -> None:
        self._origins, self._fields, self._budget = origins, fields, budget
        self._done: dict[Call, Run | None] = {}
        self._last: dict[Method, Call] = {}
        self._seen: dict[Method, list[set[object]]] = {}
        self._counts: dict[Method, int] = {}
        self._running: dict[Method, int] = {}
        self._open: list[tuple[Call, int, int, set[str], bool]] = []
        self.is_cut = False
        """Whether the run that goes on left out something deeper."""

    def call(self, method: Method, arguments: Sequence[Value]) -> Call:
        """Return what tells a call of *method* from those that must be walked, too."""
        call = method, tuple([(v.constant, v.origins, v.holds, v.kind) for v in arguments])
        if call in self._done or not self._is_often(method) or self._brings_new(call):
            return call
        return self._last[method]

    def _is_often(self, method: Method) -> bool:
        return self._counts.get(method, 0) >= SEVERAL or self._running.get(method, 0) > 1

    def _brings_new(self, call: Call) -> bool:
        """Whether some argument is what no argument in its place has been since it is often."""
        method, keys = call
        seen = self._seen.setdefault(method, [])
        seen += [set() for _ in range(len(keys) - len(seen))]
        is_new, compared = False, 0
        for (constant, origins, holds, kind), known in zip(keys, seen, strict=False):
            now = {constant, kind, *holds, *self._origins.ways(origins)}
            is_new = is_new or not now <= known
            known |= now
            compared += len(now)
        self._budget.spend(compared // COMPARED_A_STEP)
        return is_new

    def is_running(self, call: Call) -> bool:
        """Whether *call* goes on, so that it calls itself."""
        return call in self._done and self._done[call] is None

    def find(self, call: Call, depth: int) -> Run | None:
        """Return the run of *call* that tells what another one at *depth* would do."""
        run = self._done.get(call)
        if run is None or not self._fields.are_as(run):
            return None
        self._fields.reads |= run.reads
        self.is_cut |= run.is_cut
        return run

    def begin(self, call: Call, at: int) -> None:
        """A run begins at this place in the order of events. Raises BudgetError: it is too deep."""
        if len(self._open) >= MAXIMUM_NESTED:
            raise BudgetError
        method = call[0]
        self._open.append((call, at, self._fields.changes, self._fields.reads, self.is_cut))
        self._fields.reads, self.is_cut = set(), False
        self._done[call] = None
        self._last[method] = call
        self._counts[method] = self._counts.get(method, 0) + 1
        self._running[method] = self._running.get(method, 0) + 1

    def end(self, at: int, depth: int, given: Value) -> None:
        """The run that began last is over."""
        call, begin, since, reads, is_cut = self._open.pop()
        read = frozenset(self._fields.reads)
        self._running[call[0]] -= 1
        self._done[call] = Run(given, begin, at, depth, self.is_cut, read, since)
        self._fields.reads = reads | read
        self.is_cut |= is_cut
