"""A stand-in for Exchange Online: the sign-in with a certificate, and InvokeCommand over REST.

One TLS server is both: ``/{tenant}/...`` is Microsoft's sign-in, ``/adminapi/...`` is Exchange. The
directory behind it is that of the other stand-in, so one scenario drives both. Loopback only. It
cannot prove what Microsoft does not document: paging, error texts and limits of a real tenant.

    python -m tests.servers.exchange_online --folder FOLDER --mailboxes 5000
"""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import click
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from exchange_connector.backends.online_identity import Tenant
from tests.communication.authority import certificate
from tests.servers.exchange import Exchange
from tests.servers.exchange_wsman import BrokenPipelineError, CmdletError

TENANT, APP_ID = "corp.onmicrosoft.test", "6f1f7a3e-0000-4000-8000-5ec15401a9a9"
HASHTABLE = "#Exchange.GenericHashTable"


@dataclass
class Online:
    """What answers; tests read and change it."""

    exchange: Exchange
    app_key: Any
    url: str = ""
    tokens: set[str] = field(default_factory=set)
    """Those that are good; a test empties it to let them end early."""
    pages: dict[str, tuple[str, list[dict[str, Any]]]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    """Method and path of each request."""
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    """Given to the next requests of Exchange instead of the right ones."""

    # --- sign-in ---

    def configuration(self) -> dict[str, Any]:
        """Return what OpenID discovery names."""
        base = f"{self.url}/{TENANT}"
        return {
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "issuer": f"{base}/v2.0",
        }

    def sign_in(self, said: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        """Return a token for an assertion that the application's key signed."""
        try:
            claims = jwt.decode(
                said["client_assertion"][0],
                self.app_key.public_key(),
                algorithms=["PS256", "RS256"],
                audience=self.configuration()["token_endpoint"],
            )
            right = claims["iss"] == claims["sub"] == APP_ID
        except (jwt.PyJWTError, KeyError):
            right = False
        if not right or said.get("scope") != [f"{self.url}/.default"]:
            text = "AADSTS700027: The certificate with identifier used to sign is not registered."
            return 401, {"error": "invalid_client", "error_description": text}
        token = f"token-{uuid4()}"
        self.tokens.add(token)
        return 200, {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}

    # --- Exchange ---

    def invoke(self, body: dict[str, Any], size: int, skip: str) -> tuple[int, dict[str, Any]]:
        """Run one cmdlet and return its first page, or the page that *skip* names."""
        asked = body["CmdletInput"]
        if skip:
            cmdlet, rows = self.pages.pop(skip)
            assert cmdlet == asked["CmdletName"]
        else:
            try:
                said = {name: _plain(value) for name, value in asked["Parameters"].items()}
                found = self.exchange.run(asked["CmdletName"], said)
                rows = [_json(properties) for _, properties in found]
            except CmdletError as error:
                return _refusal(error)
        answer: dict[str, Any] = {"value": rows[:size]}
        if len(rows) > size:
            following = str(uuid4())
            self.pages[following] = (asked["CmdletName"], rows[size:])
            path = f"/adminapi/beta/{TENANT}/InvokeCommand"
            answer["@odata.nextLink"] = f"{self.url}{path}?$skiptoken={following}"
        return 200, answer


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if value.pop("@odata.type", "") != HASHTABLE:
            raise CmdletError("ODataException", "A hash table must say that it is one.")
        return value
    return value


def _json(properties: dict[str, Any]) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, datetime):
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
        return str(value) if isinstance(value, UUID) else value

    return {name: plain(value) for name, value in properties.items()}


def _refusal(error: CmdletError) -> tuple[int, dict[str, Any]]:
    if error.kind == "OverBudgetException":
        return 429, {"error": {"code": "TooManyRequests", "message": str(error)}}
    status = 404 if error.kind == "ManagementObjectNotFoundException" else 400
    words = f"|Microsoft.Exchange.Management.{error.kind}|{error}"
    details = [{"code": "Context", "target": "", "message": words}]
    return status, {"error": {"code": str(status), "message": "Error", "details": details}}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    online: Online

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no news."""


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        online, path = self.server.online, urlsplit(self.path).path
        online.requests.append(f"GET {path}")
        if path == f"/{TENANT}/v2.0/.well-known/openid-configuration":
            self._reply(200, online.configuration())
        elif path == f"/adminapi/v1.0/{TENANT}/EXOModuleFile" and self._may():
            names = ",".join(online.exchange.cmdlets())
            self._reply(200, {"value": [{"exportedCmdlets": names}]})
        else:
            self._reply(404, {})

    def do_POST(self) -> None:
        online, parts = self.server.online, urlsplit(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        online.requests.append(f"POST {parts.path}")
        if parts.path == f"/{TENANT}/oauth2/v2.0/token":
            self._reply(*online.sign_in(parse_qs(body.decode())))
        elif online.exchange.faults.outage:
            self._reply(503, {})
        elif online.answers:
            self._send(*online.answers.pop(0))
        elif parts.path != f"/adminapi/beta/{TENANT}/InvokeCommand":
            self._reply(404, {})
        elif not self._may():
            self._reply(401, {})
        else:
            self._invoke(json.loads(body), parse_qs(parts.query))

    def _may(self) -> bool:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        anchor = self.headers.get("X-AnchorMailbox", "")
        return token in self.server.online.tokens and anchor.endswith(f"@{TENANT}")

    def _invoke(self, body: dict[str, Any], query: dict[str, list[str]]) -> None:
        size = int(self.headers["Prefer"].partition("=")[2])
        try:
            status, said = self.server.online.invoke(body, size, query.get("$skiptoken", [""])[0])
        except BrokenPipelineError:
            status, said = 500, {}
        self._reply(status, said)

    def _reply(self, status: int, said: dict[str, Any]) -> None:
        seconds = self.server.online.exchange.faults.retry_after_seconds
        extra = {"Retry-After": str(seconds)} if status == 429 else {}
        self._send(status, extra, json.dumps(said).encode())

    def _send(self, status: int, extra: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        for name, value in extra.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def listening(exchange: Exchange, folder: Path) -> Iterator[tuple[Online, Tenant]]:
    """Listen in threads of this process; yield the server and how to sign in at it.

    *folder* gets the certificate of an authority of its own.
    """
    ca = certificate("a CA of the stand-in", None)
    chain, key = certificate("login", ca, ("127.0.0.1",))
    app_key = generate_private_key(65537, 2048)
    app, _ = certificate("sekisho", None, key=app_key)
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem = (folder / "online.pem", folder / "online-ca.pem")
    pem[0].write_bytes(key.private_bytes(*form) + chain.public_bytes(Encoding.PEM))
    pem[1].write_bytes(ca[0].public_bytes(Encoding.PEM))
    server = _Server(("127.0.0.1", 0), _Answer)
    server.online = Online(exchange, app_key, f"https://127.0.0.1:{server.server_address[1]}")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pem[0])
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    tenant = Tenant(
        tenant=TENANT,
        app_id=APP_ID,
        certificate=(app_key.private_bytes(*form) + app.public_bytes(Encoding.PEM)).decode(),
        exchange_url=server.online.url,
        login_url=server.online.url,
        ca_file=str(pem[1]),
    )
    try:
        yield server.online, tenant
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), required=True, help="Gets tenant.json.")
@click.option("--mailboxes", default=0, help="So many made-up mailboxes, each with a phone.")
def main(folder: Path, mailboxes: int) -> None:
    """Listen on loopback until the process is ended."""
    exchange = Exchange()
    exchange.fill(mailboxes)
    with listening(exchange, folder) as (online, tenant):
        (folder / "tenant.json").write_text(json.dumps(asdict(tenant)), encoding="utf-8")
        click.echo(f"listening on {online.url}")
        Event().wait()


if __name__ == "__main__":
    main()
