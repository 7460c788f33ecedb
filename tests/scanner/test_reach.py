"""What is said to be out of reach of a walk is never met by it."""

import contextlib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from patterns.opened import OpenSet
from scanner import program
from scanner.behaviour_rules import may_hold, wanted_references
from scanner.code_file import CodeFile, Method
from scanner.code_rules import noted_rows
from scanner.code_sites import INVOKES, named_rows
from scanner.flow import Walk
from scanner.frames import Budget, BudgetError
from scanner.program import Program
from scanner.reach import Reach
from tests.scanner.corpus import real_apk, second_real_apk
from tests.scanner.samples.dex_writer import write_dex
from tests.scanner.samples.sample import APPS, classes_of, read_pair

EVERY = 29
"""Of how many methods of a real app one is walked from."""
SEVERAL = 1500
"""Methods one behind another, many of which call each other."""
RULES = sorted(path.stem for path in APPS.glob("*.app"))


@pytest.mark.parametrize("rule", RULES)
def test_a_walk_meets_only_what_was_said_to_be_near(rule: str, opened: OpenSet) -> None:
    code = _program(rule)
    noted = noted_rows(code, code.references(wanted_references(opened.behaviours)))

    for depth, user_acts in ((4, False), (1, True), (0, False)):
        reach = Reach(code, noted, _budget())
        for method in _methods(code):
            near = reach.near((method,), method.owner, depth, user_acts)
            walk = Walk(code, noted, _budget(), reach.hands_on, near.depth, user_acts)
            walk.start(method, method.owner)
            met = {name for event in walk.events for name in event.names}
            assert near.names is not None
            assert met <= near.names


@pytest.mark.parametrize("app", [real_apk, second_real_apk])
def test_so_it_is_in_real_code(app: Callable[[], Path], opened: OpenSet) -> None:
    code = _program_in(app())
    noted = noted_rows(code, code.references(wanted_references(opened.behaviours)))
    reach = Reach(code, noted, _budget())
    compared = 0
    for method in [*_methods(code)][::EVERY]:
        near = reach.near((method,), method.owner, 4, False)
        if near.names is not None:
            walk = Walk(code, noted, _budget(), reach.hands_on, near.depth, user_acts=False)
            with contextlib.suppress(BudgetError):  # what it met until then counts
                walk.start(method, method.owner)
            assert {name for event in walk.events for name in event.names} <= near.names
            compared += bool(walk.events)

    assert compared >= 10


@pytest.mark.parametrize("app", [real_apk, second_real_apk])
def test_who_starts_in_the_midst_of_a_search_finds_what_a_search_of_its_own_finds(
    app: Callable[[], Path], opened: OpenSet
) -> None:
    code = _program_in(app())
    noted = noted_rows(code, code.references(wanted_references(opened.behaviours)))
    shared, alone = (Reach(code, noted, Budget(10_000_000, lambda: False)) for _ in range(2))
    shared.looks = alone.looks = 10_000_000
    clauses = [clause for rule in opened.behaviours for clause in rule["code"]]
    vain = 0
    for method in [*_methods(code)][:SEVERAL]:
        for clause in clauses:
            start = (method,), method.owner, clause["reach"], clause["user_acts"]
            names = alone.near(*start).names
            is_vain = names is not None and not may_hold(clause["steps"], names)
            assert (shared.near_for(clause, *start[:2]) is None) == is_vain
            vain += is_vain

    assert vain > SEVERAL
    assert shared.looks > alone.looks


def test_a_row_counts_where_android_sees_an_instruction_only() -> None:
    invoke, table = (0x106E, 7, 0), (0x0300, 1, 4, 0, 0x106E, 9)
    units = [0x0013, 0x106E, *invoke, *table, *invoke, 0x0022]  # const/16 v0, 0x106e; ends cut off

    assert [*named_rows(units)] == [(INVOKES, 7), (INVOKES, 7)]


@pytest.mark.parametrize(
    "table", [(0x0300, 1, 0xFFFF, 0xFFFF), (0x0300, 9, 9, 9), (0x0100, 9, 0, 0)]
)
def test_no_table_hides_what_is_jumped_to_behind_it(table: tuple[int, ...]) -> None:
    units = [0x0528, *table, 0x206E, 7, 0, 0x0E]  # goto +5: the length wraps, or does not fit

    assert (INVOKES, 7) in named_rows(units)


def test_what_lies_nowhere_near_needs_no_walk(opened: OpenSet) -> None:
    code = _program("sms_forwarder")
    references = code.references(wanted_references(opened.behaviours))
    reach = Reach(code, noted_rows(code, references), _budget())
    rules = {rule["id"]: rule["code"][0] for rule in opened.behaviours if rule["code"]}

    def found(rule: str) -> list[str]:
        near = {m.name: reach.near_for(rules[rule], (m,), m.owner) for m in _methods(code)}
        return [name for name, found in near.items() if found is not None]

    assert "onReceive" in found("sms_forwarder")
    assert found("clipboard_thief") == []


def test_what_is_kept_of_code_is_bounded_and_changes_no_walk(
    opened: OpenSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    met, kept = {}, {}
    for room in (program.UNITS_KEPT, 50):
        monkeypatch.setattr(program, "UNITS_KEPT", room)
        code = _program("sms_forwarder")
        noted = noted_rows(code, code.references(wanted_references(opened.behaviours)))
        hands_on = Reach(code, noted, _budget()).hands_on
        walks = [Walk(code, noted, _budget(), hands_on, 4, True) for _ in _methods(code)]
        for walk, method in zip(walks, _methods(code), strict=True):
            walk.start(method, method.owner)
        met[room] = [(event.names, event.offset) for walk in walks for event in walk.events]
        kept[room] = sum(len(body.units) for body in code._bodies.values())

    assert len({*map(tuple, met.values())}) == 1
    assert met[50] != []
    assert kept[50] < kept[500_000]


def _program_in(apk: Path) -> Program:
    with zipfile.ZipFile(apk) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".dex"))
        return Program([CodeFile(name, archive.read(name)) for name in names])


def _program(rule: str) -> Program:
    classes = classes_of(read_pair(rule).sample)
    return Program([CodeFile("classes.dex", write_dex([*classes]))])


def _methods(code: Program) -> list[Method]:
    names = [name.decode() for name in code.files[0].class_names()]
    found = [code.own_class(name) for name in names]
    return [method for one in found if one for method in one.methods.values()]


def _budget() -> Budget:
    return Budget(100_000, lambda: False)
