"""Operator commands of the management server; each calls one service function."""

import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from management import settings
from runtime import health, logs
from runtime.clock import utc_now
from runtime.errors import ConfigurationError, SekishoError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from management.context import Context

COMMAND_LINE = "command line"
"""The actor in the audit trail."""


@click.group()
def management() -> None:
    """Run one process of the management server."""
    os.umask(0o077)


@management.command()
def web() -> None:
    """Serve the console and the API over HTTPS."""
    from management import web_server

    loaded = settings.load()
    logs.start("management", loaded.log_level)
    web_server.serve(loaded)


@management.command()
def jobs() -> None:
    """Do background work: schedules, visits to relays, queued jobs."""
    from management import jobs as jobs_process

    loaded = settings.load()
    logs.start("jobs", loaded.log_level)
    stopping = _stop_on_signal()
    jobs_process.run(loaded, stopping)


@management.command()
def signer() -> None:
    """Sign orders, within limits of its own."""
    from management.signer_rules import Limits
    from management.signer_server import listening
    from runtime.settings import load

    loaded = settings.load()
    logs.start("signer", loaded.log_level)
    stopping = _stop_on_signal()
    with listening(loaded.home / "signer", load(Limits, "signer")) as server:
        _serve_health(loaded.signer_health_port, {"signer": lambda: None})
        thread = threading.Thread(target=server.serve_forever, args=(0.2,), name="signer")
        thread.start()
        stopping.wait()
        server.shutdown()
        thread.join()


@click.group()
def database() -> None:
    """Look after the management database."""
    os.umask(0o077)


@database.command()
def upgrade() -> None:
    """Create the tables, or bring them to this release."""
    from management import upgrading
    from management.migrations import release

    upgrading.upgrade(settings.load())
    click.echo(f"The database is of revision {release.head()}, which is this release's.")


@database.command()
def check() -> None:
    """Compare the tables with what this release expects; exit status 1 when they differ."""
    from management.database import Database
    from management.migrations import release, run

    url = _database_url()
    opened = Database(url)
    try:
        release.require_current(opened)
    finally:
        opened.close()
    found = run.differences(url)
    for difference in found:
        click.echo(difference)
    if found:
        sys.exit(1)
    click.echo("The tables are as this release expects them.")


@database.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup(file: Path) -> None:
    """Write database and keys into FILE (a tar archive), while everything runs.

    The archive holds every secret of this server: keep it as safe as the server itself. The audit
    trail notes it before anything is written.
    """
    from management import backups
    from management import context as contexts
    from management.audit.looks import note_from_command_line

    loaded = settings.load()
    context = contexts.open_context(loaded)
    with closing(context.database):
        note_from_command_line(context, "database.backup", "database", file=str(file))
    names = backups.write(loaded.home, file, embedded=not loaded.database_url)
    click.echo(f"{file}: {', '.join(names)}")
    if loaded.database_url:
        click.echo("The database is not in it; back it up with its server's own tools.")


@database.command()
@click.argument("because")
def restored(because: str) -> None:
    """Say that the database was restored from a backup, and BECAUSE of what.

    Run it before anything else starts. Enforcement is paused, open wipes, removals and passcode
    resets wait for a person, and every device begins a new epoch, so that no order of the lost
    time is taken.
    """
    from management.audit import service as audit
    from management.enrolment import epochs

    context = open_context()
    with context.database.transaction("restored from a backup") as session:
        held = epochs.restored(session, COMMAND_LINE, because, utc_now())
        audit.record(session, context.keys, COMMAND_LINE, "database.restored", "database", because)
    _tell_signer(context, f"The database was restored from a backup. {because}")
    _forget_checkpoint(context, because)
    click.echo(f"Enforcement is paused; {held} commands wait for a person under Commands.")
    click.echo("Every device begins anew at its next check-in. `sekisho resume` lifts the pause.")


@database.command()
@click.option("--mend", is_flag=True, help="Write what differs anew from the log.")
def facts(mend: bool) -> None:
    """Compare the current facts of every device with the log; exit status 1 when some differ."""
    from management import context as contexts
    from management.audit.looks import note_from_command_line
    from management.devices.work import differing

    context = contexts.open_context(settings.load())
    try:
        if mend:
            note_from_command_line(context, "facts.mend", "facts")
        found = 0
        for device_id in differing(context.database, mend):
            found += 1
            click.echo(f"{device_id}: {'written anew' if mend else 'differs from the log'}")
    finally:
        context.database.close()
    if found and not mend:
        click.echo("`sekisho database facts --mend` writes them anew from the log.")
        sys.exit(1)
    click.echo("The current facts are what the log says.")


@database.command()
@click.argument("name")
def revision(name: str) -> None:
    """Write the migration for changed tables (for developers)."""
    from management.migrations import run

    click.echo(run.write_revision(_database_url(), name))


@click.command()
@click.argument("because")
def pause(because: str) -> None:
    """Pause mail blocks and wipes at once, giving the reason; the signer hears it first.

    Exit status 1 when either the signer or the database does not hold it.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from management.audit import service as audit
    from management.safety import service as safety
    from management.signer_client import SignerClient

    if not because.strip():
        raise click.UsageError("Say why: sekisho pause 'the reason'")
    loaded = settings.load()
    untold = safety.tell_signer(SignerClient(loaded.home / "signer" / "signer.sock"), because)
    if untold:
        click.echo(f"the signer was not told: {untold}", err=True)
    else:
        click.echo("The signer signs no wipes.")
    try:
        context = open_context()
        with context.database.transaction("pause") as session:
            safety.pause(session, COMMAND_LINE, because, utc_now())
            audit.record(
                session, context.keys, COMMAND_LINE, "enforcement.pause", "enforcement", because
            )
    except (SekishoError, SQLAlchemyError) as error:
        said = str(error) if isinstance(error, SekishoError) else type(error).__name__
        click.echo(f"The database does not hold the pause: {said}", err=True)
        sys.exit(1)
    click.echo("The database holds the pause: no mail is blocked.")
    if untold:
        sys.exit(1)
    click.echo("Enforcement is paused. `sekisho resume` lifts it.")


@click.command()
@click.argument("because", default="")
def resume(because: str) -> None:
    """Let mail blocks and wipes act again."""
    from management.audit import service as audit
    from management.safety import service as safety

    context = open_context()
    with context.database.transaction("resume") as session:
        safety.resume(session, COMMAND_LINE, utc_now())
        audit.record(
            session, context.keys, COMMAND_LINE, "enforcement.resume", "enforcement", because
        )
    _tell_signer(context, "")
    click.echo("Enforcement acts again.")


def open_context() -> "Context":
    """Return the context of the data folder; its database must be of this release."""
    from management import context as contexts
    from management.migrations.release import require_current

    context = contexts.open_context(settings.load())
    require_current(context.database)
    return context


def _database_url() -> "str | URL":
    from management.context import database_url

    return database_url(settings.load())


def _forget_checkpoint(context: "Context", because: str) -> None:
    """Let the restored audit trail end earlier than the signer last saw it end."""
    try:
        context.signer.forget_checkpoint(because)
    except SekishoError as error:
        click.echo(f"{error} Then: sekisho audit forget {because!r}", err=True)


def _tell_signer(context: "Context", because: str) -> None:
    """Pause (or with an empty reason resume) the signer too; say so when it does not answer."""
    from management.safety.service import tell_signer

    if why := tell_signer(context.signer, because):
        click.echo(f"The database holds it, but the signer was not told: {why}", err=True)


def _stop_on_signal() -> threading.Event:
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    return stopping


def _serve_health(port: int, checks: Mapping[str, health.Check]) -> None:
    try:
        health.serve(port, checks)
    except OSError as error:
        raise ConfigurationError(
            f"/healthz cannot listen on port {port} ({error.strerror}); choose another."
        ) from None
