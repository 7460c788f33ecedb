"""The command ``sekisho``: mounts every part's commands, turns our errors into exit codes."""

import gc
import os
import sys
from importlib import import_module

import click

from runtime.errors import (
    ConfigurationError,
    ForbiddenError,
    MalformedMessageError,
    NotFoundError,
    RefusedError,
    SekishoError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
)
from runtime.process import SUPERVISED, die_with_parent

YOUNG_OBJECTS = 20_000
"""So many new objects between two looks of the garbage collector: 700 costs a start a tenth."""
# Names after sysexits.h, which service managers know.
USAGE = 64
EXIT_CODE_OF = {
    MalformedMessageError: 65,
    TooLargeError: 65,
    NotFoundError: 66,
    UnavailableError: 69,
    RefusedError: 77,
    ForbiddenError: 77,
    UnauthenticatedError: 77,
    ConfigurationError: 78,
}

COMMANDS = {
    "up": "sekisho.cli:up",
    "set-up": "sekisho.cli:set_up",
    "demo": "sekisho.demo:demo",
    "demo-world": "sekisho.demo:demo_world",
    "management": "management.cli:management",
    "database": "management.cli:database",
    "pause": "management.cli:pause",
    "resume": "management.cli:resume",
    "approver": "management.signer_cli:approver",
    "trust": "management.signer_cli:trust",
    "verify": "management.verification_cli:verify",
    "audit": "management.audit_cli:audit",
    "directory": "management.directory.cli:directory",
    "explain": "management.compliance.cli:explain",
    "admin": "management.administrators.cli:admin",
    "communication": "communication.cli:communication",
    "exchange-connector": "exchange_connector.command:exchange_connector",
    "scan": "scanner.cli:scan",
    "pattern": "sekisho.patterns:pattern",
    "update": "management.updates.cli:update",
    "remote": "sekisho.remote.cli:remote",
    "simulate": "sekisho.simulate:simulate",
    "conformance": "agents.conformance.cli:conformance",
}
"""Imported only when asked for, so that a small command starts fast and stays small."""


class Commands(click.Group):
    """Finds sub-commands in `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        where = COMMANDS.get(cmd_name)
        if where is None:
            return None
        module, _, name = where.partition(":")
        found: click.Command = getattr(import_module(module), name)
        return found


@click.group(cls=Commands)
@click.version_option(package_name="sekisho")
def cli() -> None:
    """Sekisho: mobile threat protection."""


def main() -> None:
    """Run the command line; the exit status says what kind of thing went wrong."""
    gc.set_threshold(YOUNG_OBJECTS)
    if supervisor := os.environ.get(SUPERVISED):
        die_with_parent(int(supervisor))
    try:
        sys.exit(cli(standalone_mode=False))
    except click.UsageError as error:
        error.show()
        sys.exit(USAGE)
    except click.Abort:
        sys.exit(130)
    except SekishoError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(EXIT_CODE_OF.get(type(error), 1))


if __name__ == "__main__":
    main()
