"""The signer's Unix socket: one thread a connection, bounded in number, size and time."""

import fcntl
import grp
import logging
import os
import shutil
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import Counter

from contracts import codec
from management import signer_messages as messages
from management.signer import Asker, Signer
from management.signer_client import short
from management.signer_rules import Limits
from management.signer_store import Clock
from runtime.errors import ConfigurationError, SekishoError, UnavailableError
from runtime.process import account_name

SOCKET = "signer.sock"
CONNECTIONS = 16
TIMEOUT_SECONDS = 5.0
ANSWERS = Counter("sekisho_signer_answers", "Answers of the signer.", ["kind", "error"])
log = logging.getLogger(__name__)


@contextmanager
def listening(
    folder: Path, limits: Limits, clock: Clock | None = None
) -> Iterator[socketserver.BaseServer]:
    """Give a server whose ``serve_forever`` answers at ``<folder>/signer.sock``.

    Raises UnavailableError while another signer runs on *folder*.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(folder):
        signer = Signer(folder, limits, clock)
        path = folder / SOCKET
        path.unlink(missing_ok=True)
        with short(path) as address, _Server(address, signer) as server:
            _admit(folder, limits.group)
            try:
                yield server
            finally:
                path.unlink(missing_ok=True)
                signer.close()


@contextmanager
def running(folder: Path, limits: Limits, clock: Clock | None = None) -> Iterator[Path]:
    """Serve in a thread of this process; give the socket's path."""
    with listening(folder, limits, clock) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="signer")
        thread.start()
        try:
            yield folder / SOCKET
        finally:
            server.shutdown()
            thread.join()


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: str, signer: Signer) -> None:
        self.signer = signer
        self.places = threading.BoundedSemaphore(CONNECTIONS)
        before = os.umask(0o177)
        try:
            super().__init__(address, _Conversation)
        finally:
            os.umask(before)

    def process_request(self, request: object, client_address: object) -> None:
        """Wait for a free place; the kernel's queue holds those who come meanwhile."""
        self.places.acquire()
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def process_request_thread(self, request: object, client_address: object) -> None:
        try:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type]
        finally:
            self.places.release()

    def handle_error(self, request: object, client_address: object) -> None:
        log.exception("A conversation with the signer broke.")


class _Conversation(socketserver.BaseRequestHandler):
    """Answers message after message until the asker hangs up or is silent too long."""

    server: _Server

    def handle(self) -> None:
        self.request.settimeout(TIMEOUT_SECONDS)
        user = _peer_user(self.request)
        asker = Asker(user in (0, os.geteuid()), account_name(user))
        try:
            while (raw := messages.receive(self.request)) is not None:
                messages.send(self.request, self._answer(raw, asker))
        except SekishoError as error:
            self._last_words(error)
        except OSError:
            return

    def _answer(self, raw: bytes, asker: Asker) -> bytes:
        kind = "unreadable"
        try:
            request = codec.read(messages.SignerRequest, raw, messages.MAXIMUM_BYTES)
            kind = request.body.kind
            fields = self.server.signer.answer(request.body, asker)
        except SekishoError as error:
            return _refusal(kind, error)
        except Exception:
            log.exception("The signer failed at %s.", kind)
            return _refusal(kind, UnavailableError("The signer failed; its log says why."))
        ANSWERS.labels(kind, "").inc()
        return codec.write(messages.SignerAnswer(fields=fields))

    def _last_words(self, error: SekishoError) -> None:
        """Say what was wrong with a message whose end cannot be found, then hang up."""
        try:
            messages.send(self.request, _refusal("unreadable", error))
        except OSError:
            return


def _refusal(kind: str, error: SekishoError) -> bytes:
    ANSWERS.labels(kind, type(error).__name__).inc()
    log.info("refused", extra={"asked": kind, "because": str(error)})
    answer = messages.SignerAnswer(error=type(error).__name__, text=str(error), fields={})
    return codec.write(answer)


def _peer_user(connection: socket.socket) -> int:
    """Return the user id of the process at the other end, as the kernel knows it (unix(7))."""
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    user: int = struct.unpack("3i", packed)[1]
    return user


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "signer.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UnavailableError(f"Another signer is running on {folder}.") from None
        yield


def _admit(folder: Path, group: str) -> None:
    """Let members of *group* reach the socket, and nothing else in the folder."""
    if not group:
        return
    try:
        grp.getgrnam(group)
        shutil.chown(folder, group=group)
        shutil.chown(folder / SOCKET, group=group)
    except (KeyError, OSError) as error:
        raise ConfigurationError(
            f"The signer's socket cannot be given to group {group!r}: {error}"
        ) from None
    folder.chmod(0o710)
    (folder / SOCKET).chmod(0o660)
