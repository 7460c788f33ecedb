"""What the compiler of samples knows of names, types and styles."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.scanner.samples.framework import OBJECT, Class

STRING = "Ljava/lang/String;"
PARAMETER = 1000
"""Registers from here on are parameters, until the size of the frame is known."""
TEXT_CLASS = "Texts"


class SampleError(Exception):
    """The sample is not written as samples are; the text names the line."""


class Value(NamedTuple):
    register: int
    type: str


@dataclass(frozen=True)
class Style:
    """How names and texts of a sample are written."""

    name: Callable[[str], str] = str
    """Of classes (with package), methods and fields of the sample's own."""
    hides_texts: bool = False


class Scope(NamedTuple):
    """What a method can name."""

    known: dict[str, Class]
    own: Class
    style: Style


def ancestors(one: Class, known: dict[str, Class]) -> Iterator[Class]:
    by_name = {each.name: each for each in known.values()}
    waiting = [one.name]
    while waiting:
        found = by_name.get(waiting.pop(0))
        if found is not None:
            yield found
            waiting += [*([] if found.name == OBJECT else [found.parent]), *found.interfaces]


def word(node: ast.expr) -> str:
    return ast.unparse(node).strip("'")


def suffix(kind: str, small: str = "-boolean") -> str:
    if kind[0] in "L[":
        return "-object"
    if kind in ("J", "D"):
        return "-wide"
    return small if kind == "Z" else ""
