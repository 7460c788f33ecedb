"""What every edge of the management server (web, jobs, command line) works with."""

from dataclasses import dataclass
from typing import Any

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
    url: Any = settings.database_url or sqlite_url(settings.home / "sekisho.db")
    return Context(
        settings,
        Database(url),
        Keys(settings.home / "keys"),
        SignerClient(settings.home / "signer" / "signer.sock"),
    )
