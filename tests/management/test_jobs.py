"""The jobs process: its tables of work, its slots, its loops, and the process as a whole."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from management import handlers
from management.context import Context
from management.handlers import HANDLERS, LOOPS, SCHEDULE, Scheduled
from management.jobs import Housekeeping, Loop, enqueue_slot, slot_key
from management.migrations.run import upgrade
from management.work import queries, service
from management.work.models import Job
from runtime.clock import utc_now
from runtime.errors import ConfigurationError

NOW = datetime(2026, 11, 21, 12, 7, 30, tzinfo=UTC)


@pytest.mark.parametrize("where", [*HANDLERS.values(), *LOOPS.values()])
def test_every_name_of_work_resolves(where: str) -> None:
    assert callable(handlers.resolve(where))


def test_every_scheduled_kind_has_a_handler() -> None:
    assert {scheduled.kind for scheduled in SCHEDULE} <= set(HANDLERS)


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"'no\.such'"):
        handlers.find_handler("no.such")


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    st.sampled_from([timedelta(minutes=1), timedelta(minutes=15), timedelta(hours=24)]),
)
def test_moments_of_one_slot_share_a_key_and_the_next_slot_has_another(
    now: datetime, every: timedelta
) -> None:
    scheduled = Scheduled("kind", every)
    start = datetime.strptime(slot_key(scheduled, now), "kind:%Y-%m-%dT%H:%M:%SZ")
    start = start.replace(tzinfo=UTC)
    assert start <= now < start + every
    assert slot_key(scheduled, start + every - timedelta(microseconds=1)) == slot_key(
        scheduled, now
    )
    assert slot_key(scheduled, start + every) != slot_key(scheduled, now)


def test_a_slot_is_queued_once(context: Context) -> None:
    scheduled = Scheduled("updates.run", timedelta(minutes=15))
    assert enqueue_slot(context, scheduled, NOW)
    assert not enqueue_slot(context, scheduled, NOW + timedelta(minutes=5))
    assert enqueue_slot(context, scheduled, NOW + timedelta(minutes=10))


def test_a_loop_goes_on_after_an_error_and_says_when_it_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stopping, rounds = Event(), []

    def visit() -> None:
        rounds.append(1)
        raise ZeroDivisionError

    loop = Loop("test", visit, 0.01, stopping)
    loop.start()
    while len(rounds) < 3:
        time.sleep(0.01)
    stopping.set()
    loop.join()
    assert loop.problem() is None
    loop.ended_at -= 1000
    assert "No round ended for 1" in (loop.problem() or "")


def test_housekeeping_frees_jobs_of_dead_workers(context: Context) -> None:
    with context.database.transaction("fill") as session:
        service.enqueue(session, "test", "key")
        service.claim(session, "dead")
        session.execute(update(Job).values(lease_until=utc_now() - timedelta(seconds=1)))

    Housekeeping(context)()

    with context.database.reading() as session:
        assert queries.count_states(session)["queued"] == 1


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _until(holds: Callable[[], Any], seconds: float = 60) -> Any:
    give_up = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.1)
    return found


def _get(url: str) -> tuple[int, bytes] | None:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read()
    except OSError:
        return None


@pytest.mark.servers
def test_the_process_starts_does_queued_work_tells_its_health_and_stops(
    context: Context, tmp_path: Path
) -> None:
    if not context.settings.database_url.startswith("sqlite"):
        pytest.skip("one database is enough here")
    port = _free_port()
    (context.settings.home / "sekisho.db").unlink(missing_ok=True)
    upgrade(f"sqlite:///{context.settings.home}/sekisho.db")
    environment = {
        **os.environ,
        "SEKISHO_HOME": str(context.settings.home),
        "SEKISHO_JOBS_HEALTH_PORT": str(port),
    }
    log = tmp_path / "jobs.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "sekisho", "management", "jobs"], env=environment, stderr=out
        )
    try:
        status, body = _until(lambda: _get(f"http://127.0.0.1:{port}/healthz"))
        assert (status, json.loads(body)["status"]) == (200, "ok")
        done = 'sekisho_jobs_finished_total{kind="commands.dispatch",result="done"} 1.0'
        _until(lambda: done in (_get(f"http://127.0.0.1:{port}/metrics") or (0, b""))[1].decode())
    finally:
        process.send_signal(signal.SIGTERM)
        status = process.wait(120)
    assert status == 0, log.read_text()
    assert '"level": "ERROR"' not in log.read_text()
