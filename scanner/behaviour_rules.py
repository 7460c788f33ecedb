"""Does a behaviour hold for an app? Pure: a function of kept features and a rule.

An answer may be open: the features do not say, so the file must be read (`Answer.needs`).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from scanner.evidence import Finding
from scanner.features import TRAIT_KINDS, Component, Facts, class_of
from scanner.libraries import Place, asked_for

PLACE = "AndroidManifest.xml"
Rule = Mapping[str, Any]
Ask = Callable[[Mapping[str, Any], list[str]], list[str] | None]
"""(code clause, classes to start in) -> evidence, empty: it does not hold, None: not known."""


class Answer(NamedTuple):
    """Whether a rule holds."""

    holds: bool
    evidence: tuple[str, ...] = ()
    where: str = PLACE
    needs: str = ""
    """What is not known and would decide; then *holds* is False."""


_NO = Answer(False)


def answer_to(rule: Rule, facts: Facts, ask: Ask | None = None) -> Answer:
    """Return whether *rule* (`patterns.rule_language.Behaviour`) holds.

    *ask* reads code; without it only stored answers are used.
    """
    held = [*asked_for(rule["library"], facts.libraries)] if rule["library"] else []
    if _is_excluded(rule, facts) or (rule["library"] and not held):
        return _NO
    evidence, unknown = _traits(rule, facts)
    if evidence is None:
        return _NO
    started = _components(rule, facts)
    if started is None or not _steps_are_there(rule, facts, unknown):
        return _NO
    if unknown:
        return Answer(False, needs=unknown[0])
    evidence += [f"{part.kind} {part.name}" for parts in started.values() for part in parts[:2]]
    answer = _with_code(rule, facts, started, evidence, ask)
    return _with_libraries(answer, held) if held and answer.holds else answer


def _with_libraries(answer: Answer, held: list[tuple[str, Place]]) -> Answer:
    lines = [f"{name} {place.version}: {place.text}" for name, place in held]
    where = held[0][1].where if answer.where == PLACE else answer.where
    return answer._replace(where=where, evidence=(*dict.fromkeys(lines), *answer.evidence))


def finding_of(rule: Rule, where: str, evidence: str) -> Finding:
    """Return the finding for a rule that holds."""
    return Finding(
        rule=rule["id"],
        severity=rule["severity"],
        where=where,
        evidence=evidence,
        title=rule["title"],
        category=rule["category"],
        family=rule["family"],
        technique=rule["technique"],
        confidence=rule["confidence"],
        reference=rule["reference"],
        meaning=rule["meaning"],
    )


def asks_for_components(rule: Rule) -> bool:
    """Whether the components of an app decide on *rule*."""
    parts, kinds = ("all", "some", "none"), ("actions", "guarded_by")
    return bool(rule["component"]) or any(rule[part][kind] for part in parts for kind in kinds)


def wanted_references(rules: Iterable[Rule]) -> set[str]:
    """Return every method, field and class that some rule asks about."""
    wanted: set[str] = set()
    for rule in rules:
        for part in ("all", "some", "none"):
            wanted.update(rule[part]["calls"], rule[part]["types"])
        for clause in rule["code"]:
            wanted.update(code_references(clause))
    return wanted


def code_references(clause: Mapping[str, Any]) -> set[str]:
    """Return every call that one code clause names."""
    wanted = set(clause["absent"])
    for step in alternatives(clause["steps"]):
        wanted.update(step["call"], *_sources(step))
    return {name for name in wanted if "->" in name}


def alternatives(steps: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the steps, and what stands in their ``either``."""
    return [one for step in steps for one in (step, *step["either"])]


def _sources(step: Mapping[str, Any]) -> list[list[str]]:
    named = [one[kind] for one in step["arguments"].values() for kind in ("comes_from", "not_from")]
    return [step["takes"], *named]


def _is_excluded(rule: Rule, facts: Facts) -> bool:
    below = rule["target_sdk_below"]
    return bool(
        (below and facts.target_sdk >= below)
        or (rule["no_launcher"] and "launcher" in facts.has["flags"])
        or (rule["receiver_priority"] and not _is_first(rule, facts))
    )


def _is_first(rule: Rule, facts: Facts) -> bool:
    return any(
        part.priority >= rule["receiver_priority"]
        and set(part.actions) & set(rule["all"]["actions"])
        for part in facts.components
    )


def _traits(rule: Rule, facts: Facts) -> tuple[list[str] | None, list[str]]:
    """Return the traits that make the rule hold (None: it cannot), and those not known."""
    unknown: list[str] = []
    wanted, unwanted = rule["all"], rule["none"]
    for kind, has in facts.has.items():
        if wanted[kind] and not has.issuperset(wanted[kind]):
            missing = facts.unknown(kind, wanted[kind])
            if not has.issuperset(set(wanted[kind]).difference(missing)):
                return None, []
            unknown += missing
        if unwanted[kind]:
            if not has.isdisjoint(unwanted[kind]):
                return None, []
            unknown += facts.unknown(kind, unwanted[kind])
    needed = [one for kind in TRAIT_KINDS for one in rule["all"][kind]]
    if not rule["at_least"]:
        return needed, unknown
    some = [one for kind in TRAIT_KINDS for one in rule["some"][kind] if one in facts.has[kind]]
    if len(some) < rule["at_least"]:
        open_ones = [o for kind in TRAIT_KINDS for o in facts.unknown(kind, rule["some"][kind])]
        if len(some) + len(open_ones) < rule["at_least"]:
            return None, []
        unknown += open_ones
    return needed + some, unknown


def _steps_are_there(rule: Rule, facts: Facts, unknown: list[str]) -> bool:
    """Whether the code refers to a call of each step at all; adds what is not known."""
    for clause in rule["code"]:
        if clause["digest"] in facts.code:
            continue
        for step in clause["steps"]:
            calls = [call for one in alternatives([step]) for call in one["call"]]
            if not facts.has["calls"].isdisjoint(calls):
                continue
            missing = facts.unknown("calls", calls)
            if not missing:
                return False
            unknown += missing
    return True


def _components(rule: Rule, facts: Facts) -> dict[str, list[Component]] | None:
    """Return label (or number) -> fitting components; None when one has none."""
    found = {}
    for number, asked in enumerate(rule["component"]):
        fitting = [part for part in facts.components if _fits(asked, part)]
        if not fitting:
            return None
        found[asked["label"] or str(number)] = fitting
    return found


def _fits(asked: Mapping[str, Any], part: Component) -> bool:
    return (
        asked["kind"] in ("", part.kind)
        and (not asked["actions"] or not set(asked["actions"]).isdisjoint(part.actions))
        and (not asked["categories"] or not set(asked["categories"]).isdisjoint(part.categories))
        and (not asked["guarded_by"] or part.permission in asked["guarded_by"])
        and (asked["exported"] is None or asked["exported"] == part.exported)
        and not (asked["unguarded"] and part.permission)
        and part.priority >= asked["priority"]
    )


def _with_code(
    rule: Rule,
    facts: Facts,
    started: Mapping[str, list[Component]],
    evidence: list[str],
    ask: Ask | None,
) -> Answer:
    where, package = PLACE, facts.features["package"]
    for clause in rule["code"]:
        lines = facts.code.get(clause["digest"])
        if lines is None and ask is not None:
            parts = started.get(clause["component"], []) if clause["component"] else []
            lines = ask(clause, [class_of(package, part.name) for part in parts])
        if lines is None:
            return Answer(False, needs="its code")
        if not lines:
            return _NO
        where = lines[0].split(": ", 1)[0] if where == PLACE else where
        evidence = [*lines, *evidence]
    return Answer(True, tuple(dict.fromkeys(evidence)), where)


def may_hold(steps: Iterable[Mapping[str, Any]], near: Collection[str]) -> bool:
    """Whether a walk that notes no more than *near* may find all *steps* of a code clause."""
    return all(_may_be(step, near) for step in steps)


def _may_be(step: Mapping[str, Any], near: Collection[str]) -> bool:
    asked = [step["takes"], *(one["comes_from"] for one in step["arguments"].values())]
    for names in asked:
        if names and all("->" in name for name in names) and not _meet(names, near):
            return False
    if step["either"]:
        return any(_may_be(other, near) for other in step["either"])
    return _meet(step["call"], near)


def _meet(names: Sequence[str], near: Collection[str]) -> bool:
    return any(name in near for name in names)
