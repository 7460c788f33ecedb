"""One engine, one way to open a transaction, and what every table shares. No queries."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Engine,
    Integer,
    MetaData,
    Select,
    Unicode,
    create_engine,
    event,
)
from sqlalchemy.dialects import mssql
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session, mapped_column
from sqlalchemy.types import TypeDecorator

from runtime.errors import UnavailableError
from runtime.process import crash_point

log = logging.getLogger(__name__)
Wanted = TypeVar("Wanted", bound=Select[Any])
WRITES = "sekisho_writes"
BUSY_SECONDS = 30
BEHALF = "sekisho_behalf"
"""In ``Session.info``: the administrator for whom a transaction runs; empty: nobody's."""
VIA = "sekisho_via"
"""In ``Session.info``: the API token by which the request came, as the audit trail tells it."""
PATIENCE = "sekisho_patience"
GAVE_WAY = ("40001", "40P01")
"""SQLSTATE of a transaction that was ended in favour of another: SQL Server, PostgreSQL."""
WAITED_TOO_LONG = "55P03"
"""SQLSTATE of PostgreSQL when a lock was not free in time."""


BIG = BigInteger().with_variant(Integer, "sqlite")
RowId = Annotated[int, mapped_column(BIG, primary_key=True)]
"""A number that the database counts."""


class UtcDateTime(TypeDecorator[datetime]):
    """An instant in UTC to the microsecond, aware of it on every database."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        if dialect.name == "mssql":  # DATETIME rounds to 3 ms
            return dialect.type_descriptor(mssql.DATETIME2(6))  # type: ignore[no-untyped-call]
        return dialect.type_descriptor(DateTime(timezone=dialect.name != "sqlite"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        utc = value.astimezone(UTC)
        return utc if dialect.name == "postgresql" else utc.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def code_points(length: int) -> Unicode:
    """Text that is compared by code points on every database."""
    kind = Unicode(length).with_variant(Unicode(length, collation="C"), "postgresql")
    return kind.with_variant(Unicode(length, collation="Latin1_General_100_BIN2"), "mssql")


class Base(DeclarativeBase):
    """Parent of every table class."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012
        datetime: UtcDateTime,
        str: Unicode(255),
        dict[str, Any]: JSON,
        list[Any]: JSON,
    }


class Database:
    """The management database; every edge (route, command, job) opens its one transaction here."""

    def __init__(self, url: str | URL) -> None:
        """Connect to *url* (sqlite, postgresql+psycopg or mssql+pyodbc)."""
        self.engine: Engine = _engine(make_url(url))
        self.behalf = ""
        """For whom this process works, unless a transaction says otherwise."""

    @contextmanager
    def transaction(self, name: str, patience: float = BUSY_SECONDS) -> Iterator[Session]:
        """Open a transaction that may write: commits on return, rolls back on error.

        *name* says what it does ("collect reports"); tests crash the process around it. *patience*:
        so many seconds it waits for others at most (on SQL Server as long as they take).
        Raises UnavailableError, nothing changed, when it gave way to another (deadlock).
        """
        with _giving_way(name), Session(self.engine, expire_on_commit=False) as session:
            session.info[BEHALF] = self.behalf
            _connect(session, {WRITES: True, PATIENCE: patience})
            yield session
            session.flush()
            crash_point(f"before commit {name}")
            session.commit()
        crash_point(f"after commit {name}")

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a transaction that only reads; it is rolled back at the end.

        What was read stays usable afterwards (a rollback alone would empty the objects).
        """
        with Session(self.engine, expire_on_commit=False) as session:
            yield session
            session.expunge_all()
            session.rollback()

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def locked(wanted: Wanted, table: type[Base], **how: Any) -> Wanted:
    """Return *wanted* such that nobody else changes its rows of *table* until the commit.

    They are read as they are now, whatever this session knew of them: flush first what it changed.
    SQL Server does not know FOR UPDATE and takes a hint; *how* goes to ``with_for_update``.
    """
    return (
        wanted.with_hint(table, "WITH (UPDLOCK)", "mssql")
        .with_for_update(**how)
        .execution_options(populate_existing=True)
    )


def sqlite_url(path: Path) -> URL:
    """Return the URL of the embedded database in file *path*."""
    return URL.create("sqlite", database=str(path))


def _connect(session: Session, options: dict[str, Any]) -> None:
    """Begin now, so that a busy or absent database is told as such before any work is done."""
    try:
        connection = session.connection(execution_options=options)
    except OperationalError as error:
        raise _busy(error) from None
    if connection.dialect.name == "postgresql" and options[PATIENCE] != BUSY_SECONDS:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {int(options[PATIENCE] * 1000)}")


def _busy(error: DBAPIError) -> UnavailableError:
    return UnavailableError(f"The database is busy or cannot be reached ({error.orig}). Try again.")


@contextmanager
def _giving_way(name: str) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if _state_of(error) == WAITED_TOO_LONG:
            raise _busy(error) from None
        if _state_of(error) not in GAVE_WAY:
            raise
        log.warning("A transaction gave way to another (deadlock).", extra={"transaction": name})
        raise UnavailableError(
            "Two changes met at the same records and this one gave way: nothing of it was kept. "
            "Try again."
        ) from error


def _state_of(error: DBAPIError) -> object:
    """Return the SQLSTATE: psycopg names it, pyodbc gives it first."""
    arguments = error.orig.args if error.orig is not None else ()
    return getattr(error.orig, "sqlstate", None) or next(iter(arguments), "")


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, see _begin_sqlite
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at once: reading first and then writing ends in "database is locked"."""
    options = connection.get_execution_options()
    patience = options.get(PATIENCE, BUSY_SECONDS)
    if patience == BUSY_SECONDS:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(WRITES) else "BEGIN")
        return
    try:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(patience * 1000)}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
