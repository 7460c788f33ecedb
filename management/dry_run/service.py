"""Asks for dry runs, takes them back, and keeps what they find."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from management.dry_run.fleet import Chunk
from management.dry_run.models import DryRun, DryRunDevice
from management.dry_run.queries import count_fleet, get_run, lock_run
from management.dry_run.rules import (
    OPEN,
    WORK,
    Candidate,
    RunState,
    job_key,
    read_tally,
    write_tally,
)
from management.dry_run.trial import Trial
from management.policies.catalogue.all import COMPLIANCE
from management.policies.models import PolicyVersion
from management.policies.queries import current_version, get_version, list_children, usable_policy
from management.policies.rules import Requirements, read_requirements, write_requirements
from management.policies.service import change_policy, not_to_try, with_inherited
from management.updates.queries import active_set, get_set
from management.work.service import enqueue
from runtime.errors import RefusedError

KEPT = 20
"""Dry runs that are kept; older ones are forgotten."""


def try_policy(
    session: Session,
    policy_id: UUID,
    requirements: Requirements,
    by: str,
    now: datetime,
    settings: Mapping[str, Any] | None = None,
) -> DryRun:
    """Ask what *requirements*, and *settings*, would mean for the devices of a policy.

    Nothing changes by it. What the policy inherits stays as it is: RefusedError for other criteria.
    """
    policy = usable_policy(session, policy_id)
    holds = get_version(session, policy.id, policy.current_version)
    same = write_requirements(requirements) == holds.requirements
    if why := not_to_try(policy, holds, same):
        raise RefusedError(why)
    run = _new(session, by, now)
    run.policy_id, run.policy_version = policy.id, policy.current_version
    run.requirements = write_requirements(requirements)
    run.settings = None if settings is None else with_inherited(settings, holds)
    return _queued(session, run, now)


def try_patterns(session: Session, version: str, by: str, now: datetime) -> DryRun:
    """Ask what an installed pattern set would mean; RefusedError for the one that is active."""
    active = active_set(session)
    if get_set(session, version).version == active.version:
        raise RefusedError(f"Pattern set {version} is active already.")
    run = _new(session, by, now)
    run.pattern_version, run.active_patterns = version, active.version
    return _queued(session, run, now)


def try_verdicts(
    session: Session, candidates: Mapping[str, Candidate], by: str, now: datetime
) -> DryRun:
    """Ask what other verdicts (hash -> verdict) would mean for the devices that hold the apps."""
    run = _new(session, by, now)
    run.verdicts = write_candidates(candidates)
    return _queued(session, run, now)


def cancel(session: Session, run_id: UUID, by: str, now: datetime) -> DryRun:
    """Stop a dry run; what it found so far stays. RefusedError when it is over."""
    run = lock_run(session, run_id)
    if run.state not in OPEN:
        raise RefusedError(f"The dry run is {run.state} already.")
    run.state, run.cancelled_by, run.finished_at = RunState.CANCELLED.value, by[:255], now
    return run


def apply(session: Session, run_id: UUID, by: str, because: str, now: datetime) -> PolicyVersion:
    """Make what was tried the next version of the policy, by the version it was tried against."""
    run = get_run(session, run_id)
    if run.policy_id is None or run.state != RunState.DONE:
        raise RefusedError("Only a finished dry run of a policy can be made its next version.")
    if not because:
        raise RefusedError("Give a reason; it goes into the audit trail.")
    return change_policy(
        session,
        run.policy_id,
        read_requirements(run.requirements),
        tried_settings(session, run),
        by,
        because,
        now,
        based_on=run.policy_version,
    )


def tried_settings(session: Session, run: DryRun) -> Mapping[str, Any]:
    """Return the settings that were tried; where none were, those that hold."""
    assert run.policy_id is not None
    return (
        current_version(session, run.policy_id).settings if run.settings is None else run.settings
    )


def begin(session: Session, run_id: UUID, now: datetime) -> DryRun | None:
    """Return a dry run that goes on, with its instant and total; None when it is over."""
    run = lock_run(session, run_id)
    if run.state not in OPEN:
        return None
    if run.judged_at is None:
        run.judged_at, run.total = now, count_fleet(session)
    run.state, run.words = RunState.RUNNING.value, ""
    session.flush()
    return run


def trial_of(session: Session, run: DryRun) -> Trial:
    """Return what *run* tries."""
    assert run.judged_at is not None
    candidates = read_candidates(run.verdicts)
    if run.policy_id is None:
        return Trial(run.judged_at, frozenset(), None, candidates)
    asked = read_requirements(run.requirements)
    return Trial(run.judged_at, frozenset(whose(session, run.policy_id)), asked, candidates)


def whose(session: Session, policy_id: UUID) -> set[UUID]:
    """Return the policy and those that take its criteria over."""
    found = {policy_id}
    for child in list_children(session, policy_id):
        if COMPLIANCE in get_version(session, child.id, child.current_version).inherited:
            found |= whose(session, child.id)
    return found


def keep(session: Session, run_id: UUID, chunk: Chunk, now: datetime) -> bool:
    """Add what a chunk found; False when the dry run was cancelled meanwhile."""
    run = lock_run(session, run_id)
    if run.state not in OPEN:
        return False
    if chunk.rows:
        rows = [{"dry_run_id": run_id, **row} for row in chunk.rows]
        session.execute(insert(DryRunDevice), rows)
    tally = read_tally(run.tally)
    tally.merge(chunk.tally)
    run.tally, run.looked_at = write_tally(tally), run.looked_at + chunk.looked_at
    run.last_id, run.read_until = chunk.last_id, now
    return True


def keep_verdicts(
    session: Session, run_id: UUID, candidates: Mapping[str, Candidate]
) -> DryRun | None:
    """Store what the pattern set on trial says otherwise; None when cancelled meanwhile."""
    run = lock_run(session, run_id)
    if run.state not in OPEN:
        return None
    run.verdicts = write_candidates(candidates)
    session.flush()
    return run


def end(session: Session, run_id: UUID, state: RunState, words: str, now: datetime) -> None:
    """Note how a dry run ended, unless it was cancelled."""
    run = lock_run(session, run_id)
    if run.state in OPEN:
        run.state, run.words, run.finished_at = state.value, words[:1000], now


def forget_some(session: Session, limit: int = 5_000) -> int:
    """Delete some of what old dry runs left; return how many rows, 0 when all is clean."""
    newest = select(DryRun.id).order_by(DryRun.asked_at.desc(), DryRun.id).limit(KEPT)
    kept = set(session.scalars(newest))
    old = next((i for i in session.scalars(select(DryRun.id)) if i not in kept), None)
    if old is None:
        return 0
    found = DryRunDevice.dry_run_id == old
    ids = session.scalars(select(DryRunDevice.device_id).where(found).limit(limit)).all()
    if not ids:
        session.delete(get_run(session, old))
        return 1
    for start in range(0, len(ids), 500):
        some = DryRunDevice.device_id.in_(ids[start : start + 500])
        session.execute(delete(DryRunDevice).where(found, some))
    return len(ids)


def write_candidates(candidates: Mapping[str, Candidate]) -> dict[str, dict[str, str]]:
    """Return *candidates* as JSON fields."""
    return {sha256: asdict(said) for sha256, said in candidates.items()}


def read_candidates(fields: Mapping[str, Mapping[str, str]]) -> dict[str, Candidate]:
    """Return what `write_candidates` wrote."""
    return {sha256: Candidate(**said) for sha256, said in fields.items()}


def _new(session: Session, by: str, now: datetime) -> DryRun:
    run = DryRun(
        id=uuid4(),
        policy_version=0,
        pattern_version="",
        active_patterns="",
        asked_by=by[:255],
        asked_at=now,
        state=RunState.WAITING.value,
        total=0,
        looked_at=0,
        words="",
    )
    session.add(run)
    return run


def _queued(session: Session, run: DryRun, now: datetime) -> DryRun:
    session.flush()
    enqueue(session, WORK, job_key(run.id), {"run_id": str(run.id)}, priority=6, now=now)
    return run
