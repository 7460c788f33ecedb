"""Reads dry runs and the devices that would change."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from management.database import locked
from management.devices.models import Device
from management.dry_run.models import DryRun, DryRunDevice
from management.dry_run.rules import OPEN, job_key, read_tally
from management.work.models import Job
from management.work.queries import find_by_key
from management.work.rules import JobState
from runtime.errors import NotFoundError

PAGE = 50
EXPORT = 1_000
"""Rows read at a time for a file."""
STRETCH = 10_000
"""Rows that one page looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which of the devices that would change are wanted; what is empty filters nothing."""

    before: str = ""
    """A state; with a minus before it: any other one."""
    after: str = ""
    loses: str = ""
    """``mail`` or ``data``."""
    when: str = ""
    """``at_once`` or ``later``: when it loses that."""
    rule: str = ""
    """One of the rules because of which it changes."""


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


def look(
    session: Session, run_id: UUID, wanted: Wanted, after_id: UUID | None = None, limit: int = PAGE
) -> tuple[list[Named], UUID | None]:
    """Return a page of the devices that would change, in the order of their ids, in bounded time;
    and the id behind which the list goes on, None: that was all.

    It looks at `STRETCH` of them at most, so that a page may hold fewer than *limit*, and none.
    """
    row = DryRunDevice
    behind = [row.dry_run_id == run_id] + ([] if after_id is None else [row.device_id > after_id])
    ids = select(row.device_id).where(*behind).order_by(row.device_id)
    until = session.scalar(ids.offset(STRETCH - 1).limit(1))
    query = _filtered(run_id, wanted).where(*behind).order_by(row.device_id).limit(limit + 1)
    if until is not None:
        query = query.where(row.device_id <= until)
    found = [Named(*one) for one in session.execute(query)]
    if len(found) > limit:
        return found[:limit], found[limit - 1].found.device_id
    return found, until


def count_wanted(run: DryRun, wanted: Wanted) -> int | None:
    """Return how many devices `look` finds in all, as the dry run counted them; None where several
    filters are combined, or an old dry run did not count these.
    """
    tally, said = read_tally(run.tally), {name for name, value in asdict(wanted).items() if value}
    if not said:
        return tally.changed
    if said <= {"loses", "when"} and wanted.loses in ("mail", "data"):
        lost = tally.mail if wanted.loses == "mail" else tally.wipe
        return lost[wanted.when] if wanted.when else lost.total()
    if said == {"rule"} and "rules" in run.tally:
        return tally.rules[wanted.rule]
    if said == {"before", "after"} and wanted.before == f"-{wanted.after}":
        return tally.becoming(wanted.after)
    if said == {"before", "after"}:
        return (tally.listed or tally.states)[f"{wanted.before}>{wanted.after}"]
    return None


def count_named(session: Session, run_id: UUID, wanted: Wanted) -> int:
    """Return how many devices `look` finds, by counting them."""
    found = _filtered(run_id, wanted).with_only_columns(func.count()).order_by(None)
    return session.scalar(found) or 0


def _filtered(run_id: UUID, wanted: Wanted) -> Select[DryRunDevice, str, str]:
    query = (
        select(DryRunDevice, Device.name, Device.owner_address)
        .join(Device, Device.id == DryRunDevice.device_id)
        .where(DryRunDevice.dry_run_id == run_id)
    )
    if wanted.before:
        query = query.where(_is(DryRunDevice.before, wanted.before))
    if wanted.after:
        query = query.where(DryRunDevice.after == wanted.after)
    if wanted.loses in ("mail", "data"):
        lost = DryRunDevice.mail if wanted.loses == "mail" else DryRunDevice.wipe
        query = query.where(lost == wanted.when if wanted.when else lost != "")
    if wanted.rule:
        line = f"{wanted.rule}: "
        because = DryRunDevice.because
        begins = because.startswith(line, autoescape=True)
        query = query.where(or_(begins, because.contains(f"\n{line}", autoescape=True)))
    return query


def _is(state: InstrumentedAttribute[str], wanted: str) -> ColumnElement[bool]:
    """Return that a device is in a state, or, after a minus, that it is in another one."""
    return state != wanted[1:] if wanted.startswith("-") else state == wanted
