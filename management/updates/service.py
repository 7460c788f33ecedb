"""Enters the update source, starts attempts and stores what became of them."""

from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from management.audit.rules import differences
from management.audit.service import record
from management.keys import Keys
from management.settings import Settings
from management.updates.activation import (
    activate,
    forget_damaged,
    locked_source,
    store_installed,
)
from management.updates.models import InstalledPatternSet, UpdateRun, UpdateSource
from management.updates.queries import (
    ever_active,
    find_active_set,
    find_running,
    get_run,
    get_set,
    list_sets,
    patterns_folder,
)
from management.updates.rules import (
    SHIPPED,
    RunState,
    Schedule,
    Timing,
    check_timing,
    due_moment,
    previous_version,
    why_not_taken,
    with_line,
)
from management.work.models import Job
from management.work.queries import find_by_key
from management.work.rules import JobState
from management.work.service import enqueue
from patterns.pattern_set import SHIPPED as SHIPPED_SOURCES
from patterns.pattern_set import source_version
from patterns.versions import version_key
from runtime.errors import RefusedError, SekishoError
from updater.install import Installed, install_sources
from updater.source import read_address
from updater.trusted_root import read_root

SCHEDULE = "schedule"
"""Who asked, when the clock did."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something and from where, for the audit trail."""

    name: str
    address: str = ""


def install_shipped(
    session: Session, settings: Settings, now: datetime
) -> InstalledPatternSet | None:
    """Install the set inside the release, and activate it when nothing as new was here before.

    An active set whose files are gone or damaged (after a restore from a backup, for example) is
    forgotten first; the next update brings it again.
    Returns its row when it became active, else None. Call at each start: it is quick when there is
    nothing to do.
    """
    source, version = locked_source(session), source_version(SHIPPED_SOURCES)
    forget_damaged(session, patterns_folder(settings))
    active, known = find_active_set(session), _versions(session)
    if active is not None and why_not_taken(version, known, active.version, source.held_version):
        return None
    installed = install_sources(SHIPPED_SOURCES, version, patterns_folder(settings))
    row = store_installed(session, installed, SHIPPED, now)
    activate(session, row, now)
    return row


def save_source(
    session: Session, keys: Keys, address: str, root: bytes, by: Actor, now: datetime
) -> UpdateSource:
    """Take patterns from *address* from now on, trusting what *root* (root.json) leads to.

    MalformedMessageError or TooLargeError say what is not right with either.
    """
    url, summary = read_address(address), read_root(root)
    source = locked_source(session)
    before = {"address": source.address, "root": source.root}
    source.address, source.root = url, root.decode("utf-8")
    source.changed_at, source.changed_by = now, by.name[:255]
    details = {"root_version": summary.version, "fingerprint": summary.fingerprint}
    details |= differences(_named_root(before), _named_root({"address": url, "root": source.root}))
    record(session, keys, by.name, "updates.source", url, "", by.address, details, now)
    return source


def _named_root(source: dict[str, str]) -> dict[str, str]:
    """Return a source for the audit trail: its root, which is long, by its fingerprint."""
    root = source["root"]
    return source | {"root": read_root(root.encode()).fingerprint if root else ""}


def source_problems(address: str, root: bytes) -> dict[str, str]:
    """Return what is wrong with an entered source, a sentence a field; empty when nothing."""
    problems = {}
    try:
        read_address(address)
    except SekishoError as error:
        problems["address"] = str(error)
    try:
        read_root(root)
    except SekishoError as error:
        problems["root"] = str(error)
    return problems


def save_timing(session: Session, keys: Keys, timing: Timing, by: Actor, now: datetime) -> None:
    """Look for updates by *timing* from now on; MalformedMessageError when it names no moment."""
    check_timing(timing)
    source = locked_source(session)
    before = asdict(timing_of(source))
    source.schedule, source.day = timing.schedule.value, timing.day
    source.hour, source.window_minutes = timing.hour, timing.window_minutes
    source.taken_at = now  # moments before the schedule was entered do not count
    subject = timing.schedule.value
    details = differences(before, asdict(timing))
    record(session, keys, by.name, "updates.schedule", subject, "", by.address, details, now)


def timing_of(source: UpdateSource) -> Timing:
    """Return the schedule that is stored in *source*."""
    return Timing(
        schedule=Schedule(source.schedule),
        day=source.day,
        hour=source.hour,
        window_minutes=source.window_minutes,
    )


def request_run(session: Session, by: str, now: datetime) -> UpdateRun:
    """Queue an update and return it; the one that is going on, when there is one.

    RefusedError when no source was entered yet.
    """
    source = locked_source(session)
    if not source.address:
        raise RefusedError(
            "No update source is entered yet. Enter its address and its root.json under Updates."
        )
    close_abandoned(session, now)
    running = find_running(session)
    if running is not None:
        return running
    active = find_active_set(session)
    run = UpdateRun(
        started_at=now,
        requested_by=by[:255],
        source=source.address[:255],
        state=RunState.RUNNING,
        from_version=active.version if active else "",
        detail="Queued.",
    )
    session.add(run)
    session.flush()
    enqueue(session, "updates.run", _job_key(run), {"run_id": str(run.id)}, priority=3, now=now)
    return run


def request_due(session: Session, seed: str, now: datetime) -> UpdateRun | None:
    """Queue the scheduled update that is due, if one is; *seed* tells this server from others."""
    source = locked_source(session)
    close_abandoned(session, now)
    if not source.address or source.taken_at is None:
        return None
    moment = due_moment(timing_of(source), seed, source.taken_at, now)
    if moment is None:
        return None
    source.taken_at = moment
    return request_run(session, SCHEDULE, now)


def close_abandoned(session: Session, now: datetime) -> None:
    """Mark the running attempt failed when its job has given up or is gone."""
    run = find_running(session)
    if run is None:
        return
    job = find_by_key(session, _job_key(run))
    if job is not None and job.state in (JobState.QUEUED, JobState.RUNNING):
        return
    because = f" Its last error: {job.error[:1000]}" if job is not None and job.error else ""
    words = "Interrupted; the pattern set in use stayed as it was. Try again."
    end_run(session, run.id, RunState.FAILED, words + because, now)


def find_job(session: Session, run: UpdateRun) -> Job | None:
    """Return the work that does an attempt."""
    return find_by_key(session, _job_key(run))


def note(session: Session, run_id: UUID, line: str) -> None:
    """Add *line* to the words that the progress display shows."""
    run = get_run(session, run_id)
    run.detail = with_line(run.detail, line)


def end_run(session: Session, run_id: UUID, state: RunState, line: str, now: datetime) -> None:
    """Close an attempt with its last *line*; a closed one stays as it is."""
    run = get_run(session, run_id)
    if run.state == RunState.RUNNING:
        run.state, run.finished_at = state, now
        run.detail = with_line(run.detail, line)


def take_installed(
    session: Session, keys: Keys, run_id: UUID, installed: Installed, now: datetime
) -> None:
    """Make what an attempt installed the active set and close the attempt, all or nothing."""
    run = get_run(session, run_id)
    row = store_installed(session, installed, run.source, now)
    activate(session, row, now)
    run.to_version = installed.version
    details = {"from": run.from_version, "source": run.source, "sha256": installed.sha256}
    actor = "system" if run.requested_by == SCHEDULE else run.requested_by
    record(session, keys, actor, "updates.activate", installed.version, details=details, now=now)
    words = f"Updated to version {installed.version} (rules: {installed.rules})."
    end_run(session, run_id, RunState.UPDATED, words, now)


def keep_off(
    session: Session, keys: Keys, run_id: UUID, installed: Installed, because: str, now: datetime
) -> None:
    """Leave what an attempt installed inactive until a person activates it, and say why."""
    run = get_run(session, run_id)
    store_installed(session, installed, run.source, now)
    run.to_version = installed.version
    details = {"source": run.source, "sha256": installed.sha256}
    record(
        session, keys, "system", "updates.keep_off", installed.version, because, "", details, now
    )
    words = f"Version {installed.version} waits for a person. {because}"
    end_run(session, run_id, RunState.WAITING, words, now)


def activate_version(
    session: Session, keys: Keys, version: str, by: Actor, because: str, now: datetime
) -> None:
    """Make the installed *version* the active one because a person says so.

    Going back holds the version that was left: nothing up to it is activated by itself again.
    RefusedError without a reason or when it is active already, NotFoundError when it is not here.
    """
    if not because.strip():
        raise RefusedError("Say why: the reason goes into the audit trail.")
    source, row, active = (
        locked_source(session),
        get_set(session, version),
        find_active_set(session),
    )
    if row.active:
        raise RefusedError(f"Pattern set {version} is active already.")
    _hold(source, active.version if active else "", version, because.strip())
    activate(session, row, now)
    details = {"from": active.version if active else "", "held": source.held_version}
    reason = because.strip()
    record(session, keys, by.name, "updates.activate", version, reason, by.address, details, now)


def roll_back(session: Session, keys: Keys, by: Actor, because: str, now: datetime) -> str:
    """Activate the installed version below the active one and return it.

    RefusedError when there is none, or without a reason.
    """
    locked_source(session)
    active = find_active_set(session)
    before = previous_version(active.version, ever_active(list_sets(session))) if active else None
    if before is None:
        raise RefusedError("No older pattern set is installed on this server to go back to.")
    activate_version(session, keys, before, by, because, now)
    return before


def discard_set(
    session: Session, keys: Keys, version: str, by: Actor, because: str, now: datetime
) -> None:
    """Forget an installed set and no longer hold it, so that lower versions count as new again.

    For a version that was published with too high a number. RefusedError for the active set or
    without a reason. The next update frees its space.
    """
    if not because.strip():
        raise RefusedError("Say why: the reason goes into the audit trail.")
    source, row = locked_source(session), get_set(session, version)
    if row.active:
        raise RefusedError("The active pattern set cannot be discarded; go back from it first.")
    session.delete(row)
    if source.held_version == version:
        source.held_version, source.held_because = "", ""
    reason = because.strip()
    record(session, keys, by.name, "updates.discard", version, reason, by.address, {}, now)


def _hold(source: UpdateSource, left: str, chosen: str, because: str) -> None:
    """Hold *left* when *chosen* is older; release what is held when *chosen* reaches it."""
    held = source.held_version
    if left and version_key(chosen) < version_key(left):
        if not held or version_key(left) > version_key(held):
            source.held_version = left
        source.held_because = because[:1000]
    elif held and version_key(chosen) >= version_key(held):
        source.held_version, source.held_because = "", ""


def _versions(session: Session) -> list[str]:
    return [row.version for row in list_sets(session)]


def _job_key(run: UpdateRun) -> str:
    return f"updates.run:{run.id}"
