"""Does an app's code do what a rule describes? See `patterns.rule_language.Code`.

The walks are shared by all clauses that start in the same place.
"""

import contextlib
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from scanner.behaviour_rules import alternatives
from scanner.flow import Walk
from scanner.frames import AllowanceError, Budget, BudgetError, Event
from scanner.program import Program, Reference
from scanner.reach import Reach
from scanner.starts import Start, Starts, has_place
from scanner.values import ARRAY, MATCHED, Value

MAXIMUM_STARTS = 1_000
MAXIMUM_TRIES = 200_000
"""Comparisons of a clause with the calls of one walk."""
LONG_WAYS = 1_000_000
"""Instructions walked where starts lead to much and all of it is followed, in one app."""
COMPARED_IN_VAIN = 10
"""How often a long walk may note too much to compare, before no other is tried."""
Clause = Mapping[str, Any]
Chosen = list[tuple[Event, list[str]]]
"""An event for each step of a clause, with the names that it has there."""


class CodeSearch:
    """Answers code clauses about one program."""

    def __init__(
        self,
        program: Program,
        references: Mapping[str, Sequence[Reference]],
        budget: Budget,
    ) -> None:
        self._program = program
        self._budget = budget
        self._allowance = Budget(LONG_WAYS, lambda: False, budget)
        self._noted = noted_rows(program, references)
        self._reach = Reach(program, self._noted, budget)
        self._starts = Starts(program, references, budget, self._reach)
        self._walks: dict[tuple[Start, int, bool], Walk | None] = {}
        """None: it could not be finished."""

    def evidence(self, clause: Clause, classes: Sequence[str]) -> list[str]:
        """Return a line for each step where *clause* holds; empty: it does not.

        *classes* are those of the components to start in. Raises BudgetError, and what
        `scanner.program.Program` raises for damaged code.
        """
        for number, start in enumerate(self._starts.of(clause, classes)):
            if number >= MAXIMUM_STARTS and not has_place(clause):  # what is cut off must be told
                raise BudgetError
            if chosen := self._from(clause, start):
                return [self._line(event, names) for event, names in chosen]
        return []

    def _from(self, clause: Clause, start: Start) -> Chosen:
        """Return what holds of *clause* from *start*."""
        near = self._reach.near_for(clause, start.methods, start.kind)
        if near is None:
            return []
        if near.is_long and (found := self._all_the_way(clause, start, near.depth)) is not None:
            return found
        depth = clause["reach"] if near.is_long else near.depth
        walk = self._walk(start, depth, clause["user_acts"], self._budget)
        return [] if _has_absent(clause, walk) else _Match(clause, walk, self._budget).find()

    def _all_the_way(self, clause: Clause, start: Start, depth: int) -> Chosen | None:
        """Return what holds there when a long way is walked to its end; None: that cannot be."""
        try:
            walk = self._walk(start, depth, clause["user_acts"], self._allowance)
        except BudgetError:
            return None
        if _has_absent(clause, walk):  # far away, perhaps
            return None
        try:
            return _Match(clause, walk, self._budget).find()
        except BudgetError:
            with contextlib.suppress(AllowanceError):
                self._allowance.spend(LONG_WAYS // COMPARED_IN_VAIN)
            return None

    def _walk(self, start: Start, depth: int, user_acts: bool, budget: Budget) -> Walk:
        """Return the walk from *start*; raises BudgetError, again when it is asked for again."""
        key = start, depth, user_acts
        if key not in self._walks:
            self._walks[key] = None
            walk = Walk(self._program, self._noted, budget, self._reach.hands_on, depth, user_acts)
            for method in start.methods:
                walk.start(method, start.kind)
            self._walks[key] = walk
        if (found := self._walks[key]) is None:
            raise BudgetError
        return found

    def _line(self, event: Event, names: Sequence[str]) -> str:
        file = self._program.files[event.method.file]
        method = f"{event.method.owner}->{event.method.name}"
        return f"{file.place} at {event.offset:#x}: {method} uses {' or '.join(names)}"


def _has_absent(clause: Clause, walk: Walk) -> bool:
    """Whether a walk came by what must be absent."""
    absent = clause["absent"]
    return any(not event.names.isdisjoint(absent) for event in walk.events)


def noted_rows(
    program: Program, references: Mapping[str, Sequence[Reference]]
) -> list[tuple[dict[int, frozenset[str]], dict[int, frozenset[str]]]]:
    """Return what walks note: file -> (method rows, field rows) -> names of *references*."""
    noted: list[tuple[dict[int, frozenset[str]], dict[int, frozenset[str]]]] = [
        ({}, {}) for _ in program.files
    ]
    for name, rows in references.items():
        for file, is_field, row in rows:
            names = noted[file][is_field]
            names[row] = names.get(row, frozenset()) | {name}
    return noted


class _Match:
    """Looks for the steps of a clause among the calls of one walk."""

    def __init__(self, clause: Clause, walk: Walk, budget: Budget) -> None:
        self._steps: list[Mapping[str, Any]] = clause["steps"]
        self._ordered: bool = clause["ordered"]
        self._all = walk.events
        calls = {call for step in alternatives(self._steps) for call in step["call"]}
        wanted = {event.number for event in walk.events if not event.names.isdisjoint(calls)}
        self._events = [walk.events[number] for number in _order(walk, wanted, budget)]
        self._tries = 0

    def find(self) -> Chosen:
        """Return an event for each step with the names it has there; empty: there is none."""
        return self._from(0, 0, {}, []) or []

    def _from(
        self,
        number: int,
        start: int,
        labels: dict[str, int],
        chosen: list[tuple[Event, list[str]]],
    ) -> list[tuple[Event, list[str]]] | None:
        if number == len(self._steps):
            return chosen
        step = self._steps[number]
        for position in range(start if self._ordered else 0, len(self._events)):
            event = self._events[position]
            names = self._fitting(step, event, labels)
            if names:
                known = {**labels, step["label"]: event.number} if step["label"] else labels
                found = self._from(number + 1, position + 1, known, [*chosen, (event, names)])
                if found:
                    return found
        return None

    def _fitting(
        self, step: Mapping[str, Any], event: Event, labels: Mapping[str, int]
    ) -> list[str]:
        self._tries += 1
        if self._tries > MAXIMUM_TRIES:
            raise BudgetError
        if step["either"]:
            if not self._holds(step, event, labels):
                return []
            found = (self._fitting(other, event, labels) for other in step["either"])
            return next((names for names in found if names), [])
        names = [name for name in step["call"] if name in event.names]
        return names if names and self._holds(step, event, labels) else []

    def _holds(self, step: Mapping[str, Any], event: Event, labels: Mapping[str, int]) -> bool:
        taken = [*event.arguments, *([event.this] if event.this else [])]
        if step["takes"] and not any(self._is_from(v, step["takes"], labels) for v in taken):
            return False
        for place, asked in step["arguments"].items():
            if place == "this":
                value = event.this
            else:
                value = event.arguments[int(place)] if int(place) < len(event.arguments) else None
            if value is None or not self._is(asked, value, labels):
                return False
        return True

    def _is(self, asked: Mapping[str, Any], value: Value, labels: Mapping[str, int]) -> bool:
        constant = None if value.constant == ARRAY else value.constant
        return (
            (not asked["equals"] or (constant is not None and constant in asked["equals"]))
            and (not asked["matches"] or _matches(asked["matches"], constant))
            and asked["constant"] in (None, constant is not None)
            and (not asked["comes_from"] or self._is_from(value, asked["comes_from"], labels))
            and not (asked["not_from"] and self._is_from(value, asked["not_from"], labels))
        )

    def _is_from(self, value: Value, names: Sequence[str], labels: Mapping[str, int]) -> bool:
        """Whether *value* was made of a step with one of the labels, or of one of the calls."""
        for name in names:
            if name in labels:
                if labels[name] in value.origins:
                    return True
            elif any(name in self._all[number].names for number in value.origins):
                return True
        return False


def _order(walk: Walk, wanted: Collection[int], budget: Budget) -> list[int]:
    """Return the *wanted* events as they follow each other, what happens again included."""
    parts: list[tuple[int, ...]] = []
    order: list[int] = []
    before: tuple[int, ...] = ()
    for item in walk.trace:
        if isinstance(item, int):
            part: tuple[int, ...] = (item,) if item in wanted else ()
        else:
            budget.spend((item[1] - item[0]) // 16)
            part = tuple(dict.fromkeys(n for inner in parts[slice(*item)] for n in inner))
        parts.append(part)
        if part and part != before:
            order += part
            before = part
        if len(order) > MAXIMUM_TRIES:
            raise BudgetError
    return order


def _matches(pattern: str, constant: object) -> bool:
    return isinstance(constant, str) and re.search(pattern, constant[:MATCHED]) is not None
