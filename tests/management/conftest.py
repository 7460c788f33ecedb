"""A management server without its web: real keys, a real signer on a real socket, a database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy.engine import URL

from management.access import Role
from management.app import create_app
from management.context import Context, open_context
from management.keys import prepare
from management.settings import Settings
from management.signer_rules import Limits
from management.signer_server import running
from runtime.clock import utc_now
from tests.management.clients import ConsoleClient, signed_in_client
from tests.sql.recorder import Recorder


@pytest.fixture(scope="session", autouse=True)
def _fit_for_sql_server() -> Iterator[None]:
    """Every statement that these tests execute must be one that SQL Server takes."""
    recorder = Recorder()
    recorder.start()
    yield
    recorder.stop()
    assert recorder.problems() == []


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty data folder."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def signer_limits() -> Limits:
    """The signer's limits; override in a test module for others."""
    return Limits()


@pytest.fixture
def context(home: Path, database_url: URL, signer_limits: Limits) -> Iterator[Context]:
    """A context on a fresh data folder and database; its signer listens in a thread."""
    settings = Settings(
        home=home,
        database_url=database_url.render_as_string(hide_password=False),
        public_name="localhost",
    )
    prepare(home / "keys", utc_now())
    with running(home / "signer", signer_limits):
        opened = open_context(settings)
        yield opened
        opened.database.close()


@pytest.fixture
def app(context: Context) -> Flask:
    """The console and API on `context`."""
    app = create_app(context)
    app.test_client_class = ConsoleClient
    return app


@pytest.fixture
def console(app: Flask, context: Context) -> ConsoleClient:
    """A browser in which an owner named ``keeper`` is signed in."""
    return signed_in_client(app, context, "keeper", Role.OWNER)


@pytest.fixture
def visitor(app: Flask) -> ConsoleClient:
    """A browser in which nobody is signed in."""
    return ConsoleClient(app, use_cookies=True)
