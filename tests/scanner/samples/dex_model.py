"""What a DEX file is written from: classes, methods, instructions."""

from dataclasses import dataclass, field
from typing import NamedTuple

PUBLIC, STATIC, CONSTRUCTOR = 0x1, 0x8, 0x10000

# name -> (operation code, format of the Dalvik byte code documentation)
OPERATIONS = {
    "return-void": (0x0E, "10x"), "move": (0x01, "12x"), "move-wide": (0x04, "12x"),
    "move-object": (0x07, "12x"), "int-to-char": (0x8E, "12x"), "int-to-long": (0x81, "12x"),
    "move-result": (0x0A, "11x"), "move-result-wide": (0x0B, "11x"),
    "move-result-object": (0x0C, "11x"), "return": (0x0F, "11x"), "return-wide": (0x10, "11x"),
    "return-object": (0x11, "11x"), "throw": (0x27, "11x"), "const/16": (0x13, "21s"),
    "const": (0x14, "31i"), "const-wide/16": (0x16, "21s"), "const-string": (0x1A, "21c"),
    "const-class": (0x1C, "21c"), "check-cast": (0x1F, "21c"), "new-instance": (0x22, "21c"),
    "new-array": (0x23, "22c"), "goto/16": (0x29, "20t"), "if-eq": (0x32, "22t"),
    "if-ne": (0x33, "22t"), "if-ge": (0x35, "22t"), "if-eqz": (0x38, "21t"),
    "if-nez": (0x39, "21t"), "aget-object": (0x46, "23x"), "aput-object": (0x4D, "23x"),
    "add-int": (0x90, "23x"), "xor-int": (0x97, "23x"), "iget": (0x52, "22c"),
    "iget-wide": (0x53, "22c"), "iget-object": (0x54, "22c"), "iget-boolean": (0x55, "22c"),
    "iput": (0x59, "22c"), "iput-wide": (0x5A, "22c"), "iput-object": (0x5B, "22c"),
    "iput-boolean": (0x5C, "22c"), "sget": (0x60, "21c"), "sget-wide": (0x61, "21c"),
    "sget-object": (0x62, "21c"), "sget-boolean": (0x63, "21c"),
    "invoke-virtual": (0x6E, "35c"), "invoke-super": (0x6F, "35c"),
    "invoke-direct": (0x70, "35c"), "invoke-static": (0x71, "35c"),
    "invoke-interface": (0x72, "35c"), "invoke-virtual/range": (0x74, "3rc"),
    "invoke-direct/range": (0x76, "3rc"), "invoke-static/range": (0x77, "3rc"),
    "invoke-interface/range": (0x78, "3rc"),
}  # fmt: skip
UNITS = {"10x": 1, "12x": 1, "11x": 1, "21s": 2, "31i": 3, "21c": 2, "22c": 2, "20t": 2,
          "22t": 2, "21t": 2, "23x": 2, "35c": 3, "3rc": 3}  # fmt: skip


class Method(NamedTuple):
    """A reference: descriptor of the class, name, descriptors of result and parameters."""

    owner: str
    name: str
    result: str
    parameters: tuple[str, ...]


class Field(NamedTuple):
    owner: str
    name: str
    type: str


Symbol = str | Method | Field | None


class Op(NamedTuple):
    """One instruction; a string is a text or a type, as the instruction takes it."""

    name: str
    registers: tuple[int, ...] = ()
    symbol: Symbol = None
    number: int = 0
    """A literal; for jumps the number of the label."""


class Label(NamedTuple):
    number: int


@dataclass
class Body:
    """A method of a class: without *code* it is abstract or native and has *access* to say so."""

    method: Method
    access: int
    registers: int = 0
    code: list[Op | Label] = field(default_factory=list)


@dataclass
class ClassBody:
    name: str
    parent: str
    interfaces: tuple[str, ...] = ()
    access: int = PUBLIC
    fields: list[tuple[Field, int]] = field(default_factory=list)
    methods: list[Body] = field(default_factory=list)


def width(type_name: str) -> int:
    """Return how many registers a value takes."""
    return 2 if type_name in ("J", "D") else 1
