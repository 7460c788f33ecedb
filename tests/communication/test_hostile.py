"""Hostile input: nothing here may fail the server, fill it, or be answered as if it were right."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts import codec, keys
from contracts.agent import ReportPost
from tests.communication.relay import Management, Phone, Relay, context, detail, enrolment_post

pytestmark = pytest.mark.servers
REPEATED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """Without limits on how often anybody may ask: they have tests of their own."""
    lenient = {
        "enrolments_per_minute": "100000",
        "requests_per_minute": "100000",
        "body_seconds": "12",
    }
    started = Relay(tmp_path_factory.mktemp("relay"), lenient).start()
    yield started
    started.hang_up()
    started.stop()


def _bodies(right: dict[str, object]) -> st.SearchStrategy[bytes]:
    """Return bodies that are almost *right*, JSON that is not, and bytes that are no JSON."""
    wrong = st.tuples(st.sampled_from(sorted(right)), anything).map(
        lambda change: json.dumps({**right, change[0]: change[1]}).encode()
    )
    missing = st.sampled_from(sorted(right)).map(
        lambda name: json.dumps({k: v for k, v in right.items() if k != name}).encode()
    )
    return wrong | missing | anything.map(lambda value: json.dumps(value).encode()) | st.binary()


REPORT = {"v": 1, "epoch": 1, "seq": 1, "sealed": "sealed"}
ENROLMENT = {"v": 1, "enrolment_id": str(uuid4()), "signing_key": {}, "sealed": "sealed"}
OUTBOUND = {"v": 1, "items": [{"kind": "order"}], "discards": [{}]}


@REPEATED
@given(body=_bodies(REPORT))
def test_a_report_of_any_shape_is_kept_or_refused_with_a_sentence(
    phone: Phone, body: bytes
) -> None:
    answer = phone.send("POST", "/agent/v1/reports", body)

    assert answer.status_code in (202, 400), answer.text
    if answer.status_code == 400:
        assert "ReportPost" in detail(answer)


@REPEATED
@given(body=_bodies(ENROLMENT))
def test_an_enrolment_of_any_shape_is_refused_with_a_sentence(phone: Phone, body: bytes) -> None:
    answer = phone.client.post("/agent/v1/enrolments", content=body)

    assert answer.status_code == 400
    assert detail(answer)


@REPEATED
@given(body=_bodies(OUTBOUND))
def test_even_management_cannot_leave_nonsense(management: Management, body: bytes) -> None:
    for method, path in (
        ("POST", "/link/v1/outbound"),
        ("POST", "/link/v1/devices"),
        ("PUT", "/link/v1/trust"),
        ("POST", "/link/v1/inbound/taken"),
    ):
        assert management.send(method, path, body).status_code in (204, 400)


@REPEATED
@given(
    parts=st.fixed_dictionaries(
        {},
        optional={
            "Signature": st.text(
                st.characters(codec="ascii", categories=("L", "N", "P")), min_size=1
            ),
            "Signature-Input": st.sampled_from(
                [
                    "sekisho=()",
                    'sekisho=("@method");created=1;keyid="x";tag="sekisho-agent"',
                    'sekisho=("@method" "@path" "@query" "content-digest");created=1;keyid=1',
                    "a=(),b=()",
                    "sekisho",
                    "(((((",
                ]
            ),
            "Content-Digest": st.sampled_from(["sha-256=::", "sha-256=:AA==:", "md5=:AA==:", "x"]),
        },
    )
)
def test_a_broken_signature_is_refused(phone: Phone, parts: dict[str, str]) -> None:
    headers = {**phone.headers("GET", "/agent/v1/orders"), **parts}
    if not parts:
        return

    answer = phone.client.get("/agent/v1/orders", headers=headers)

    assert answer.status_code in (401, 429)


@REPEATED
@given(
    path=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
    query=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
)
def test_any_address_gets_an_answer(phone: Phone, path: str, query: str) -> None:
    url = f"/agent/v1/{quote(path, safe='%/;,')}?{quote(query, safe='%&=+;')}"

    assert phone.client.get(url).status_code in (200, 202, 308, 400, 401, 404, 405, 429, 503)


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/agent/v1/reports", 3 * 1024 * 1024),
        ("/agent/v1/enrolments", 64 * 1024),
        ("/agent/v1/token", 4096),
    ],
)
@pytest.mark.parametrize("announced", [True, False])
def test_a_body_above_its_limit_is_refused_while_it_arrives(
    relay: Relay, path: str, limit: int, announced: bool
) -> None:
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        while sent < 50 * 1024 * 1024:
            sent += 65_536
            yield b"A" * 65_536

    client = relay.devices_client()
    headers = {"Content-Length": str(50 * 1024 * 1024)} if announced else {}
    headers["Signature"] = "sekisho=:x:"
    try:
        answer = client.post(path, content=body(), headers=headers)
    except httpx.TransportError:
        pass  # it hung up on us while we still sent
    else:
        assert answer.status_code == 413
        assert str(limit) in detail(answer)
    assert sent < limit + 20 * 1024 * 1024


def test_an_announced_length_alone_is_enough_to_be_refused(relay: Relay) -> None:
    answer = _exchange(
        relay,
        b"POST /agent/v1/reports HTTP/1.1\r\nHost: x\r\nSignature: x\r\n"
        b"Content-Length: 9999999999\r\n\r\n",
    )

    assert answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "request_",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /agent/v1/poll HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"POST /agent/v1/reports HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /agent/v1/reports HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /%00%ff%2e%2e/%zz HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_what_is_hardly_http_is_refused_and_the_server_lives(relay: Relay, request_: bytes) -> None:
    answer = _exchange(relay, request_)

    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4")), answer[:100]
    assert relay.devices_client().get("/healthz").status_code == 200


def test_slow_senders_keep_nobody_out_and_are_sent_away(relay: Relay) -> None:
    head = b"POST /agent/v1/enrolments HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc"
    slow = [_connect(relay) for _ in range(100)]
    try:
        for connection in slow:
            connection.sendall(head)
        began = time.monotonic()

        assert relay.devices_client().get("/healthz").status_code == 200

        assert time.monotonic() - began < 11
        slow[0].settimeout(60)
        assert slow[0].recv(100).startswith(b"HTTP/1.1 408")
    finally:
        for connection in slow:
            connection.close()


def test_one_address_cannot_hold_more_than_its_share_of_memory(relay: Relay) -> None:
    size = 2 * 1024 * 1024
    head = "POST /agent/v1/reports HTTP/1.1\r\nHost: x\r\nSignature: x\r\n"
    head += f"Content-Length: {size + 1}\r\n\r\n"
    senders = [_connect(relay) for _ in range(10)]
    answers: list[bytes] = []
    try:
        for connection in senders:
            connection.settimeout(5)
            try:
                connection.sendall(head.encode() + b"A" * size)
            except OSError:
                answers.append(b"hung up")
        for connection in senders:
            connection.settimeout(1)
            try:
                answers.append(connection.recv(100))
            except OSError:
                answers.append(b"")
        refused = [answer for answer in answers if b"503" in answer or answer == b"hung up"]
        assert refused
    finally:
        for connection in senders:
            connection.close()
    time.sleep(0.5)
    assert relay.devices_client().get("/healthz").status_code == 200


def test_a_flood_of_enrolments_from_one_address_is_slowed(own_relay: Relay) -> None:
    own_relay.settings["enrolments_per_minute"] = "5"
    own_relay.start()
    client = own_relay.devices_client()

    answers = [
        client.post("/agent/v1/enrolments", content=enrolment_post(keys.new_key(), uuid4()))
        for _ in range(12)
    ]

    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) >= 2  # a new minute may begin in between
    assert all(1 <= int(answer.headers["Retry-After"]) <= 60 for answer in refused)
    assert "in a minute" in detail(refused[0])


def test_only_so_many_enrolments_wait_at_once(own_relay: Relay) -> None:
    own_relay.settings["enrolments"] = "3"
    own_relay.start()
    client = own_relay.devices_client()
    first = keys.new_key(), uuid4()
    posts = [enrolment_post(*first)] + [enrolment_post(keys.new_key(), uuid4()) for _ in range(3)]

    codes = [client.post("/agent/v1/enrolments", content=post).status_code for post in posts]

    assert codes == [202, 202, 202, 429]
    assert client.post("/agent/v1/enrolments", content=posts[0]).status_code == 202


def test_a_device_may_leave_only_so_many_reports(own_relay: Relay) -> None:
    own_relay.settings["device_messages"] = "3"
    own_relay.start()
    management = Management(own_relay)
    phone, other = Phone(own_relay, management), Phone(own_relay, management)

    answers = [phone.report(seq) for seq in range(1, 5)]

    assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
    assert "send this one again later" in detail(answers[-1])
    assert phone.report(3).status_code == 202  # a repeat of what waits
    assert other.report(1).status_code == 202
    management.take(*(item.id for item in management.inbound()))
    assert phone.report(4).status_code == 202


def test_when_there_is_no_room_at_all_it_says_so(own_relay: Relay) -> None:
    own_relay.settings["inbound_bytes"] = str(100 * 1024)
    own_relay.settings["outbound_bytes"] = str(100 * 1024)
    own_relay.start()
    management = Management(own_relay)
    phone = Phone(own_relay, management)

    assert phone.report(1, "A" * 90_000).status_code == 202
    full = phone.report(2, "A" * 20_000)
    assert (full.status_code, "Retry-After" in full.headers) == (507, True)
    management.take(*(item.id for item in management.inbound()))
    assert phone.report(2, "A" * 20_000).status_code == 202


def test_a_device_may_ask_only_so_often(own_relay: Relay) -> None:
    own_relay.settings["requests_per_minute"] = "10"
    own_relay.start()
    phone = Phone(own_relay, Management(own_relay))

    codes = [phone.send("GET", "/agent/v1/orders").status_code for _ in range(30)]

    assert codes[:10] == [200] * 10
    assert 429 in codes


def test_many_devices_at_once_lose_nothing(relay: Relay, management: Management) -> None:
    phones = [Phone(relay, management) for _ in range(8)]

    def send(phone: Phone) -> None:
        for seq in range(1, 16):
            assert phone.report(seq, f"{phone.id}.{seq}").status_code == 202

    threads = [threading.Thread(target=send, args=(phone,)) for phone in phones]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = {item.sealed for item in management.inbound()}
    assert found == {f"{phone.id}.{seq}" for phone in phones for seq in range(1, 16)}


def test_a_large_report_that_is_allowed_arrives(phone: Phone, management: Management) -> None:
    body = codec.write(ReportPost(epoch=1, seq=1, sealed="A" * 3_000_000))

    assert phone.send("POST", "/agent/v1/reports", body).status_code == 202
    assert len(management.inbound()[0].sealed) == 3_000_000


def _connect(relay: Relay) -> socket.socket:
    plain = socket.create_connection(("127.0.0.1", relay.devices_port))
    return context(relay.tls).wrap_socket(plain, server_hostname="127.0.0.1")


def _exchange(relay: Relay, request: bytes) -> bytes:
    with _connect(relay) as connection:
        connection.settimeout(20)
        try:
            connection.sendall(request)
            return connection.recv(4096)
        except OSError:
            return b""
