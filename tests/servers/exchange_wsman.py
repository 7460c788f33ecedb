"""Remote PowerShell as a server: WS-Management over HTTP(S) around psrpcore's runspace pool.

Enough of MS-WSMV and MS-PSRP for an unmodified pypsrp: Create, Command, Send, Receive, Signal and
Delete of one shell with pipelines of one cmdlet. Loopback only.
"""

import base64
import ssl
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from uuid import UUID, uuid4
from xml.sax.saxutils import escape

import psrpcore
from psrpcore import types as ps
from psrpcore._payload import PSRPPayload, StreamType

NAMESPACES = {
    "s": "http://www.w3.org/2003/05/soap-envelope",
    "a": "http://schemas.xmlsoap.org/ws/2004/08/addressing",
    "w": "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd",
    "rsp": "http://schemas.microsoft.com/wbem/wsman/1/windows/shell",
    "pwsh": "http://schemas.microsoft.com/powershell",
}
RESOURCE = "http://schemas.microsoft.com/powershell/Microsoft.Exchange"
SHELL = NAMESPACES["rsp"] + "/"
TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer/"
FAULT = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
MAXIMUM_SHELLS = 3
FRAGMENT_BYTES = 100_000
MUTUAL = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"

Row = tuple[str, dict[str, Any]]
"""Type name and properties of one object that a cmdlet writes."""


class CmdletError(Exception):
    """A cmdlet's own error: it lands in the error stream and the pipeline completes."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class BrokenPipelineError(Exception):
    """The pipeline itself fails, as when a cmdlet crashes."""


class Cmdlets(Protocol):
    """What runs behind the runspace."""

    faults: Any

    def run(self, cmdlet: str, parameters: dict[str, Any]) -> Iterable[Row]:
        """Yield what the cmdlet writes; CmdletError for its errors."""


class _FaultError(Exception):
    """A WS-Management fault."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class _Shell:
    """One WS-Management shell, which is one runspace pool."""

    def __init__(self, owner: str, cmdlets: Cmdlets) -> None:
        self.owner, self._cmdlets, self.lock = owner, cmdlets, threading.RLock()
        self.pool = psrpcore.ServerRunspacePool()
        self.pipelines: dict[UUID, Any] = {}
        self.waiting: dict[UUID | None, list[bytes]] = {}
        self.done: set[UUID | None] = set()

    def feed(self, fragments: bytes, pipeline: UUID | None = None) -> None:
        """Take fragments from the client and run what they complete."""
        with self.lock:
            self.pool.receive_data(PSRPPayload(fragments, StreamType.default, pipeline))
            while (event := self.pool.next_event()) is not None:
                if isinstance(event, psrpcore.CreatePipelineEvent):
                    self._execute(self.pipelines[event.pipeline_id])
            while (payload := self.pool.data_to_send(FRAGMENT_BYTES)) is not None:
                self.waiting.setdefault(payload.pipeline_id, []).append(payload.data)

    def _execute(self, pipeline: Any) -> None:
        pipeline.start()
        commands = pipeline.metadata.commands
        if len(commands) != 1 or commands[0].is_script:
            self._refuse_script(pipeline)
        else:
            self._run(pipeline, commands[0])
        self.done.add(pipeline.pipeline_id)

    def _run(self, pipeline: Any, command: Any) -> None:
        try:
            for row in self._cmdlets.run(command.command_text, dict(command.parameters)):
                pipeline.write_output(_object(row))
        except CmdletError as error:
            pipeline.write_error(
                _exception(error.kind, str(error)), fully_qualified_error_id=error.kind
            )
        except BrokenPipelineError as error:
            self._fail(pipeline, "PipelineStoppedException", str(error))
            return
        pipeline.complete()

    def _refuse_script(self, pipeline: Any) -> None:
        text = (
            "The syntax is not supported by this runspace. This can occur if the runspace is in "
            "no-language mode."
        )
        self._fail(pipeline, "ParseException", text)

    def _fail(self, pipeline: Any, kind: str, text: str) -> None:
        record = ps.ErrorRecord(
            Exception=_exception(kind, text),
            CategoryInfo=ps.ErrorCategoryInfo(
                Category=ps.ErrorCategory.InvalidOperation, Reason=kind
            ),
            FullyQualifiedErrorId=kind,
        )
        # psrpcore offers no public way to let a pipeline fail.
        pipeline._change_state(ps.PSInvocationState.Failed, error=record)


def _object(row: Row) -> Any:
    made = ps.PSCustomObject(PSTypeName=row[0])
    for name, value in row[1].items():
        made.PSObject.extended_properties.append(ps.PSNoteProperty(name, value))
    return made


def _exception(kind: str, text: str) -> Any:
    made = ps.NETException(Message=text, HResult=-2146233087)
    made.PSObject.type_names = ["System.Management.Automation." + kind, *made.PSTypeNames]
    return made


@dataclass
class _State:
    cmdlets: Cmdlets
    users: Mapping[str, str]
    shells: dict[str, _Shell] = field(default_factory=dict)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    state: _State

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no news."""


class Answers(BaseHTTPRequestHandler):
    """Takes a password (Basic) or, over TLS, a certificate by whose common name a user is known."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        state = self.server.state
        if state.cmdlets.faults.outage:
            self.reply(503, b"")
            return
        said = self.headers.get("Authorization", "")
        user = self._certified() if said == MUTUAL else _user(said, state.users)
        if user is None:
            self.reply(401, b"", {"WWW-Authenticate": 'Basic realm="exchange"'})
            return
        status, answer = soap(state, body, user)
        self.reply(status, answer.encode())

    def _certified(self) -> str | None:
        if not isinstance(self.connection, ssl.SSLSocket):
            return None
        shown: Any = self.connection.getpeercert() or {}
        parts = (part for row in shown.get("subject", ()) for part in row)
        names = [str(value) for name, value in parts if name == "commonName"]
        return names[0] if names and names[0] in self.server.state.users else None

    def reply(
        self,
        status: int,
        content: bytes,
        extra: Mapping[str, str] | None = None,
        kind: str = "application/soap+xml;charset=UTF-8",
    ) -> None:
        """Send an answer."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def _user(authorization: str, users: Mapping[str, str]) -> str | None:
    kind, _, said = authorization.partition(" ")
    if kind != "Basic":
        return None
    user, _, password = base64.b64decode(said).decode().partition(":")
    return user if users.get(user) == password else None


def soap(state: _State, body: bytes, user: str) -> tuple[int, str]:
    """Return status and envelope of the answer to one envelope."""
    envelope = ET.fromstring(body)
    action = _text(envelope, "s:Header/a:Action")
    try:
        if _text(envelope, "s:Header/w:ResourceURI") != RESOURCE:
            raise _FaultError(
                2150858811, "The resource URI was not found in the WS-Management catalog."
            )
        selector = envelope.find("s:Header/w:SelectorSet/w:Selector[@Name='ShellId']", NAMESPACES)
        shell_id = (selector.text or "") if selector is not None else ""
        status, inner = 200, _dispatch(state, action, user, shell_id, _find(envelope, "s:Body"))
    except _FaultError as fault:
        status, inner = 500, _fault_xml(fault)
    spaces = " ".join(f'xmlns:{short}="{uri}"' for short, uri in NAMESPACES.items())
    return status, (
        f"<s:Envelope {spaces}><s:Header><a:Action>{action}Response</a:Action><a:RelatesTo>"
        f"{_text(envelope, 's:Header/a:MessageID')}</a:RelatesTo></s:Header>"
        f"<s:Body>{inner}</s:Body></s:Envelope>"
    )


def _fault_xml(fault: _FaultError) -> str:
    text = escape(str(fault))
    return (
        "<s:Fault><s:Code><s:Value>s:Receiver</s:Value></s:Code><s:Reason>"
        f'<s:Text xml:lang="en-US">{text}</s:Text></s:Reason><s:Detail>'
        f'<f:WSManFault xmlns:f="{FAULT}" Code="{fault.code}" Machine="stand-in">'
        f"<f:Message>{text}</f:Message></f:WSManFault></s:Detail></s:Fault>"
    )


def _dispatch(state: _State, action: str, user: str, shell_id: str, body: ET.Element) -> str:
    if action == TRANSFER + "Create":
        return _create(state, user, body)
    if action == TRANSFER + "Delete":
        state.shells.pop(shell_id, None)
        return ""
    shell = state.shells.get(shell_id)
    if shell is None:
        raise _FaultError(2150858843, "The shell was not found on the server.")
    if action == SHELL + "Command":
        return _command(shell, body)
    if action == SHELL + "Send":
        stream = _find(body, "rsp:Send/rsp:Stream")
        shell.feed(base64.b64decode(stream.text or ""), _pipeline(stream))
        return "<rsp:SendResponse/>"
    if action == SHELL + "Receive":
        return _receive(shell, _pipeline(_find(body, "rsp:Receive/rsp:DesiredStream")))
    return "<rsp:SignalResponse/>"


def _create(state: _State, user: str, body: ET.Element) -> str:
    open_now = sum(shell.owner == user for shell in state.shells.values())
    if open_now >= MAXIMUM_SHELLS:
        raise _FaultError(
            2147549183,
            "Fail to create a runspace because you have exceeded the maximum number of connections "
            f"allowed : {MAXIMUM_SHELLS} for the policy party : MaxConcurrency. Please close "
            "existing runspace and try again.",
        )
    asked = _find(body, "rsp:Shell")
    shell_id = asked.get("ShellId") or str(uuid4()).upper()
    shell = state.shells[shell_id] = _Shell(user, state.cmdlets)
    shell.feed(base64.b64decode(_text(asked, "pwsh:creationXml")))
    return (
        f"<rsp:Shell><rsp:ShellId>{shell_id}</rsp:ShellId><rsp:ResourceUri>{RESOURCE}"
        f"</rsp:ResourceUri><rsp:Owner>{escape(user)}</rsp:Owner></rsp:Shell>"
        f'<x:ResourceCreated xmlns:x="{TRANSFER.rstrip("/")}"><a:Address>http://127.0.0.1</a:Address>'
        f"<a:ReferenceParameters><w:ResourceURI>{RESOURCE}</w:ResourceURI><w:SelectorSet>"
        f'<w:Selector Name="ShellId">{shell_id}</w:Selector></w:SelectorSet>'
        "</a:ReferenceParameters></x:ResourceCreated>"
    )


def _command(shell: _Shell, body: ET.Element) -> str:
    line = _find(body, "rsp:CommandLine")
    pipeline = UUID(line.get("CommandId"))
    shell.pipelines[pipeline] = psrpcore.ServerPipeline(shell.pool, pipeline)
    shell.feed(base64.b64decode(_text(line, "rsp:Arguments")), pipeline)
    return (
        f"<rsp:CommandResponse><rsp:CommandId>{str(pipeline).upper()}</rsp:CommandId>"
        "</rsp:CommandResponse>"
    )


def _receive(shell: _Shell, pipeline: UUID | None) -> str:
    with shell.lock:
        waiting = shell.waiting.get(pipeline) or []
        part = waiting.pop(0) if waiting else None
        done = pipeline in shell.done and not waiting
    if part is None:
        time.sleep(0.2)
        raise _FaultError(
            2150858793,
            "The WS-Management service cannot complete the operation within the time specified in "
            "OperationTimeout.",
        )
    named = f' CommandId="{str(pipeline).upper()}"' if pipeline else ""
    state = (
        f'<rsp:CommandState{named} State="{SHELL}CommandState/{"Done" if done else "Running"}"/>'
    )
    return (
        f'<rsp:ReceiveResponse><rsp:Stream Name="stdout"{named}>'
        f"{base64.b64encode(part).decode()}</rsp:Stream>{state if pipeline else ''}"
        "</rsp:ReceiveResponse>"
    )


def _pipeline(element: ET.Element) -> UUID | None:
    said = element.get("CommandId")
    return UUID(said) if said else None


def _find(element: ET.Element, path: str) -> ET.Element:
    found = element.find(path, NAMESPACES)
    if found is None:
        raise _FaultError(2150858778, f"{path} is missing.")
    return found


def _text(element: ET.Element, path: str) -> str:
    return _find(element, path).text or ""


@contextmanager
def listening(
    cmdlets: Cmdlets,
    users: Mapping[str, str],
    tls: tuple[str, str] | None = None,
    port: int = 0,
    client_ca: str = "",
    answers: type[Answers] = Answers,
) -> Iterator[str]:
    """Listen in threads of this process; yield the URL.

    *tls*: files of certificate and key; *client_ca*: of the CA whose certificates sign users in.
    """
    server = Server(("127.0.0.1", port), answers)
    server.state = _State(cmdlets, users)
    if tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*tls)
        if client_ca:
            context.verify_mode = ssl.CERT_OPTIONAL
            context.load_verify_locations(client_ca)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}/PowerShell"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
