"""A server that takes its time: it never shakes hands, or sends one byte now and then."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

PAUSE_SECONDS = 0.3
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n"


@dataclass(frozen=True)
class Shown:
    """Files with what a server shows, and its key."""

    certificate: Path
    key: Path


@dataclass
class Tardy:
    """Where it listens, and how many came."""

    port: int
    how: str
    shown: Shown
    taken: int = 0
    ended: threading.Event = field(default_factory=threading.Event)


@contextmanager
def tardy_server(how: str, shown: Shown) -> Iterator[Tardy]:
    """Listen with TLS; *how*: ``handshake`` (says nothing at all), ``headers`` or ``body``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = Tardy(listener.getsockname()[1], how, shown)
        serving = threading.Thread(target=_serve, args=(listener, found), daemon=True)
        serving.start()
        try:
            yield found
        finally:
            found.ended.set()
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", found.port), 1).close()
            serving.join(10)


def _serve(listener: socket.socket, found: Tardy) -> None:
    while True:
        connection, _ = listener.accept()
        if found.ended.is_set():
            connection.close()
            return
        found.taken += 1
        threading.Thread(target=_answer, args=(connection, found), daemon=True).start()


def _answer(connection: socket.socket, found: Tardy) -> None:
    with connection, suppress(OSError):
        if found.how == "handshake":
            found.ended.wait()
            return
        own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        own.load_cert_chain(found.shown.certificate, found.shown.key)
        with own.wrap_socket(connection, server_side=True) as secure:
            secure.recv(65536)
            secure.sendall(HEAD + (b"\r\n" if found.how == "body" else b"X-Slow: "))
            while not found.ended.wait(PAUSE_SECONDS):
                secure.sendall(b"a")


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that takes no connection and refuses none: its queue is full."""
    with ExitStack() as opened:
        listener = opened.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
