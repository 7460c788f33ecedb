"""``sekisho exchange-connector``, small: the launcher lives long and needs little of the rest."""

import click

from exchange_connector.launcher import run


class _Small(click.Group):
    """Loads the other commands only when one is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_others().commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return run if cmd_name == "run" else _others().commands.get(cmd_name)


def _others() -> click.Group:
    from exchange_connector.cli import exchange_connector as others

    return others


@click.group("exchange-connector", cls=_Small)
def exchange_connector() -> None:
    """Cut and give mail at Exchange as management decides."""
