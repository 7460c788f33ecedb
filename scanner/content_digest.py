"""The digests over a whole APK without its signing block, of schemes v2 and later."""

import hashlib
import struct
from collections.abc import Iterator

from scanner.signing_block import BrokenSignatureError
from scanner.zip_records import Buffer, Directory

CHUNK_BYTES = 1024 * 1024
PAGE_BYTES = 4096
_SALT = b"\0" * 8


class Content:
    """What is signed: the entries, the directory, and the end record as if there were no block."""

    def __init__(self, data: Buffer, directory: Directory, block_start: int) -> None:
        self._data, self._directory, self._start = data, directory, block_start
        self._known: dict[str, bytes] = {}

    def digest(self, kind: str) -> bytes:
        """Return the digest ``sha256``, ``sha512`` or ``verity``; each is computed once."""
        if kind not in self._known:
            self._known[kind] = self._verity() if kind == "verity" else self._chunked(kind)
        return self._known[kind]

    def _parts(self) -> tuple[memoryview, ...]:
        whole = memoryview(self._data)
        end_at = self._directory.end_at
        end = bytearray(whole[end_at:])
        struct.pack_into("<I", end, 16, self._start)
        return whole[: self._start], whole[self._directory.start : end_at], memoryview(end)

    def _chunked(self, kind: str) -> bytes:
        digests = []
        for part in self._parts():
            for at in range(0, len(part), CHUNK_BYTES):
                piece = part[at : at + CHUNK_BYTES]
                chunk = hashlib.new(kind, b"\xa5" + struct.pack("<I", len(piece)))
                chunk.update(piece)
                digests.append(chunk.digest())
        head = b"\x5a" + struct.pack("<I", len(digests))
        return hashlib.new(kind, head + b"".join(digests)).digest()

    def _verity(self) -> bytes:
        """Return the root of the tree that the kernel's fs-verity builds, and the size."""
        parts = self._parts()
        block_bytes = self._directory.start - self._start
        if len(parts[0]) % PAGE_BYTES or block_bytes % PAGE_BYTES:
            raise BrokenSignatureError("its parts do not end at a page, as fs-verity needs")
        level = b"".join(_page_digest(page) for page in _pages(parts))
        while len(level) > PAGE_BYTES:
            level = b"".join(_page_digest(page) for page in _pages((memoryview(level),)))
        return _page_digest(level) + struct.pack("<Q", sum(map(len, parts)))


def _page_digest(page: bytes) -> bytes:
    return hashlib.sha256(_SALT + page.ljust(PAGE_BYTES, b"\0")).digest()


def _pages(parts: tuple[memoryview, ...]) -> Iterator[bytes]:
    """Yield the pages of *parts* one behind the other."""
    rest = b""
    for part in parts:
        at = PAGE_BYTES - len(rest) if rest else 0
        rest += bytes(part[:at])
        if len(rest) == PAGE_BYTES:
            yield rest
            rest = b""
        for start in range(at, len(part), PAGE_BYTES):
            page = bytes(part[start : start + PAGE_BYTES])
            if len(page) == PAGE_BYTES:
                yield page
            else:
                rest = page
    if rest:
        yield rest
