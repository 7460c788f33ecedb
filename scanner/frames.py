"""One call of one method while code is walked, what is noted there, and how much may be walked."""

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

from scanner.code_file import CodeFile, Method
from scanner.values import EMPTY, Value


class BudgetError(Exception):
    """The walk took more steps or time than it may. Stays inside the scanner."""


class Budget:
    """How many instructions may be walked for one file, and until when."""

    def __init__(self, instructions: int, is_late: Callable[[], bool]) -> None:
        self._left = instructions
        self._is_late = is_late

    def spend(self, instructions: int) -> None:
        """Raises BudgetError when the budget is used up."""
        before, self._left = self._left, self._left - instructions
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


class Frame:
    """One call of one method."""

    __slots__ = ("depth", "file", "gains", "method", "registers", "result", "returned", "units")

    def __init__(self, file: CodeFile, method: Method, arguments: Sequence[Value], depth: int):
        count, ins = struct.unpack_from("<HH", file.data, method.code_at)
        (size,) = struct.unpack_from("<I", file.data, method.code_at + 12)
        size = min(size, (len(file.data) - method.code_at - 16) // 2)
        self.file, self.method, self.depth = file, method, depth
        self.units: Sequence[int] = struct.unpack_from(f"<{size}H", file.data, method.code_at + 16)
        padded = [*arguments[:ins], *[EMPTY] * (ins - len(arguments))]
        self.registers = [EMPTY] * max(0, count - ins) + padded
        self.result = EMPTY
        self.returned: list[Value] = []
