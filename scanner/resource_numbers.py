"""Which resource a number stands for, when it is no plain one of the app's or of Android's.

Source (AOSP): DynamicRefTable and AssetManager2::BuildDynamicRefTable. A package of number 0 gets
one when it is loaded, 2 first; a reference into package 0 means the app's own; a table of libraries
gives packages other numbers, Android's own included; staged aliases rename single resources.
"""

import struct
from typing import Any

from scanner.chunks import TABLE_LIBRARY, TABLE_STAGED_ALIAS, Chunk

MAXIMUM_ROWS = 10_000
"""Of all tables of libraries and aliases, and packages."""
_SYSTEM, _APP, _FIRST_DYNAMIC = 0x01, 0x7F, 0x02
_NAME_BYTES = 256
_LIBRARY = struct.Struct(f"<I{_NAME_BYTES}s")
_ALIAS = struct.Struct("<II")


class Numbers:
    """The numbers of one resource table."""

    def __init__(self) -> None:
        self._own = 0
        self._next = _FIRST_DYNAMIC
        self._packages = {"android": _SYSTEM}
        self._libraries: dict[int, str] = {}
        self._aliases: dict[int, int] = {}
        self._room = MAXIMUM_ROWS
        self.is_cut = False
        """Whether there are more libraries or aliases than are read."""

    def package(self, number: int, name: bytes) -> int:
        """Return the number that Android gives the package that calls itself *number*."""
        number &= 0xFF
        if number == 0:
            number, self._next = self._next & 0xFF, self._next + 1
        self._own = self._own or number
        if self._room > 0:
            self._room -= 1
            self._packages.setdefault(_name(name), number)
        else:
            self.is_cut = True
        return number

    def take(self, data: bytes, chunk: Chunk) -> None:
        """Note what a chunk of a package says about numbers."""
        if chunk.kind == TABLE_LIBRARY:
            for number, name in self._rows(_LIBRARY, data, chunk):
                self._libraries[number & 0xFF] = _name(name)
        elif chunk.kind == TABLE_STAGED_ALIAS:
            for staged, final in self._rows(_ALIAS, data, chunk):
                self._aliases.setdefault(staged, final)

    def meant(self, resource_id: int) -> int:
        """Return the number of the resource that *resource_id* leads to as a dynamic reference."""
        meant = self._aliases.get(resource_id, resource_id)
        package = meant >> 24
        if package in (_SYSTEM, _APP) or not meant >> 16:
            return meant
        if package == 0:
            package = self._own
        elif package in self._libraries:
            package = self._packages.get(self._libraries[package], package)
        return package << 24 | meant & 0xFFFFFF

    def _rows(self, form: struct.Struct, data: bytes, chunk: Chunk) -> list[tuple[Any, ...]]:
        (told,) = struct.unpack_from("<I", data, chunk.at + 8)
        count = min(told, (chunk.end - chunk.body) // form.size)
        self.is_cut |= count > self._room
        count = min(count, self._room)
        self._room -= count
        return [form.unpack_from(data, chunk.body + row * form.size) for row in range(count)]


def _name(body: bytes) -> str:
    return body.decode("utf-16-le", "replace").partition("\0")[0]
