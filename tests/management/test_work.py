"""The job table: taken once, never lost, tried again, visible when it failed for good."""

import multiprocessing
import os
import signal
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update
from sqlalchemy.dialects import mssql, postgresql, sqlite
from sqlalchemy.orm import Session

from management.context import Context
from management.database import Database
from management.progress import said
from management.work import queries, service
from management.work.models import Job
from management.work.rules import (
    FIRST_WAIT,
    FIRST_WAIT_AFTER_DEATH,
    LONGEST_WAIT,
    JobState,
    wait_after_death,
    wait_before_retry,
)
from runtime.clock import utc_now
from runtime.errors import NotFoundError, RefusedError

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LEASE = service.LEASE


@given(st.integers(0, 1000))
def test_waits_grow_to_an_hour(attempts: int) -> None:
    wait, next_wait = wait_before_retry(attempts), wait_before_retry(attempts + 1)
    assert FIRST_WAIT <= wait <= next_wait <= LONGEST_WAIT


def test_a_key_is_queued_once_whatever_became_of_it(session: Session) -> None:
    first = service.enqueue(session, "test", "key", now=NOW)
    assert first is not None
    assert service.enqueue(session, "test", "key", now=NOW) is None
    claimed = service.claim(session, "a", NOW)
    assert claimed is first
    assert service.finish(session, first.id, "a", NOW)
    assert service.enqueue(session, "other", "key", now=NOW) is None
    found = queries.find_by_key(session, "key")
    assert found is not None and found.state == JobState.DONE


def test_urgent_work_goes_first_then_the_oldest_and_nothing_before_its_time(
    session: Session,
) -> None:
    for key, priority, delay in (("later", 1, 60), ("b", 5, 0), ("a", 5, -5), ("urgent", 1, 0)):
        run_after = NOW + timedelta(seconds=delay)
        service.enqueue(session, "test", key, {}, priority, run_after, NOW)

    taken = [service.claim(session, "w", NOW) for _ in range(4)]

    assert [job.key if job else None for job in taken] == ["urgent", "a", "b", None]


def test_a_claimed_job_says_who_has_it_until_when(session: Session) -> None:
    service.enqueue(session, "test", "key", {"x": ["日本"]}, now=NOW)
    job = service.claim(session, "host:1", NOW)
    assert job is not None
    assert (job.state, job.attempts, job.lease_owner) == ("running", 1, "host:1")
    assert job.lease_until == NOW + LEASE
    assert job.payload == {"x": ["日本"]}


def test_a_heartbeat_keeps_the_lease_and_tells_progress(session: Session) -> None:
    service.enqueue(session, "test", "key", now=NOW)
    job = service.claim(session, "w", NOW)
    assert job is not None
    later = NOW + timedelta(seconds=50)
    assert service.heartbeat(session, job.id, "w", later, ["half way"])
    assert not service.heartbeat(session, job.id, "somebody else", later)
    session.refresh(job)
    assert (job.lease_until, job.progress) == (later + LEASE, "half way")
    assert service.return_expired(session, NOW + timedelta(seconds=61)) == 0


def test_a_silent_workers_job_returns_to_the_queue_and_its_late_word_counts_nothing(
    session: Session,
) -> None:
    service.enqueue(session, "test", "key", now=NOW)
    job = service.claim(session, "dead", NOW)
    assert job is not None
    late = NOW + LEASE + timedelta(seconds=1)

    assert queries.has_expired(session, late)
    assert service.return_expired(session, late) == 1

    assert (job.state, job.error) == ("queued", "The worker dead went silent.")
    assert not service.finish(session, job.id, "dead", late)
    assert not service.fail(session, job.id, "dead", "late", late)
    again = service.claim(session, "alive", late + FIRST_WAIT)
    assert again is not None and again.attempts == 2


def test_what_a_dead_worker_held_is_taken_up_long_before_its_lease_ends(session: Session) -> None:
    service.enqueue(session, "test", "lost", now=NOW)
    lost = service.claim(session, "dead", NOW)
    service.enqueue(session, "test", "held", now=NOW)
    held = service.claim(session, "alive", NOW)
    assert lost is not None and held is not None

    assert service.return_held_by_dead(session, lambda owner: owner == "dead", NOW) == 1

    assert (lost.state, lost.error) == ("queued", "The worker dead died.")
    assert (held.state, held.lease_owner) == ("running", "alive")
    assert service.claim(session, "new", NOW) is None
    assert service.claim(session, "new", NOW + FIRST_WAIT_AFTER_DEATH) is lost


@given(attempts=st.integers(1, 1000))
def test_a_death_is_waited_for_shorter_at_first_and_never_longer_than_an_hour(
    attempts: int,
) -> None:
    wait, next_wait = wait_after_death(attempts), wait_after_death(attempts + 1)
    assert FIRST_WAIT_AFTER_DEATH <= wait <= next_wait <= LONGEST_WAIT
    assert wait_after_death(1) < wait_before_retry(1)


def test_a_job_that_always_fails_ends_as_a_dead_letter_which_can_be_tried_again(
    session: Session,
) -> None:
    service.enqueue(session, "test", "key", now=NOW)
    now = NOW
    for attempt in range(5):
        job = service.claim(session, "w", now)
        assert job is not None, attempt
        service.fail(session, job.id, "w", f"broken {attempt}", now)
        assert service.claim(session, "w", now) is None
        now += timedelta(hours=2)
    (dead,) = queries.list_jobs(session, state="failed")
    assert (dead.error, dead.attempts) == ("broken 4", 5)
    assert queries.count_states(session) == {
        "queued": 0,
        "running": 0,
        "done": 0,
        "failed": 1,
        "cancelled": 0,
    }
    assert service.claim(session, "w", now) is None

    service.retry(session, dead.id, now)
    session.flush()

    assert service.claim(session, "w", now) is dead
    with pytest.raises(RefusedError):
        service.retry(session, dead.id, now)
    with pytest.raises(NotFoundError):
        queries.get_job(session, UUID(int=0))


def test_a_job_given_back_has_lost_no_attempt(session: Session) -> None:
    service.enqueue(session, "test", "key", now=NOW)
    job = service.claim(session, "w", NOW)
    assert job is not None
    assert service.give_back(session, job.id, "w", NOW)
    again = service.claim(session, "v", NOW)
    assert again is not None and again.attempts == 1


def test_one_job_can_be_taken_by_its_id(session: Session) -> None:
    first = service.enqueue(session, "test", "a", now=NOW)
    second = service.enqueue(session, "test", "b", now=NOW)
    assert first is not None and second is not None
    assert service.claim_one(session, second.id, "w", NOW) is second
    assert service.claim_one(session, second.id, "v", NOW) is None
    assert service.claim_one(session, first.id, "v", NOW - timedelta(seconds=1)) is None


def test_old_jobs_are_forgotten_and_dead_letters_kept_longer(session: Session) -> None:
    for key, state, days in (("a", "done", 8), ("b", "done", 6), ("c", "failed", 8)):
        job = service.enqueue(session, "test", key, now=NOW)
        assert job is not None
        job.state, job.finished_at = state, NOW - timedelta(days=days)
    session.flush()
    assert service.forget_old(session, NOW) == 1
    assert service.forget_old(session, NOW + timedelta(days=90)) == 2


def test_the_claim_is_one_statement_on_every_database() -> None:
    statement = service.claim_statement("w", NOW, LEASE)
    on_sqlite = str(statement.compile(dialect=sqlite.dialect()))
    on_postgres = str(statement.compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
    on_sql_server = str(statement.compile(dialect=mssql.dialect()))  # type: ignore[no-untyped-call]
    assert "RETURNING id" in on_sqlite
    assert "FOR UPDATE SKIP LOCKED" in on_postgres
    assert "OUTPUT inserted.id" in on_sql_server
    assert "READPAST" in on_sql_server and "UPDLOCK" in on_sql_server


def _take_all(url: str, name: str, taken: "multiprocessing.Queue[str]") -> None:
    database = Database(url)
    while True:
        with database.transaction("claim job") as session:
            job = service.claim(session, name)
        if job is None:
            break
        taken.put(job.key)
        with database.transaction("finish job") as session:
            assert service.finish(session, job.id, name)
    database.close()
    taken.put("")


@pytest.mark.servers
def test_processes_that_claim_at_once_never_get_the_same_job(context: Context) -> None:
    with context.database.transaction("fill") as session:
        for number in range(60):
            service.enqueue(session, "test", f"job {number}", now=utc_now())
    spawn = multiprocessing.get_context("spawn")
    taken = spawn.Queue()
    url = context.settings.database_url
    claimers = [spawn.Process(target=_take_all, args=(url, f"w{n}", taken)) for n in range(4)]
    for claimer in claimers:
        claimer.start()
    keys: list[str] = []
    while keys.count("") < len(claimers):
        keys.append(taken.get(timeout=60))
    for claimer in claimers:
        claimer.join()
    counted = Counter(key for key in keys if key)
    assert len(counted) == 60
    assert set(counted.values()) == {1}
    with context.database.reading() as session:
        assert queries.count_states(session)["done"] == 60


def _queue(url: str, barrier: "multiprocessing.Queue[int]") -> None:
    database = Database(url)
    for slot in range(20):
        with database.transaction("queue") as session:
            if service.enqueue(session, "test", f"test:{slot}") is not None:
                barrier.put(slot)
    database.close()
    barrier.put(-1)


@pytest.mark.servers
def test_two_schedulers_never_queue_one_slot_twice(context: Context) -> None:
    spawn = multiprocessing.get_context("spawn")
    queued = spawn.Queue()
    url = context.settings.database_url
    schedulers = [spawn.Process(target=_queue, args=(url, queued)) for _ in range(3)]
    for scheduler in schedulers:
        scheduler.start()
    slots: list[int] = []
    while slots.count(-1) < len(schedulers):
        slots.append(queued.get(timeout=60))
    for scheduler in schedulers:
        scheduler.join()
        assert scheduler.exitcode == 0
    assert sorted(slot for slot in slots if slot >= 0) == list(range(20))


def _claim_and_hang(url: str, ready: "multiprocessing.Queue[str]") -> None:
    database = Database(url)
    with database.transaction("claim job") as session:
        job = service.claim(session, "victim")
    assert job is not None
    ready.put(job.key)
    time.sleep(600)


@pytest.mark.servers
def test_a_killed_claimers_job_runs_again(context: Context) -> None:
    with context.database.transaction("fill") as session:
        service.enqueue(session, "test", "only")
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Queue()
    victim = spawn.Process(target=_claim_and_hang, args=(context.settings.database_url, ready))
    victim.start()
    assert ready.get(timeout=60) == "only"
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    victim.join()

    with context.database.transaction("later") as session:
        session.execute(update(Job).values(lease_until=utc_now() - timedelta(seconds=1)))
        assert service.return_expired(session) == 1
        taken = service.claim(session, "other", utc_now() + FIRST_WAIT)
    assert taken is not None
    assert taken.attempts == 2


def test_a_cancelled_job_is_its_workers_no_more_and_can_be_tried_again(session: Session) -> None:
    job = service.enqueue(session, "scan", "a", now=NOW)
    assert job is not None
    assert service.claim(session, "w", NOW) is not None
    service.cancel(session, job.id, "keeper", NOW)

    assert (job.state, job.cancelled_by, job.finished_at) == ("cancelled", "keeper", NOW)
    assert not queries.is_held(session, job.id, "w")
    assert not service.heartbeat(session, job.id, "w", NOW, ["too late"])
    assert not service.finish(session, job.id, "w", NOW)
    with pytest.raises(RefusedError, match="over already"):
        service.cancel(session, job.id, "keeper", NOW)
    assert service.retry(session, job.id, NOW).state == "queued"
    assert job.cancelled_by == ""


def test_a_job_keeps_its_newest_lines_and_how_far_it_is(session: Session) -> None:
    job = service.enqueue(session, "scan", "a", now=NOW)
    assert job is not None
    service.claim(session, "w", NOW)
    for start in range(0, 250, 50):
        lines = [said("%(done)s of %(total)s", done=n, total=250) for n in range(start, start + 50)]
        assert service.heartbeat(session, job.id, "w", NOW, lines)
    session.refresh(job)

    assert (job.done, job.total, job.lines, job.progress) == (249, 250, 250, "249 of 250")
    kept = queries.list_lines(session, job.id, 1000)
    assert [line.number for line in kept] == list(range(51, 251))
    assert (kept[-1].text, kept[-1].gaps) == (
        "%(done)s of %(total)s",
        {"done": 249, "total": 250},
    )
    assert queries.newest_lines(session, [job])[job.id].number == 250
    (seen,) = queries.list_seen(session, [job.id])
    assert (seen.state, seen.done, seen.lines) == ("running", 249, 250)
    service.finish(session, job.id, "w", NOW)
    assert service.forget_old(session, NOW + timedelta(days=8)) == 1
    assert queries.list_lines(session, job.id, 10) == []
