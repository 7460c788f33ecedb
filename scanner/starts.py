"""Where the walks for a clause begin: all places that can lead to what it asks, and few others.

The tables of the code refute most clauses: a call that is named nowhere is made nowhere. A walk is
cheap, so a few places are simply walked from; of many, those go on that the call graph leaves.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from scanner.behaviour_rules import alternatives
from scanner.call_graph import CallGraph, place_of
from scanner.code_file import Method
from scanner.constant_rules import Constants
from scanner.program import OwnClass, Program, Reference

FEW = 24
"""Places from which walking is cheaper than asking the call graph about them."""
CALLERS = 2
"""How many calls up a clause without a place to start looks."""
_FIRST = ("<clinit>", "<init>", "attachBaseContext", "onCreate", "onServiceConnected")
Clause = Mapping[str, Any]
Step = Mapping[str, Any]


class Start(NamedTuple):
    """A place from which to walk: *methods* in an object of class *kind*."""

    kind: str
    methods: tuple[Method, ...]


class Starts:
    """Where clauses start in one program."""

    def __init__(self, program: Program, references: Mapping[str, Sequence[Reference]]) -> None:
        self._program = program
        self._references = references
        self._graph = CallGraph(program)
        self._constants = Constants(program)

    def of(self, clause: Clause, classes: Sequence[str]) -> list[Start]:
        """Return where to walk for *clause*; *classes* are those of its component."""
        needs = [rows for step in clause["steps"] for rows in self._needs(step)]
        if not all(needs) or not all(map(self._constants.may_fit, clause["steps"])):
            return []
        starts = [*self._all(clause, classes)]
        if len(starts) > FEW:
            seeds = self._rarest(needs)
            places = self._graph.towards(seeds, clause["reach"], clause["user_acts"])
            if places is not None:
                starts = [s for s in starts if not places.isdisjoint(map(place_of, s.methods))]
        return starts

    def _needs(self, step: Step) -> list[list[Reference]]:
        """Return groups of references: where *step* holds, one of each was come by."""
        sources = [step["takes"], *(one["comes_from"] for one in step["arguments"].values())]
        calls = [names for names in sources if names and all("->" in name for name in names)]
        needs = [*map(self._rows, calls)]
        if step["either"]:
            rarest = (min(self._needs(other), key=len) for other in step["either"])
            return [*needs, [row for rows in rarest for row in rows]]
        return [*needs, self._rows(step["call"])]

    def _rows(self, names: Iterable[str]) -> list[Reference]:
        return [row for name in names for row in self._references.get(name, ())]

    def _all(self, clause: Clause, classes: Sequence[str]) -> Iterator[Start]:
        names = clause["methods"]
        if not has_place(clause):
            found = self._anywhere(clause)
            yield from (Start(m.owner, (m,)) for m in found if not names or m.name in names)
            return
        for one in self._classes(clause, classes):
            methods = tuple(m for m in self._inherited(one) if not names or m.name in names)
            if methods:
                yield Start(one.descriptor, methods)

    def _classes(self, clause: Clause, classes: Sequence[str]) -> Iterator[OwnClass]:
        if clause["component"]:
            yield from (one for c in dict.fromkeys(classes) if (one := self._program.own_class(c)))
        elif clause["extends"]:
            yield from self._program.descendants(tuple(clause["extends"]), interfaces=False)
        else:
            yield from self._program.descendants(tuple(clause["implements"]), interfaces=True)

    def _inherited(self, one: OwnClass) -> list[Method]:
        """Return what runs in objects of a class: its methods and those of its own ancestors."""
        found: dict[tuple[str, str], Method] = {}
        for ancestor in self._program.line(one.descriptor):
            for key, method in ancestor.methods.items():
                found.setdefault(key, method)
        return sorted(found.values(), key=lambda m: _FIRST.index(m.name) if m.name in _FIRST else 9)

    def _anywhere(self, clause: Clause) -> Iterator[Method]:
        """Yield the methods with a call of the rarest step, their callers first."""
        level = self._rarest([self._called(step) for step in clause["steps"]])
        levels = [level]
        for _ in range(min(CALLERS, clause["reach"])):
            level = self._program.callers(level) if level else []
            levels.append(level)
        yield from dict.fromkeys(method for group in reversed(levels) for method in group)

    def _called(self, step: Step) -> list[Reference]:
        return self._rows(call for one in alternatives([step]) for call in one["call"])

    def _rarest(self, groups: Sequence[list[Reference]]) -> list[Method]:
        """Return the methods that use the group that fewest do; of equals the first."""
        by_rows = sorted(range(len(groups)), key=lambda number: len(groups[number]))
        best = by_rows[0]
        found = self._program.users(groups[best])
        for number in by_rows[1:]:
            if not self._program.has_more_users(groups[number], len(found) - (number > best)):
                best, found = number, self._program.users(groups[number])
        return found


def has_place(clause: Clause) -> bool:
    """Whether *clause* says where the code starts."""
    return bool(clause["component"] or clause["extends"] or clause["implements"])
