"""Brings the database to this release, and says so in its audit trail."""

from contextlib import closing, suppress

from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

from management.context import database_url, open_context
from management.database import Database
from management.migrations import release
from management.settings import Settings


def upgrade(settings: Settings) -> None:
    """Make the tables, or bring them to this release; harmless when they are.

    A database that is new has no trail yet in which somebody could miss it.
    """
    url = database_url(settings)
    before = _revision(url)
    if before == release.head():
        return
    # Alembic and Flask, which most starts do not need.
    from management.audit.looks import note_from_command_line
    from management.migrations import run

    run.upgrade(url)
    if before is not None:
        told = {"before": {"revision": before}, "after": {"revision": release.head()}}
        context = open_context(settings)
        with closing(context.database):
            note_from_command_line(context, "database.upgrade", "database", **told)


def _revision(url: URL) -> str | None:
    """Return the database's revision; what cannot be opened is told by the upgrade, in words."""
    database = Database(url)
    with closing(database), suppress(OperationalError), database.engine.connect() as connection:
        return release.found_in(connection)
    return None
