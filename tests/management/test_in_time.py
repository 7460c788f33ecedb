"""A call to a relay ends in time as a whole, however the relay spreads what it says."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from threading import Event

import httpx
import pytest

from contracts import keys as jwk
from exchange_connector import management_client
from exchange_connector.management_client import ManagementClient
from management.context import Context
from management.relays import joining
from management.relays.service import pair_relay
from management.verification import asking, relay_checks
from runtime import connecting, http_in_time
from runtime.clock import utc_now
from runtime.errors import UnavailableError
from tests.servers.tardy import Shown, silent_port, tardy_server

WHOLE = 1.5
MOST = 10.0
"""Far less than such a server would go on, far more than a busy machine needs."""
WAYS = ("handshake", "headers", "body")


@pytest.fixture
def shown(context: Context, tmp_path: Path) -> Shown:
    """The certificate and key of a server."""
    certificate, key = context.keys.issue_server_certificate(["localhost"], utc_now())
    (tmp_path / "shown.pem").write_text(certificate)
    (tmp_path / "shown.key").write_text(key)
    return Shown(tmp_path / "shown.pem", tmp_path / "shown.key")


@contextmanager
def in_time() -> Iterator[None]:
    before = time.monotonic()
    yield
    assert time.monotonic() - before < MOST


def _trust() -> ssl.SSLContext:
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    return trust


def _addresses(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


@pytest.mark.parametrize("how", WAYS)
def test_whoever_spreads_an_answer_over_minutes_is_left_in_time(shown: Shown, how: str) -> None:
    with (
        tardy_server(how, shown) as server,
        http_in_time.client(WHOLE, _trust()) as http,
        in_time(),
    ):
        with pytest.raises(httpx.TimeoutException):
            http.get(f"https://localhost:{server.port}/")
        assert server.taken == 1


def test_all_addresses_of_a_name_share_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with silent_port() as port, http_in_time.client(WHOLE, _trust()) as http, in_time():
        _addresses(monkeypatch, *[port] * 60)
        with pytest.raises(httpx.TimeoutException):
            http.get("https://relay.example/")


def test_a_name_that_nobody_looks_up_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    never = Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: never.wait(60) and [])
    late = pytest.raises(httpx.TimeoutException)
    with http_in_time.client(WHOLE, _trust()) as http, in_time(), late:
        http.get("https://relay.example/")
    never.set()


class _Counting(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = str(len(self.rfile.read(int(self.headers["Content-Length"])))).encode()
        self.send_response_only(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_each_call_has_a_time_of_its_own_on_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[int] = []
    real: Callable[[str, int, float], socket.socket] = connecting.connect

    def counted(host: str, port: int, ends_at: float) -> socket.socket:
        connected.append(port)
        return real(host, port, ends_at)

    monkeypatch.setattr(http_in_time, "connect", counted)
    with HTTPServer(("127.0.0.1", 0), _Counting) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        with http_in_time.client(3.0, _trust()) as http:
            for _ in range(5):
                answer = http.post(
                    f"http://127.0.0.1:{server.server_port}/", content=bytes(300_000)
                )
                assert answer.text == "300000"
                time.sleep(0.8)
        server.shutdown()
        serving.join()
    assert len(connected) == 1


class _InTwoParts(_Counting):
    go_on = Event()

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"a")
        if self.path == "/waits":
            assert self.go_on.wait(60)
        self.wfile.write(b"b")


def test_a_call_made_while_a_body_is_read_takes_none_of_its_time() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _InTwoParts) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        address = f"http://127.0.0.1:{server.server_port}"
        with (
            http_in_time.client(60.0, _trust()) as http,
            http.stream("GET", f"{address}/waits") as one,
        ):
            pieces = one.iter_bytes()
            assert next(pieces) == b"a"
            short = {http_in_time.WHOLE: 0.5}
            assert http.get(f"{address}/", extensions=short).content == b"ab"
            time.sleep(0.6)
            _InTwoParts.go_on.set()
            assert next(pieces) == b"b"
        server.shutdown()
        serving.join()


def test_a_connection_that_was_idle_for_long_is_not_trusted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_in_time, "IDLE_SECONDS", 0.2)
    asked_from: set[int] = set()

    class Noting(_InTwoParts):
        def do_GET(self) -> None:
            asked_from.add(self.client_address[1])
            super().do_GET()

    with ThreadingHTTPServer(("127.0.0.1", 0), Noting) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        with http_in_time.client(60.0, _trust()) as http:
            for _ in range(2):
                assert http.get(f"http://127.0.0.1:{server.server_port}/").text == "ab"
                time.sleep(0.5)
        server.shutdown()
        serving.join()
    assert len(asked_from) == 2


def _pair(context: Context, port: int, shown: Shown) -> None:
    url, pem = f"https://localhost:{port}", shown.certificate.read_text()
    with context.database.transaction("pair") as session:
        pair_relay(session, "slow", url, pem, url, context.keys.ca_certificate(), utc_now())


@pytest.mark.parametrize("how", WAYS)
def test_checks_of_the_console_do_not_wait_for_a_relay_that_trickles(
    context: Context, shown: Shown, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_checks, "LOOK_SECONDS", WHOLE)
    monkeypatch.setattr(asking, "WHOLE_SECONDS", WHOLE)
    with tardy_server(how, shown) as server:
        _pair(context, server.port, shown)
        for check in (relay_checks.relays, relay_checks.device_doors):
            with in_time():
                found = check(context, utc_now())
            assert "took too long" in str(found.said)
        with in_time():
            relay_checks.relay_certificates(context, utc_now())
        assert server.taken == 3


@pytest.mark.parametrize("how", WAYS)
def test_pairing_does_not_wait_for_a_relay_that_trickles(
    context: Context, shown: Shown, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "LOOK_SECONDS", WHOLE)
    with tardy_server(how, shown) as server, in_time(), pytest.raises(UnavailableError):
        url = f"https://localhost:{server.port}"
        joining.join(url, "code", context.keys.link_key(), "instance")


@pytest.mark.parametrize("how", WAYS)
def test_a_connector_does_not_wait_for_a_management_that_trickles(
    context: Context, shown: Shown, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(management_client, "WHOLE_SECONDS", WHOLE)
    with tardy_server(how, shown) as server, in_time():
        url, authority = f"https://localhost:{server.port}", context.keys.ca_certificate()
        late = pytest.raises(UnavailableError, match="took too long")
        with ManagementClient(url, authority, jwk.new_key(), "key") as client, late:
            client.get_mark()
