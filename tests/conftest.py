"""What every test may use: an empty database, SQLite or a real PostgreSQL of our own."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.orm import Session

from management import tables
from management.database import Base, Database, sqlite_url
from tests.servers import postgres

MakeUrl = Callable[[], URL]


@pytest.fixture(scope="session", autouse=True)
def _all_tables() -> None:
    tables.load()


@pytest.fixture(scope="session")
def new_database_url(
    tmp_path_factory: pytest.TempPathFactory, _all_tables: None
) -> Iterator[MakeUrl]:
    """Return a function that makes a fresh database with all tables and returns its URL.

    ``TEST_DATABASE_URL`` chooses: nothing or ``sqlite``, ``postgresql`` (a server of our own is
    started), or a full SQLAlchemy URL of an empty database, which is emptied before each test.
    """
    wanted = os.environ.get("TEST_DATABASE_URL", "sqlite")
    folder = tmp_path_factory.mktemp("databases")
    if wanted == "sqlite":
        yield _sqlite_copies(folder)
    elif wanted == "postgresql":
        with postgres.running(folder) as server:
            yield _postgres_copies(server)
    else:
        yield lambda: _emptied(wanted)


@pytest.fixture
def database_url(new_database_url: MakeUrl) -> Iterator[URL]:
    """A fresh database, which is gone after the test: thousands of them would fill the memory."""
    url = new_database_url()
    yield url
    if url.get_backend_name() == "sqlite":
        for more in ("", "-wal", "-shm"):
            Path(f"{url.database}{more}").unlink(missing_ok=True)
    elif os.environ.get("TEST_DATABASE_URL") == "postgresql":
        postgres.drop(url)


@pytest.fixture
def database(database_url: URL) -> Iterator[Database]:
    """A fresh database with all tables."""
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    """A session that a test commits itself."""
    with Session(database.engine, expire_on_commit=False) as opened:
        yield opened


def _create_tables(url: URL | str) -> None:
    database = Database(url)
    Base.metadata.create_all(database.engine)
    database.close()


def _sqlite_copies(folder: Path) -> MakeUrl:
    original = folder / "original.db"
    _create_tables(sqlite_url(original))

    def copy() -> URL:
        path = folder / f"{uuid4().hex}.db"
        shutil.copyfile(original, path)
        return sqlite_url(path)

    return copy


def _postgres_copies(server: postgres.Server) -> MakeUrl:
    server.create_database("original")
    _create_tables(server.url("original"))

    def copy() -> URL:
        name = f"t{uuid4().hex}"
        server.create_database(name, template="original")
        return server.url(name)

    return copy


def _emptied(url: str) -> URL:
    database = Database(url)
    with database.engine.begin() as connection:
        Base.metadata.create_all(connection)
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(text(f'DELETE FROM "{table.name}"'))
    database.close()
    return database.engine.url
