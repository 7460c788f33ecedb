"""Files that are made while they are asked for: whole or an error, and in small memory."""

import asyncio
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]

from management.web_files import MOST, Files, answered
from runtime.bodies import BodyError
from runtime.wsgi import Answer, Begun, begin

PART = b"a line of a file, as long as others\n" * 2000


class Reader:
    """What a server sees of somebody who reads: RSGI's protocol and its transport."""

    def __init__(self, stays_for: int = 10**9) -> None:
        self.status, self.headers, self.got = 0, dict[str, str](), 0
        self._stays_for, self._gone = stays_for, asyncio.Event()

    async def client_disconnect(self) -> None:
        await self._gone.wait()

    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> "Reader":
        self.status, self.headers = status, dict(headers)
        return self

    async def send_bytes(self, piece: bytes) -> None:
        if self.got >= self._stays_for:
            raise ProtocolClosed
        self.got += len(piece)

    def leave(self) -> None:
        self._gone.set()


async def work(function: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.to_thread(function, *arguments)


class Parts:
    """A body that tells how far it was read and whether it was closed."""

    def __init__(self, count: int, fails_at: int = -1) -> None:
        self._count, self._fails_at = count, fails_at
        self.read, self.closed = 0, False

    def __iter__(self) -> Iterator[bytes]:
        for number in range(self._count):
            if number == self._fails_at:
                raise RuntimeError("the database is gone")
            self.read += 1
            yield PART

    def close(self) -> None:
        self.closed = True


def file_of(parts: Parts) -> Begun:
    return Begun(200, [("Content-Type", "text/csv")], parts)


def test_a_file_is_sent_whole_with_its_length_in_small_memory(tmp_path: Path) -> None:
    async def send() -> tuple[Reader, int]:
        reader, parts = Reader(), Parts(400)
        tracemalloc.start()
        await Files(tmp_path, work).send(reader, file_of(parts))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert parts.closed
        return reader, most

    reader, most = asyncio.run(send())
    size = 400 * len(PART)
    assert (reader.status, reader.headers["Content-Length"], reader.got) == (200, str(size), size)
    assert most < size / 4
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_made_is_an_error_and_not_half_a_file(tmp_path: Path) -> None:
    async def send() -> tuple[Reader, Parts]:
        reader, parts = Reader(), Parts(9, fails_at=5)
        with pytest.raises(RuntimeError, match="gone"):
            await Files(tmp_path, work).send(reader, file_of(parts))
        return reader, parts

    reader, parts = asyncio.run(send())
    assert (reader.status, reader.got, parts.closed) == (0, 0, True)


def test_nothing_more_is_made_for_who_went_away(tmp_path: Path) -> None:
    async def send() -> tuple[Reader, Parts]:
        reader, parts = Reader(), Parts(10**6)

        async def leaving(function: Callable[..., Any], *arguments: Any) -> Any:
            if parts.read == 3:
                reader.leave()
            return await work(function, *arguments)

        await Files(tmp_path, leaving).send(reader, file_of(parts))
        return reader, parts

    reader, parts = asyncio.run(send())
    assert parts.closed
    assert parts.read < 10
    assert reader.status == 0


def test_who_leaves_while_it_is_sent_and_who_comes_too_many_do_no_harm(tmp_path: Path) -> None:
    async def send() -> tuple[int, int]:
        files, gate = Files(tmp_path, work), asyncio.Event()

        async def waiting(function: Callable[..., Any], *arguments: Any) -> Any:
            await gate.wait()
            return await work(function, *arguments)

        files._work = waiting
        many = [
            asyncio.create_task(files.send(Reader(stays_for=1), file_of(Parts(20))))
            for _ in range(MOST)
        ]
        await asyncio.sleep(0)
        refused = Parts(1)
        with pytest.raises(BodyError) as error:
            await files.send(Reader(), file_of(refused))
        assert refused.closed
        gate.set()
        await asyncio.gather(*many)
        await files.send(last := Reader(), file_of(Parts(1)))
        return error.value.status, last.got

    assert asyncio.run(send()) == (503, len(PART))


@pytest.mark.parametrize(
    ("method", "status", "length", "is_file"),
    [("GET", "200 OK", "", True), ("GET", "200 OK", "5", False), ("HEAD", "200 OK", "", False),
     ("GET", "304 NOT MODIFIED", "", False), ("POST", "200 OK", "", False)],
)  # fmt: skip
def test_only_an_answer_of_unknown_length_is_made_as_a_file(
    method: str, status: str, length: str, is_file: bool
) -> None:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(status, [("Content-Length", length)] if length else [])
        return [b"hello"]

    found = answered(begin(app, {}), {"REQUEST_METHOD": method})
    assert isinstance(found, Begun if is_file else Answer)
