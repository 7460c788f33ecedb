"""The classes that an app defines, found without reading what they hold."""

from collections.abc import Iterator
from functools import cached_property
from itertools import count, repeat

from scanner.code_file import CodeFile
from scanner.framework import ANDROIDS

MAXIMUM_ANCESTORS = 60
"""Of one class; `OwnClasses.is_cut` tells that one had more."""
LOOK_UPS = 40
"""From so many names on, a table of all names is cheaper."""
_NO_INDEX = 0xFFFFFFFF
Place = tuple[int, int]
"""File and row of a class."""
Signature = tuple[str, str]
"""Name and prototype of a method."""


class OwnClasses:
    """The classes of all *files*; of two with one name Android takes the first."""

    def __init__(self, files: list[CodeFile]) -> None:
        self._files = files
        self.is_cut = False
        """Whether a class descends from more than is looked at, as in a circle."""
        self._found: dict[str, Place | None] = {}
        self._of_types: dict[tuple[int, int], Place | None] = {}
        self._codes: dict[Place, dict[int, int]] = {}
        self._methods: dict[Place, dict[Signature, int]] = {}

    def find(self, descriptor: str) -> Place | None:
        """Return where the class of that name is."""
        if descriptor not in self._found:
            if descriptor in ANDROIDS:
                self._found[descriptor] = None
            elif len(self._found) < LOOK_UPS or len(self._files) == 1:
                self._found[descriptor] = self._search(descriptor)
            else:
                self._found[descriptor] = self._all.get(
                    descriptor.encode("utf-8", "surrogateescape")
                )
        return self._found[descriptor]

    def _search(self, descriptor: str) -> Place | None:
        for number, file in enumerate(self._files):
            for kind in file.find_types(file.find_strings([descriptor])):
                row = file.class_rows.get(kind)
                if row is not None:
                    return number, row
        return None

    @cached_property
    def _all(self) -> dict[bytes, Place]:
        found: dict[bytes, Place] = {}
        for number, file in reversed([*enumerate(self._files)]):
            found.update(zip(file.class_names(), zip(repeat(number), count()), strict=False))
        return found

    def of_type(self, number: int, kind: int) -> Place | None:
        """Return where the class is that type *kind* of file *number* means."""
        key = number, kind
        if key not in self._of_types:
            self._of_types[key] = self._find_type(number, kind)
        return self._of_types[key]

    def _find_type(self, number: int, kind: int) -> Place | None:
        if kind >= self._files[number].dex.types.rows:
            return None
        if len(self._files) == 1 and kind not in self._files[0].class_rows:
            return None
        return self.find(self._files[number].type_name(kind))

    def line(self, place: Place | None) -> Iterator[Place]:
        """Yield a class and its own ancestors."""
        for _ in range(MAXIMUM_ANCESTORS):
            if place is None:
                return
            yield place
            parent = self._files[place[0]].parents[place[1]][1]
            place = self.of_type(place[0], parent) if parent != _NO_INDEX else None
        self.is_cut = True

    def below(self, descriptor: str, most: int) -> list[str]:
        """Return the classes that descend from that one, of each at most so many children."""
        found: dict[str, None] = {}
        waiting = [descriptor]
        while waiting:  # hostile classes may extend each other in a circle
            children = self._children_of(waiting.pop(), most)
            waiting += [one for one in children if one not in found]
            found.update(dict.fromkeys(children))
        return [*found]

    def _children_of(self, descriptor: str, most: int) -> list[str]:
        return [
            file.type_name(file.parents[row][0])
            for file, rows in zip(self._files, self.rows_by_parent, strict=True)
            if (kind := file.type_row(descriptor)) is not None
            for row in rows.get(kind, ())
        ][:most]

    @cached_property
    def rows_by_parent(self) -> list[dict[int, list[int]]]:
        """For each file: type that is extended -> rows of the classes that do so."""
        found: list[dict[int, list[int]]] = [{} for _ in self._files]
        for file, rows in zip(self._files, found, strict=True):
            for row, (_, parent, _) in enumerate(file.parents):
                rows.setdefault(parent, []).append(row)
        return found

    def codes(self, place: Place) -> dict[int, int]:
        """Return method index -> offset of the code for the methods of a class."""
        if place not in self._codes:
            self._codes[place] = dict(self._files[place[0]].coded(place[1]))
        return self._codes[place]

    def methods(self, place: Place) -> dict[Signature, int]:
        """Return name and prototype -> offset of the code for the methods of a class."""
        if place not in self._methods:
            file = self._files[place[0]]
            found: dict[Signature, int] = {}
            self._methods[place] = found
            for index, code in self.codes(place).items():
                _, proto, name = file.method(index)
                found[file.text(name), file.proto(proto)] = code
        return self._methods[place]

    def name(self, place: Place) -> str:
        """Return the descriptor of a class."""
        file = self._files[place[0]]
        return file.type_name(file.parents[place[1]][0])

    def parent_name(self, place: Place) -> str:
        """Return the descriptor of what a class extends; empty: nothing."""
        file = self._files[place[0]]
        parent = file.parents[place[1]][1]
        return file.type_name(parent) if parent != _NO_INDEX else ""
