"""A proxy before the real relay that breaks what a test wants broken, and nothing else."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from management.keys import Keys
from runtime.clock import utc_now
from tests.agents.relay_process import RelayProcess

PREFIX = "/agent/v1"
_KEPT = ("content-type", "retry-after", "sekisho-poll-after", "date")


@dataclass
class Asked:
    """A request as the device made it, and the way to the honest relay."""

    method: str
    path: str
    """Without the prefix, with the query."""
    body: bytes
    headers: dict[str, str]
    pass_on: Callable[["Asked"], "Answered"]

    @property
    def route(self) -> str:
        return self.path.partition("?")[0]


@dataclass
class Answered:
    """What the device gets."""

    status: int
    body: bytes
    headers: dict[str, str]


Break = Callable[[Asked], Answered]


class BreakingRelay:
    """Honest as long as `broken` is None."""

    def __init__(self, real: RelayProcess, http: httpx.Client) -> None:
        self.real, self._http, self.url = real, http, ""
        self.broken: Break | None = None

    def answer(self, asked: Asked) -> Answered:
        return self.broken(asked) if self.broken else self.pass_on(asked)

    def pass_on(self, asked: Asked) -> Answered:
        headers = {k: v for k, v in asked.headers.items() if k.lower() != "host"}
        answer = self._http.request(
            asked.method,
            self.real.devices_url + PREFIX + asked.path,
            content=asked.body,
            headers=headers,
        )
        kept = {k.lower(): v for k, v in answer.headers.items() if k.lower() in _KEPT}
        return Answered(answer.status_code, answer.content, kept)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    relay: BreakingRelay

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        path = self.path.removeprefix(PREFIX)
        headers = dict(self.headers.items())
        answer = self.relay.answer(Asked(self.command, path, body, headers, self.relay.pass_on))
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body if answer.status != 204 else b"")

    do_GET = do_POST = _serve  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output readable."""


@contextmanager
def running(folder: Path, real: RelayProcess, own: Keys) -> Iterator[BreakingRelay]:
    """Listen on a free port with a certificate that devices accept."""
    certificate, key = own.issue_server_certificate(["localhost"], utc_now())
    (folder / "tls.pem").write_text(certificate)
    (folder / "tls.key").write_text(key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "tls.pem", folder / "tls.key")
    trusted = ssl.create_default_context(cadata=real.ca_certificate)
    with httpx.Client(verify=trusted, trust_env=False, timeout=120) as http:
        relay = BreakingRelay(real, http)
        handler = type("Handler", (_Handler,), {"relay": relay})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        relay.url = f"https://localhost:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield relay
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
