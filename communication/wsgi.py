"""Runs a WSGI application (PEP 3333) on a request whose body was read already."""

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote_to_bytes

from communication.answer import Answer

if TYPE_CHECKING:
    from communication.front import Scope

Environ = dict[str, Any]
LOOK_AGAIN = "sekisho.look_again"
"""A route that found nothing yet puts a `LookAgain` here instead of keeping its thread."""
TARGET = "sekisho.target"
"""The path and query as they were sent, for the signature."""


class App(Protocol):
    """A WSGI application."""

    def __call__(self, environ: Environ, start_response: Any, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class LookAgain:
    """How to wait, in the event loop, and what to answer afterwards."""

    wait: Callable[[], Any]
    look: Callable[[], Answer]


def environ(scope: "Scope", body: bytes) -> Environ:
    """Return the request as PEP 3333 wants it."""
    headers = {
        "HTTP_" + name.upper().replace("-", "_"): value for name, value in scope.headers.items()
    }
    query = scope.query_string
    client, _, port = scope.client.rpartition(":")
    return {
        **headers,
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope.path).decode("latin-1"),
        "QUERY_STRING": query,
        "CONTENT_TYPE": headers.get("HTTP_CONTENT_TYPE", ""),
        "CONTENT_LENGTH": str(len(body)),
        "SERVER_NAME": "sekisho",
        "SERVER_PORT": "0",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": client.strip("[]"),
        "REMOTE_PORT": port,
        TARGET: f"{scope.path}?{query}" if query else scope.path,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def call(app: App, environ: Environ) -> Answer:
    """Return what *app* answers."""
    begun: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        begun[:] = [int(status[:3]), headers]

    parts = app(environ, start_response)
    try:
        body = b"".join(parts)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    return Answer(begun[0], begun[1], body)
