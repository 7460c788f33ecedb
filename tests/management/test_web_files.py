"""Files that are made while they are asked for: whole or an error, and in small memory."""

import asyncio
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from management import web_files
from management.web_files import MOST_MADE, Files, answered
from runtime.bodies import BodyError
from runtime.wsgi import Answer, Begun, begin

PART = b"a line of a file, as long as others\n" * 2000


class Reader:
    """What a server does for somebody who reads: RSGI's protocol."""

    def __init__(self) -> None:
        self.status, self.headers, self.got = 0, dict[str, str](), b""
        self._gone = asyncio.Event()

    async def client_disconnect(self) -> None:
        await self._gone.wait()

    def response_file(self, status: int, headers: list[tuple[str, str]], file: str) -> None:
        self.status, self.headers = status, dict(headers)
        self.got = Path(file).read_bytes()

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
        reader, parts, files = Reader(), Parts(400), Files(tmp_path, work)
        tracemalloc.start()
        with (tmp_path / "made").open("wb") as made:
            await files._make(file_of(Parts(400)), made, asyncio.Future())
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        (tmp_path / "made").unlink()
        await files.send(reader, file_of(parts))
        assert parts.closed
        return reader, most

    reader, most = asyncio.run(send())
    size = 400 * len(PART)
    assert (reader.status, reader.headers["Content-Length"]) == (200, str(size))
    assert reader.got == 400 * PART
    assert most < size / 4
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_made_is_an_error_and_not_half_a_file(tmp_path: Path) -> None:
    async def send() -> tuple[Reader, Parts]:
        reader, parts = Reader(), Parts(9, fails_at=5)
        with pytest.raises(RuntimeError, match="gone"):
            await Files(tmp_path, work).send(reader, file_of(parts))
        return reader, parts

    reader, parts = asyncio.run(send())
    assert (reader.status, reader.got, parts.closed) == (0, b"", True)


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


def test_who_comes_when_too_many_are_made_is_told_to_come_later(tmp_path: Path) -> None:
    async def send() -> tuple[int, bytes]:
        gate = asyncio.Event()

        async def waiting(function: Callable[..., Any], *arguments: Any) -> Any:
            await gate.wait()
            return await work(function, *arguments)

        files = Files(tmp_path, waiting)
        many = [
            asyncio.create_task(files.send(Reader(), file_of(Parts(2)))) for _ in range(MOST_MADE)
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

    assert asyncio.run(send()) == (503, PART)


def test_disk_is_held_until_it_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_files, "HELD_SECONDS", 0.01)

    async def send() -> tuple[int, int]:
        reader, files = Slow(), Files(tmp_path, work)
        await files.send(reader, file_of(Parts(1)))
        await asyncio.sleep(0.2)
        held = len(files._sent)
        reader.opened[0].close()
        while files._sent:
            await asyncio.sleep(0.01)
        return held, len(files._sent)

    assert asyncio.run(send()) == (1, 0)


class Slow(Reader):
    """Has the file open for as long as a slow reader takes."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[IO[bytes]] = []

    def response_file(self, status: int, headers: list[tuple[str, str]], file: str) -> None:
        self.opened.append(Path(file).open("rb"))  # noqa: SIM115


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
