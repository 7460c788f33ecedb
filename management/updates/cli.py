"""``sekisho update`` with what needs the management server: look for an update, take it."""

import sys
from contextlib import suppress

import click

from management import settings
from management.audit.service import record
from management.context import Context, open_context
from management.migrations.release import require_current
from management.updates import looking, service, work
from management.updates.models import UpdateRun
from management.updates.queries import get_run
from management.updates.rules import RunState
from runtime.clock import utc_now
from runtime.errors import HopelessError
from updater.cli import update

COMMAND_LINE = "command line"


@update.command("check")
def check() -> None:
    """Show what this server's update source offers; changes nothing."""
    offers, agents = looking.ask(_open())
    for offer in offers:
        click.echo(f"{offer.version}, {offer.rules} rules, {offer.length} bytes")
    for found in agents:
        agent = found.agent
        click.echo(f"agent {agent.package} {agent.version}, {found.length} bytes")
    if not offers:
        click.echo("The source holds no pattern set yet.")


@update.command("run")
def run() -> None:
    """Take the newest pattern set from this server's update source, now; status 1 on failure."""
    context = _open()
    with context.database.transaction("request update") as session:
        requested = service.request_run(session, COMMAND_LINE, utc_now())
        source, told = requested.source, {"run": str(requested.id)}
        record(session, context.keys, COMMAND_LINE, "update.run", source, details=told)
    with suppress(HopelessError):  # what became of it is said below
        work.run(context, {"run_id": str(requested.id)}, click.echo)
    with context.database.reading() as session:
        ended = get_run(session, requested.id)
    click.echo(_last_line(ended))
    if ended.state == RunState.FAILED:
        sys.exit(1)


def _open() -> Context:
    context = open_context(settings.load())
    require_current(context.database)
    return context


def _last_line(ended: UpdateRun) -> str:
    return ended.detail.rpartition("\n")[2]


__all__ = ["update"]
