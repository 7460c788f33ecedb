"""Starting the whole product on one machine."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import click

from runtime.errors import ConfigurationError
from sekisho.supervisor import Part, Supervisor


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
    click.echo(_welcome(asdict(prepared)))


@click.command()
def up() -> None:
    """Start the basic model: console, signer, jobs, communication server, connector."""
    sys.exit(run_everything())


def run_everything() -> int:
    """Prepare the data folder, run every process until Ctrl-C, return the exit status."""
    from management import settings

    loaded = settings.load()
    click.echo("Preparing the data folder ...", err=True)
    prepared = _prepare()
    supervisor = Supervisor(
        parts(loaded.home, loaded.port, loaded.signer_health_port, loaded.jobs_health_port),
        loaded.home / "logs",
        lambda sentence: click.echo(sentence, err=True),
    )
    return supervisor.run(ready=lambda: click.echo(_welcome(prepared)))


def parts(home: Path, port: int, signer_health: int, jobs_health: int) -> tuple[Part, ...]:
    """Return the processes of the basic model, in the order in which they start."""
    from communication import settings as communication_settings
    from exchange_connector import settings as connector_settings

    relay, connector = communication_settings.load(), connector_settings.load()
    return (
        Part("signer", ("management", "signer"), f"http://127.0.0.1:{signer_health}/healthz"),
        Part("management", ("management", "web"), f"https://127.0.0.1:{port}/healthz"),
        Part("jobs", ("management", "jobs"), f"http://127.0.0.1:{jobs_health}/healthz"),
        Part(
            "communication",
            ("communication",),
            f"https://127.0.0.1:{relay.devices_port}/healthz",
        ),
        Part(
            "exchange-connector",
            ("exchange-connector", "run"),
            f"http://127.0.0.1:{connector.health_port}/healthz",
            wanted=(home / "connector" / "connector.toml").exists,
        ),
    )


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


def _welcome(prepared: dict[str, str | None]) -> str:
    lines = ["", "Sekisho is running.", f"  Console  {prepared['console']}"]
    if prepared["setup_link"]:
        lines.append(f"  First administrator (works once): {prepared['setup_link']}")
    lines += [
        f"  Devices  {prepared['devices']}",
        "  The browser will warn: the certificate comes from Sekisho's own CA.",
        "  Ctrl-C stops everything.",
        "",
    ]
    return "\n".join(lines)
