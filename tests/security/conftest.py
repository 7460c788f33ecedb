"""One running console with a small fleet for all attacks: each of them must leave it as it was."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask

from management.access import Role
from management.app import create_app
from management.context import Context, open_context
from management.keys import prepare
from management.settings import Settings
from management.signer_rules import Limits
from management.signer_server import running
from runtime.clock import utc_now
from tests.conftest import MakeUrl
from tests.management.clients import ConsoleClient, api_client, signed_in_client
from tests.management.fleet import Fleet, fill


@dataclass(frozen=True, slots=True)
class Target:
    """What is attacked, and by whom."""

    app: Flask
    context: Context
    fleet: Fleet
    owner: ConsoleClient
    reader: ConsoleClient
    program: ConsoleClient
    """With an API token of an owner."""

    def stranger(self) -> ConsoleClient:
        """Return a browser in which nobody is signed in."""
        return ConsoleClient(self.app, use_cookies=True)


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory, new_database_url: MakeUrl) -> Iterator[Target]:
    home: Path = tmp_path_factory.mktemp("security") / "home"
    home.mkdir(mode=0o700)
    prepare(home / "keys", utc_now())
    url = new_database_url().render_as_string(hide_password=False)
    with running(home / "signer", Limits()):
        context = open_context(Settings(home=home, database_url=url, public_name="localhost"))
        fleet = fill(context, utc_now(), 12)
        app = create_app(context)
        app.test_client_class = ConsoleClient
        yield Target(
            app,
            context,
            fleet,
            signed_in_client(app, context, "keeper", Role.OWNER),
            signed_in_client(app, context, "reader", Role.READ_ONLY),
            api_client(app, context, "program", Role.OWNER),
        )
        context.database.close()
