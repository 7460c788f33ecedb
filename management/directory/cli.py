"""`sekisho directory`: takes lists of accounts from a directory."""

from pathlib import Path

import click

from management import settings
from management.audit.service import record
from management.context import open_context
from management.directory import service
from management.directory.rules import read_file
from runtime.clock import utc_now

COMMAND_LINE = "command line"


@click.group()
def directory() -> None:
    """Accounts of device owners, as a directory says them."""


@directory.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_(file: Path) -> None:
    """Take a CSV or JSON list with address and state (active, disabled, left).

    Who is not in the list stays as known. Devices of people whose account changed are judged.
    """
    accounts = read_file(file.read_bytes())
    context = open_context(settings.load())
    now = utc_now()
    with context.database.transaction("import directory accounts") as session:
        done = service.take_accounts(session, accounts, COMMAND_LINE, now)
        said = {"accounts": done.accounts, "changed": done.changed}
        record(session, context.keys, COMMAND_LINE, "directory.import", file.name, "", "", said)
    context.database.close()
    click.echo(
        f"{done.accounts} accounts read, {done.changed} changed, {done.devices} devices concerned."
    )
