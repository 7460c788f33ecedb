"""``sekisho exchange-connector gate``: pair, run, look, let everything pass."""

import socket
from datetime import datetime
from pathlib import Path

import click

from exchange_connector.gate import pairing, settings
from exchange_connector.gate.store import Store
from exchange_connector.pairing import trust_again
from runtime import logs


@click.group()
def gate() -> None:
    """Stand between phones and an ActiveSync server, and let pass as management decides."""


@gate.command()
@click.option("--management", required=True, help="https://NAME:8443 of the console.")
@click.option("--code", required=True, help="The code that the console shows.")
@click.option("--fingerprint", default="", help="Of management's CA, if not in the code.")
@click.option("--management-ca", default="", help="File of the company's CA (PEM or DER).")
@click.option("--server", required=True, help="https://NAME of the ActiveSync server.")
@click.option("--server-ca", default="", help="PEM file of the CA that certifies it.")
@click.option("--name", default="", help="How the console calls this gate.")
def pair(
    management: str,
    code: str,
    fingerprint: str,
    management_ca: str,
    server: str,
    server_ca: str,
    name: str,
) -> None:
    """Pair this machine's gate with management, once. The mail server is tried first."""
    wish = pairing.Wish(
        management=management,
        code=code,
        fingerprint=fingerprint,
        management_ca=management_ca,
        name=name or socket.gethostname(),
        server=server,
        server_ca=str(Path(server_ca).absolute()) if server_ca else "",
    )
    paired = pairing.pair(settings.load().folder, wish)
    click.echo(f"Paired as {paired.name} ({paired.connector_id}). Start it with:")
    click.echo("  sekisho exchange-connector gate run     (sekisho up starts it by itself)")


@gate.command()
def run() -> None:
    """Work until SIGTERM."""
    from exchange_connector.gate import process  # aiohttp: only in this process

    loaded = settings.load()
    logs.start("gate", loaded.log_level)
    process.run(loaded)


@gate.command()
def status() -> None:
    """Show the pairing and what the gate remembers."""
    folder = settings.load().folder
    paired, _ = pairing.load(folder)
    store = _store(folder)
    head, _ = store.head()
    wanted = store.wanted().values()
    blocked = sum(one.access == "block" for one in wanted)
    click.echo(f"gate         {paired.name} ({paired.connector_id})")
    click.echo(f"management   {paired.management}, heard {_when(store.moment('heard_at'))}")
    click.echo(f"mail server  {paired.exchange_url}")
    click.echo(f"wanted       {len(wanted) - blocked} allowed, {blocked} blocked")
    click.echo(f"paused       {head.paused_because if head.paused else 'no'}")
    click.echo(f"undone       {'yes' if store.is_undone() or head.undo else 'no'}")
    click.echo(f"phones       {len(store.phones())}")
    click.echo(f"unreported   {store.count_untold()}")
    store.close()


@gate.command("management-ca")
@click.option("--fingerprint", default="", help="Of management's CA, as the console shows it.")
@click.option(
    "--file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File of the company's CA (PEM or DER).",
)
def management_ca(fingerprint: str, file: Path | None) -> None:
    """Trust management's CA of today; see the connector's command of this name."""
    taken = trust_again(settings.load().folder, fingerprint, file)
    click.echo(f"Management is trusted under {taken.name}, valid until {taken.until:%Y-%m-%d}.")
    click.echo(f"Fingerprint: {taken.fingerprint}")


@gate.command()
def undo() -> None:
    """Let every phone pass until `resume`; works without management."""
    _keep_undone(True)
    click.echo("Within a second everything passes, until: sekisho exchange-connector gate resume")


@gate.command()
def resume() -> None:
    """Let the gate decide again after `undo`."""
    _keep_undone(False)
    click.echo("The gate decides again within a second.")


def _keep_undone(undone: bool) -> None:
    folder = settings.load().folder
    pairing.load(folder)
    store = _store(folder)
    store.keep_undone(undone)
    store.close()


def _store(folder: Path) -> Store:
    return Store(folder / "gate.db")


def _when(moment: datetime | None) -> str:
    return moment.isoformat() if moment else "never"
