"""Which rules over behaviour can hold for an app at all: most fall by a look at a few sets. Pure.

What is sorted out once for a list of rules serves all apps that are judged by it. A rule that falls
here would fall in `scanner.behaviour_rules.answer_to`, too.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence, Set
from functools import lru_cache
from typing import Any, NamedTuple

from scanner.behaviour_rules import Rule, alternatives, wanted_references
from scanner.features import TRAIT_KINDS, Facts, asked_numbers, number_of
from scanner.values import Told, told_apart

KEPT = 4
"""Lists of rules that are remembered, with what is sorted out of them."""
REFERENCES = ("calls", "types")
"""Kinds of traits that a scan only looks for when it is asked to."""


class _Clause(NamedTuple):
    digest: str
    steps: list[frozenset[str]]
    """Calls of each step and its alternatives: one of each must be named in the code."""


class _Needs(NamedTuple):
    """What one rule needs."""

    rule: Rule
    told: frozenset[str]
    """Traits of the kinds that features always tell."""
    named: frozenset[str]
    """What the code must refer to."""
    clauses: list[_Clause]
    libraries: frozenset[str]
    numbers: frozenset[int]
    """All references that it needs, as features tell what a scan looked for."""


class Screen:
    """A list of rules, ready to be applied to many apps."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = rules
        self.references = frozenset(wanted_references(rules))
        self.told = _told(rules)
        """What walks need to keep of constants for these rules."""
        self._needs = [_needs_of(rule) for rule in rules]
        self._looked_for = lru_cache(maxsize=KEPT)(self._find_looked_for)

    def possible(self, facts: Facts) -> Iterator[Rule]:
        """Yield the rules that may hold, or of which the features do not say enough."""
        told: set[str] = set().union(*facts.has.values())
        calls, code = facts.has["calls"], facts.code
        looked_for = self._looked_for(facts.features["asked"])
        for needs, is_known in zip(self._needs, looked_for, strict=True):
            if not needs.told <= told:
                continue
            if needs.libraries and facts.libraries.keys().isdisjoint(needs.libraries):
                continue
            if not is_known or (needs.named <= told and _are_named(needs.clauses, calls, code)):
                yield needs.rule

    def _find_looked_for(self, asked: str) -> list[bool]:
        """Return for each rule whether the scan looked for all references that the rule needs."""
        numbers = asked_numbers(asked)
        return [needs.numbers <= numbers for needs in self._needs]


def screen_of(rules: Sequence[Rule]) -> Screen:
    """Return the screen of *rules*, which nobody changes; that of the same list is made once."""
    known = next((one for one in _KNOWN if one.rules is rules), None)
    if known is None:
        known = Screen(rules)
        _KNOWN.insert(0, known)
        del _KNOWN[KEPT:]
    return known


_KNOWN: list[Screen] = []


def _needs_of(rule: Rule) -> _Needs:
    wanted: Mapping[str, Iterable[str]] = rule["all"]
    named = frozenset(one for kind in REFERENCES for one in wanted[kind])
    clauses = [_Clause(clause["digest"], _calls(clause["steps"])) for clause in rule["code"]]
    called = {call for clause in clauses for step in clause.steps for call in step}
    return _Needs(
        rule,
        frozenset(o for kind in TRAIT_KINDS if kind not in REFERENCES for o in wanted[kind]),
        named,
        clauses,
        frozenset(one["name"] for one in rule["library"]),
        frozenset(map(number_of, named | called)),
    )


def _told(rules: Iterable[Rule]) -> Told:
    steps = alternatives(s for rule in rules for clause in rule["code"] for s in clause["steps"])
    asked = [one for step in steps for one in step["arguments"].values()]
    matches = [one["matches"] for one in asked if one["matches"]]
    return told_apart((constant for one in asked for constant in one["equals"]), matches)


def _calls(steps: Iterable[Mapping[str, Any]]) -> list[frozenset[str]]:
    return [frozenset(c for one in alternatives([step]) for c in one["call"]) for step in steps]


def _are_named(clauses: Iterable[_Clause], calls: Set[str], code: Container[str]) -> bool:
    for digest, steps in clauses:
        if digest not in code:  # else it was asked, and the answer decides
            for step in steps:
                if calls.isdisjoint(step):
                    return False
    return True
