"""Where a request ends: the server must see exactly the messages that phones sent."""

import gzip
import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import httpx
import pytest
from aiohttp import web
from prometheus_client import REGISTRY

from exchange_connector.gate import proxy
from tests.exchange_connector.bed import wait_until
from tests.exchange_connector.gate_bed import GateBed, gate_bed

pytestmark = pytest.mark.servers


@dataclass
class Upstream:
    """A server that reads as its neighbour declares, and remembers on which connection."""

    url: str
    early: bytes = b""
    """Answers with this as soon as it has the head, and reads no message."""
    heard: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    """(number of the connection, first line, message)."""
    lost: int = 0

    def serve(self, listening: socket.socket) -> None:
        number = 0
        while True:
            try:
                peer, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(peer, number), daemon=True).start()
            number += 1

    def _talk(self, peer: socket.socket, number: int) -> None:
        with peer, suppress(OSError):
            stream = peer.makefile("rb")
            while line := stream.readline():
                length = _length(list(iter(stream.readline, b"\r\n")))
                message = b"" if self.early else stream.read(length)
                self.heard.append((number, line.strip(), message))
                peer.sendall(self.early or b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmail")
                if self.early:
                    break
            while peer.recv(65_536):
                pass
        self.lost += 1


def _length(head: list[bytes]) -> int:
    return sum(int(one[15:]) for one in head if one.lower().startswith(b"content-length:"))


@contextmanager
def upstream() -> Iterator[Upstream]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = Upstream(f"http://127.0.0.1:{listening.getsockname()[1]}")
        threading.Thread(target=found.serve, args=(listening,), daemon=True).start()
        yield found
        listening.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def before(tmp_path: Path) -> Iterator[tuple[Upstream, GateBed]]:
    with upstream() as server, gate_bed(tmp_path, server=server.url) as gate:
        yield server, gate


SMUGGLED = b"POST /Microsoft-Server-ActiveSync?Cmd=Sync&DeviceId=FREE HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ("gzip", gzip.compress(SMUGGLED * 100)),
        ("gzip", gzip.compress(b"x")),
        ("deflate", zlib.compress(SMUGGLED)),
        ("gzip", b"nothing packed at all"),
    ],
    ids=["longer", "shorter", "deflate", "lie"],
)
def test_a_packed_message_goes_on_as_it_came(
    before: tuple[Upstream, GateBed], encoding: str, message: bytes
) -> None:
    server, gate = before
    headers = {"Content-Encoding": encoding}
    assert gate.ask("Sync", content=message, headers=headers).content == b"mail"
    assert gate.ask("Ping", "PHONE2", content=b"next").content == b"mail"

    (_, first, said), (_, second, then) = server.heard
    assert [number for number, _, _ in server.heard] == [0, 0]
    assert (b"Cmd=Sync" in first, said) == (True, message)
    assert (b"Cmd=Ping" in second, then) == (True, b"next")


def test_a_connection_with_half_a_message_is_not_used_again(
    before: tuple[Upstream, GateBed],
) -> None:
    server, gate = before
    server.early = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
    held = threading.Event()

    def slowly() -> Iterator[bytes]:
        yield b"begun"
        held.wait(60)
        yield SMUGGLED

    headers = {"Content-Length": str(len(SMUGGLED) + 5)}
    sender = threading.Thread(target=_send, args=(gate, slowly(), headers), daemon=True)
    sender.start()
    wait_until(lambda: server.lost == 1, 60)
    held.set()
    sender.join(60)
    server.early = b""
    assert gate.ask("Ping", content=b"next").content == b"mail"
    assert [(number, message) for number, _, message in server.heard] == [(0, b""), (1, b"next")]


def _send(gate: GateBed, message: Iterator[bytes], headers: dict[str, str]) -> None:
    with suppress(httpx.TransportError):
        gate.ask("SendMail", content=message, headers=headers)


HEAD = (
    b"POST /Microsoft-Server-ActiveSync?Cmd=SendMail&DeviceId=SLOW HTTP/1.1\r\nHost: x\r\n"
    b"Authorization: Basic YWRhOnB3\r\n"
)


def _talk(gate: GateBed, parts: Iterator[bytes]) -> bytes:
    """Send *parts* a tenth of a second apart until there is an answer; return its beginning."""
    where = urlsplit(gate.url)
    with socket.create_connection((where.hostname, where.port), 0.1) as to_gate:
        for part in parts:
            to_gate.sendall(part)
            with suppress(TimeoutError):
                return to_gate.recv(12)
    return b""


def test_a_message_has_a_deadline_for_all_of_it(
    before: tuple[Upstream, GateBed], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, gate = before
    monkeypatch.setattr(proxy, "BODY_SECONDS", 0.5)
    trickle = (b"x" if number else HEAD + b"Content-Length: 999\r\n\r\n" for number in range(600))
    assert _talk(gate, trickle) == b"HTTP/1.1 408"
    wait_until(lambda: server.lost == 1 and gate.keeper.open_requests == 0, 60)


def _count(outcome: str) -> float:
    return REGISTRY.get_sample_value("sekisho_gate_requests_total", {"outcome": outcome}) or 0.0


def test_what_a_phone_does_wrong_is_not_said_of_the_mail_server(
    before: tuple[Upstream, GateBed], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, gate = before
    away, hung_up = _count("server_away"), _count("hung_up")
    parts = [HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[b"no length\r\n"] * 600]
    monkeypatch.setattr(proxy, "BODY_SECONDS", 0.5)
    assert _talk(gate, iter(parts)) == b"HTTP/1.1 408"

    async def break_off(*_: object) -> None:
        raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")

    monkeypatch.setattr(web.StreamResponse, "write", break_off)
    with pytest.raises(httpx.TransportError):
        gate.ask("Sync")
    assert (_count("server_away"), _count("hung_up")) == (away, hung_up + 1)
