"""Whether the database is of this release; without Alembic, which a running server never needs."""

from pathlib import Path

from sqlalchemy import Column, MetaData, String, Table, inspect, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from management.database import Database
from runtime.errors import ConfigurationError, UnavailableError

VERSIONS = Path(__file__).parent / "versions"
VERSION = Table("alembic_version", MetaData(), Column("version_num", String(32)))


def known() -> list[str]:
    """Return the revisions that this release knows, oldest first; files are named after them."""
    return sorted(path.name.partition("_")[0] for path in VERSIONS.glob("[0-9]*.py"))


def head() -> str:
    """Return the newest revision that this release knows."""
    return known()[-1]


def found_in(connection: Connection) -> str | None:
    """Return the database's revision, None when it was never brought up."""
    if not inspect(connection).has_table(VERSION.name):
        return None
    return connection.scalar(select(VERSION.c.version_num))


def require_current(database: Database) -> None:
    """Raise ConfigurationError, which says what to do, unless the database is of this release."""
    try:
        with database.engine.connect() as connection:
            found = found_in(connection)
    except SQLAlchemyError as error:
        raise UnavailableError(f"The database cannot be used: {error}") from None
    if found == head():
        return
    refuse_newer(found)
    what = "is empty" if found is None else "is of an older release"
    raise ConfigurationError(f"The database {what}. Bring it up with `sekisho database upgrade`.")


def refuse_newer(found: str | None) -> None:
    """Raise ConfigurationError when this release does not know revision *found*."""
    if found is not None and found not in known():
        raise ConfigurationError(
            f"The database was written by a newer release of Sekisho (revision {found}, this one "
            f"knows {head()}). Install that release, or restore a backup made before the upgrade."
        )
