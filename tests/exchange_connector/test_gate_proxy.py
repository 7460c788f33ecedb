"""The gate before a small ActiveSync server: what passes, what does not, and what is cut."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest
from pyactivesync._wbxml import WBXMLReader, find, text_of

from exchange_connector.gate.certificate import serial_number
from exchange_connector.gate.keeper import Decided
from management.keys import Keys, prepare
from runtime.clock import utc_now
from tests.exchange_connector.bed import wait_until
from tests.exchange_connector.gate_bed import PASSWORDS, GateBed, gate_bed

pytestmark = pytest.mark.servers


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[GateBed]:
    with gate_bed(tmp_path) as bed:
        yield bed


def status_of(answer: httpx.Response, path: str) -> str | None:
    return text_of(find(WBXMLReader(answer.content).parse(), path))


def test_what_is_not_blocked_passes_with_its_headers(gate: GateBed) -> None:
    answer = gate.ask("FolderSync", content=b"a question", headers={"X-MS-PolicyKey": "7"})

    assert (answer.status_code, answer.content) == (200, b"mail")
    assert answer.headers["X-Server"] == "small"
    assert "X-Hop" not in answer.headers.get("Connection", "")
    assert gate.server.received_bytes == len(b"a question")
    (headers,) = gate.server.headers
    assert headers["x-ms-policykey"] == "7"
    assert headers["host"] == urlsplit(gate.url).netloc
    assert headers["content-length"] == str(len(b"a question"))
    ((_, target, user),) = gate.server.asked
    assert target.endswith("?Cmd=FolderSync&User=ada&DeviceId=PHONE1&DeviceType=iPhone")
    assert user == "ada"


@pytest.mark.parametrize(
    ("version", "status", "said"), [("14.1", 200, "129"), ("16.1", 200, "129"), ("12.1", 403, "")]
)
def test_a_block_is_told_in_the_words_of_the_version(
    gate: GateBed, version: str, status: int, said: str
) -> None:
    gate.decide(ada__PHONE1=False)
    answer = gate.ask("FolderSync", version=version)

    assert answer.status_code == status
    if said:
        assert answer.headers["Content-Type"] == "application/vnd.ms-sync.wbxml"
        assert status_of(answer, "FolderHierarchy.Status") == said
    assert gate.server.asked == []


def test_another_phone_and_another_user_go_on(gate: GateBed) -> None:
    gate.decide(ada__PHONE1=False)

    assert gate.ask("Sync", "PHONE2").content == b"mail"
    assert gate.ask("Sync", "PHONE2", "bob").content == b"mail"
    assert gate.ask("Sync", "phone1", version="12.1").status_code == 403


def test_a_blocked_phone_does_not_pass_under_another_name_of_its_user(gate: GateBed) -> None:
    gate.decide(ada__PHONE1=False, ada__PHONE2=True)
    assert gate.ask("Sync", "phone1", "bob", version="12.1").status_code == 403
    assert gate.ask("Sync", "PHONE2", "bob").content == b"mail"
    gate.decide(ada__PHONE1=False, bob__PHONE1=True)
    assert gate.ask("Sync", "PHONE1", "bob").content == b"mail"


def test_a_waiting_request_is_cut_when_the_decision_changes(gate: GateBed) -> None:
    with ThreadPoolExecutor() as pool:
        mine, other = pool.submit(gate.ask, "Ping"), pool.submit(gate.ask, "Ping", "PHONE2")
        wait_until(lambda: gate.server.waiting == 2)
        assert gate.decide(ada__PHONE1=False) == 1
        assert status_of(mine.result(60), "Ping.Status") == "129"
        wait_until(lambda: gate.server.waiting == 1)
        gate.bring_news()
        assert other.result(60).content == b"new mail"
    wait_until(lambda: gate.keeper.open_requests == 0)
    gate.decide(ada__PHONE1=True)
    assert gate.ask("Sync").content == b"mail"


def test_an_answer_under_way_is_broken_off(gate: GateBed) -> None:
    url = f"{gate.url}?Cmd=ItemOperations&User=ada&DeviceId=PHONE1&DeviceType=iPhone"
    parts: list[bytes] = []
    with (
        httpx.Client(auth=("ada", PASSWORDS["ada"]), trust_env=False, timeout=60) as http,
        pytest.raises(httpx.TransportError),
        http.stream("POST", url) as answer,
    ):
        for part in answer.iter_raw():
            parts.append(part)
            assert gate.decide(ada__PHONE1=False) == 1
            gate.bring_news()
    assert parts == [b"first part"]


def test_a_phone_that_hangs_up_leaves_nothing_behind(gate: GateBed) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{gate.url}?Cmd=Ping&User=ada&DeviceId=PHONE1&DeviceType=iPhone",
            auth=("ada", PASSWORDS["ada"]),
            timeout=httpx.Timeout(60, read=0.5),
            trust_env=False,
        )
    wait_until(lambda: gate.keeper.open_requests == 0 and gate.server.waiting == 0, 60)


@pytest.mark.parametrize("sized", [True, False], ids=["sized", "chunked"])
def test_fifty_megabytes_stream_through_and_more_is_refused(tmp_path: Path, sized: bool) -> None:
    mebibyte = bytes(1024 * 1024)
    with gate_bed(tmp_path, max_body_bytes=50 * len(mebibyte)) as gate:

        def send(number: int) -> httpx.Response:
            length = {"Content-Length": str(number * len(mebibyte))} if sized else {}
            parts = (mebibyte for _ in range(number))
            return gate.ask("SendMail", content=parts, headers=length)

        assert send(50).status_code == 200
        assert gate.server.received_bytes == 50 * len(mebibyte)
        with suppress(httpx.TransportError):  # it may hang up before all was sent: as good
            assert send(51).status_code == 413
        assert len(gate.server.asked) == (1 if sized else 2)


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        ({}, "Cmd=Sync&DeviceId=PHONE1", 401),
        ({"Authorization": "Bearer abc"}, "Cmd=Sync&DeviceId=PHONE1", 400),
        ({"Authorization": "Basic !!"}, "Cmd=Sync&DeviceId=PHONE1", 400),
        ({"Authorization": "Basic OnB3"}, "Cmd=Sync&DeviceId=PHONE1", 400),
        ({"Authorization": "Basic YWRhOnB3"}, "", 400),
        ({"Authorization": "Basic YWRhOnB3"}, "garbage!!", 400),
        ({"Authorization": "Basic YWRhOnB3"}, "Cmd=Sync&DeviceId=", 400),
        ({"Authorization": "Basic YWRhOnB3"}, "Cmd=Nothing&DeviceId=PHONE1", 400),
        ({"Authorization": "Basic YWRhOnB3"}, "Cmd=Sync&DeviceId=PHONE1&deviceid=PHONE2", 400),
    ],
    ids=[
        "no user",
        "bearer",
        "no base64",
        "empty user",
        "no query",
        "garbage",
        "no DeviceId",
        "no command",
        "two DeviceIds",
    ],
)
def test_what_does_not_say_who_it_is_never_reaches_the_server(
    gate: GateBed, headers: dict[str, str], query: str, status: int
) -> None:
    answer = httpx.post(f"{gate.url}?{query}", headers=headers, trust_env=False, timeout=60)

    assert answer.status_code == status
    assert gate.server.asked == []
    assert gate.phones.all() == []


def test_what_the_mail_server_asks_of_a_phone_passes_as_it_is(gate: GateBed) -> None:
    """Policies and wipes are its own: 449, or Status 140 and 142, which are in the body."""
    assert gate.ask("Settings", version="12.1").status_code == 449


def test_only_questions_of_phones_pass(gate: GateBed) -> None:
    assert httpx.get(gate.url, trust_env=False).status_code == 405
    for strange in (gate.url.replace("Active", "active"), gate.url + "%5c", gate.url + "/..%5cEWS"):
        assert httpx.post(strange, trust_env=False).status_code == 404
    options = httpx.options(f"{gate.url}?Cmd=Sync&DeviceId=X", trust_env=False)
    assert options.headers["MS-ASProtocolVersions"] == "12.1,14.1,16.1"
    assert [(method, "?" in target) for method, target, _ in gate.server.asked] == [
        ("OPTIONS", False)
    ]


def test_only_phones_whose_user_the_server_knows_are_noted(gate: GateBed) -> None:
    assert gate.ask("Sync", user="mallory").status_code == 401
    assert gate.phones.all() == []
    gate.ask("Sync", "Appl1")
    gate.ask("Sync", "APPL1")
    (phone,) = gate.phones.all()
    assert (phone.user, phone.device_id, phone.device_type, phone.user_agent) == (
        "ada",
        "Appl1",
        "iPhone",
        "Apple-iPhone",
    )


def test_a_phone_that_nobody_decided_about_is_refused_and_shown(tmp_path: Path) -> None:
    with gate_bed(tmp_path, default_access="block") as gate:
        for _ in range(3):
            assert gate.ask("Sync", "NEW", version="12.1").status_code == 403
        assert gate.ask("Sync", "NEW", "mallory", version="12.1").status_code == 403
        wait_until(lambda: len(gate.server.asked) == 2, 60)
        wait_until(lambda: len(gate.phones.all()) == 1, 60)
        assert {method for method, _, _ in gate.server.asked} == {"OPTIONS"}
        (phone,) = gate.phones.all()
        assert (phone.user, phone.device_id, phone.user_agent) == ("ada", "NEW", "Apple-iPhone")
        gate.decide(ada__OLD=False)
        assert gate.ask("Sync", "OLD", version="12.1").status_code == 403
        assert len(gate.server.asked) == 2


def test_one_phone_cannot_take_all_places(tmp_path: Path) -> None:
    with (
        gate_bed(tmp_path, max_open_requests_per_phone=2, max_open_requests=3) as gate,
        ThreadPoolExecutor() as pool,
    ):
        waiting = [pool.submit(gate.ask, "Ping") for _ in range(2)]
        wait_until(lambda: gate.server.waiting == 2)
        refused = gate.ask("Ping")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "60")
        waiting.append(pool.submit(gate.ask, "Ping", "PHONE2"))
        wait_until(lambda: gate.server.waiting == 3)
        assert gate.ask("Ping", "PHONE3").status_code == 503
        assert httpx.options(gate.url, trust_env=False).status_code == 503
        gate.bring_news()
        assert [one.result(60).content for one in waiting] == [b"new mail"] * 3
        assert gate.ask("Sync", "PHONE3").content == b"mail"


def test_a_server_that_is_away_is_told_as_later(tmp_path: Path) -> None:
    with gate_bed(tmp_path) as gate:
        assert gate.ask("Sync").status_code == 200
        with socket.create_server(("127.0.0.1", 0)) as free:
            away = f"http://127.0.0.1:{free.getsockname()[1]}"
        with gate_bed(tmp_path, server=away) as lost:
            answer = lost.ask("Sync")
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")


def test_strangers_may_not_speak_to_the_gate(tmp_path: Path) -> None:
    with gate_bed(tmp_path, trusted_proxies="192.0.2.1") as gate:
        assert gate.ask("Sync").status_code == 403
        assert gate.server.asked == []


def test_hostile_heads_harm_nobody(gate: GateBed) -> None:
    many = {f"X-{number}": "x" for number in range(200)}
    assert gate.ask("Sync", headers=many).status_code == 400
    for head in (
        b"POST /Microsoft-Server-ActiveSync?" + b"A" * 70_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /Microsoft-Server-ActiveSync?Cmd=Sync HTTP/1.1\r\nX: " + b"A" * 70_000 + b"\r\n\r\n",
        b"POST /Microsoft-Server-ActiveSync HTTP/1.1\r\nContent-Length: 1\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"\x16\x03\x01\x00\xff\r\n\r\n",
    ):
        assert _raw(gate, head)[:12] in (b"HTTP/1.1 400", b"HTTP/1.0 400")
    assert gate.server.asked == []
    assert gate.ask("Sync").content == b"mail"


def _raw(gate: GateBed, head: bytes) -> bytes:
    parts = urlsplit(gate.url)
    with socket.create_connection((parts.hostname, parts.port), 60) as to_gate:
        threading.Thread(target=_send, args=(to_gate, head), daemon=True).start()
        return to_gate.recv(1000)


def _send(to_gate: socket.socket, head: bytes) -> None:
    with suppress(OSError):  # it may hang up first
        to_gate.sendall(head)


def test_with_certificates_only_the_right_one_passes(tmp_path: Path) -> None:
    prepare(tmp_path / "keys", utc_now())
    keys = Keys(tmp_path / "keys")
    one, _ = keys.issue_server_certificate(["one"], utc_now())
    other, _ = keys.issue_server_certificate(["other"], utc_now())
    with gate_bed(tmp_path, client_certificate_header="X-Client-Cert") as gate:

        async def replace() -> int:
            mine = Decided(True, serial_number(quote(one)) or "")
            return gate.keeper.replace({("ada", "phone1"): mine}, "allow")

        gate.run(replace())
        assert gate.ask("Sync", version="12.1").status_code == 403
        for shown, status in ((one, 200), (other, 403), ("rubbish", 403)):
            answer = gate.ask("Sync", version="12.1", headers={"X-Client-Cert": quote(shown)})
            assert answer.status_code == status
        for shown, status in ((one, 403), (other, 200)):
            headers = {"X-Client-Cert": quote(shown)}
            answer = gate.ask("Sync", "NEW", version="12.1", headers=headers)
            assert answer.status_code == status
        assert all("x-client-cert" not in seen for seen in gate.server.headers)
        assert [method for method, _, _ in gate.server.asked].count("POST") == 2


def test_auth_request_decides_at_the_start_and_answers_in_its_place(tmp_path: Path) -> None:
    with gate_bed(tmp_path, auth_request=True) as gate:
        base = gate.url.rpartition("/")[0]
        original = "/Microsoft-Server-ActiveSync?Cmd=Ping&User=ada&DeviceId=PHONE1&DeviceType=x"

        def ask(path: str, user: str = "ada", target: str = original) -> httpx.Response:
            headers = {"X-Original-URI": target, "X-Original-Method": "POST"}
            headers["MS-ASProtocolVersion"] = "14.1"
            auth = (user, PASSWORDS.get(user, "wrong"))
            return httpx.get(base + path, headers=headers, auth=auth, trust_env=False, timeout=60)

        assert ask("/decide", "mallory").status_code == 204
        assert ask("/decide").status_code == 204
        wait_until(lambda: [one.user for one in gate.phones.all()] == ["ada"], 60)
        assert ask("/answer").status_code == 503
        assert gate.decide(ada__PHONE1=False) == 0
        assert ask("/decide").status_code == 403
        assert ask("/decide", target="/x?garbage").status_code == 403
        query = original.partition("?")[2].replace("PHONE1", "PHONE2")
        for path, status in (
            ("/Microsoft-Server-ActiveSync/", 204),
            ("/SOGo/microsoft-server-activesync", 204),
            ("/Microsoft-Server-ActiveSync\\..\\EWS", 403),
            ("/Microsoft-Server-ActiveSync%5c..%5cEWS", 403),
            ("/Microsoft-Server-ActiveSync/../EWS/Exchange.asmx", 403),
            ("\\Microsoft-Server-ActiveSync", 403),
        ):
            assert ask("/decide", target=f"{path}?{query}").status_code == status, path
            if status == 403:
                assert ask("/answer", target=f"{path}?{query}").status_code == 404, path
        assert status_of(ask("/answer"), "Ping.Status") == "129"
        assert gate.ask("Sync").status_code == 404
