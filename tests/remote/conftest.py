"""One console over real HTTPS for all tests from afar, and the command as somebody types it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask

from management.access import Role
from management.administrators import service
from management.app import create_app
from management.context import Context, open_context
from management.keys import prepare
from management.settings import Settings
from management.signer_rules import Limits
from management.signer_server import running
from runtime.clock import utc_now
from sekisho.__main__ import cli
from sekisho.remote.profile import PLACE
from tests.browser.serving import https
from tests.conftest import MakeUrl
from tests.management.fleet import Fleet, fill

DEVICES = 24
BROKEN = ConnectionResetError(104, "the connection breaks here")


@dataclass
class Breaking:
    """Lets a connection break after the answer was made and before it is sent."""

    app: Flask
    paths: list[str] = field(default_factory=list)
    """The next requests to these."""
    cut: list[str] = field(default_factory=list)
    """Answers of these break off in the middle."""
    keys: list[str] = field(default_factory=list)
    """The `Idempotency-Key` of each request that had one."""
    tokens: int = 0
    """How many requests brought a token."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        self.tokens += "HTTP_AUTHORIZATION" in environ
        if key := environ.get("HTTP_IDEMPOTENCY_KEY"):
            self.keys.append(key)
        answer = self.app(environ, start_response)
        if environ["PATH_INFO"] in self.paths:
            self.paths.remove(environ["PATH_INFO"])
            raise BROKEN
        return _cut(answer) if environ["PATH_INFO"] in self.cut else answer


def _cut(answer: Iterable[bytes]) -> Iterator[bytes]:
    yield next(iter(answer))
    raise BROKEN


@dataclass(frozen=True)
class Served:
    """A console that listens."""

    url: str
    context: Context
    fleet: Fleet
    front: Breaking
    ca: Path


Run = Callable[..., Result]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, new_database_url: MakeUrl) -> Iterator[Served]:
    """A console with a fleet."""
    folder: Path = tmp_path_factory.mktemp("remote")
    home = folder / "home"
    home.mkdir(mode=0o700)
    prepare(home / "keys", utc_now())
    url = new_database_url().render_as_string(hide_password=False)
    with running(home / "signer", Limits()):
        context = open_context(Settings(home=home, database_url=url, public_name="localhost"))
        fleet = fill(context, utc_now(), DEVICES)
        front = Breaking(create_app(context))
        with https(front, context, folder) as address:  # type: ignore[arg-type]
            yield Served(address, context, fleet, front, home / "keys" / "ca.pem")
        context.database.close()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's sign-in is kept."""
    monkeypatch.setenv(PLACE, str(tmp_path / "remote.json"))
    return tmp_path / "remote.json"


@pytest.fixture
def run(place: Path) -> Run:
    """``sekisho remote`` with words; *given* comes by standard input, which is no terminal."""

    def typed(*words: str, given: str = "") -> Result:
        return CliRunner().invoke(cli, ["remote", *words], input=given)

    return typed


def token_of(context: Context, name: str, role: Role = Role.OWNER) -> str:
    """Return a token of a fresh administrator."""
    with context.database.transaction("make a test's API token") as session:
        administrator = service.add_administrator(session, name, role, utc_now())
        return service.make_token(session, administrator, "from afar", utc_now())


def signed_in(served: Served, run: Run, name: str, role: Role = Role.OWNER) -> str:
    """Sign in as a fresh administrator and return the token."""
    token = token_of(served.context, name, role)
    done = run("login", served.url, "--ca", str(served.ca), given=token)
    assert done.exit_code == 0, done.output
    return token
