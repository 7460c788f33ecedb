"""ASVS 5 V12, secure communication: nothing is said to whom it is not for, and nothing in clear.

| attack | also shown by |
|---|---|
| TLS older than 1.2, as a server | `test_web_server`, `communication/test_server` |
| TLS older than 1.2, as a client | here |
| a certificate of somebody in between | here; `communication/test_faults`, `test_relay_tls` |
| the console over plain HTTP: HSTS | here; cookies: `test_v07_session_management` |
| relays over plain HTTP | here; `communication/test_server` |
"""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from management.relays.changes import check_address
from management.relays.link_client import pinned
from runtime.clock import utc_now
from runtime.errors import RefusedError
from tests.security.conftest import Target

END = "-----END CERTIFICATE-----"
Trust = Callable[[str], ssl.SSLContext]
CLIENTS: dict[str, Trust] = {
    "to relays": pinned,
    "to mail servers, sources and management": lambda pem: ssl.create_default_context(cadata=pem),
}


@contextmanager
def _listening(target: Target, folder: Path, newest: ssl.TLSVersion) -> Iterator[tuple[int, str]]:
    """Accept one TLS connection with a certificate of the built-in CA, *newest* at most."""
    chain, key = target.context.keys.issue_server_certificate(["localhost"], utc_now())
    (folder / "pem").write_text(chain + key, "ascii")
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.set_ciphers("ALL:@SECLEVEL=0")
    served.load_cert_chain(folder / "pem")
    if newest < ssl.TLSVersion.TLSv1_2:
        with pytest.warns(DeprecationWarning):
            served.minimum_version = served.maximum_version = newest
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        thread = threading.Thread(target=_accept, args=(listener, served))
        thread.start()
        yield listener.getsockname()[1], chain
        thread.join()


def _accept(listener: socket.socket, served: ssl.SSLContext) -> None:
    connection, _ = listener.accept()
    with connection:
        try:
            served.wrap_socket(connection, server_side=True).close()
        except OSError:
            return


def _speaks(port: int, trusted: ssl.SSLContext) -> bool:
    with socket.create_connection(("127.0.0.1", port), 60) as plain:
        try:
            trusted.wrap_socket(plain, server_hostname="localhost").close()
        except OSError:
            return False
    return True


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_3])
def test_clients_speak_tls_1_2_and_newer_only(
    target: Target, tmp_path: Path, name: str, newest: ssl.TLSVersion
) -> None:
    with _listening(target, tmp_path, newest) as (port, chain):
        anchor = (
            chain[: chain.index(END) + len(END)]
            if CLIENTS[name] is pinned
            else target.context.keys.ca_certificate()
        )
        assert _speaks(port, CLIENTS[name](anchor)) == (newest > ssl.TLSVersion.TLSv1_1)


def test_a_certificate_of_the_same_ca_is_not_the_relays(target: Target, tmp_path: Path) -> None:
    with _listening(target, tmp_path, ssl.TLSVersion.TLSv1_3) as (port, _):
        other, _ = target.context.keys.issue_server_certificate(["localhost"], utc_now())
        leaf = other[: other.index(END) + len(END)]
        assert not _speaks(port, pinned(leaf))


def test_every_answer_tells_browsers_to_come_by_https_only(target: Target) -> None:
    for client, path in (
        (target.owner, "/devices"),
        (target.owner, "/nowhere"),
        (target.stranger(), "/sign-in"),
        (target.stranger(), "/devices"),
        (target.program, "/api/v1/devices"),
        (target.stranger(), "/static/console.js"),
        (target.stranger(), "/healthz"),
    ):
        said = client.get(path).headers.get("Strict-Transport-Security", "")
        assert said.startswith("max-age=31536000"), path


@pytest.mark.parametrize("url", ["http://relay.example.org:4343", "relay.example.org", "ftp://r:1"])
def test_a_relay_is_never_dialled_in_clear(url: str) -> None:
    with pytest.raises(RefusedError):
        check_address(url)
