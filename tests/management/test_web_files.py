"""Files that are made while they are asked for: whole or an error, and in small memory."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest

from management import web_files, web_front
from management.web_files import (
    MOST_MADE,
    MOST_MADE_EACH,
    MOST_SENT_EACH,
    SMALL_BYTES,
    Files,
    answered,
)
from management.web_streams import Streams
from runtime.bodies import BodyError
from runtime.wsgi import Answer, Begun, begin

PART = b"a line of a file, as long as others\n" * 2000
LARGE = SMALL_BYTES // len(PART) + 1
"""So many parts are no small file."""


class Reader:
    """What a server does for somebody who reads: RSGI's protocol."""

    def __init__(self) -> None:
        self.status, self.headers, self.got = 0, dict[str, str](), b""
        self._gone = asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Send no body."""
        for _ in range(0):
            yield b""

    async def client_disconnect(self) -> None:
        await self._gone.wait()

    def response_file(self, status: int, headers: list[tuple[str, str]], file: str) -> None:
        self.status, self.headers = status, dict(headers)
        self.got = Path(file).read_bytes()

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.headers, self.got = status, dict(headers), body

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
        await files.send(reader, file_of(parts), "anna")
        assert parts.closed
        return reader, most

    reader, most = asyncio.run(send())
    size = 400 * len(PART)
    assert (reader.status, reader.headers["Content-Length"]) == (200, str(size))
    assert reader.got == 400 * PART
    assert most < size / 4
    assert list(tmp_path.iterdir()) == []


def test_who_opens_late_finds_no_file_and_never_another_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_files, "HELD_SECONDS", 0.01)

    async def send() -> list[str]:
        names: list[str] = []
        files = Files(tmp_path, work)
        late = SimpleNamespace(
            client_disconnect=Reader().client_disconnect,
            response_file=lambda status, headers, file: names.append(file),
        )
        for who in ("anna", "berta"):
            await files.send(late, file_of(Parts(LARGE)), who)
            while files._sent:
                await asyncio.sleep(0.01)
        return names

    first, second = asyncio.run(send())
    assert first != second
    assert not Path(first).exists() and not Path(second).exists()


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / f"{web_files.PREFIX}abc").write_bytes(PART)
    (tmp_path / "sekisho.db").write_bytes(b"")
    Files(tmp_path, work)
    assert [one.name for one in tmp_path.iterdir()] == ["sekisho.db"]


def test_a_file_that_cannot_be_made_is_an_error_and_not_half_a_file(tmp_path: Path) -> None:
    async def send() -> tuple[Reader, Parts]:
        reader, parts = Reader(), Parts(9, fails_at=5)
        with pytest.raises(RuntimeError, match="gone"):
            await Files(tmp_path, work).send(reader, file_of(parts), "anna")
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

        await Files(tmp_path, leaving).send(reader, file_of(parts), "anna")
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
            asyncio.create_task(files.send(Reader(), file_of(Parts(2)), number))
            for number in range(MOST_MADE)
        ]
        await asyncio.sleep(0)
        refused = Parts(1)
        with pytest.raises(BodyError) as error:
            await files.send(Reader(), file_of(refused), "anna")
        assert refused.closed
        gate.set()
        await asyncio.gather(*many)
        await files.send(last := Reader(), file_of(Parts(1)), "anna")
        return error.value.status, last.got

    assert asyncio.run(send()) == (503, PART)


def test_disk_is_held_until_it_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_files, "HELD_SECONDS", 0.01)

    async def send() -> tuple[int, int]:
        reader, files = Slow(), Files(tmp_path, work)
        await files.send(reader, file_of(Parts(LARGE)), "anna")
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


def test_slow_readers_with_one_account_leave_room_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_files, "HELD_SECONDS", 0.01)

    async def send() -> tuple[bytes, bytes]:
        files, slow = Files(tmp_path, work), Slow()
        for _ in range(MOST_SENT_EACH):
            await files.send(slow, file_of(Parts(LARGE)), "anna")
        with pytest.raises(BodyError, match="one administrator"):
            await files.send(Reader(), file_of(Parts(LARGE)), "anna")
        await files.send(other := Reader(), file_of(Parts(LARGE)), "ben")
        for file in slow.opened:
            file.close()
        while files._sent:
            await asyncio.sleep(0.01)
        await files.send(again := Reader(), file_of(Parts(LARGE)), "anna")
        return other.got, again.got

    assert asyncio.run(send()) == (PART * LARGE, PART * LARGE)


def test_one_account_has_two_files_made_at_a_time(tmp_path: Path) -> None:
    async def send() -> bytes:
        gate = asyncio.Event()

        async def waiting(function: Callable[..., Any], *arguments: Any) -> Any:
            await gate.wait()
            return await work(function, *arguments)

        files = Files(tmp_path, waiting)
        whose = ["anna"] * MOST_MADE_EACH + ["ben"]
        many = [asyncio.create_task(files.send(Reader(), file_of(Parts(1)), who)) for who in whose]
        await asyncio.sleep(0)
        with pytest.raises(BodyError, match="one administrator"):
            await asyncio.wait_for(files.send(Reader(), file_of(Parts(1)), "anna"), 30)
        gate.set()
        await asyncio.gather(*many)
        await files.send(again := Reader(), file_of(Parts(1)), "anna")
        return again.got

    assert asyncio.run(send()) == PART


def test_who_reads_for_ever_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_files, "HELD_SECONDS", 0.01)
    monkeypatch.setattr(web_files, "SENT_SECONDS", 0.05)

    async def send() -> bytes:
        slow, files = Slow(), Files(tmp_path, work)
        await files.send(slow, file_of(Parts(LARGE)), "anna")
        async with asyncio.timeout(60):
            while files._sent:
                await asyncio.sleep(0.01)
        with slow.opened[0] as file:
            return file.read()

    assert asyncio.run(send()) == b""


def test_a_file_that_was_begun_waits_out_a_rush(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parts are no new requests, which are told to come later."""

    def app(_environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/csv")])
        return iter(Rush())

    class Rush(Parts):
        """From the first part on the server has as much to do as it takes."""

        def __init__(self) -> None:
            super().__init__(3)

        def __iter__(self) -> Iterator[bytes]:
            monkeypatch.setattr(web_front, "MOST_WORKING", 0)
            yield from super().__iter__()

    scope = SimpleNamespace(
        method="GET", path="/devices.csv", query_string="", headers={}, client="192.0.2.1:9",
        scheme="https",
    )  # fmt: skip
    front = web_front.WebFront(app, lambda _: False, tmp_path, Streams(lambda _: []))
    reader, late = Reader(), Reader()
    asyncio.run(front.__rsgi__(scope, reader))
    asyncio.run(front.__rsgi__(scope, late))
    assert (reader.status, reader.got) == (200, PART * 3)
    assert late.status == 503


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
