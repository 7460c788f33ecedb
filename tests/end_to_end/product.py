"""The whole product as real processes, on free ports and in a data folder of its own."""

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
PORTS = (
    "SEKISHO_PORT",
    "SEKISHO_DEVICES_PORT",
    "SEKISHO_LINK_PORT",
    "SEKISHO_JOBS_HEALTH_PORT",
    "SEKISHO_SIGNER_HEALTH_PORT",
    "SEKISHO_COMMUNICATION_HTTP_PORT",
    "SEKISHO_COMMUNICATION_HEALTH_PORT",
    "SEKISHO_CONNECTOR_HEALTH_PORT",
)
QUICK = {
    "SEKISHO_HOST": "127.0.0.1",
    "SEKISHO_PUBLIC_NAME": "localhost",
    "SEKISHO_RELAY_SECONDS": "0.3",
    "SEKISHO_POLL_SECONDS": "1",
    "SEKISHO_CONNECTOR_SECONDS": "1",
}
START_SECONDS = 120.0


def free_ports(count: int) -> list[int]:
    """Return different ports on which nothing listens now."""
    opened = [socket.socket() for _ in range(count)]
    for each in opened:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in opened]
    for each in opened:
        each.close()
    return ports


def until(what: str, ask: Callable[[], T | None], seconds: float = 60.0) -> T:
    """Ask until the answer is true and return it; fail naming *what* was awaited."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if answer := ask():
            return answer
        time.sleep(0.2)
    raise AssertionError(f"waited {seconds:.0f} s in vain until {what}")


@dataclass
class Product:
    """`sekisho up` on this machine."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    output: Path = field(init=False)

    def __post_init__(self) -> None:
        ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("SEKISHO_")}
        own = {"SEKISHO_HOME": str(self.home), **QUICK, **ports}
        self.environment = {**inherited, **own, **self.environment}
        self.output = self.home.parent / f"{self.home.name}.out"

    @property
    def console(self) -> str:
        return f"https://localhost:{self.environment['SEKISHO_PORT']}"

    def start(self) -> None:
        """Start and wait until every part answers."""
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sekisho", "up"],
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
        until("the product runs", self._runs, START_SECONDS)

    def _runs(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.said()
        return "Sekisho is running" in self.said()

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8") if self.output.exists() else ""

    def setup_link(self) -> str:
        """Return the one-time link of the first administrator."""
        found = re.search(r"works once\): (\S+)", self.said())
        assert found, self.said()
        return found[1]

    def stop(self) -> int:
        """Stop as Ctrl-C does and return the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(120)

    def sekisho(self, *words: str, check: bool = True, input: str = "") -> str:
        """Run a command of ours on the same data folder and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "sekisho", *words],
            env=self.environment,
            input=input,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert not check or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def logs(self) -> str:
        """Return the end of every log, for a failing test's message."""
        return "\n".join(
            f"--- {path.name}\n{path.read_text(encoding='utf-8', errors='replace')[-4000:]}"
            for path in sorted((self.home / "logs").glob("*.log"))
        )

    def healthy(self, address: str) -> bool:
        context = ssl._create_unverified_context()
        try:
            with urllib.request.urlopen(address, timeout=2, context=context) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
