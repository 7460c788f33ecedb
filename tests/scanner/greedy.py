"""The spy of `misread` with a manifest that makes whoever reads it short of memory or time."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from tests.scanner import arsc, axml
from tests.scanner.misread import REFERENCED, Reference, Spy

LETTERS = 1_990
FAR = "\U0001f600"
"""A letter that takes four bytes in memory."""


class Greedy(NamedTuple):
    """A manifest and its resources; Android would take both."""

    name: str
    manifest: bytes
    resources: bytes = b""


def all_of_them() -> Iterator[Greedy]:
    """Yield one for each thing that can be had too much of."""
    yield _actions_by_reference()
    yield _names_by_reference()
    yield _actions_of_their_own()
    yield _shapes()
    yield _elements()
    yield _attributes_at_one_place()
    yield _attributes_of_their_own()
    yield _labels()


def _many(count: int, letter: str = "x") -> list[str]:
    size = LETTERS // len(letter.encode("utf-16-le")) * 2
    return [f"{number:06d}" + letter * size for number in range(count)]


def _table(resources: int, values: int, letter: str = FAR) -> bytes:
    """Return resources that all have many values of their own, in types 1, 2 and so on."""
    texts = _many(resources * values, letter)
    types = [
        arsc.one(axml.STRING, row * values + column, type_id=row + 1)
        for row in range(resources)
        for column in range(values)
    ]
    return arsc.whole(arsc.package(*types), texts=tuple(texts))


def _receivers(spy: Spy, filters: list[bytes]) -> bytes:
    w = spy.w
    head = w.open("receiver", w.given("name", ".A")) + w.open("intent-filter")
    tail = w.close("intent-filter") + w.close("receiver")
    return b"".join(head + inside + tail for inside in filters)


def _actions_by_reference() -> Greedy:
    spy = Spy()
    w = spy.w
    rows = [
        w.whole("action", w.given("name", Reference(REFERENCED + (n << 16)))) for n in range(40)
    ]
    spy.close_receiver += _receivers(spy, [b"".join(rows)] * 400)
    return Greedy("actions by reference", spy.bytes(), _table(40, 400))


def _names_by_reference() -> Greedy:
    spy = Spy()
    w = spy.w
    for number in range(40):
        name = w.given("name", Reference(REFERENCED + (number << 16)))
        spy.close_receiver += w.open("receiver", name) * 400
    return Greedy("names by reference", spy.bytes(), _table(40, 400))


def _actions_of_their_own() -> Greedy:
    spy = Spy()
    w = spy.w
    first = len(w.texts) + 10
    found = []
    for number in range(200):
        rows = [w.whole("action", _numbered(w.given("name", "x"), first + number * 90 + row))
                for row in range(90)]  # fmt: skip
        found.append(b"".join(rows))
    spy.close_receiver += _receivers(spy, found)
    w.texts += [""] * (first - len(w.texts)) + _many(18_000, FAR)
    return Greedy("actions of their own", spy.bytes())


def _numbered(attribute: bytes, text: int) -> bytes:
    """Return the attribute with another text."""
    return attribute[:8] + struct.pack("<I", text) + attribute[12:16] + struct.pack("<I", text)


def _shapes() -> Greedy:
    spy = Spy()
    w = spy.w
    action = w.whole("action", w.given("name", Reference()))
    head = w.open("receiver", w.given("name", ".A"))
    tail = action + w.close("intent-filter") + w.close("receiver")
    spy.close_receiver += b"".join(
        head + w.open("intent-filter", w.given("priority", number)) + tail
        for number in range(9_000)
    )
    return Greedy("shapes", spy.bytes(), _table(1, 100))


def _elements() -> Greedy:
    spy = Spy()
    w = spy.w
    body, first = spy.inside(), len(w.texts) + 10
    body += b"".join(axml.element(first + number) for number in range(20_000))
    w.texts += [""] * (first - len(w.texts)) + _many(20_000)
    return Greedy("elements that stay open", spy.bytes(body))


def _attributes_at_one_place() -> Greedy:
    spy = Spy()
    w = spy.w
    text = w.given(w.again("y"), "x" * LETTERS)
    spy.close_receiver += axml.element(w.text("x"), text, count=65_535, size=0) * 20_000
    return Greedy("attributes at one place", spy.bytes())


def _attributes_of_their_own() -> Greedy:
    spy = Spy()
    w = spy.w
    first = len(w.texts) + 10
    rows = b"".join(w.given(first + number, "z") for number in range(15_000))
    spy.close_receiver += w.open("x", rows)
    w.texts += [""] * (first - len(w.texts)) + _many(15_000)
    return Greedy("attributes of their own", spy.bytes())


def _labels() -> Greedy:
    spy = Spy()
    w = spy.w
    category = w.whole("category", w.given("name", "android.intent.category.LAUNCHER"))
    action = w.whole("action", w.given("name", "android.intent.action.MAIN"))
    inside = w.open("intent-filter") + action + category + w.close("intent-filter")
    for number in range(40):
        label = w.given("label", Reference(REFERENCED + (number << 16)))
        spy.close_receiver += w.open("activity", label, w.given("name", ".A"))
        spy.close_receiver += inside + w.close("activity")
    return Greedy("labels", spy.bytes(), _table(40, 400))
