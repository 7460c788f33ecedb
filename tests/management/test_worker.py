"""Workers with real child processes: done, failed, killed, stopped, resting."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import update

from management import worker as worker_module
from management.context import Context
from management.safety.queries import read_setting
from management.work import queries, service
from management.work.models import Job
from management.worker import Worker, is_dead
from runtime.clock import utc_now
from tests.management import trial_work

pytestmark = pytest.mark.servers
Start = Callable[[], Worker]


@pytest.fixture
def start(context: Context, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start a worker; all are stopped at the end."""
    monkeypatch.setattr(worker_module, "LOOK_SECONDS", 0.05)
    stopping = Event()
    workers: list[Worker] = []

    def started() -> Worker:
        worker = Worker(context, f"w{len(workers)}", stopping, trial_work.run)
        worker.start()
        workers.append(worker)
        return worker

    yield started
    stopping.set()
    for worker in workers:
        worker.join(timeout=120)
        assert not worker.is_alive()
        assert worker.child.pool is None


def _queue(context: Context, kind: str, **payload: Any) -> str:
    with context.database.transaction("queue") as session:
        service.enqueue(session, f"trial.{kind}", kind, payload)
    return kind


def _job(context: Context, key: str) -> Job:
    with context.database.reading() as session:
        job = queries.find_by_key(session, key)
    assert job is not None
    return job


def _until(holds: Callable[[], Any], seconds: float = 40) -> None:
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.05)


def _skip_the_wait(context: Context) -> None:
    with context.database.transaction("hurry") as session:
        session.execute(update(Job).where(Job.state == "queued").values(run_after=utc_now()))


def test_a_job_is_done_in_another_process_with_its_progress(context: Context, start: Start) -> None:
    key = _queue(context, "write", name="trial", seconds=1.5)
    start()
    _until(lambda: _job(context, key).state == "done")
    with context.database.reading() as session:
        written_by = int(read_setting(session, "trial", "0"))
    assert written_by not in (0, os.getpid())
    assert _job(context, key).progress == "all written"


def test_a_killed_child_costs_one_attempt_and_the_job_is_done(
    context: Context, start: Start, tmp_path: Path
) -> None:
    key = _queue(context, "kill_once", mark=str(tmp_path / "mark"))
    start()
    _until(lambda: _job(context, key).error)
    assert _job(context, key).error == "The process that did it died."
    _skip_the_wait(context)
    _until(lambda: _job(context, key).state == "done")
    assert _job(context, key).attempts == 2


def test_a_child_that_died_while_it_had_nothing_to_do_costs_no_attempt(
    context: Context, start: Start
) -> None:
    worker = start()
    first = _queue(context, "fail")
    _until(lambda: _job(context, first).error)
    worker.child.said()
    pid = worker.child.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    _until(lambda: _gone(pid))  # whoever cleans it away knows by then that it died

    second = _queue(context, "write", name="second")
    _until(lambda: _job(context, second).state == "done")
    assert _job(context, second).attempts == 1


def test_a_job_that_kills_every_child_ends_and_others_go_on(context: Context, start: Start) -> None:
    poison = _queue(context, "kill_always")
    start()
    for attempt in range(1, 6):
        _until(lambda attempt=attempt: _job(context, poison).attempts == attempt)  # type: ignore[misc]
        _until(lambda: _job(context, poison).state != "running")
        _skip_the_wait(context)
    assert _job(context, poison).state == "failed"
    fine = _queue(context, "write", name="fine")
    _until(lambda: _job(context, fine).state == "done")


def test_why_a_job_failed_is_written_down(context: Context, start: Start) -> None:
    sentence, broken = _queue(context, "fail"), _queue(context, "break_")
    unknown, hopeless = _queue(context, "never_heard_of"), _queue(context, "fail_for_good")
    start()
    _until(lambda: _job(context, hopeless).state == "failed")
    assert (_job(context, hopeless).attempts, _job(context, hopeless).error) == (
        1,
        "Nobody holds it.",
    )
    _until(lambda: all(_job(context, key).error for key in (sentence, broken, unknown)))
    assert _job(context, sentence).error == "The other side is away."
    assert _job(context, broken).error == "ZeroDivisionError: nothing by nothing"
    assert "does not know work of kind 'trial.never_heard_of'" in _job(context, unknown).error


def test_a_job_that_runs_too_long_is_stopped(
    context: Context, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "mark"
    key = _queue(context, "sleep", mark=str(mark), seconds=600)
    start()
    _until(lambda: mark.exists() and mark.read_text())
    monkeypatch.setattr(worker_module, "LONGEST_SECONDS", 0.1)
    _until(lambda: _job(context, key).error)
    assert "ran longer than" in _job(context, key).error
    _until(lambda: _gone(int(mark.read_text())))


def test_stopping_gives_the_job_back_and_leaves_no_process(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "STOP_SECONDS", 0.5)
    stopping, mark = Event(), tmp_path / "mark"
    key = _queue(context, "sleep", mark=str(mark), seconds=600)
    worker = Worker(context, "w", stopping, trial_work.run)
    worker.start()
    _until(lambda: mark.exists() and mark.read_text())

    stopping.set()
    worker.join(timeout=120)

    job = _job(context, key)
    assert (job.state, job.attempts, job.error) == ("queued", 0, "")
    _until(lambda: _gone(int(mark.read_text())))


def test_a_child_is_kept_for_the_next_job_and_let_go_when_idle(
    context: Context, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = start()
    pids = set()
    for number in range(2):
        with context.database.transaction("queue") as session:
            payload = {"name": f"n{number}"}
            service.enqueue(session, "trial.write", f"write {number}", payload)
        _until(lambda number=number: _job(context, f"write {number}").state == "done")  # type: ignore[misc]
        with context.database.reading() as session:
            pids.add(int(read_setting(session, f"n{number}", "0")))
    assert len(pids) == 1
    monkeypatch.setattr(worker_module, "IDLE_SECONDS", 0.1)
    _until(lambda: worker.child.pool is None)
    _until(lambda: _gone(pids.pop()) if pids else True)


def test_a_long_job_keeps_its_lease(
    context: Context, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "BEAT_SECONDS", 0.3)
    key = _queue(context, "sleep", mark=str(tmp_path / "mark"), seconds=3)
    start()
    _until(lambda: _job(context, key).lease_until)
    first = _job(context, key).lease_until
    assert first is not None
    _until(lambda: (_job(context, key).lease_until or first) > first)
    _until(lambda: _job(context, key).state == "done")


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_worker_is_known_dead_only_on_this_machine_and_when_its_process_is_gone() -> None:
    here = os.uname().nodename[:60]
    ended = subprocess.Popen(["true"])
    ended.wait()

    assert is_dead(f"{here}:{ended.pid}:0")
    assert is_dead(f"{here}:{os.getpid()}:0"), "a predecessor's, before workers start"
    assert not is_dead(f"{here}:{os.getppid()}:0")
    assert not is_dead(f"elsewhere:{ended.pid}:0")
    assert not is_dead("")


def test_a_cancelled_job_ends_its_process_and_the_next_one_runs(
    context: Context, start: Start, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    key = _queue(context, "sleep", mark=str(mark), seconds=600)
    start()
    _until(mark.exists)
    _until(lambda: mark.read_text())
    with context.database.transaction("cancel") as session:
        service.cancel(session, _job(context, key).id, "keeper")
    _until(lambda: _gone(int(mark.read_text())))
    following = _queue(context, "write", name="following")
    _until(lambda: _job(context, following).state == "done")
    assert _job(context, key).state == "cancelled"
    assert _job(context, key).attempts == 1
