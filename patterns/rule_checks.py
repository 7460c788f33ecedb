"""What must hold between the fields of a rule, and between rules. Pure."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields

from patterns.rule_language import (
    RATINGS,
    Behaviour,
    Code,
    KnownList,
    Library,
    Rule,
    Step,
    Traits,
)

RESERVED = (
    "container_", "signature_", "disguised_app", "debug_key", "public_key", "repackaged_app",
    "lookalike_", "manifest_", "debuggable_app", "hidden_code", "library_", "trait_",
)  # fmt: skip
"""Beginnings of the names of what the scanner itself finds."""
_HEXADECIMAL = re.compile(r"[0-9a-f]{64}")


def problems_of(rules: Sequence[Rule], libraries: Sequence[Library] = ()) -> Iterator[str]:
    """Yield a sentence for each thing that is not in order."""
    known = Counter(library.name for library in libraries)
    for name, number in known.items():
        if number > 1:
            yield f"Two libraries are called {name}."
    for rule in rules:
        for asked in rule.library if isinstance(rule, Behaviour) else ():
            if asked.name not in known:
                yield f"Rule {rule.id}: libraries.toml does not know {asked.name}."
    for name, number in Counter(rule.id for rule in rules).items():
        if number > 1:
            yield f"Two rules are called {name}."
    for rule in rules:
        for problem in _of_rule(rule):
            yield f"Rule {rule.id}: {problem}"


def _of_rule(rule: Rule) -> Iterator[str]:
    if rule.id.startswith(RESERVED):
        yield "the scanner uses this name itself; choose another."
    if rule.category in RATINGS and rule.severity in ("medium", "high"):
        yield f"category {rule.category} rates honest apps, so its severity is at most low."
    if isinstance(rule, Behaviour):
        yield from _of_behaviour(rule)
    elif isinstance(rule, KnownList):
        yield from _of_list(rule)


def _of_behaviour(rule: Behaviour) -> Iterator[str]:
    asked = _size(rule.all) + rule.at_least + len(rule.component) + len(rule.code)
    if not asked and not rule.library and not rule.target_sdk_below:
        yield "it asks for nothing, so every app would match."
    if rule.at_least > _size(rule.some):
        yield f"at_least is {rule.at_least}, but some has only {_size(rule.some)} traits."
    if _size(rule.some) and not rule.at_least:
        yield "some has no effect without at_least."
    if rule.receiver_priority and not rule.all.actions:
        yield "receiver_priority has no effect without all.actions."
    labels = [component.label for component in rule.component if component.label]
    if len(labels) != len(set(labels)):
        yield "two components have the same label."
    for number, clause in enumerate(rule.code, 1):
        for problem in _of_code(clause, labels):
            yield f"code {number}: {problem}"


def _of_code(clause: Code, labels: list[str]) -> Iterator[str]:
    starts = [bool(clause.component), bool(clause.extends), bool(clause.implements)]
    if sum(starts) > 1:
        yield "name only one of component, extends and implements."
    if clause.component and clause.component not in labels:
        yield f"there is no component with the label {clause.component}."
    known: set[str] = set()
    for number, step in enumerate(clause.steps, 1):
        if bool(step.call) == bool(step.either):
            yield f"step {number}: it names calls or, in either, other steps."
        if any(other.label or other.either or not other.call for other in step.either):
            yield f"step {number}: what stands in either names calls, no label and no either."
        for name in _named(step):
            if not name.startswith("L") and name not in known:
                yield f"step {number}: no step before it has the label {name}."
        if step.label:
            known.add(step.label)


def _named(step: Step) -> Iterator[str]:
    yield from step.takes
    for one in step.arguments.values():
        yield from (*one.comes_from, *one.not_from)
    for other in step.either:
        yield from _named(other)


def _of_list(rule: KnownList) -> Iterator[str]:
    if not rule.values:
        yield "its list is empty."
    if rule.kind != "package":
        for value in rule.values:
            if not _HEXADECIMAL.fullmatch(value):
                yield f"{value[:70]!r} is no SHA-256 in lower-case hexadecimal."


def _size(traits: Traits) -> int:
    return sum(len(getattr(traits, one.name)) for one in fields(traits))
