"""Requests that want to be two, floods of garbage, broken TLS, and death while reports come in."""

import random
import socket
import threading
import time
from contextlib import suppress

import psutil
import pytest

from tests.communication import crowd
from tests.communication.crowd import Member, connect, request
from tests.communication.relay import Management, Phone, Relay

pytestmark = pytest.mark.servers
SECOND = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /agent/v1/enrolments HTTP/1.1\r\nHost: x\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(SECOND)
ENDS = b"0\r\n\r\n" + SECOND
GIGABYTE = 1024**3


def _answers(relay: Relay, sent: bytes) -> list[bytes]:
    """Send bytes and return the first lines of all answers until the server is silent or gone."""
    (connection,) = connect(relay, 1)
    with connection, suppress(OSError):
        connection.sendall(sent)
        connection.sendall(b"\r\n")
        connection.settimeout(60)
        text = connection.recv(65_536)
        connection.settimeout(1)
        while some := connection.recv(65_536):
            text += some
    return [line for line in text.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(
            POST + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n" % len(ENDS) + ENDS,
            id="length and chunked",
        ),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + ENDS,
            id="chunked and length",
        ),
        pytest.param(POST + b"Content-Length: 0\r\n" + LENGTH + b"\r\n" + SECOND, id="two lengths"),
        pytest.param(POST + b"Content-Length: 0, 34\r\n\r\n" + SECOND, id="a list of lengths"),
        pytest.param(POST + b"Content-Length: +0\r\n\r\n" + SECOND, id="a length with a sign"),
        pytest.param(POST + b"Content-Length : 0\r\n\r\n" + SECOND, id="a space before the colon"),
        pytest.param(
            POST + b"X: a\r\n Content-Length: 0\r\n" + LENGTH + b"\r\n" + SECOND, id="obs-fold"
        ),
        pytest.param(
            POST + b"Transfer-Encoding:\r\n chunked\r\n" + LENGTH + b"\r\n" + ENDS,
            id="folded chunked",
        ),
        pytest.param(
            POST + b"Transfer-Encoding: xchunked\r\n" + LENGTH + b"\r\n" + SECOND,
            id="another coding",
        ),
        pytest.param(
            POST + b"X: a\rContent-Length: 0\r\n" + LENGTH + b"\r\n" + SECOND, id="a bare CR"
        ),
        pytest.param(POST + b"X: a\x00b\r\nContent-Length: 0\r\n\r\n" + SECOND, id="a zero byte"),
        pytest.param(
            b"POST /nowhere HTTP/1.1\r\nHost: x\r\n" + LENGTH + b"\r\n" + SECOND,
            id="a body that nobody reads",
        ),
        pytest.param(
            b"GET /agent/v1/poll HTTP/1.1\r\nHost: x\r\n" + LENGTH + b"\r\n" + SECOND,
            id="a poll with a body",
        ),
    ],
)
def test_no_request_hides_in_another(relay: Relay, sent: bytes) -> None:
    lines = _answers(relay, sent)

    assert len(lines) == 1, lines
    assert lines[0].startswith(b"HTTP/1.1 4")


def test_a_bare_line_feed_ends_a_line_and_nothing_more(relay: Relay) -> None:
    """RFC 9112 section 2.2 allows it; what matters is that everybody who reads agrees."""
    assert len(_answers(relay, b"GET /healthz HTTP/1.1\nHost: x\n\n")) == 1
    sent = POST + b"Content-Length: 0\nX: y\n" + LENGTH + b"\r\n" + SECOND
    assert [line[:12] for line in _answers(relay, sent)] == [b"HTTP/1.1 400"]


@pytest.mark.parametrize("path", ["/" + "a" * 8192, "/agent/v1/poll?" + "a" * 8192])
def test_a_request_line_of_8_kb_is_refused_with_a_sentence(relay: Relay, path: str) -> None:
    (connection,) = connect(relay, 1)
    with connection:
        status, body, _ = crowd.ask(connection, request("GET", path))
    assert status in (401, 404)
    assert b'"detail"' in body


def test_a_gigabyte_is_refused_before_it_is_sent(relay: Relay, phone: Phone) -> None:
    path = "/agent/v1/reports"
    signed = "".join(f"{k}: {v}\r\n" for k, v in phone.headers("POST", path).items())
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{signed}Content-Length: {GIGABYTE}\r\n\r\n"
    (connection,) = connect(relay, 1)
    with connection:
        status, body, _ = crowd.ask(connection, head.encode())
    assert (status, b"larger than" in body) == (413, True)


def test_a_gigabyte_in_pieces_is_refused_soon_after_its_limit(relay: Relay, phone: Phone) -> None:
    path, sent = "/agent/v1/reports", 0
    signed = "".join(f"{k}: {v}\r\n" for k, v in phone.headers("POST", path).items())
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{signed}Transfer-Encoding: chunked\r\n\r\n"
    (connection,) = connect(relay, 1)
    with connection, suppress(OSError):
        connection.sendall(head.encode())
        while sent < GIGABYTE:
            connection.sendall(b"10000\r\n" + b"A" * 65_536 + b"\r\n")
            sent += 65_536
    assert sent < 64 * 1024**2


def test_broken_tls_leaves_nothing_behind(relay: Relay, phone: Phone) -> None:
    assert relay.process is not None
    process, token = psutil.Process(relay.process.pid), phone.token()
    before = process.num_fds()
    chance = random.Random(1)
    for number in range(200):
        with socket.create_connection(("127.0.0.1", relay.devices_port)) as plain:
            kind = number % 4
            if kind == 0:
                plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")  # no TLS at all
            elif kind == 1:
                plain.sendall(b"\x16\x03\x01\x02\x00" + chance.randbytes(512))
            elif kind == 2:
                plain.sendall(b"\x16\x03\x01")  # a hello that never comes
            else:
                plain.sendall(b"\x15\x03\x03\x00\x02\x02\x28")  # an alert at once
            if number % 2:
                plain.shutdown(socket.SHUT_WR)
        assert number % 50 or phone.poll(token).status_code == 204

    give_up = time.monotonic() + 60
    while process.num_fds() > before + 5 and time.monotonic() < give_up:
        time.sleep(0.2)
    assert process.num_fds() <= before + 5
    assert phone.poll(token).status_code == 204


def garbage(count: int, seed: int) -> list[bytes]:
    """Return requests that no agent makes, each answered 4xx."""
    chance = random.Random(seed)
    kinds = (
        lambda: request("GET", f"/{chance.randbytes(8).hex()}.php?x={chance.random()}"),
        lambda: crowd.poll(chance.randbytes(32).hex()),
        lambda: request("POST", "/agent/v1/reports", chance.randbytes(100)),
        lambda: request("GET", "/agent/v1/orders", headers={"Signature": "sekisho=:AA==:"}),
        lambda: request("DELETE", "/agent/v1/poll"),
        lambda: crowd.poll("a" * 96, f"?after={chance.randbytes(20).hex()}"),
    )
    return [kinds[number % len(kinds)]() for number in range(count)]


def flood(relay: Relay, requests: list[bytes]) -> set[int]:
    """Send requests on some connections and return the statuses that came back."""
    connections, statuses = connect(relay, 20), set()
    for start in range(0, len(requests), 20):
        some = list(zip(connections, requests[start : start + 20], strict=False))
        for connection, one in some:
            connection.sendall(one)
        statuses |= {crowd.read(connection)[0] for connection, _ in some}
    for connection in connections:
        connection.close()
    return statuses


def test_a_flood_of_garbage_is_refused_and_leaves_nothing_behind(own_relay: Relay) -> None:
    own_relay.start()
    phone = Phone(own_relay, Management(own_relay))
    token = phone.token()
    assert own_relay.process is not None
    process = psutil.Process(own_relay.process.pid)
    flood(own_relay, garbage(2_000, 1))
    before = process.memory_info().rss

    statuses = flood(own_relay, garbage(12_000, 2))

    assert statuses <= {400, 401, 404, 429}
    assert process.memory_info().rss - before < 30 * 1024**2
    assert phone.poll(token).status_code == 204, "those with a token are served meanwhile"


class _Sender(threading.Thread):
    """Posts reports of one device until the server dies, and counts what it acknowledged."""

    def __init__(self, relay: Relay, member: Member, first: int) -> None:
        super().__init__()
        self.relay, self.member, self.first = relay, member, first
        self.acknowledged: list[int] = []

    def run(self) -> None:
        seq = self.first
        with suppress(OSError):
            (connection,) = connect(self.relay, 1)
            with connection:
                while crowd.ask(connection, self.member.report(seq, f"sealed{seq}"))[0] == 202:
                    self.acknowledged.append(seq)
                    seq += 1


def test_killed_at_any_moment_while_reports_come_it_loses_none_it_acknowledged(
    own_relay: Relay,
) -> None:
    own_relay.settings |= {"requests_per_minute": "1000000"}
    own_relay.start()
    members = crowd.gather(Management(own_relay), 8)
    chance, promised, kept = random.Random(7), set(), set()
    for life in range(6):
        senders = [_Sender(own_relay, member, life * 100_000 + 1) for member in members]
        for sender in senders:
            sender.start()
        give_up = time.monotonic() + 60
        wanted = chance.randint(5, 60)
        while sum(len(s.acknowledged) for s in senders) < wanted and time.monotonic() < give_up:
            time.sleep(0.001)
        own_relay.kill()
        for sender in senders:
            sender.join(60)
            promised |= {(sender.member.id, f"sealed{seq}") for seq in sender.acknowledged}
        own_relay.hang_up()
        own_relay.start()
        management = Management(own_relay)
        while found := management.inbound():
            kept |= {(item.sender, item.sealed) for item in found}
            management.take(*(item.id for item in found))

    assert len(promised) >= 30
    assert promised <= kept
    assert len(kept) <= len(promised) + 6 * len(members), "at most one unanswered of each"
