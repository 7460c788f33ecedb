"""Updates through the console and the job table, from a real source over HTTP."""

import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner
from flask import Flask
from joserfc.jwk import ECKey
from sqlalchemy import select
from sqlalchemy.orm import Session

from contracts import codec, envelope, keys
from contracts.agent import NewPatterns, Order
from management.access import Role
from management.audit.models import AuditEntry
from management.audit.service import verify as verify_audit
from management.context import Context, open_context
from management.database import sqlite_url
from management.devices.models import Device
from management.handlers import find_handler
from management.keys import prepare
from management.migrations.run import upgrade
from management.policies import service as policies
from management.relays.models import OutboundMessage
from management.settings import load
from management.updates import queries, releases, service, work
from management.updates.activation import locked_source
from management.updates.cli import update
from management.updates.models import InstalledPatternSet, UpdateRun, UpdateSource
from management.updates.rules import RunState
from management.work import service as job_table
from management.work.models import Job
from management.worker import Worker
from patterns import pattern_set
from runtime.clock import utc_now
from runtime.errors import HopelessError, SekishoError, UnavailableError
from tests.management.clients import ConsoleClient, signed_in_client
from tests.updater import feed as feeds
from tests.updater.feed import Feed
from updater import publish as publishing
from updater.limits import Limits
from updater.lock import BusyError
from updater.trust import open_source
from updater.trusted_root import read_root

SHIPPED = pattern_set.source_version(pattern_set.SHIPPED)
FIRST, SECOND, THIRD = "9998.1.1", "9998.1.2", "9998.1.10"


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[Feed]:
    with feeds.running(tmp_path / "feed") as running:
        yield running


@pytest.fixture
def started(context: Context) -> Context:
    """A server that was started once: the shipped set is active."""
    with context.database.transaction("first start") as session:
        service.install_shipped(session, context.settings, utc_now())
    return context


@pytest.fixture
def updating(started: Context, console: ConsoleClient, feed: Feed) -> Feed:
    """A source that holds `FIRST` and that the console knows."""
    feed.publish(FIRST)
    _enter(console, feed)
    return feed


def _enter(console: ConsoleClient, feed: Feed) -> None:
    form = {"address": feed.url, "root": feed.root.decode()}
    assert console.post("/updates/source", data=form).status_code == 302


def _do_jobs(context: Context) -> None:
    """Do the queued jobs of updates, as the jobs process does."""
    while True:
        with context.database.transaction("claim job") as session:
            ours = select(Job.id).where(Job.kind.startswith("updates."), Job.state == "queued")
            found = session.scalars(ours.limit(1)).first()
            job = job_table.claim_one(session, found, "test") if found else None
        if job is None:
            return
        error = ""
        try:
            find_handler(job.kind)(context, job.payload, lambda _sentence: None)
        except HopelessError as hopeless:
            error = str(hopeless)
        with context.database.transaction("finish job") as session:
            if error:
                job_table.fail(session, job.id, "test", error, final=True)
            else:
                job_table.finish(session, job.id, "test")


def _update(console: ConsoleClient, context: Context) -> UpdateRun:
    """Press the button, let the jobs run, return what became of it."""
    assert console.post("/updates/run").status_code == 302
    _do_jobs(context)
    with context.database.reading() as session:
        return queries.list_runs(session, 1)[0]


def _active(context: Context) -> str:
    """Return the active version after checking that it is the only one and whole on disk."""
    with context.database.reading() as session:
        # One statement: on PostgreSQL the next would see what was committed in between.
        rows = session.scalars(select(InstalledPatternSet)).all()
        (active,) = [row.version for row in rows if row.active]
        folder = queries.patterns_folder(context.settings) / active
    manifest = pattern_set.check_folder(folder)
    assert manifest.version == folder.name
    return manifest.version


def _keys_of_jobs(context: Context, kind: str) -> list[str]:
    with context.database.reading() as session:
        return list(session.scalars(select(Job.key).where(Job.kind == kind)))


# --- the shipped set ---


def test_the_shipped_set_is_active_after_the_first_start_and_stays(started: Context) -> None:
    assert _active(started) == SHIPPED

    with started.database.transaction("second start") as session:
        assert service.install_shipped(session, started.settings, utc_now()) is None
    assert len(_keys_of_jobs(started, "apps.retro_hunt")) == 1


def test_a_newer_set_from_the_source_is_not_replaced_by_the_shipped_one(
    console: ConsoleClient, started: Context, updating: Feed
) -> None:
    _update(console, started)

    with started.database.transaction("later start") as session:
        assert service.install_shipped(session, started.settings, utc_now()) is None
    assert _active(started) == FIRST


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_damaged_active_set_gives_way_to_the_shipped_one_until_the_next_update(
    console: ConsoleClient, started: Context, updating: Feed, damage: str
) -> None:
    _update(console, started)
    folder = queries.patterns_folder(started.settings) / FIRST
    if damage == "gone":
        shutil.rmtree(folder)
    else:
        (folder / "yara" / "marker.yar").write_text("rule other { condition: false }")

    with started.database.transaction("later start") as session:
        service.install_shipped(session, started.settings, utc_now())
    assert _active(started) == SHIPPED
    assert _update(console, started).state == RunState.UPDATED
    assert _active(started) == FIRST


# --- taking updates ---


def test_a_newer_set_becomes_active_and_everybody_is_told(
    console: ConsoleClient, started: Context, updating: Feed, session: Session
) -> None:
    run = _update(console, started)

    assert (run.state, run.from_version, run.to_version) == (RunState.UPDATED, SHIPPED, FIRST)
    assert _active(started) == FIRST
    assert any(FIRST in key for key in _keys_of_jobs(started, "apps.retro_hunt"))
    page = console.get("/updates/").text
    assert FIRST in page and f"Updated to version {FIRST} (rules: 1)." in page
    entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "updates.activate")).one()
    assert (entry.actor, entry.subject) == ("keeper", FIRST)
    assert verify_audit(session, started.keys) == []


@pytest.mark.parametrize("error", [RuntimeError("a bug"), UnavailableError("It is busy.")])
def test_patterns_come_whatever_becomes_of_the_rest(
    console: ConsoleClient,
    started: Context,
    updating: Feed,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(releases, "take", fail)
    run = _update(console, started)

    assert (run.state, _active(started)) == (RunState.UPDATED, FIRST)
    because = "It is busy." if isinstance(error, SekishoError) else "RuntimeError"
    assert f"Something beside the patterns was not taken: {because}" in run.detail


def test_looking_again_finds_nothing_new(
    console: ConsoleClient, started: Context, updating: Feed
) -> None:
    _update(console, started)
    run = _update(console, started)

    assert run.state == RunState.NOTHING_NEW
    assert "is the newest and is active" in run.detail


def test_an_empty_source_has_nothing_new(
    console: ConsoleClient, started: Context, feed: Feed
) -> None:
    _enter(console, feed)

    assert _update(console, started).state == RunState.NOTHING_NEW


def test_the_page_follows_a_running_update_to_its_end(
    console: ConsoleClient, started: Context, updating: Feed, session: Session
) -> None:
    console.post("/updates/run")
    run = session.scalars(select(UpdateRun)).one()

    page = console.get("/updates/").text
    assert f'hx-get="/updates/runs/{run.id}"' in page
    assert "Queued." in console.get(f"/updates/runs/{run.id}").text

    _do_jobs(started)
    answer = console.get(f"/updates/runs/{run.id}")
    assert answer.headers["HX-Refresh"] == "true"
    console.set_cookie("language", "ja", domain="localhost")
    assert f"バージョン {FIRST} に更新しました" in console.get("/updates/").text


def test_pressing_twice_runs_once(
    console: ConsoleClient, started: Context, updating: Feed, session: Session
) -> None:
    console.post("/updates/run")
    console.post("/updates/run")

    assert len(session.scalars(select(UpdateRun)).all()) == 1


@pytest.mark.parametrize(
    ("ending", "answer", "words"),
    [
        (".zip", feeds.tampered, "tampered with"),
        (".zip", feeds.truncated, "cut off"),
        (".zip", feeds.cut_off, "broke off"),
        (".zip", feeds.status(404), "does not hold it"),
        ("timestamp.json", feeds.status(503), "HTTP status 503"),
        ("timestamp.json", feeds.endless, "longer than"),
        ("timestamp.json", feeds.stall(2), "in time"),
    ],
)
def test_whatever_fails_the_set_in_use_stays_and_the_next_update_works(
    console: ConsoleClient,
    started: Context,
    updating: Feed,
    monkeypatch: pytest.MonkeyPatch,
    ending: str,
    answer: feeds.Answer,
    words: str,
) -> None:
    monkeypatch.setattr(work, "LIMITS", Limits(gap_seconds=0.5))
    updating.misbehave(ending, answer)
    run = _update(console, started)

    assert run.state == RunState.FAILED
    assert words in run.detail and "stays active" in run.detail
    assert _active(started) == SHIPPED
    assert words in console.get("/updates/").text
    with started.database.reading() as session:
        job = session.scalars(select(Job).where(Job.kind == "updates.run")).one()
    assert (job.state, job.attempts) == ("failed", 1) and words in job.error
    with pytest.raises(HopelessError, match="stays active"):  # killed before it was written down
        work.run(started, job.payload, lambda _sentence: None)
    assert words in console.get(f"/jobs/{job.id}").text

    updating.behave()
    assert _update(console, started).state == RunState.UPDATED
    assert _active(started) == FIRST


def test_a_signed_set_that_does_not_compile_is_refused(
    console: ConsoleClient, started: Context, feed: Feed, tmp_path: Path
) -> None:
    bad = feeds.rewritten(
        feed.build(FIRST), "yara/marker.yar", b"rule x { condition: nothing }", True
    )
    publishing.publish(feed.repository, bad, utc_now())
    _enter(console, feed)
    run = _update(console, started)

    assert run.state == RunState.FAILED and "does not compile" in run.detail
    assert _active(started) == SHIPPED
    folder = queries.patterns_folder(started.settings)
    assert [path.name for path in folder.iterdir()] == [SHIPPED]


def test_a_source_that_goes_back_does_not_take_the_server_back(
    console: ConsoleClient, started: Context, updating: Feed, tmp_path: Path
) -> None:
    updating.publish(SECOND)
    _update(console, started)
    with feeds.running(tmp_path / "other") as other:
        other.publish(FIRST)
        _enter(console, other)
        run = _update(console, started)

    assert run.state == RunState.NOTHING_NEW
    assert f"already had {SECOND}" in run.detail


def test_old_sets_are_removed_from_the_disk(
    console: ConsoleClient, started: Context, updating: Feed
) -> None:
    for number in range(2, 9):
        _update(console, started)
        updating.publish(f"9998.1.{number}")
    _update(console, started)

    folder = queries.patterns_folder(started.settings)
    assert len(list(folder.iterdir())) == 6
    assert _active(started) == "9998.1.8"


# --- going back ---


def _roll_back(console: ConsoleClient, because: str = "It flags our own app.") -> int:
    return console.post("/updates/roll-back", data={"because": because}).status_code


def test_going_back_holds_the_version_until_a_newer_one_comes(
    console: ConsoleClient, started: Context, updating: Feed, session: Session
) -> None:
    _update(console, started)
    hunted = len(_keys_of_jobs(started, "apps.retro_hunt"))
    assert _roll_back(console) == 302

    assert _active(started) == SHIPPED
    assert len(_keys_of_jobs(started, "apps.retro_hunt")) == hunted + 1
    run = _update(console, started)
    assert run.state == RunState.NOTHING_NEW
    assert f"went back from version {FIRST}" in run.detail
    assert "It flags our own app." in console.get("/updates/").text
    updating.publish(SECOND)
    assert _update(console, started).to_version == SECOND
    entry = session.scalars(select(AuditEntry).where(AuditEntry.subject == SHIPPED)).one()
    assert (entry.reason, entry.address) == ("It flags our own app.", "127.0.0.1")


def test_a_person_can_activate_the_held_version_again(
    console: ConsoleClient, started: Context, updating: Feed, session: Session
) -> None:
    _update(console, started)
    _roll_back(console)
    form = {"because": "It was right after all."}

    assert console.post(f"/updates/sets/{FIRST}/activate", data=form).status_code == 302
    assert _active(started) == FIRST
    assert session.scalars(select(UpdateSource)).one().held_version == ""


def test_going_back_wants_a_reason_and_something_to_go_back_to(
    console: ConsoleClient, started: Context, updating: Feed
) -> None:
    assert _roll_back(console) == 409
    _update(console, started)

    assert _roll_back(console, "  ") == 409
    assert _active(started) == FIRST
    assert console.post("/updates/sets/1.1/activate", data={"because": "x"}).status_code == 404


def test_a_version_with_too_high_a_number_can_be_discarded(
    console: ConsoleClient, started: Context, updating: Feed, tmp_path: Path
) -> None:
    updating.publish("999999.1")
    _update(console, started)
    form = {"because": "A typing error of the publisher."}
    assert console.post("/updates/sets/999999.1/discard", data=form).status_code == 409
    _roll_back(console)
    with feeds.running(tmp_path / "mended") as mended:
        mended.publish(SECOND)
        _enter(console, mended)
        assert _update(console, started).state == RunState.NOTHING_NEW
        assert console.post("/updates/sets/999999.1/discard", data=form).status_code == 302
        assert _update(console, started).to_version == SECOND

    folder = queries.patterns_folder(started.settings)
    assert sorted(path.name for path in folder.iterdir()) == [SHIPPED, SECOND]


# --- entering source and schedule ---


def test_the_page_shows_what_an_administrator_compares(
    console: ConsoleClient, started: Context, updating: Feed
) -> None:
    page = console.get("/updates/").text

    assert read_root(updating.root).fingerprint in page
    assert "2 of 3 must sign" in page
    assert "PRIVATE" not in page


def test_root_json_can_be_uploaded(console: ConsoleClient, started: Context, feed: Feed) -> None:
    form = {"address": feed.url, "file": (io.BytesIO(feed.root), "root.json")}

    assert console.post("/updates/source", data=form).status_code == 302
    feed.publish(FIRST)
    assert _update(console, started).state == RunState.UPDATED


@pytest.mark.parametrize(
    ("address", "root", "words"),
    [
        (r"\\server\share", "", "is accepted"),
        ("https://updates.example", "{}", "not TUF metadata"),
        ("https://updates.example", "", "not TUF metadata"),
    ],
)
def test_a_wrong_source_is_refused_beside_its_field(
    console: ConsoleClient,
    started: Context,
    session: Session,
    address: str,
    root: str,
    words: str,
) -> None:
    answer = console.post("/updates/source", data={"address": address, "root": root})

    assert answer.status_code == 422 and words in answer.text
    assert session.scalars(select(UpdateSource.address)).one() == ""


def test_without_a_source_nothing_can_be_taken(console: ConsoleClient, started: Context) -> None:
    assert console.post("/updates/run").status_code == 409
    assert 'action="/updates/run"' not in console.get("/updates/").text


def test_a_schedule_queues_its_update_once(
    console: ConsoleClient, started: Context, updating: Feed, session: Session
) -> None:
    form = {"schedule": "hourly", "hour": "3", "day": "1", "window_minutes": "0"}
    assert console.post("/updates/schedule", data=form).status_code == 302
    now = utc_now()
    with started.database.transaction("look at the new schedule") as opened:
        assert service.request_due(opened, "seed", now) is None
        locked_source(opened).taken_at = now - timedelta(hours=1)
    for _ in range(3):
        with started.database.transaction("look at the schedule") as opened:
            service.request_due(opened, "seed", now)
    _do_jobs(started)

    assert [run.requested_by for run in session.scalars(select(UpdateRun))] == [service.SCHEDULE]
    assert _active(started) == FIRST


@pytest.mark.parametrize("form", [{"schedule": "yearly"}, {"schedule": "daily", "hour": "soon"}])
def test_a_wrong_schedule_is_refused(
    console: ConsoleClient, started: Context, form: dict[str, str]
) -> None:
    assert console.post("/updates/schedule", data=form).status_code == 400


@pytest.mark.parametrize("path", ["run", "roll-back", "source", "schedule", "sets/1.1/activate"])
def test_operators_may_look_and_not_change(
    app: Flask, started: Context, visitor: ConsoleClient, path: str
) -> None:
    operator = signed_in_client(app, started, "watcher", Role.OPERATOR)

    assert operator.get("/updates/").status_code == 200
    assert operator.post(f"/updates/{path}").status_code == 403
    assert visitor.get("/updates/").status_code == 302


# --- telling devices ---


def _device(session: Session, policy_id: UUID, state: str = "enrolled") -> tuple[UUID, ECKey]:
    encryption = keys.new_key()
    device = Device(
        name="Phone",
        owner_address="keiko@example.com",
        platform="android",
        ownership="company",
        enrolment_state=state,
        enrolled_at=utc_now(),
        policy_id=policy_id,
        certificate_serial=uuid4().hex,
        signing_key=keys.public_jwk(keys.new_key()),
        encryption_key=keys.public_jwk(encryption),
    )
    session.add(device)
    session.flush()
    return device.id, encryption


def test_every_enrolled_device_is_told_once(
    console: ConsoleClient,
    started: Context,
    updating: Feed,
    monkeypatch: pytest.MonkeyPatch,
    session: Session,
) -> None:
    monkeypatch.setattr(work, "BATCH", 2)
    _do_jobs(started)
    with started.database.transaction("enrol devices") as opened:
        policy = policies.ensure_default_policy(opened, utc_now())
        key_of = dict(_device(opened, policy.id) for _ in range(5))
        _device(opened, policy.id, "retired")
    _update(console, started)
    for job in session.scalars(select(Job).where(Job.kind == "updates.announce")).all():
        work.announce(started, job.payload, lambda _sentence: None)  # repeated after a crash

    told = session.scalars(select(OutboundMessage)).all()
    assert sorted(message.recipient for message in told) == sorted(key_of)
    signer = keys.read_public(started.signer.public_key())
    for message in told:
        token = envelope.decrypt(message.sealed, key_of[message.recipient])
        order = codec.read(Order, envelope.verify(token, envelope.ORDER, signer))
        assert order.body == NewPatterns(pattern_version=FIRST)


# --- being interrupted ---

RUN_JOB = """
import sys
from management import tables
from management.context import open_context
from management.settings import load
from management.updates import work
tables.load()
work.run(open_context(load()), {"run_id": sys.argv[1]}, lambda sentence: None)
"""
POINTS = [
    "before commit note update progress",
    "before effect install patterns",
    "after effect install patterns",
    "before commit activate patterns",
    "after commit activate patterns",
]


@pytest.mark.servers
@pytest.mark.parametrize("point", POINTS)
def test_an_update_killed_anywhere_is_finished_by_its_repetition(
    console: ConsoleClient,
    started: Context,
    updating: Feed,
    session: Session,
    tmp_path: Path,
    point: str,
) -> None:
    console.post("/updates/run")
    run_id = str(session.scalars(select(UpdateRun.id)).one())
    environment = {
        **os.environ,
        "SEKISHO_HOME": str(started.settings.home),
        "SEKISHO_DATABASE_URL": started.settings.database_url,
        "SEKISHO_CRASH_AT": point,
        "SEKISHO_CRASH_MARK": str(tmp_path / "crashed"),
    }
    command = [sys.executable, "-c", RUN_JOB, run_id]

    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    assert _active(started) == (FIRST if point == "after commit activate patterns" else SHIPPED)
    assert subprocess.run(command, env=environment, check=False).returncode == 0
    assert _active(started) == FIRST
    session.rollback()
    assert session.scalars(select(UpdateRun.state)).one() == RunState.UPDATED
    activations = select(AuditEntry).where(AuditEntry.action == "updates.activate")
    assert len(session.scalars(activations).all()) == 1


@pytest.mark.servers
def test_a_worker_of_the_jobs_process_takes_the_update(
    console: ConsoleClient, started: Context, updating: Feed
) -> None:
    console.post("/updates/run")
    stopping, give_up_at = threading.Event(), time.monotonic() + 60
    worker = Worker(started, "test", stopping)
    worker.start()
    try:
        while _active(started) != FIRST and time.monotonic() < give_up_at:
            time.sleep(0.1)
    finally:
        stopping.set()
        worker.join()

    assert _active(started) == FIRST
    assert f"Updated to version {FIRST}" in console.get("/updates/").text


def test_the_same_update_in_another_process_is_left_to_it(
    console: ConsoleClient, started: Context, updating: Feed, session: Session
) -> None:
    console.post("/updates/run")
    payload = session.scalars(select(Job).where(Job.kind == "updates.run")).one().payload
    cache = started.settings.home / "updates"
    with (
        open_source(updating.url, updating.root, cache, Limits()),
        pytest.raises(BusyError),
    ):
        work.run(started, payload, lambda _sentence: None)

    assert session.scalars(select(UpdateRun.state)).one() == RunState.RUNNING
    work.run(started, payload, lambda _sentence: None)
    assert _active(started) == FIRST


def test_a_run_whose_job_gave_up_is_closed_and_another_can_start(
    console: ConsoleClient, started: Context, updating: Feed, session: Session
) -> None:
    console.post("/updates/run")
    job = session.scalars(select(Job).where(Job.kind == "updates.run")).one()
    job.state, job.error = "failed", "The process that did it died."
    session.commit()

    assert _update(console, started).state == RunState.UPDATED
    states = session.scalars(select(UpdateRun.state).order_by(UpdateRun.started_at)).all()
    assert states == [RunState.FAILED, RunState.UPDATED]


# --- the command line ---


def test_the_operator_can_look_and_update_from_the_command_line(
    home: Path, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEKISHO_HOME", str(home))
    prepare(home / "keys", utc_now())
    upgrade(sqlite_url(home / "sekisho.db"))
    context = open_context(load())
    with context.database.transaction("first start") as session:
        service.install_shipped(session, context.settings, utc_now())
        keeper = service.Actor("keeper")
        service.save_source(session, context.keys, feed.url, feed.root, keeper, utc_now())
    feed.publish(FIRST)

    looked = CliRunner().invoke(update, ["check"], catch_exceptions=False)
    assert FIRST in looked.output
    assert _active(context) == SHIPPED
    updated = CliRunner().invoke(update, ["run"], catch_exceptions=False)
    assert updated.exit_code == 0 and f"Updated to version {FIRST}" in updated.output
    assert _active(context) == FIRST
    feed.misbehave("timestamp.json", feeds.status(500))
    assert CliRunner().invoke(update, ["run"], catch_exceptions=False).exit_code == 1
    context.database.close()
