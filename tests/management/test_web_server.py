"""The console's server as a real process: TLS, a worker that comes back, a clean end."""

import hashlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from management.access import Role
from management.administrators.service import add_administrator, begin_session, make_token
from management.database import Database
from management.keys import prepare
from management.migrations.run import upgrade
from runtime.clock import utc_now

pytestmark = pytest.mark.servers


@pytest.fixture
def server(home: Path) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    prepare(home / "keys", utc_now(), ["localhost", "127.0.0.1"])
    upgrade(f"sqlite:///{home}/sekisho.db")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "SEKISHO_HOME": str(home), "SEKISHO_PORT": str(port)}
    environment |= {"SEKISHO_HOST": "127.0.0.1", "SEKISHO_PUBLIC_NAME": "localhost"}
    with (home / "web.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "sekisho", "management", "web"],
            env=environment,
            stdout=log,
            stderr=log,
        )
    yield f"https://localhost:{port}", process
    process.kill()
    process.wait()


def _until(holds: Callable[[], Any], seconds: float = 60) -> Any:
    give_up = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.1)
    return found


def _answers(base: str, context: ssl.SSLContext) -> bool:
    try:
        with httpx.Client(verify=context) as client:
            return client.get(f"{base}/").status_code < 500
    except httpx.TransportError:
        return False


def _children(pid: int) -> list[int]:
    told = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    every = [int(child) for child in told]
    return [child for child in every if b"resource_tracker" not in _command(child)]


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_the_console_speaks_tls_of_our_ca_comes_back_and_ends_cleanly(
    home: Path, server: tuple[str, "subprocess.Popen[bytes]"]
) -> None:
    base, process = server
    trusting = ssl.create_default_context(cafile=str(home / "keys" / "ca.pem"))
    _until(lambda: _answers(base, trusting))

    old = ssl.create_default_context(cafile=str(home / "keys" / "ca.pem"))
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    assert not _answers(base, old)

    (worker,) = _children(process.pid)
    os.kill(worker, signal.SIGKILL)
    _until(lambda: [child for child in _children(process.pid) if child != worker])
    _until(lambda: _answers(base, trusting))

    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 0


def test_the_worker_ends_with_the_process_that_watches_it(
    home: Path, server: tuple[str, "subprocess.Popen[bytes]"]
) -> None:
    base, process = server
    trusting = ssl.create_default_context(cafile=str(home / "keys" / "ca.pem"))
    _until(lambda: _answers(base, trusting))
    (worker,) = _children(process.pid)

    process.kill()
    process.wait()

    _until(lambda: not Path(f"/proc/{worker}").exists() or not _command(worker))
    assert not _answers(base, trusting)


def _connect(base: str, trusting: ssl.SSLContext) -> ssl.SSLSocket:
    port = int(base.rpartition(":")[2])
    return trusting.wrap_socket(
        socket.create_connection(("127.0.0.1", port), 10), server_hostname="localhost"
    )


def test_bodies_that_never_end_take_no_thread(
    home: Path, server: tuple[str, "subprocess.Popen[bytes]"]
) -> None:
    base, _ = server
    trusting = ssl.create_default_context(cafile=str(home / "keys" / "ca.pem"))
    _until(lambda: _answers(base, trusting))
    with ExitStack() as open_till_the_end:
        slow = _send_unfinished(base, trusting, open_till_the_end)
        time.sleep(1)
        with httpx.Client(verify=trusting, timeout=30) as client:
            for path in ("/healthz", "/sign-in"):
                began = time.monotonic()
                answer = client.get(base + path)
                assert answer.status_code == 200 or "signer" in answer.text, answer.text
                assert time.monotonic() - began < 20
        slow.settimeout(45)
        assert slow.recv(100).startswith(b"HTTP/1.1 408 ")


def _send_unfinished(base: str, trusting: ssl.SSLContext, stack: ExitStack) -> ssl.SSLSocket:
    paths = ("/sign-in", "/api/v1/devices", "/connector/v1/status", "/apps/upload")
    for number in range(100):
        connection = stack.enter_context(_connect(base, trusting))
        connection.sendall(
            f"POST {paths[number % 4]} HTTP/1.1\r\nHost: localhost\r\n"
            "Content-Length: 100000\r\n\r\nbegun".encode()
        )
    return connection


def test_a_body_that_is_too_large_is_refused(
    home: Path, server: tuple[str, "subprocess.Popen[bytes]"]
) -> None:
    base, _ = server
    trusting = ssl.create_default_context(cafile=str(home / "keys" / "ca.pem"))
    _until(lambda: _answers(base, trusting))

    with httpx.Client(verify=trusting, timeout=30) as client:
        said = client.post(f"{base}/sign-in", content=bytes(1024 * 1024 + 1))
        strange = client.post(f"{base}/apps/upload", content=bytes(1024 * 1024 + 1))
        unsaid = client.post(f"{base}/sign-in", content=iter([bytes(1024 * 1024)] * 2))

    assert [said.status_code, strange.status_code, unsaid.status_code] == [413] * 3


def test_an_upload_larger_than_any_other_body_arrives_from_who_may_upload(
    home: Path, server: tuple[str, "subprocess.Popen[bytes]"]
) -> None:
    base, _ = server
    trusting = ssl.create_default_context(cafile=str(home / "keys" / "ca.pem"))
    _until(lambda: _answers(base, trusting))
    database, now = Database(f"sqlite:///{home}/sekisho.db"), utc_now()
    with database.transaction("make an administrator") as session:
        keeper = add_administrator(session, "keeper", Role.ADMINISTRATOR, now)
        session.flush()
        cookie = begin_session(session, keeper, "127.0.0.1", now)
    content = os.urandom(1024 * 1024) * 64

    with httpx.Client(verify=trusting, timeout=30) as client:
        client.headers["Cookie"] = f"__Host-sekisho={cookie}"
        page = client.get(f"{base}/apps/")
        token = page.text.partition('"X-CSRFToken": "')[2].partition('"')[0]
        headers = {"X-CSRFToken": token, "Origin": base}
        sent = client.post(
            f"{base}/apps/upload", headers=headers, files={"file": ("an.apk", content)}
        )

    assert sent.status_code == 303, sent.text
    stored = home / "uploads" / f"{hashlib.sha256(content).hexdigest()}.apk"
    assert stored.stat().st_size == len(content)
    database.close()


def test_a_program_sends_a_large_file_and_gets_one_with_its_token(
    home: Path, server: tuple[str, "subprocess.Popen[bytes]"]
) -> None:
    base, _ = server
    trusting = ssl.create_default_context(cafile=str(home / "keys" / "ca.pem"))
    _until(lambda: _answers(base, trusting))
    database, now = Database(f"sqlite:///{home}/sekisho.db"), utc_now()
    tokens = {}
    with database.transaction("make administrators") as session:
        for role in (Role.ADMINISTRATOR, Role.READ_ONLY):
            someone = add_administrator(session, role.value, role, now)
            tokens[role] = make_token(session, someone, "test", now)
    database.close()
    content = os.urandom(1024 * 1024) * 8

    with httpx.Client(verify=trusting, timeout=60) as client:
        sent = {
            role: client.post(
                f"{base}/api/v1/apps?file_name=large.apk",
                headers={"Authorization": f"Bearer {token}"},
                content=content,
            )
            for role, token in tokens.items()
        }
        client.headers["Authorization"] = f"Bearer {tokens[Role.READ_ONLY]}"
        file = client.get(f"{base}/api/v1/devices/list.csv")
        head = client.head(f"{base}/api/v1/devices/list.csv")

    assert file.text.startswith("\ufeffdevice id,")
    # A stream of unknown length would hide that it broke off.
    assert int(file.headers["Content-Length"]) == len(file.content)
    assert "Transfer-Encoding" not in file.headers
    assert (head.status_code, head.content) == (200, b"")
    assert sent[Role.ADMINISTRATOR].status_code == 202, sent[Role.ADMINISTRATOR].text
    assert sent[Role.ADMINISTRATOR].json()["size_bytes"] == len(content)
    assert sent[Role.READ_ONLY].status_code in (403, 413)
    stored = home / "uploads" / f"{hashlib.sha256(content).hexdigest()}.apk"
    assert stored.stat().st_size == len(content)
