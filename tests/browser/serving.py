"""The console over real HTTPS on a free port of 127.0.0.1, for browsers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cheroot.ssl.builtin import BuiltinSSLAdapter
from cheroot.wsgi import Server
from flask import Flask

from management.context import Context
from management.keys import prepare
from runtime.clock import utc_now

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def https(app: Flask, context: Context, folder: Path, port: int = 0) -> Iterator[str]:
    """Serve *app* with a certificate of the built-in CA; give its address. *port* 0: any."""
    prepare(context.keys.folder, utc_now(), ["localhost"])  # the page of certificates shows it
    chain, key = context.keys.issue_server_certificate(["localhost", "127.0.0.1"], utc_now())
    (folder / "tls.pem").write_text(chain)
    (folder / "tls.key").write_text(key)
    server = Server(("127.0.0.1", port), app, numthreads=4)
    server.ssl_adapter = BuiltinSSLAdapter(str(folder / "tls.pem"), str(folder / "tls.key"))
    setattr(server, "error_log", lambda *_words, **_more: None)  # noqa: B010  (browsers try first)
    server.prepare()
    thread = threading.Thread(target=server.serve, name="console")
    thread.start()
    try:
        yield f"https://localhost:{server.bind_addr[1]}"
    finally:
        server.stop()
        thread.join()
