"""`sekisho simulate`: the phones of `agents.simulator`, and ``--fill`` for a full database."""

import click

from agents.simulator import cli as phones


class _Group(click.Group):
    """`sekisho simulate --devices 20 ...` is `sekisho simulate fleet --devices 20 ...`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = ("--fill", "--help")
        if args and args[0].startswith("--") and args[0].partition("=")[0] not in own:
            args = ["fleet", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Group, invoke_without_command=True)
@click.option(
    "--fill",
    "devices",
    type=click.IntRange(1, 5_000_000),
    help="Write so many made-up devices straight into this server's empty database.",
)
@click.pass_context
def simulate(context: click.Context, devices: int | None) -> None:
    """Be phones. `fleet` (also without this word) runs many at once.

    The other commands are one phone: enrol, check in, break rules; each --state folder is one.
    """
    if devices is not None:
        _fill(devices)
    elif context.invoked_subcommand is None:
        click.echo(context.get_help())


simulate.commands.update(phones.simulate.commands)


def _fill(devices: int) -> None:
    from management import settings, tables
    from management.context import database_url
    from management.database import Database
    from management.migrations.release import require_current
    from runtime.clock import utc_now
    from sekisho.fill import fill

    tables.load()
    database = Database(database_url(settings.load()))
    try:
        require_current(database)
        seconds = fill(database, devices, utc_now(), click.echo)
    finally:
        database.close()
    click.echo(f"{devices} devices in {seconds:.0f} s.")
