"""The code of an app across its DEX files: what it refers to, its classes, their methods.

Only what is asked for is read; nothing is disassembled here.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from scanner.code_file import CodeFile, Method
from scanner.frames import Body
from scanner.framework import ANCESTORS, PACKAGES, is_a
from scanner.own_classes import OwnClasses, Place
from scanner.values import Told, keep_all

UNITS_KEPT = 500_000
"""Of code that was taken apart; hostile methods may be long, and share their bytes."""
_NO_INDEX = 0xFFFFFFFF


class Reference(NamedTuple):
    """A row of a file's method or field table that means a wanted reference."""

    file: int
    is_field: bool
    row: int


class OwnClass(NamedTuple):
    """A class that the app defines."""

    file: int
    descriptor: str
    parent: str
    interfaces: tuple[str, ...]
    methods: Mapping[tuple[str, str], Method]
    """(name, prototype) -> method with code."""


class Program:
    """All code of an app. Methods raise BrokenDexError, struct.error or IndexError on damage."""

    def __init__(self, files: list[CodeFile], told: Told = keep_all) -> None:
        self.files = files
        self.told = told
        self.classes = OwnClasses(files)
        self._classes: dict[str, OwnClass | None] = {}
        self._lineages: dict[str, tuple[list[Place], str]] = {}
        self._targets: dict[tuple[int, int], Method | None] = {}
        self._methods: dict[tuple[str, str, str], Method | None] = {}
        self._descendants: dict[tuple[tuple[str, ...], bool], list[str]] = {}
        self._bodies: dict[tuple[int, int], Body] = {}
        self._room = UNITS_KEPT

    def references(self, wanted: Iterable[str]) -> dict[str, list[Reference]]:
        """Return where the code refers to *wanted*: ``Lx;->name`` or ``Lx;`` (an empty list).

        A method that is named through a descendant counts, unless the app defines it there.
        """
        found: dict[str, list[Reference]] = {}
        by_owner: dict[str, list[str]] = {}
        for text in wanted:
            owner, _, name = text.partition("->")
            by_owner.setdefault(owner, []).append(name)
        inherited = _inherited_names(by_owner)
        for number, file in enumerate(self.files):
            types = file.find_types(file.find_strings(by_owner))
            names = {name for owner in types.values() for name in by_owner[owner] if name}
            strings = file.find_strings(names | inherited.keys())
            for owner in types.values():
                found.setdefault(owner, [])
            for kind, owner in types.items():
                for name in by_owner.get(owner, ()):
                    self._exact(number, kind, owner, name, strings, found)
            for name, owners in inherited.items():
                if name in strings:
                    self._inherited(number, name, strings[name], owners, found)
        return {text: rows for text, rows in found.items() if "->" in text or text in by_owner}

    def _exact(
        self,
        number: int,
        kind: int,
        owner: str,
        name: str,
        strings: Mapping[str, int],
        found: dict[str, list[Reference]],
    ) -> None:
        if name not in strings:
            return
        for is_field in (False, True):
            rows = self.files[number].rows_of(kind, strings[name], is_field)
            more = [Reference(number, is_field, row) for row in rows]
            if more:
                found.setdefault(f"{owner}->{name}", []).extend(more)

    def _inherited(
        self,
        number: int,
        name: str,
        string: int,
        owners: list[str],
        found: dict[str, list[Reference]],
    ) -> None:
        """Find methods of that name that are called through a descendant of one of *owners*."""
        file = self.files[number]
        for row in file.rows_with_name(string):
            for owner in self._inherits(number, file.method(row)[0], row, owners):
                found.setdefault(f"{owner}->{name}", []).append(Reference(number, False, row))

    def _inherits(self, number: int, owner: int, row: int, meant: list[str]) -> list[str]:
        file = self.files[number]
        descriptor = file.type_name(owner)
        if descriptor.startswith(PACKAGES) and self.classes.of_type(number, owner) is None:
            return [one for one in meant if one != descriptor and is_a(descriptor, one)]
        fitting = [one for one in meant if self.descends(descriptor, (one,))]
        _, proto, name = file.method(row)
        if fitting and self.method(descriptor, file.text(name), file.proto(proto)):
            return []
        return fitting

    def own_class(self, descriptor: str) -> OwnClass | None:
        """Return the class that the app defines under this name."""
        if descriptor not in self._classes:
            self._classes[descriptor] = self._read_class(descriptor)
        return self._classes[descriptor]

    def _read_class(self, descriptor: str) -> OwnClass | None:
        place = self.classes.find(descriptor)
        return place and self._class_in(*place, descriptor)

    def _class_in(self, number: int, row: int, descriptor: str) -> OwnClass:
        file = self.files[number]
        _, parent, interfaces = file.parents[row]
        methods = {
            key: method._replace(file=number)
            for key, method in file.methods_of(row, descriptor).items()
        }
        name = file.type_name(parent) if parent != _NO_INDEX else ""
        return OwnClass(number, descriptor, name, file.interfaces(interfaces), methods)

    def body(self, number: int, at: int) -> Body:
        """Return the code at *at* of file *number*, with what was taken apart of it already."""
        found = self._bodies.get((number, at))
        if found is None:
            found = Body(self.files[number], at)
            self._room -= len(found.units)
            if self._room < 0:
                self._bodies.clear()
                self._room = UNITS_KEPT - len(found.units)
            self._bodies[number, at] = found
        return found

    def own(self, descriptor: str) -> frozenset[str]:
        """Return *descriptor* alone if the app defines that class, else nothing."""
        return frozenset((descriptor,) if self.own_class(descriptor) else ())

    def target(self, number: int, row: int) -> Method | None:
        """Return the own method that *row* of the method table of file *number* means."""
        key = number, row
        if key not in self._targets:
            self._targets[key] = self._find_target(*key)
        return self._targets[key]

    def _find_target(self, number: int, row: int) -> Method | None:
        file = self.files[number]
        owner, name, proto, _ = file.called(row)
        place = self.classes.of_type(number, file.method(row)[0])
        if place is None:
            return None
        code = self.classes.codes(place).get(row) if place[0] == number else None
        return (
            self.method(owner, name, proto)
            if code is None
            else Method(number, owner, name, proto, code)
        )

    def method(self, owner: str, name: str, proto: str) -> Method | None:
        """Return what runs when that method of an own class is called, inherited ones included."""
        key = (owner, name, proto)
        if key not in self._methods:
            self._methods[key] = self._find_method(*key)
        return self._methods[key]

    def _find_method(self, owner: str, name: str, proto: str) -> Method | None:
        for place in self.classes.line(self.classes.find(owner)):
            code = self.classes.methods(place).get((name, proto))
            if code is not None:
                return Method(place[0], self.classes.name(place), name, proto, code)
        return None

    def line(self, descriptor: str) -> Iterator[OwnClass]:
        """Yield the own class and its own ancestors."""
        for place in self.classes.line(self.classes.find(descriptor)):
            found = self.own_class(self.classes.name(place))
            if found is not None:
                yield found

    def descends(self, descriptor: str, ancestors: tuple[str, ...]) -> bool:
        """Whether a class is one of *ancestors* or descends from it."""
        own, last = self._lineage(descriptor)
        return any((own and self.classes.find(one) in own) or is_a(last, one) for one in ancestors)

    def _lineage(self, descriptor: str) -> tuple[list[Place], str]:
        """Return the own classes that a class descends from, with it, and what they extend."""
        if descriptor not in self._lineages:
            own = [*self.classes.line(self.classes.find(descriptor))]
            last = self.classes.parent_name(own[-1]) if own else descriptor
            self._lineages[descriptor] = own, last
        return self._lineages[descriptor]

    def descendants(self, ancestors: tuple[str, ...], interfaces: bool) -> list[str]:
        """Return the own classes that descend from one of *ancestors*, or implement it."""
        key = ancestors, interfaces
        if key not in self._descendants:
            fits = self._implements if interfaces else self._extends
            self._descendants[key] = [
                file.type_name(file.parents[row][0])
                for number, file in enumerate(self.files)
                for row in fits(number, ancestors)
            ]
        return self._descendants[key]

    def _implements(self, number: int, ancestors: tuple[str, ...]) -> Iterator[int]:
        file = self.files[number]
        if not file.find_types(file.find_strings(ancestors)):
            return
        lists: dict[int, bool] = {0: False}
        for row, (_, _, listed) in enumerate(file.parents):
            if listed not in lists:
                lists[listed] = not set(ancestors).isdisjoint(file.interfaces(listed))
            if lists[listed]:
                yield row

    def _extends(self, number: int, ancestors: tuple[str, ...]) -> list[int]:
        by_parent, type_name = self.classes.rows_by_parent[number], self.files[number].type_name
        return sorted(
            row
            for parent, rows in by_parent.items()
            if parent != _NO_INDEX and self.descends(type_name(parent), ancestors)
            for row in rows
        )

    def users(self, references: Iterable[Reference], kinds: Iterable[str] = ()) -> list[Method]:
        """Return the methods whose code uses one of *references*, or names one of the types."""
        wanted = _by_file(references)
        for number, file in enumerate(self.files):
            if rows := {row for kind in kinds if (row := file.type_row(kind)) is not None}:
                wanted.setdefault(number, (set(), set(), set()))[2].update(rows)
        return [
            method._replace(file=number)
            for number, rows in sorted(wanted.items())
            for method in self.files[number].users(*rows)
        ]

    def has_more_users(self, references: Iterable[Reference], most: int) -> bool:
        """Whether `users` would return more than *most* methods; cheaper if it would."""
        for number, wanted in _by_file(references).items():
            if most < 0:
                break
            most -= self.files[number].count_users(*wanted[:2], most)
        return most < 0

    def callers(self, methods: Iterable[Method]) -> list[Method]:
        """Return the methods whose code calls one of the own *methods*."""
        return self.users([row for method in methods for row in self.rows_of(method)])

    def rows_of(self, method: Method) -> Iterator[Reference]:
        """Yield the rows that mean *method* as one of the class that it names as its owner."""
        for number, file in enumerate(self.files):
            kind = file.type_row(method.owner)
            if kind is None:
                continue
            for name in file.find_strings((method.name,)).values():
                for row in file.rows_of(kind, name, is_field=False):
                    if file.proto(file.method(row)[1]) == method.proto:
                        yield Reference(number, False, row)


def _inherited_names(by_owner: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return method name -> classes that descendants inherit it from."""
    found: dict[str, list[str]] = {}
    for owner, names in by_owner.items():
        for name in names:
            if name and name != "<init>" and owner in ANCESTORS:
                found.setdefault(name, []).append(owner)
    return found


def _by_file(references: Iterable[Reference]) -> dict[int, tuple[set[int], set[int], set[int]]]:
    """Return file -> (method rows, field rows, no type rows yet)."""
    rows: dict[int, tuple[set[int], set[int], set[int]]] = {}
    for file, is_field, row in references:
        rows.setdefault(file, (set(), set(), set()))[is_field].add(row)
    return rows
