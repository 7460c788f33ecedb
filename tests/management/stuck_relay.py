"""A relay that greets management and then lets it wait, a byte at a time, until it is released."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from tests.agents.relay_process import RelayProcess

STATUS = "/link/v1/status"


@dataclass
class StuckRelay:
    """Where it listens, and what was asked of it beside its status."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)


@contextmanager
def running(real: RelayProcess) -> Iterator[StuckRelay]:
    """Stand before *real*, with its link certificate, and pass on nothing but its status."""
    trust = ssl.create_default_context(cadata=real.link_certificate)
    trust.check_hostname = False
    stuck = StuckRelay()
    with httpx.Client(verify=trust, trust_env=False, timeout=60) as http:
        server = _server(stuck, http, real)
        stuck.url = f"https://127.0.0.1:{server.server_address[1]}"
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield stuck
        finally:
            stuck.released.set()
            server.shutdown()
            serving.join()
            server.server_close()


def _server(stuck: StuckRelay, http: httpx.Client, real: RelayProcess) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            if self.path != STATUS:
                return self._hang()
            signed = {name: value for name, value in self.headers.items() if name != "Host"}
            answer = http.request(
                self.command, real.link_url + STATUS, content=body, headers=signed
            )
            self.send_response_only(answer.status_code)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)
            return None

        do_PUT = do_POST = do_GET  # noqa: N815

        def _hang(self) -> None:
            stuck.asked.append(self.path)
            self.close_connection = True
            with suppress(OSError):
                self.send_response_only(200)
                self.send_header("Content-Length", "1000000")
                self.end_headers()
                while not stuck.released.wait(0.2):
                    self.wfile.write(b" ")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(Path(real.folder) / "link.pem", Path(real.folder) / "link.key")
    server.socket = own.wrap_socket(server.socket, server_side=True)
    return server
