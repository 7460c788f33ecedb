"""Which methods of an app can lead to which: asked before code is walked, as walking is dear.

Errs to one side: what a walk (`scanner.flow`) would follow is here, and more. Whoever calls a
method leads to it, and whoever makes an object of its class or names that class, as the framework
may then call it.
"""

import struct
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property

from scanner.code_file import CodeFile, Method
from scanner.program import Program, Reference

MAXIMUM_SITES = 400
MAXIMUM_METHODS = 4_000
_NO_INDEX = 0xFFFFFFFF
Place = tuple[int, int]
"""File and offset of a method's code."""


def place_of(method: Method) -> Place:
    return method.file, method.code_at


class CallGraph:
    """The calls of one program, backwards."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._known: dict[tuple[frozenset[Reference], int], frozenset[Place] | None] = {}

    def towards(self, references: Iterable[Reference], depth: int) -> frozenset[Place] | None:
        """Return the methods that lead to *references* in *depth* calls; None: nearly all may."""
        key = frozenset(references), depth
        if key not in self._known:
            self._known[key] = self._spread(self._program.users(key[0]), depth)
        return self._known[key]

    def _spread(self, level: list[Method], depth: int) -> frozenset[Place] | None:
        seen = {place_of(method) for method in level}
        for _ in range(depth + 1):
            if len(level) > MAXIMUM_SITES or len(seen) > MAXIMUM_METHODS:
                return None
            level = [m for m in self._leading_to(level) if place_of(m) not in seen]
            seen.update(map(place_of, level))
        return frozenset(seen)

    def _leading_to(self, methods: Iterable[Method]) -> list[Method]:
        wanted = [(owner, m) for m in methods for owner in self._family(m.owner)]
        found = []
        for number, (file, names) in enumerate(zip(self._program.files, self._names, strict=True)):
            rows = {row for owner, m in wanted for row in names.rows_of(file, owner, m)}
            kinds = {names.kind(owner) for owner, m in wanted if not m.name.startswith("<")}
            found += [m._replace(file=number) for m in file.users(rows, (), kinds - {None})]
        return found

    def _family(self, descriptor: str) -> list[str]:
        """Return a class, what extends it and what it extends: code may name either."""
        found, waiting = {descriptor: None}, [descriptor]
        while waiting:  # hostile classes may extend each other in a circle
            more = self._children.get(waiting.pop(), [])[:MAXIMUM_SITES]
            waiting += [one for one in more if one not in found]
            found.update(dict.fromkeys(more))
        classes = self._program.classes
        found.update((classes.name(one), None) for one in classes.line(classes.find(descriptor)))
        return [*found]

    @cached_property
    def _names(self) -> list["_Names"]:
        return [_Names(file) for file in self._program.files]

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for file in self._program.files:
            defined = file.class_rows
            for kind, parent, _ in file.parents:
                if parent in defined or (parent != _NO_INDEX and len(self._program.files) > 1):
                    found[file.type_name(parent)].append(file.type_name(kind))
        return dict(found)


class _Names:
    """Where the names of one file stand in its tables; all are read at once."""

    def __init__(self, file: CodeFile) -> None:
        data, dex = file.data, file.dex
        self._texts: dict[bytes, int] = {}
        for index, at in enumerate(
            struct.unpack_from(f"<{dex.strings.rows}I", data, dex.strings.at)
        ):
            while data[at] & 0x80:
                at += 1
            self._texts[data[at + 1 : data.index(0, at + 1)]] = index
        types = struct.unpack_from(f"<{dex.types.rows}I", data, dex.types.at)
        self._kinds = {text: kind for kind, text in enumerate(types)}
        self._rows: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        table = data[dex.methods.at : dex.methods.at + 8 * dex.methods.rows]
        for row, (owner, proto, name) in enumerate(struct.iter_unpack("<HHI", table)):
            self._rows[owner, name].append((row, proto))

    def kind(self, descriptor: str) -> int | None:
        """Return the type's row."""
        return self._kinds.get(self._texts.get(descriptor.encode("utf-8", "surrogateescape"), -1))

    def rows_of(self, file: CodeFile, owner: str, method: Method) -> list[int]:
        """Return the rows that name *method* as one of class *owner*."""
        kind = self.kind(owner)
        name = self._texts.get(method.name.encode("utf-8", "surrogateescape"), -1)
        if kind is None:
            return []
        found = self._rows.get((kind, name), ())
        return [row for row, proto in found if file.proto(proto) == method.proto]
