"""What every edge of the management server (web, jobs, command line) works with."""

from dataclasses import dataclass

from sqlalchemy.engine import URL, make_url

from management import tables
from management.database import Database, sqlite_url
from management.keys import Keys
from management.settings import Settings
from management.signer_client import SignerClient


@dataclass(frozen=True, slots=True)
class Context:
    """The server's settings, database, keys and signer."""

    settings: Settings
    database: Database
    keys: Keys
    signer: SignerClient


def open_context(settings: Settings) -> Context:
    """Return a context on the data folder that *settings* name."""
    tables.load()
    return Context(
        settings,
        Database(database_url(settings)),
        Keys(settings.home / "keys"),
        SignerClient(settings.home / "signer" / "signer.sock"),
    )


def database_url(settings: Settings) -> URL:
    """Return where the management database is: as set, else the embedded one."""
    if settings.database_url:
        return make_url(settings.database_url)
    return sqlite_url(settings.home / "sekisho.db")
