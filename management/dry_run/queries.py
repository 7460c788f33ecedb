"""Reads dry runs and the devices that would change."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from management.database import locked
from management.devices.models import Device
from management.dry_run.models import DryRun, DryRunDevice
from management.dry_run.rules import OPEN, job_key
from management.work.models import Job
from management.work.queries import find_by_key
from management.work.rules import JobState
from runtime.errors import NotFoundError

PAGE = 50
EXPORT = 1_000
"""Rows read at a time for a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which of the devices that would change are wanted; what is empty filters nothing."""

    before: str = ""
    after: str = ""
    loses: str = ""
    """``mail`` or ``data``."""


@dataclass(frozen=True, slots=True)
class Named:
    """One device that would change, with its name."""

    found: DryRunDevice
    name: str
    owner: str


def get_run(session: Session, run_id: UUID) -> DryRun:
    """Return the dry run; NotFoundError when there is none, or it is forgotten by now."""
    found = session.get(DryRun, run_id)
    if found is None:
        raise NotFoundError("There is no such dry run; old ones are forgotten.")
    return found


def lock_run(session: Session, run_id: UUID) -> DryRun:
    """Return the dry run as it is now; nobody else writes it until this transaction ends."""
    session.flush()
    found = session.scalars(locked(select(DryRun).where(DryRun.id == run_id), DryRun)).first()
    return found or get_run(session, run_id)


def list_runs(
    session: Session, limit: int = 20, after: tuple[datetime, UUID] | None = None
) -> Sequence[DryRun]:
    """Return the newest dry runs, those behind *after* (time and id of a row)."""
    query = select(DryRun).order_by(DryRun.asked_at.desc(), DryRun.id).limit(limit)
    if after is not None:
        at, run_id = after
        same = (DryRun.asked_at == at) & (DryRun.id > run_id)
        query = query.where(or_(DryRun.asked_at < at, same))
    return session.scalars(query).all()


def find_job(session: Session, run_id: UUID) -> Job | None:
    """Return the work that does a dry run."""
    return find_by_key(session, job_key(run_id))


def list_abandoned(session: Session) -> list[tuple[UUID, str]]:
    """Return the dry runs that seem to go on although their job gave up, and why it did."""
    found = []
    for run in session.scalars(select(DryRun).where(DryRun.state.in_(OPEN))):
        job = find_by_key(session, job_key(run.id))
        if job is not None and job.state == JobState.FAILED:
            found.append((run.id, job.error))
    return found


def count_fleet(session: Session) -> int:
    """Return how many devices there are, of every state."""
    return session.scalar(select(func.count()).select_from(Device)) or 0


def next_end(session: Session, after_id: UUID | None, size: int) -> UUID | None:
    """Return the id with which the next *size* devices end; None behind the last."""
    ids = select(Device.id).limit(1)
    if after_id is not None:
        ids = ids.where(Device.id > after_id)
    end = session.scalar(ids.order_by(Device.id).offset(size - 1))
    return end or session.scalar(ids.order_by(Device.id.desc()))


def list_devices(
    session: Session,
    run_id: UUID,
    wanted: Wanted,
    after_id: UUID | None = None,
    limit: int = PAGE,
) -> list[Named]:
    """Return devices that would change, in the order of their ids, those behind *after_id*."""
    query = _filtered(run_id, wanted).order_by(DryRunDevice.device_id).limit(limit)
    if after_id is not None:
        query = query.where(DryRunDevice.device_id > after_id)
    return [Named(*row) for row in session.execute(query)]


def count_named(session: Session, run_id: UUID, wanted: Wanted) -> int:
    """Return how many devices `list_devices` finds."""
    found = _filtered(run_id, wanted).with_only_columns(func.count()).order_by(None)
    return session.scalar(found) or 0


def _filtered(run_id: UUID, wanted: Wanted) -> Select[DryRunDevice, str, str]:
    query = (
        select(DryRunDevice, Device.name, Device.owner_address)
        .join(Device, Device.id == DryRunDevice.device_id)
        .where(DryRunDevice.dry_run_id == run_id)
    )
    if wanted.before:
        query = query.where(DryRunDevice.before == wanted.before)
    if wanted.after:
        query = query.where(DryRunDevice.after == wanted.after)
    if wanted.loses == "mail":
        query = query.where(DryRunDevice.mail != "")
    if wanted.loses == "data":
        query = query.where(DryRunDevice.wipe != "")
    return query
