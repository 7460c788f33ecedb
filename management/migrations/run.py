"""Moves the database from release to release."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import event, func, select
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import OperationalError

from management import tables
from management.database import WRITES, Base, Database
from management.migrations import release
from runtime.errors import ConfigurationError, UnavailableError

UPGRADE_LOCK = 7_305_641_830_113
"""Names our advisory lock on PostgreSQL."""


def upgrade(url: str | URL, revision: str = "head") -> None:
    """Bring the database to this release; harmless when it is, safe when two do it at once.

    Raises ConfigurationError when a newer release wrote the database.
    """
    with _alone(url) as connection:
        release.refuse_newer(release.found_in(connection))
        command.upgrade(_config(connection), revision)


def downgrade(url: str | URL, revision: str) -> None:
    """Bring the database back to *revision* (``base`` empties it)."""
    with _alone(url) as connection:
        command.downgrade(_config(connection), revision)


def differences(url: str | URL) -> list[str]:
    """Return in which ways the database's tables differ from what the code expects."""
    tables.load()
    database = Database(url)
    try:
        with database.engine.connect() as connection:
            compared = MigrationContext.configure(connection)
            return [str(one) for one in compare_metadata(compared, Base.metadata)]
    finally:
        database.close()


def offline_sql(dialect: str) -> str:
    """Return the SQL that would build the newest database on *dialect*, without one at hand."""
    config = _config(None)
    config.attributes["dialect"] = dialect
    config.output_buffer = StringIO()
    command.upgrade(config, "head", sql=True)
    return str(config.output_buffer.getvalue())


def write_revision(url: str | URL, name: str) -> Path:
    """Write the migration for what changed in the models against the database at *url*."""
    with _alone(url) as connection:
        number = len(release.known()) + 1
        command.revision(
            _config(connection), message=name, autogenerate=True, rev_id=f"{number:04}"
        )
    script = _scripts().get_revision("head")
    return Path(script.path)


@contextmanager
def _alone(url: str | URL) -> Iterator[Connection]:
    """Open the one transaction in which everything happens; nobody else migrates meanwhile."""
    database = Database(url)
    if database.engine.dialect.name == "sqlite":
        event.listen(database.engine, "connect", _let_tables_be_copied)
    try:
        with database.engine.connect().execution_options(**{WRITES: True}) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(UPGRADE_LOCK)))
            before = release.found_in(connection)
            yield connection
            if before and release.found_in(connection) != before:  # it looks at every row
                _refuse_lost_references(connection)
            connection.commit()
    except OperationalError as error:
        raise UnavailableError(f"The database cannot be used: {error.orig}") from None
    except CommandError as error:
        raise ConfigurationError(f"The database cannot be brought up: {error}") from None
    finally:
        database.close()


def _let_tables_be_copied(connection: Any, _record: object) -> None:
    """Alter a table that others refer to as SQLite says: copied and dropped, without the check of
    each row meanwhile; `_refuse_lost_references` checks all of them at the end.
    """
    connection.execute("PRAGMA foreign_keys=OFF")


def _refuse_lost_references(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        lost = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        if lost:
            raise ConfigurationError(
                f"Nothing was changed: afterwards {len(lost)} rows would refer to rows that are "
                f"gone, the first in {lost[0][0]}. Restore a backup and report this."
            )


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config(None))


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
