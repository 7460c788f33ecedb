"""A relay that lies: it passes everything on to a real one, except what a test lets it forge."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from contracts import codec
from contracts.agent import PollAnswer, SealedOrders
from management.keys import Keys
from runtime.clock import utc_now
from tests.agents.relay_process import RelayProcess

_PASSED_ON = ("content-type", "retry-after", "sekisho-poll-after", "date")


class LyingRelay:
    """Honest until told otherwise; `be_honest` forgets all lies."""

    def __init__(self, real: RelayProcess, http: httpx.Client) -> None:
        self.real, self.http = real, http
        self.url = ""
        self.be_honest()

    def be_honest(self) -> None:
        self.orders: list[str] | None = None
        """What every device gets when it asks for orders."""
        self.says_nothing_is_new = False
        self.takes_reports_and_drops_them = False
        self.trust: str | None = None
        self.answer: list[str] | None = None
        """The answer to every enrolment."""
        self.answers: dict[str, tuple[int, bytes, dict[str, str]]] = {}
        """Path -> status, body and headers, whatever was asked."""
        self.seen: list[tuple[str, bytes]] = []
        """What devices sent: path and body."""

    def lie(self, method: str, path: str) -> tuple[int, bytes, dict[str, str]] | None:
        """Return status, body and headers of a lie, or None to be honest."""
        route = path.partition("?")[0]
        if route in self.answers:
            return self.answers[route]
        lie = self._particular(method, route)
        return None if lie is None else (*lie, {})

    def _particular(self, method: str, route: str) -> tuple[int, bytes] | None:
        if route == "/agent/v1/trust" and self.trust is not None:
            return 200, self.trust.encode()
        if route == "/agent/v1/poll" and self.says_nothing_is_new:
            return 204, b""
        if route == "/agent/v1/poll" and self.orders is not None:
            return 200, codec.write(PollAnswer(orders_waiting=len(self.orders)))
        if route == "/agent/v1/orders" and self.orders is not None:
            return 200, codec.write(SealedOrders(orders=tuple(self.orders)))
        if route == "/agent/v1/reports" and self.takes_reports_and_drops_them:
            return 202, b""
        if method == "GET" and "/enrolments/" in route and self.answer is not None:
            return 200, codec.write(SealedOrders(orders=tuple(self.answer)))
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    relay: LyingRelay

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        self.relay.seen.append((self.path, body))
        lie = self.relay.lie(self.command, self.path)
        if lie is not None:
            self._answer(*lie)
            return
        url = self.relay.real.devices_url + self.path
        headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
        answer = self.relay.http.request(self.command, url, content=body, headers=headers)
        kept = {k: v for k, v in answer.headers.items() if k.lower() in _PASSED_ON}
        self._answer(answer.status_code, answer.content, kept)

    do_GET = do_POST = _serve  # noqa: N815

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output readable."""


@contextmanager
def running(folder: Path, real: RelayProcess, own: Keys) -> Iterator[LyingRelay]:
    """Listen on a free port with a certificate that devices accept."""
    folder.mkdir()
    certificate, key = own.issue_server_certificate(["localhost"], utc_now())
    (folder / "tls.pem").write_text(certificate)
    (folder / "tls.key").write_text(key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "tls.pem", folder / "tls.key")
    trusted = ssl.create_default_context(cadata=real.ca_certificate)
    with httpx.Client(verify=trusted, trust_env=False, timeout=20) as http:
        relay = LyingRelay(real, http)
        handler = type("Handler", (_Handler,), {"relay": relay})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        relay.url = f"https://localhost:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield relay
        server.shutdown()
        thread.join()
        server.server_close()
