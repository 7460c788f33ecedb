"""The real communication server as a process of its own, on free ports."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from communication import pairing
from contracts import keys
from management.keys import Keys
from runtime.clock import utc_now
from tests.end_to_end.product import free_ports


@dataclass(frozen=True)
class RelayProcess:
    """Where a running relay listens and what it must be believed by."""

    folder: Path
    devices_url: str
    link_url: str
    link_certificate: str
    ca_certificate: str
    restart: Callable[[], None]
    """Kills it in the middle of whatever it does, and starts it again on its old folder."""
    plain_url: str = ""
    """What is there without TLS."""


@contextmanager
def running(folder: Path, office: Keys) -> Iterator[RelayProcess]:
    """Run a relay that belongs to the management with the keys *office*."""
    devices, plain, link, health = free_ports(4)
    certificate, key = office.issue_server_certificate(["localhost", "127.0.0.1"], utc_now())
    link_certificate = pairing.prepare(
        folder, keys.public_jwk(office.link_key()), ["localhost"], certificate, key
    )
    settings = {
        "HOST": "127.0.0.1",
        "DEVICES_PORT": devices,
        "HTTP_PORT": plain,
        "LINK_PORT": link,
        "HEALTH_PORT": health,
        "FOLDER": folder,
        "POLL_SECONDS": 7,
        "ENROLMENTS_PER_MINUTE": 10_000,
        "REQUESTS_PER_MINUTE": 100_000,
    }
    own = {f"SEKISHO_COMMUNICATION_{name}": str(value) for name, value in settings.items()}
    environment = {**os.environ, **own, "SEKISHO_HOME": str(folder)}
    healthz = f"http://127.0.0.1:{health}/healthz"
    process = _spawn(folder, environment)

    def restart() -> None:
        nonlocal process
        process.kill()
        process.wait(120)
        process = _spawn(folder, environment)
        _wait(process, healthz, folder / "output")

    try:
        _wait(process, healthz, folder / "output")
        yield RelayProcess(
            folder,
            f"https://localhost:{devices}",
            f"https://localhost:{link}",
            link_certificate,
            office.ca_certificate(),
            restart,
            f"http://localhost:{plain}",
        )
    finally:
        process.terminate()
        process.wait(120)


def _spawn(folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    with (folder / "output").open("w") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "sekisho", "communication", "run"],
            env=environment,
            stdout=output,
            stderr=output,
        )


def _wait(process: subprocess.Popen[bytes], address: str, output: Path) -> None:
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        assert process.poll() is None, output.read_text()
        try:
            httpx.get(address, trust_env=False, timeout=2)
            return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise AssertionError(f"the relay did not start: {output.read_text()}")
