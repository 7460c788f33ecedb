"""What handing out an agent package of 40 MiB costs, beside reading the file in the same pieces."""

import asyncio
import hashlib
import struct
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from communication.downloads import PIECE_BYTES, Downloads, with_values
from communication.files import Files
from contracts import signing_block
from contracts.download import Download
from contracts.files import PART_BYTES

ROUNDS = 15
PACKAGE_BYTES = 40 * 1024 * 1024
VALUES = "a" * 900


class _Asked:
    method = "GET"
    headers: dict[str, str] = {}  # noqa: RUF012


class _Taken:
    """Takes an answer and forgets it."""

    def response_stream(self, status: int, headers: object) -> "_Taken":
        return self

    async def send_bytes(self, piece: bytes) -> None:
        del piece


def run() -> Iterator[dict[str, Any]]:
    """Yield CPU milliseconds to prepare a package once, and for each download."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        body = _package()
        files, sha256 = Files(folder / "files", 10**9), hashlib.sha256(body).hexdigest()
        for offset in range(0, len(body), PART_BYTES):
            files.append(sha256, offset, len(body), body[offset : offset + PART_BYTES])
        path = files.find(sha256)
        assert path is not None
        desk = Downloads(folder, files)
        desk.put(Download(tag="benchmark", sha256=sha256, size_bytes=len(body), values=VALUES))

        async def prepare() -> None:
            with_values(path, VALUES.encode())

        async def download() -> None:
            await desk.stream(_Asked(), _Taken(), False)  # type: ignore[arg-type]

        async def floor() -> None:
            with path.open("rb") as file:
                while await asyncio.to_thread(file.read, PIECE_BYTES):
                    pass

        yield {"name": "download.prepare", "value": _cpu(prepare), "unit": "ms CPU", "reach": 5}
        streamed, read = _cpu(download), _cpu(floor)
        yield {
            "name": "download.stream",
            "value": streamed,
            "unit": "ms CPU per 40 MiB",
            "floor": read,
            "ratio": round(streamed / read, 2),
        }


def _cpu(work: Callable[[], Awaitable[None]]) -> float:
    """Return the median of the milliseconds that *work* takes of the processor."""

    async def measured() -> list[float]:
        found = []
        for _ in range(ROUNDS):
            began = time.process_time()
            await work()
            found.append((time.process_time() - began) * 1000)
        return found

    return round(sorted(asyncio.run(measured()))[ROUNDS // 2], 3)


def _package() -> bytes:
    """Return a file that ends as a signed APK does; nothing else of it is looked at."""
    content = bytes(range(256)) * (PACKAGE_BYTES // 256)
    pair = struct.pack("<QI", 4 + 2000, 0x7109871A) + bytes(2000)
    size = (len(pair) + signing_block.FOOTER_BYTES).to_bytes(8, "little")
    block = size + pair + size + signing_block.MAGIC
    directory = bytes(200_000)
    offset = len(content) + len(block)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, len(directory), offset, 0)
    return content + block + directory + end
