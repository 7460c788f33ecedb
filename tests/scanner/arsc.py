"""Writes resources.arsc chunk by chunk (ResourceTypes.h)."""

import struct

from tests.scanner import axml

APP = 0x7F
ANY = b"\0" * 48
"""A configuration without qualifiers."""


def version(number: int) -> bytes:
    """Return the configuration for an Android version."""
    return b"\0" * 20 + struct.pack("<H", number) + b"\0" * 26


def width(number: int) -> bytes:
    """Return the configuration for a smallest width."""
    return b"\0" * 26 + struct.pack("<H", number) + b"\0" * 20


def one(kind: int, number: int, *, config: bytes = ANY, type_id: int = 1, flags: int = 0) -> bytes:
    """Return a type with one resource, of entry 0, in one configuration."""
    entry = struct.pack("<HHIHBBI", 8, flags, 0, 8, 0, kind, number)
    head = 24 + len(config)
    body = struct.pack("<BBHIII", type_id, 0, 0, 1, head + 4, 4 + len(config)) + config
    return axml.chunk(0x0201, body + struct.pack("<I", 0) + entry, head)


def package(*chunks: bytes, number: int = APP, name: str = "a.b", later: int = 0) -> bytes:
    """Return a package; its types begin behind *later*."""
    head = struct.pack("<I", number) + name.encode("utf-16-le").ljust(256, b"\0")
    return axml.chunk(0x0200, head + struct.pack("<5I", 0, 0, 0, 0, later) + b"".join(chunks), 288)


def libraries(*rows: tuple[int, str]) -> bytes:
    """Return the numbers that packages of others were built with."""
    body = [struct.pack("<I", n) + name.encode("utf-16-le").ljust(256, b"\0") for n, name in rows]
    return axml.chunk(0x0203, struct.pack("<I", len(rows)) + b"".join(body), 12)


def aliases(*rows: tuple[int, int]) -> bytes:
    """Return numbers that stand for others."""
    body = b"".join(struct.pack("<II", *row) for row in rows)
    return axml.chunk(0x0206, struct.pack("<I", len(rows)) + body, 12)


def whole(*packages: bytes, texts: tuple[str, ...] = ("x",)) -> bytes:
    """Return a table; texts are numbered from 0 on."""
    head = struct.pack("<I", len(packages))
    return axml.chunk(2, head + axml.pool(*texts, utf8=False) + b"".join(packages), 12)
