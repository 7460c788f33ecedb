"""Full collections wait for a quiet moment, but not for ever."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from runtime import garbage


class Circle:
    """Refers to itself, so only the collector can free it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def old_circle() -> Iterator["weakref.ref[Circle]"]:
    """Give a circle that nobody needs, among the oldest objects, when a full collection is due."""
    before = gc.get_threshold()
    gc.set_threshold(0)
    gc.collect()
    circle = Circle()
    gone = weakref.ref(circle)
    for _ in range(garbage.DUE_AFTER + 1):
        gc.collect(1)
    del circle
    yield gone
    gc.set_threshold(*before)


def test_it_waits_until_nobody_asks_anything(old_circle: "weakref.ref[Circle]") -> None:
    lived = list[bool]()

    def is_quiet() -> bool:
        lived.append(old_circle() is not None)
        return len(lived) == 4

    assert garbage.collect_if_due(is_quiet)
    assert lived == [True] * 4
    assert old_circle() is None


def test_a_server_that_is_never_quiet_keeps_no_garbage_for_ever(
    old_circle: "weakref.ref[Circle]",
) -> None:
    assert garbage.collect_if_due(lambda: False, patience=0.05)
    assert old_circle() is None


def test_what_is_not_due_is_not_made(old_circle: "weakref.ref[Circle]") -> None:
    assert garbage.collect_if_due(lambda: True)
    assert not garbage.collect_if_due(lambda: True)


def test_from_then_on_python_makes_no_full_collection_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    young, middle, full = gc.get_threshold()
    monkeypatch.setattr(garbage, "EVERY_SECONDS", 3600)
    try:
        garbage.collect_between(lambda: True)
        assert gc.get_threshold()[:2] == (young, middle)
        assert gc.get_threshold()[2] > 1_000_000
    finally:
        gc.set_threshold(young, middle, full)
