"""Reads trials of a changed policy on some devices."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session

from management.canary.models import Canary, CanaryDevice
from management.canary.rules import OPEN, Counts, Kind
from management.compliance.judgement import State
from management.compliance.models import DeviceJudgement
from management.database import locked
from management.devices.models import Device
from management.devices.rules import EnrolmentState
from management.paging import PAGE
from runtime.errors import NotFoundError

STRETCH = 10_000
"""Devices that one page looks at."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A device that has the policy on trial now."""

    device_id: UUID
    name: str
    before: str
    """Its state before the trial."""
    state: str
    because: tuple[str, ...]
    """What it breaks now."""


def get_canary(session: Session, canary_id: UUID) -> Canary:
    """Return the trial; NotFoundError when there is none."""
    found = session.get(Canary, canary_id)
    if found is None:
        raise NotFoundError("There is no such trial.")
    return found


def lock_canary(session: Session, canary_id: UUID) -> Canary:
    """Return the trial as it is now; nobody else changes it until this transaction ends."""
    session.flush()
    found = session.scalars(locked(select(Canary).where(Canary.id == canary_id), Canary)).first()
    return found or get_canary(session, canary_id)


def find_open(session: Session, policy_id: UUID) -> Canary | None:
    """Return the trial of a policy that goes on, if any."""
    wanted = select(Canary).where(Canary.policy_id == policy_id, Canary.state.in_(OPEN))
    return session.scalars(wanted).first()


def list_canaries(
    session: Session, limit: int = 50, after: tuple[datetime, UUID] | None = None
) -> Sequence[Canary]:
    """Return the newest trials, those behind *after* (time and id of a row)."""
    query = select(Canary).order_by(Canary.started_at.desc(), Canary.id).limit(limit)
    if after is not None:
        at, canary_id = after
        same = (Canary.started_at == at) & (Canary.id > canary_id)
        query = query.where(or_(Canary.started_at < at, same))
    return session.scalars(query).all()


def list_open(session: Session) -> Sequence[Canary]:
    """Return the trials that go on."""
    return session.scalars(select(Canary).where(Canary.state.in_(OPEN))).all()


def next_candidates(
    session: Session, canary: Canary, after: UUID | None, groups: Sequence[UUID] | None, limit: int
) -> Sequence[UUID]:
    """Return the next enrolled devices of the policy that may be chosen, in the order of ids.

    *groups* None: of any group.
    """
    wanted = select(Device.id).where(
        Device.policy_id == canary.policy_id,
        Device.enrolment_state == EnrolmentState.ENROLLED,
    )
    if groups is not None:
        wanted = wanted.where(Device.group_id.in_(list(groups)))
    if after is not None:
        wanted = wanted.where(Device.id > after)
    return session.scalars(wanted.order_by(Device.id).limit(limit)).all()


def list_given(session: Session, canary: Canary, limit: int) -> Sequence[CanaryDevice]:
    """Return some devices of the trial that still have the trial policy."""
    return session.scalars(
        select(CanaryDevice)
        .join(Device, Device.id == CanaryDevice.device_id)
        .where(CanaryDevice.canary_id == canary.id, Device.policy_id == canary.trial_id)
        .order_by(CanaryDevice.device_id)
        .limit(limit)
    ).all()


def state_of(session: Session, device_id: UUID) -> str:
    """Return the state of the device as it is judged now."""
    found = session.get(DeviceJudgement, device_id)
    return found.state if found else ""


def counts(session: Session, canary: Canary) -> Counts:
    """Return how the devices of a trial stand that have its policy now."""
    return Counts(**{kind.value: count(session, canary, kind) for kind in Kind})


def count(session: Session, canary: Canary, kind: Kind) -> int:
    """Return how many devices `look` finds in all."""
    return session.scalar(_found(canary, kind).with_only_columns(func.count())) or 0


def look(
    session: Session, canary: Canary, kind: Kind, after: UUID | None = None, limit: int = PAGE
) -> tuple[list[Tried], UUID | None]:
    """Return a page of the devices of a trial, in the order of their ids, in bounded time; and the
    id behind which the list goes on, None: that was all.

    It looks at `STRETCH` of them at most, so that a page may hold fewer than *limit*, and none.
    """
    row = CanaryDevice
    behind = [row.canary_id == canary.id] + ([] if after is None else [row.device_id > after])
    ids = select(row.device_id).where(*behind).order_by(row.device_id)
    until = session.scalar(ids.offset(STRETCH - 1).limit(1))
    wanted = _found(canary, kind).where(*behind).order_by(row.device_id).limit(limit + 1)
    if until is not None:
        wanted = wanted.where(row.device_id <= until)
    found = [
        Tried(device_id, name, before, state, tuple(one["because"] for one in violations))
        for device_id, name, before, state, violations in session.execute(wanted)
    ]
    return (found[:limit], found[limit - 1].device_id) if len(found) > limit else (found, until)


def _found(canary: Canary, kind: Kind) -> Select[*tuple[Any, ...]]:
    judged = DeviceJudgement
    return (
        select(Device.id, Device.name, CanaryDevice.state_before, judged.state, judged.violations)
        .select_from(CanaryDevice)
        .join(Device, Device.id == CanaryDevice.device_id)
        .join(judged, judged.device_id == CanaryDevice.device_id)
        .where(CanaryDevice.canary_id == canary.id, Device.policy_id == canary.trial_id)
        .where(*_conditions(canary, kind))
    )


def _conditions(canary: Canary, kind: Kind) -> list[ColumnElement[bool]]:
    fault = State.NON_COMPLIANT.value
    before, now = CanaryDevice.state_before, DeviceJudgement.state
    if kind is Kind.WORSE:
        return [before != fault, now == fault]
    if kind is Kind.MENDED:
        return [before == fault, now != fault]
    if kind is Kind.ORDERED:
        return [Device.ordered_policy == f"{canary.trial_id}/1"]
    return []
