"""Writes Android's binary XML chunk by chunk (ResourceTypes.h)."""

import struct

NONE = 0xFFFFFFFF
STRING, REFERENCE, NUMBER, TRUE = 3, 1, 0x10, 0x12


def pool(
    *texts: str, utf8: bool = True, styles: int = 0, told: int | None = None, empty: int = 0
) -> bytes:
    """Return a string pool of *texts* and then *empty* empty strings."""
    bodies = [_narrow(text) if utf8 else _broad(text) for text in texts]
    offsets, at = [], 0
    for body in bodies:
        offsets.append(at)
        at += len(body)
    strings = b"".join(bodies)
    strings += b"\0" * (-len(strings) % 4)
    count = len(texts) + empty
    head = 28 + 4 * count
    return (
        struct.pack(
            *("<HHIIIIII", 1, 28, head + len(strings)),
            *(count if told is None else told, styles, 0x100 if utf8 else 0, head, 0),
        )
        + struct.pack(f"<{len(offsets)}I", *offsets)
        + struct.pack("<I", max(0, at - 3)) * empty
        + strings
    )


def _narrow(text: str) -> bytes:
    return bytes([len(text), len(text.encode())]) + text.encode() + b"\0"


def _broad(text: str) -> bytes:
    return struct.pack("<H", len(text)) + text.encode("utf-16-le") + b"\0\0"


def attribute(name: int, value: int, kind: int = STRING, namespace: int = NONE) -> bytes:
    """Return one attribute; *name* and a text *value* are indexes in the pool."""
    raw = value if kind == STRING else NONE
    return struct.pack("<IIIHBBI", namespace, name, raw, 8, 0, kind, value)


def element(name: int, attributes: bytes = b"", count: int | None = None, size: int = 20) -> bytes:
    """Return an opening tag."""
    told = len(attributes) // 20 if count is None else count
    body = struct.pack("<IIIIHHHHHH", 1, NONE, NONE, name, 20, size, told, 0, 0, 0)
    return struct.pack("<HHI", 0x0102, 16, 8 + len(body) + len(attributes)) + body + attributes


def end(name: int) -> bytes:
    """Return a closing tag."""
    return struct.pack("<HHIIIII", 0x0103, 16, 24, 1, NONE, NONE, name)


def chunk(kind: int, body: bytes, header: int = 8, size: int | None = None) -> bytes:
    """Return any chunk."""
    return struct.pack("<HHI", kind, header, 8 + len(body) if size is None else size) + body


def document(*chunks: bytes) -> bytes:
    """Return a whole document."""
    return chunk(3, b"".join(chunks))


POOL = pool("manifest", "package", "a.b", "application")
MANIFEST = element(0, attribute(1, 2))
PLAIN = document(POOL, MANIFEST, element(3), end(3), end(0))
"""A manifest that says: package a.b."""
