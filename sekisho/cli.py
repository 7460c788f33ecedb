"""Starting the whole product on one machine."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runtime.errors import ConfigurationError
from sekisho.supervisor import Part, Supervisor

if TYPE_CHECKING:
    from management.settings import Settings


@click.command(name="set-up")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def set_up(as_json: bool) -> None:
    """Make keys, database, pattern set and the local relay where they are missing."""
    from management import settings
    from runtime.clock import utc_now
    from sekisho import first_start

    prepared = first_start.prepare(settings.load(), utc_now())
    if as_json:
        click.echo(json.dumps(asdict(prepared)))
        return
    click.echo(_welcome("Everything is prepared; `sekisho up` starts it.", asdict(prepared)))


@click.command()
def up() -> None:
    """Start the basic model: console, signer, jobs, communication server, connector, gate."""
    sys.exit(run_everything())


def run_everything(when_ready: Callable[[], None] = lambda: None) -> int:
    """Prepare the data folder, run every process until Ctrl-C, return the exit status.

    *when_ready* is called once, when everything answers.
    """
    from management import settings

    loaded = settings.load()
    _alone(loaded.home)
    _share(loaded)
    click.echo("Preparing the data folder ...", err=True)
    supervisor = Supervisor(
        parts(loaded),
        loaded.home / "logs",
        lambda sentence: click.echo(sentence, err=True),
    )
    supervisor.start_ahead()
    try:
        prepared = _prepare()
    except ConfigurationError:
        supervisor.stop()
        raise

    def ready() -> None:
        click.echo(_welcome("Sekisho is running.", prepared))
        click.echo("  Ctrl-C stops everything.\n")
        when_ready()

    return supervisor.run(ready)


def parts(settings: "Settings") -> tuple[Part, ...]:
    """Return the processes of the basic model, in the order in which they start."""
    from communication import settings as communication_settings
    from exchange_connector import settings as connector_settings
    from exchange_connector.gate import settings as gate_settings

    relay, connector = communication_settings.load(), connector_settings.load()
    gate = gate_settings.load()
    return (
        Part("signer", ("management", "signer"), _local(settings.signer_health_port)),
        Part("management", ("management", "web"), _local(settings.port, "https"), ahead=True),
        Part("jobs", ("management", "jobs"), _local(settings.jobs_health_port)),
        Part(
            "communication",
            ("communication",),
            _local(relay.health_port),
            wanted=lambda: settings.local_relay,
        ),
        Part(
            "exchange-connector",
            ("exchange-connector", "run"),
            _local(connector.health_port),
            wanted=(settings.home / "connector" / "connector.toml").exists,
        ),
        Part(
            "gate",
            ("exchange-connector", "gate", "run"),
            _local(gate.health_port),
            wanted=(settings.home / "gate" / "connector.toml").exists,
        ),
    )


def _alone(home: Path) -> None:
    """Keep a second `sekisho up` away from this data folder, until this process ends."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(home / "up.lock", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigurationError(
            f"Sekisho is running already with the data folder {home}; end it, or name another"
            " folder with SEKISHO_HOME."
        ) from None


def _share(settings: "Settings") -> None:
    """Let the communication server agree with management without saying anything twice.

    Its own settings (``SEKISHO_COMMUNICATION_...``) win where they are given.
    """
    for name in ("host", "public_name", "devices_port", "link_port", "poll_seconds"):
        os.environ.setdefault(f"SEKISHO_COMMUNICATION_{name.upper()}", str(getattr(settings, name)))


def _local(port: int, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{port}/healthz"


def _prepare() -> dict[str, str | None]:
    """Set up in a process of its own: the supervisor then stays small."""
    done = subprocess.run(
        [sys.executable, "-m", "sekisho", "set-up", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ConfigurationError(
            done.stderr.strip().removeprefix("error: ") or "The set-up failed."
        )
    prepared: dict[str, str | None] = json.loads(done.stdout)
    return prepared


def _welcome(headline: str, prepared: dict[str, str | None]) -> str:
    lines = ["", headline, f"  Console  {prepared['console']}"]
    if prepared["setup_link"]:
        lines.append(f"  First administrator (works once): {prepared['setup_link']}")
    lines += [
        f"  Devices  {prepared['devices'] or 'pair a communication server in the console, Relays'}",
        "  The browser will warn: the certificate comes from Sekisho's own CA.",
    ]
    return "\n".join(lines)
