"""`/healthz` and `/metrics` for every process."""

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

Check = Callable[[], str | None]
"""Says in a sentence what is wrong, or None."""


def healthz(checks: Mapping[str, Check]) -> tuple[int, bytes]:
    """Return (status, JSON body): 200 when every check is content, else 503 with what is wrong."""
    wrong = {name: problem for name, check in checks.items() if (problem := check())}
    body = json.dumps({"status": "wrong" if wrong else "ok", "wrong": wrong})
    return (503 if wrong else 200), body.encode()


def metrics() -> tuple[bytes, str]:
    """Return (body, content type) in Prometheus's text format."""
    return generate_latest(), CONTENT_TYPE_LATEST


def serve(port: int, checks: Mapping[str, Check]) -> None:
    """Serve both on loopback *port*, in a thread, for a process that has no web server itself."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/healthz":
            status, body = healthz(checks)
            start_response(
                f"{status} {'OK' if status == 200 else 'Service Unavailable'}",
                [("Content-Type", "application/json")],
            )
            return [body]
        if environ["PATH_INFO"] == "/metrics":
            body, kind = metrics()
            start_response("200 OK", [("Content-Type", kind)])
            return [body]
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"Only /healthz and /metrics are here.\n"]

    server = make_server("127.0.0.1", port, answer, handler_class=_Silent)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Keep health checks out of the log."""
