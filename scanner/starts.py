"""Where the walks for a clause begin: all places that can lead to what it asks, and few others.

The tables of the code refute most clauses: a call that is named nowhere is made nowhere. A walk is
cheap, so a few places are simply walked from; of many, those go on that the call graph leaves.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from scanner import site_numbers
from scanner.behaviour_rules import alternatives
from scanner.call_graph import CallGraph, Leading
from scanner.code_file import Method
from scanner.constant_rules import Constants
from scanner.flow import ALL, USER_ACTS
from scanner.frames import Budget
from scanner.program import Program, Reference
from scanner.reach import Reach

FEW = 24
"""Places from which walking is cheaper than asking the call graph about them."""
MOST_LOOKED_AT = 16
"""Methods that are examined for the numbers that they pass on."""
METHODS_A_STEP = 64
"""Listing what a class inherits costs, too."""
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

    def __init__(
        self,
        program: Program,
        references: Mapping[str, Sequence[Reference]],
        budget: Budget,
        reach: Reach,
    ) -> None:
        self._program, self._references, self._budget = program, references, budget
        self._reach = reach
        self._graph = CallGraph(program, budget, reach.hands_on)
        self._constants = Constants(program)

    def of(self, clause: Clause, classes: Sequence[str]) -> list[Start]:
        """Return where to walk for *clause*; *classes* are those of its component."""
        needs = [rows for step in clause["steps"] for rows in self._needs(step)]
        if not all(needs) or not all(map(self._constants.may_fit, clause["steps"])):
            return []
        if has_place(clause):
            names = self._classes(clause, classes)
            leading = self._leading(clause, needs, len(names))
            if leading is not None and leading.is_all:
                owners = {method.owner for method in leading.methods}
                names = [name for name in names if not owners.isdisjoint(self._line(name))]
            starts = [Start(name, self._methods(name, clause["methods"])) for name in names]
        else:
            starts = [Start(one.owner, (one,)) for one in self._anywhere(clause)]
            leading = self._leading(clause, needs, len(starts))
        return [one for one in starts if one.methods and self._leads(one, leading, clause)]

    def _line(self, name: str) -> Iterator[str]:
        own = self._program.classes
        return map(own.name, own.line(own.find(name)))

    def _leads(self, start: Start, leading: Leading | None, clause: Clause) -> bool:
        """Whether *start* leads to what the clause needs, or is followed however deep it goes."""
        if leading is None or not leading.methods.isdisjoint(start.methods):
            return True
        return not leading.is_all and self._is_short(clause, start)

    def _is_short(self, clause: Clause, start: Start) -> bool:
        near = self._reach.near(start.methods, start.kind, clause["reach"], clause["user_acts"])
        return near.depth == ALL

    def _leading(
        self, clause: Clause, needs: Sequence[list[Reference]], places: int
    ) -> Leading | None:
        """Return the methods that lead to what fewest use; None: nearly all, or it is not asked."""
        if places <= FEW:
            return None
        seeds = self._rarest(needs)
        for step in clause["steps"]:
            if asked := site_numbers.asked_of(step):
                fitting = self._fitting(self._called(step), asked)
                seeds = seeds if fitting is None else min(seeds, fitting, key=len)
        return self._graph.towards(seeds, clause["reach"], clause["user_acts"])

    def _fitting(self, rows: Sequence[Reference], asked: site_numbers.Asked) -> list[Method] | None:
        """Return the methods that may call *rows* with the numbers asked for; None: too many."""
        if self._program.has_more_users(rows, MOST_LOOKED_AT):
            return None
        files = self._program.files
        return [
            one
            for one in self._program.users(rows)
            if site_numbers.may_fit(
                one, files[one.file], {row for file, _, row in rows if file == one.file}, asked
            )
        ]

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

    def _classes(self, clause: Clause, classes: Sequence[str]) -> list[str]:
        """Return the own classes in whose objects *clause* may start."""
        if clause["component"]:
            found: Iterable[str] = (c for c in classes if self._program.classes.find(c))
        elif clause["extends"]:
            found = self._program.descendants(tuple(clause["extends"]), interfaces=False)
        else:
            found = self._program.descendants(tuple(clause["implements"]), interfaces=True)
        return [*dict.fromkeys(found)]

    def _methods(self, kind: str, names: Sequence[str]) -> tuple[Method, ...]:
        """Return what runs in objects of a class: its methods and those of its own ancestors."""
        found: dict[tuple[str, str], Method] = {}
        for ancestor in self._program.line(kind):
            self._budget.spend(len(ancestor.methods) // METHODS_A_STEP)
            for key, method in ancestor.methods.items():
                if not names or method.name in names:
                    found.setdefault(key, method)
        first = {name: place for place, name in enumerate(_FIRST)}
        return tuple(sorted(found.values(), key=lambda m: first.get(m.name, len(first))))

    def _anywhere(self, clause: Clause) -> Iterator[Method]:
        """Yield the methods with a call of the rarest step, their callers first."""
        names = clause["methods"]
        level = self._rarest([self._called(step) for step in clause["steps"]])
        levels = [level]
        for _ in range(min(CALLERS, clause["reach"])):
            level = self._above(level, clause["user_acts"])
            levels.append(level)
        for method in dict.fromkeys(method for group in reversed(levels) for method in group):
            if not names or method.name in names:
                yield method

    def _above(self, methods: Iterable[Method], user_acts: bool) -> list[Method]:
        """Return what calls *methods*, and what calls those of them that are no place to start."""
        found: dict[Method, None] = {}
        while methods and len(found) <= FEW:
            callers = [one for one in self._program.callers(methods) if one not in found]
            found.update(dict.fromkeys(callers))
            methods = [one for one in callers if self._is_between(one, user_acts)]
        return [*found]

    def _is_between(self, method: Method, user_acts: bool) -> bool:
        """Whether *method* may stand between any two, or is named so that no walk begins there."""
        return (method.name in USER_ACTS and not user_acts) or self._reach.hands_on(method)

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
