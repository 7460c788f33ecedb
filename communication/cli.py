"""`sekisho communication`: the communication server and its pairing."""

import json
import sys
from pathlib import Path
from typing import TextIO

import click

from communication import own_log, pairing, pairing_code, server, settings
from runtime import log_files, logs
from runtime.clock import utc_now
from runtime.errors import ConfigurationError


@click.group(invoke_without_command=True)
@click.pass_context
def communication(context: click.Context) -> None:
    """Run the communication server, which devices talk to."""
    if context.invoked_subcommand is None:
        context.invoke(run)


@communication.command()
def run() -> None:
    """Serve devices and management until told to stop (the default)."""
    chosen = settings.load()
    logs.start("communication", chosen.log_level)
    chosen.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    log_files.keep(chosen.folder, own_log.FILE)
    sys.exit(server.run(chosen))


@communication.command()
def code() -> None:
    """Show the one-time code that pairs this server; type it into the console under Relays.

    It works once and for 30 minutes. On a server that is paired already it hands this server over
    to whoever types it; what waits here for another management server is forgotten then.
    """
    chosen = settings.load()
    click.echo(pairing_code.make(chosen.folder, utc_now()))
    click.echo(
        f"Console: Relays, Pair a relay. Link https://{chosen.public_name}:{chosen.link_port}, "
        "valid for 30 minutes.",
        err=True,
    )


@communication.command()
@click.option("--management-key", type=click.File(encoding="utf-8"), required=True)
@click.option("--certificate", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--key", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--name", "names", multiple=True, help="Name or address of this server.")
def pair(management_key: TextIO, certificate: Path, key: Path, names: tuple[str, ...]) -> None:
    """Pin the management server whose public link key (JWK) is given; print what it must pin.

    CERTIFICATE (PEM, with its chain) and KEY are what devices see.
    """
    chosen = settings.load()
    try:
        pinned = json.load(management_key)
        texts = certificate.read_text(encoding="ascii"), key.read_text(encoding="ascii")
    except ValueError as error:
        raise ConfigurationError(f"One of the files cannot be read: {error}.") from None
    names_here = list(names) or [chosen.public_name]
    sys.stdout.write(pairing.prepare(chosen.folder, pinned, names_here, *texts))
