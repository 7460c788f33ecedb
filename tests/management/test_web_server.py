"""The console's server as a real process: TLS, a worker that comes back, a clean end."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

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
    assert process.wait(30) == 0


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
