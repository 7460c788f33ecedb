"""The listener of the test relay: HTTPS with certificates of its own, one function for all."""

import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from runtime.clock import utc_now

LARGEST_BODY = 4 * 1024 * 1024
VALID_FOR = timedelta(days=7)
OLD = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the agent made it."""

    method: str
    target: str
    """Path and query."""
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The path alone."""
        return self.target.partition("?")[0]


@dataclass(slots=True)
class Answered:
    """What the agent gets; status 0: the connection is closed without a word."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Authority:
    """A certificate authority for one run of the kit."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Conformance kit")])
        certificate = self._sign(self._name, self._key.public_key(), authority=True)
        self.pem = certificate.public_bytes(Encoding.PEM).decode()

    def for_server(self, name: str) -> bytes:
        """Return key and certificate for a server, as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key.public_key(), host=name)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return private + certificate.public_bytes(Encoding.PEM)

    def for_device(
        self, name: str, key: ec.EllipticCurvePublicKey, left: timedelta | None = None
    ) -> str:
        """Return a device's certificate, as PEM; with *left*, an old one that ends so soon."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        life = (OLD, left) if left else (timedelta(hours=1), VALID_FOR)
        return self._sign(subject, key, life=life).public_bytes(Encoding.PEM).decode()

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        authority: bool = False,
        host: str = "",
        life: tuple[timedelta, timedelta] = (timedelta(hours=1), VALID_FOR),
    ) -> x509.Certificate:
        now, (past, left) = utc_now(), life
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - past)
            .not_valid_after(now + left)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        if host:
            names = x509.SubjectAlternativeName([x509.DNSName(host)])
            made = made.add_extension(names, critical=False)
        return made.sign(self._key, hashes.SHA256())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120
    answer: Callable[[Asked], Answered]

    def _serve(self) -> None:
        size = int(self.headers.get("content-length", "0"))
        body = self.rfile.read(min(size, LARGEST_BODY))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = type(self).answer(Asked(self.command, self.path, headers, body))
        if not answer.status:
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the report says what matters."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about agents that hang up, as they should when TLS does not hold."""

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands in the thread of the connection, so that a slow one stops nobody."""
        request.do_handshake()
        super().finish_request(request, client_address)


@contextmanager
def listening(
    host: str, port: int, name: str, authority: Authority, answer: Callable[[Asked], Answered]
) -> Iterator[str]:
    """Listen until the block ends; yield the address ``https://name:port``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        pem = Path(folder) / "server.pem"
        pem.write_bytes(authority.for_server(name))
        context.load_cert_chain(pem)
    handler = type("Handler", (_Handler,), {"answer": staticmethod(answer)})
    server = _Server((host, port), handler)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"https://{name}:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
