"""Writes DEX files: the classes of a sample, assembled in a millisecond instead of a JVM's second.

`tests/scanner/test_samples.py` shows that Debian's baksmali reads the same instructions out of
them and that smali puts the same tables and instructions together again.
"""

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from tests.scanner.samples.dex_model import (
    CONSTRUCTOR,
    OPERATIONS,
    STATIC,
    UNITS,
    Body,
    ClassBody,
    Field,
    Label,
    Method,
    Op,
    width,
)

HEADER_BYTES = 0x70
NO_INDEX = 0xFFFFFFFF
T = TypeVar("T")


def write_dex(classes: Sequence[ClassBody]) -> bytes:
    """Return *classes* (each after its own parent) as one DEX file, version 035."""
    return _Writer(classes).write()


class _Writer:
    def __init__(self, classes: Sequence[ClassBody]) -> None:
        self._classes = classes
        methods, fields, texts, types = self._named()
        protos = {(m.result, m.parameters) for m in methods}
        for result, parameters in protos:
            types |= {result, *parameters}
            texts.add(_shorty(result, parameters))
        texts |= types | {m.name for m in methods} | {f.name for f in fields}
        self.strings = _numbered(texts, lambda text: text.encode("utf-16-be"))
        self.types = _numbered(types, self.strings.__getitem__)
        self.protos = _numbered(
            protos, lambda p: (self.types[p[0]], tuple(self.types[t] for t in p[1]))
        )
        self.fields = _numbered(
            fields, lambda f: (self.types[f.owner], self.strings[f.name], self.types[f.type])
        )
        self.methods = _numbered(
            methods,
            lambda m: (
                self.types[m.owner], self.strings[m.name], self.protos[m.result, m.parameters]
            ),
        )  # fmt: skip
        self._lists = sorted(
            {p[1] for p in protos if p[1]} | {c.interfaces for c in classes if c.interfaces}
        )

    def _named(self) -> tuple[set[Method], set[Field], set[str], set[str]]:
        methods: set[Method] = set()
        fields: set[Field] = set()
        texts: set[str] = set()
        types: set[str] = set()
        for one in self._classes:
            types |= {one.name, one.parent, *one.interfaces}
            fields |= {f for f, _ in one.fields}
            methods |= {body.method for body in one.methods}
            for op in (op for body in one.methods for op in body.code if isinstance(op, Op)):
                if isinstance(op.symbol, Method):
                    methods.add(op.symbol)
                elif isinstance(op.symbol, Field):
                    fields.add(op.symbol)
                elif op.symbol is not None:
                    (texts if op.name == "const-string" else types).add(op.symbol)
        types |= {m.owner for m in methods} | {t for f in fields for t in (f.owner, f.type)}
        return methods, fields, texts, types

    def write(self) -> bytes:
        tables = (
            (1, len(self.strings), 4), (2, len(self.types), 4), (3, len(self.protos), 12),
            (4, len(self.fields), 8), (5, len(self.methods), 8), (6, len(self._classes), 32),
        )  # fmt: skip
        at = HEADER_BYTES
        starts: dict[int, int] = {}
        sections = [(0, 1, 0)]
        for kind, count, row in tables:
            starts[kind] = at if count else 0
            if count:
                sections.append((kind, count, at))
            at += count * row
        data = _Data(at)
        lists = data.section(0x1001, self._lists, self._type_list, 4)
        bodies = [body for one in self._classes for body in one.methods if body.code]
        codes = data.section(0x2001, bodies, self._code, 4)
        code_at = {id(body): place for body, place in zip(bodies, codes, strict=True)}
        described = [c for c in self._classes if c.methods or c.fields]
        about = data.section(0x2000, described, lambda c: self._class_data(c, code_at), 1)
        texts = data.section(0x2002, list(self.strings), _string_data, 1)
        map_at = data.align(4)
        sections += [*data.sections, (0x1000, 1, map_at)]
        data.body += struct.pack("<I", len(sections))
        for kind, count, place in sections:
            data.body += struct.pack("<HHII", kind, 0, count, place)
        list_at = dict(zip(self._lists, lists, strict=True))
        about_at = {c.name: place for c, place in zip(described, about, strict=True)}
        body = self._tables(texts, list_at, about_at) + bytes(data.body)
        return _header(body, map_at, starts, tables, at)

    def _tables(
        self,
        texts: list[int],
        list_at: dict[tuple[str, ...], int],
        about_at: dict[str, int],
    ) -> bytes:
        out = bytearray(struct.pack(f"<{len(texts)}I", *texts))
        for name in self.types:
            out += struct.pack("<I", self.strings[name])
        for result, parameters in self.protos:
            shorty = self.strings[_shorty(result, parameters)]
            out += struct.pack("<III", shorty, self.types[result], list_at.get(parameters, 0))
        for f in self.fields:
            out += struct.pack(
                "<HHI", self.types[f.owner], self.types[f.type], self.strings[f.name]
            )
        for m in self.methods:
            proto = self.protos[m.result, m.parameters]
            out += struct.pack("<HHI", self.types[m.owner], proto, self.strings[m.name])
        for c in self._classes:
            out += struct.pack(
                *("<8I", self.types[c.name], c.access, self.types[c.parent]),
                *(list_at.get(c.interfaces, 0), NO_INDEX, 0, about_at.get(c.name, 0), 0),
            )
        return bytes(out)

    def _type_list(self, names: tuple[str, ...]) -> bytes:
        return struct.pack(f"<I{len(names)}H", len(names), *(self.types[name] for name in names))

    def _class_data(self, one: ClassBody, code_at: dict[int, int]) -> bytes:
        static = [f for f in one.fields if f[1] & STATIC]
        instance = [f for f in one.fields if not f[1] & STATIC]
        direct = [m for m in one.methods if m.access & (STATIC | CONSTRUCTOR)]
        virtual = [m for m in one.methods if not m.access & (STATIC | CONSTRUCTOR)]
        out = bytearray()
        for group in (static, instance, direct, virtual):
            out += _uleb(len(group))
        for fields in (static, instance):
            rows = sorted((self.fields[f], access) for f, access in fields)
            out += _with_differences(rows)
        for methods in (direct, virtual):
            found = sorted(
                (self.methods[m.method], m.access, code_at.get(id(m), 0)) for m in methods
            )
            out += _with_differences(found)
        return bytes(out)

    def _code(self, body: Body) -> bytes:
        jumps = _label_places(body.code)
        units: list[int] = []
        outs = 0
        for op in body.code:
            if isinstance(op, Op):
                if isinstance(op.symbol, Method):
                    outs = max(outs, len(op.registers))
                units += self._encode(op, jumps, len(units))
        ins = sum(width(p) for p in body.method.parameters) + (not body.access & STATIC)
        head = struct.pack("<HHHHII", body.registers, ins, outs, 0, 0, len(units))
        return head + struct.pack(f"<{len(units)}H", *units)

    def _encode(self, op: Op, jumps: dict[int, int], here: int) -> list[int]:
        code, shape = OPERATIONS[op.name]
        r, symbol = op.registers, self._index(op)
        if shape in ("20t", "21t", "22t"):
            jump = (jumps[op.number] - here) & 0xFFFF
            first = (r[0] << 8 if shape == "21t" else r[0] << 8 | r[1] << 12) if r else 0
            return [code | first, jump]
        if shape == "35c":
            padded = (*r, 0, 0, 0, 0, 0)[:5]
            low = padded[0] | padded[1] << 4 | padded[2] << 8 | padded[3] << 12
            return [code | padded[4] << 8 | len(r) << 12, symbol, low]
        if shape == "3rc":
            return [code | len(r) << 8, symbol, r[0]]
        if shape == "31i":
            return [code | r[0] << 8, op.number & 0xFFFF, op.number >> 16 & 0xFFFF]
        return {
            "10x": lambda: [code],
            "11x": lambda: [code | r[0] << 8],
            "12x": lambda: [code | r[0] << 8 | r[1] << 12],
            "21s": lambda: [code | r[0] << 8, op.number & 0xFFFF],
            "21c": lambda: [code | r[0] << 8, symbol],
            "22c": lambda: [code | r[0] << 8 | r[1] << 12, symbol],
            "23x": lambda: [code | r[0] << 8, r[1] | r[2] << 8],
        }[shape]()

    def _index(self, op: Op) -> int:
        if isinstance(op.symbol, Method):
            return self.methods[op.symbol]
        if isinstance(op.symbol, Field):
            return self.fields[op.symbol]
        if op.symbol is None:
            return 0
        return (self.strings if op.name == "const-string" else self.types)[op.symbol]


class _Data:
    """The data section: items of one kind after each other, each aligned."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.body = bytearray()
        self.sections: list[tuple[int, int, int]] = []

    def align(self, size: int) -> int:
        self.body += b"\0" * (-(self.start + len(self.body)) % size)
        return self.start + len(self.body)

    def section(
        self, kind: int, items: Sequence[T], write: Callable[[T], bytes], size: int
    ) -> list[int]:
        """Append *items* and return where each stands."""
        places = []
        for item in items:
            places.append(self.align(size))
            self.body += write(item)
        if places:
            self.sections.append((kind, len(places), places[0]))
        return places


def _numbered(items: Iterable[T], key: Callable[[T], object]) -> dict[T, int]:
    ordered = sorted(items, key=key)  # type: ignore[arg-type]
    return {item: number for number, item in enumerate(ordered)}


def _shorty(result: str, parameters: tuple[str, ...]) -> str:
    return "".join("L" if t[0] in "L[" else t for t in (result, *parameters))


def _uleb(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _with_differences(rows: Sequence[tuple[int, ...]]) -> bytes:
    out, before = bytearray(), 0
    for number, *rest in rows:
        for value in (number - before, *rest):
            out += _uleb(value)
        before = number
    return bytes(out)


def _string_data(text: str) -> bytes:
    units = text.encode("utf-16-be")
    return _uleb(len(units) // 2) + _modified_utf8(units) + b"\0"


def _modified_utf8(units: bytes) -> bytes:
    out = bytearray()
    for (unit,) in struct.iter_unpack(">H", units):
        if 0 < unit < 0x80:
            out.append(unit)
        elif unit < 0x800:
            out += bytes((0xC0 | unit >> 6, 0x80 | unit & 0x3F))
        else:
            out += bytes((0xE0 | unit >> 12, 0x80 | unit >> 6 & 0x3F, 0x80 | unit & 0x3F))
    return bytes(out)


def _label_places(code: Sequence[Op | Label]) -> dict[int, int]:
    places, at = {}, 0
    for item in code:
        if isinstance(item, Label):
            places[item.number] = at
        else:
            at += UNITS[OPERATIONS[item.name][1]]
    return places


def _header(
    body: bytes,
    map_at: int,
    starts: dict[int, int],
    tables: Sequence[tuple[int, int, int]],
    data_at: int,
) -> bytes:
    whole = HEADER_BYTES + len(body)
    fields = struct.pack("<IIIIII", whole, HEADER_BYTES, 0x12345678, 0, 0, map_at)
    for kind, count, _ in tables:
        fields += struct.pack("<II", count, starts[kind])
    fields += struct.pack("<II", whole - data_at, data_at)
    signature = hashlib.sha1(fields + body).digest()
    checked = signature + fields + body
    return b"dex\n035\0" + struct.pack("<I", zlib.adler32(checked)) + checked
