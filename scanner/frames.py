"""One call of one method while code is walked, what is noted there, and how much may be walked."""

import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from scanner.code_file import CodeFile, Method, catch_places
from scanner.values import EMPTY, Value

Names = Mapping[int, frozenset[str]]
"""Row of a table -> what rules call it."""


class BudgetError(Exception):
    """The walk took more steps or time than it may. Stays inside the scanner."""


class AllowanceError(BudgetError):
    """The walk took more steps than a part of the budget allows."""


class Budget:
    """How many instructions may be walked for one file, and until when.

    A part of a budget is an allowance: what is spent of it is spent of the *whole*, too.
    """

    def __init__(
        self, instructions: int, is_late: Callable[[], bool], whole: "Budget | None" = None
    ) -> None:
        self._left = instructions
        self._is_late = is_late
        self._whole = whole

    def spend(self, instructions: int) -> None:
        """Raises BudgetError when the budget is used up."""
        before, self._left = self._left, self._left - instructions
        if self._whole:
            self._whole.spend(instructions)
            if self._left < 0:
                raise AllowanceError
        if self._left < 0 or (before >> 12 != self._left >> 12 and self._is_late()):
            raise BudgetError


class Event(NamedTuple):
    """A noted call with what was known of its arguments."""

    number: int
    names: frozenset[str]
    arguments: tuple[Value, ...]
    """Without the object; two-register values count once."""
    this: Value | None
    method: Method
    offset: int
    """Of the instruction in the DEX file."""


class Body:
    """The code of a method, and its instructions as far as they were taken apart."""

    __slots__ = ("catches", "file", "inputs", "instructions", "registers", "units")

    def __init__(self, file: CodeFile, at: int) -> None:
        """Read the code at offset *at*; raises what `scanner.program.Program` raises on damage."""
        self.file = file
        self.registers, self.inputs = file.registers(at)
        self.units = array("H", file.code(at))
        if sys.byteorder == "big":
            self.units.byteswap()
        self.catches = catch_places(file, at, len(self.units))
        self.instructions: dict[int, Any] = {}
        """Place -> the `scanner.effects.Instruction` there."""


class Frame:
    """One call of one method; what it calls lies *below*.

    *noted* are the rows of its file's methods and fields.
    """

    __slots__ = ("below", "body", "method", "noted", "registers", "result", "returned")

    def __init__(
        self,
        body: Body,
        method: Method,
        arguments: Sequence[Value],
        below: int,
        noted: tuple[Names, Names],
    ) -> None:
        ins = body.inputs
        self.body, self.method, self.below, self.noted = body, method, below, noted
        padded = [*arguments[:ins], *[EMPTY] * (ins - len(arguments))]
        self.registers = [EMPTY] * max(0, body.registers - ins) + padded
        self.result = EMPTY
        self.returned: list[Value] = []


class Paths:
    """The ways through a method of *size* units that are walked, and those that still wait."""

    __slots__ = ("marks", "seen", "waiting")

    def __init__(self, size: int, registers: list[Value]) -> None:
        self.marks = bytearray(size)
        """The last pass that came by each place."""
        self.seen: dict[int, list[frozenset[int]]] = {}
        """Place where paths met -> the origins that each register had there."""
        self.waiting = [(0, registers, 1)]
        """Place, registers and number of the pass."""
