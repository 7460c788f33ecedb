"""How much a relay logs, and its log, fetched over the link into the console."""

import io
import logging
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import inspect, update

from communication import own_log
from contracts.link import LogWish
from management import log_zips
from management.check_in.visit import visit_all
from management.context import Context
from management.relays import logs
from management.relays.link_client import LinkClient
from management.relays.models import Relay
from management.relays.queries import list_relays
from runtime.clock import utc_now
from runtime.errors import MalformedMessageError, TooLargeError
from tests.agents import relay_process
from tests.agents.relay_process import RelayProcess
from tests.management.clients import ConsoleClient
from tests.management.test_visit import pair


@pytest.fixture
def real(context: Context, tmp_path: Path) -> Iterator[RelayProcess]:
    with relay_process.running(tmp_path / "relay", context.keys) as relay:
        pair(context, relay, relay.link_certificate)
        visit_all(context)
        yield relay


def _level_there(context: Context, real: RelayProcess) -> str:
    link = LinkClient(real.link_url, real.link_certificate, context.keys.link_key())
    with link:
        return link.status().log_level


@pytest.mark.servers
def test_a_relays_log_level_and_its_log_from_the_console(
    context: Context, real: RelayProcess, console: ConsoleClient
) -> None:
    with context.database.reading() as session:
        (relay,) = list_relays(session)
    page = f"/relays/{relay.id}"
    assert console.post(f"{page}/log-level", data={"level": "loud"}).status_code == 422
    assert console.post(f"{page}/log-level", data={"level": "debug"}).status_code == 303
    visit_all(context)
    assert _level_there(context, real) == "debug"

    with context.database.transaction("its hour is over") as session:
        session.execute(update(Relay).values(log_level_until=utc_now() - timedelta(seconds=1)))
    visit_all(context)
    assert _level_there(context, real) in ("info", ""), "info for a second, then as usual"

    assert console.get(f"{page}/log").status_code == 404
    console.post(f"{page}/log")
    assert "is fetched at the next visit" in console.get(page).text
    console.post(f"{page}/log", data={"cancel": "yes"})
    assert console.post(f"{page}/log", data={"cancel": "yes"}).status_code == 422
    console.post(f"{page}/log")
    visit_all(context)

    answer = console.get(f"{page}/log")
    name = answer.headers["Content-Disposition"].partition('filename="')[2].rstrip('"')
    log_zips.check(name, answer.data)
    with zipfile.ZipFile(io.BytesIO(answer.data)) as packed:
        assert sorted(packed.namelist()) == ["about.json", "communication.log"]
        text = packed.read("communication.log").decode()
    assert "Listening for devices" in text
    assert "Logging at level debug" in text
    with context.database.reading() as session:
        assert list_relays(session)[0].problem == ""
        row = logs.find(session, relay.id)
        assert row is not None and "content" in inspect(row).unloaded  # 3 MB at each visit


@pytest.mark.parametrize(
    ("name", "content", "wrong"),
    [
        ("../x.zip", b"PK\x03\x04", MalformedMessageError),
        ("host_0.1_20260101T000000Z.zip", b"MZ", MalformedMessageError),
        ("host_0.1_20260101T000000Z.zip", b"PK\x03\x04" + bytes(4 * 2**20), TooLargeError),
    ],
    ids=["path", "no zip", "too large"],
)
def test_what_is_no_log_is_not_kept(name: str, content: bytes, wrong: type[Exception]) -> None:
    with pytest.raises(wrong):
        log_zips.check(name, content)


def test_a_wished_level_ends_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    before, now = root.level, [100.0]
    monkeypatch.setattr("communication.own_log.time.monotonic", lambda: now[0])
    kept = own_log.Logging(tmp_path, "warning")
    try:
        kept.wish(LogWish(level="trace", seconds=60))
        assert (kept.level(), root.level) == ("trace", logging.DEBUG)
        now[0] += 60
        assert (kept.level(), root.level) == ("", logging.WARNING)
    finally:
        root.setLevel(before)
