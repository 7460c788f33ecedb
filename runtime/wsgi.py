"""Runs a WSGI application (PEP 3333) on a request whose body was read already."""

import io
import sys
from typing import IO, Any, NamedTuple, Protocol
from urllib.parse import unquote_to_bytes

Environ = dict[str, Any]
Header = tuple[str, str]
TARGET = "sekisho.target"
"""The path and query as they were sent, for the signature."""


class Scope(Protocol):
    """A request as granian's RSGI gives it."""

    method: str
    path: str
    query_string: str
    headers: Any
    client: str
    scheme: str


class App(Protocol):
    """A WSGI application."""

    def __call__(self, environ: Environ, start_response: Any, /) -> Any: ...


class Answer(NamedTuple):
    """Status, headers, body."""

    status: int
    headers: list[Header]
    body: bytes


class Begun(NamedTuple):
    """An answer whose body comes in parts."""

    status: int
    headers: list[Header]
    parts: Any
    """An iterable of bytes."""

    def close(self) -> None:
        """Let the application clean up."""
        if hasattr(self.parts, "close"):
            self.parts.close()


def environ(scope: Scope, body: bytes | IO[bytes], length: int | None = None) -> Environ:
    """Return the request as PEP 3333 wants it; a *body* that is a file needs its *length*."""
    headers = {
        "HTTP_" + name.upper().replace("-", "_"): value for name, value in scope.headers.items()
    }
    query = scope.query_string
    client, _, port = scope.client.rpartition(":")
    if isinstance(body, bytes):
        length = len(body) if length is None else length
        body = io.BytesIO(body)
    return {
        **headers,
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope.path).decode("latin-1"),
        "QUERY_STRING": query,
        "CONTENT_TYPE": headers.get("HTTP_CONTENT_TYPE", ""),
        "CONTENT_LENGTH": str(length),
        "SERVER_NAME": "sekisho",
        "SERVER_PORT": "0",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": client.strip("[]"),
        "REMOTE_PORT": port,
        TARGET: f"{scope.path}?{query}" if query else scope.path,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def call(app: App, environ: Environ) -> Answer:
    """Return what *app* answers."""
    return whole(begin(app, environ))


def begin(app: App, environ: Environ) -> Begun:
    """Return the answer of *app* with its body unread; whoever takes it closes its parts."""
    said: list[Any] = []

    def start_response(status: str, headers: list[Header], exc_info: Any = None) -> None:
        said[:] = [int(status[:3]), headers]

    parts = app(environ, start_response)
    return Begun(said[0], said[1], parts)


def whole(begun: Begun) -> Answer:
    """Read the body."""
    try:
        body = b"".join(begun.parts)
    finally:
        begun.close()
    return Answer(begun.status, begun.headers, body)
