"""Look one string up in a resources.arsc, for the label of an app."""

import struct
from collections.abc import Iterator

from scanner.binary_xml import TYPE_REFERENCE, TYPE_STRING
from scanner.chunks import (
    STRING_POOL,
    TABLE_PACKAGE,
    TABLE_TYPE,
    BrokenChunkError,
    Chunk,
    StringPool,
    chunk_at,
)

MAXIMUM_CHUNKS = 20_000
MAXIMUM_STEPS = 5
"""References that lead to references."""
_NO_ENTRY = 0xFFFFFFFF
_SPARSE, _SHORT_OFFSETS = 0x01, 0x02
_COMPLEX, _COMPACT = 0x0001, 0x0008


def find_string(data: bytes, resource_id: int) -> str:
    """Return the text of *resource_id* without qualifiers, else in any language; empty: none."""
    try:
        for _ in range(MAXIMUM_STEPS):
            kind, value, pool = _find_value(data, resource_id)
            if kind == TYPE_STRING:
                return pool.get(value)
            if kind != TYPE_REFERENCE:
                return ""
            resource_id = value
    except (BrokenChunkError, struct.error, IndexError):
        return ""
    return ""


def _find_value(data: bytes, resource_id: int) -> tuple[int, int, StringPool]:
    table = chunk_at(data, 0, len(data))
    pool: StringPool | None = None
    best: tuple[bool, int, int] | None = None
    for chunk in _inside(data, table.body, table.end):
        if chunk.kind == STRING_POOL and pool is None:
            pool = StringPool(data, chunk)
        elif chunk.kind == TABLE_PACKAGE:
            (package,) = struct.unpack_from("<I", data, chunk.at + 8)
            if package == resource_id >> 24:
                best = best or _in_package(data, chunk, resource_id)
    if pool is None or best is None:
        raise BrokenChunkError("there is no such resource")
    return best[1], best[2], pool


def _in_package(data: bytes, package: Chunk, resource_id: int) -> tuple[bool, int, int] | None:
    best = None
    for chunk in _inside(data, package.body, package.end):
        if chunk.kind == TABLE_TYPE and data[chunk.at + 8] == (resource_id >> 16) & 0xFF:
            value = _in_type(data, chunk, resource_id & 0xFFFF)
            if value is None:
                continue
            found = (_is_unqualified(data, chunk), *value)
            if best is None or (found[0] and not best[0]):
                best = found
    return best


def _in_type(data: bytes, chunk: Chunk, index: int) -> tuple[int, int] | None:
    flags = data[chunk.at + 9]
    count, start = struct.unpack_from("<II", data, chunk.at + 12)
    if flags & _SPARSE:
        return None
    if index >= count:
        return None
    if flags & _SHORT_OFFSETS:
        (offset,) = struct.unpack_from("<H", data, chunk.body + 2 * index)
        offset = _NO_ENTRY if offset == 0xFFFF else offset * 4
    else:
        (offset,) = struct.unpack_from("<I", data, chunk.body + 4 * index)
    if offset == _NO_ENTRY:
        return None
    at = chunk.at + start + offset
    size, entry_flags, compact = struct.unpack_from("<HHI", data, at)
    if entry_flags & _COMPACT:
        return entry_flags >> 8, compact
    if entry_flags & _COMPLEX:
        return None
    kind, number = struct.unpack_from("<3xBI", data, at + size)
    return kind, number


def _is_unqualified(data: bytes, chunk: Chunk) -> bool:
    (size,) = struct.unpack_from("<I", data, chunk.at + 20)
    return not any(data[chunk.at + 24 : min(chunk.at + 20 + size, chunk.body)])


def _inside(data: bytes, at: int, end: int) -> Iterator[Chunk]:
    for _ in range(MAXIMUM_CHUNKS):
        if at + 8 > end:
            return
        chunk = chunk_at(data, at, end)
        yield chunk
        at = chunk.end
