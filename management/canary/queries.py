"""Reads trials of a changed policy on some devices."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from management.canary.models import Canary, CanaryDevice
from management.canary.rules import OPEN, Counts
from management.compliance.judgement import State
from management.compliance.models import DeviceJudgement
from management.database import locked
from management.devices.models import Device
from management.devices.rules import EnrolmentState
from runtime.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class Worse:
    """A device that the trial made non-compliant."""

    device_id: UUID
    name: str
    because: tuple[str, ...]


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
    fault = State.NON_COMPLIANT.value
    before, now = CanaryDevice.state_before, DeviceJudgement.state
    return Counts(
        _count(session, canary),
        _count(session, canary, before != fault, now == fault),
        _count(session, canary, before == fault, now != fault),
        _count(session, canary, Device.ordered_policy == f"{canary.trial_id}/1"),
    )


def list_worse(
    session: Session, canary: Canary, limit: int = 50, after: UUID | None = None
) -> list[Worse]:
    """Return devices that the trial made non-compliant, with their reasons, in the order of ids,
    those above *after*.
    """
    fault = State.NON_COMPLIANT.value
    behind = [] if after is None else [Device.id > after]
    rows = session.execute(
        select(Device.id, Device.name, DeviceJudgement.violations)
        .select_from(CanaryDevice)
        .join(Device, Device.id == CanaryDevice.device_id)
        .join(DeviceJudgement, DeviceJudgement.device_id == CanaryDevice.device_id)
        .where(_is_here(canary), CanaryDevice.state_before != fault, DeviceJudgement.state == fault)
        .where(*behind)
        .order_by(Device.id)
        .limit(limit)
    )
    return [
        Worse(device_id, name, tuple(one["because"] for one in violations))
        for device_id, name, violations in rows
    ]


def _count(session: Session, canary: Canary, *conditions: ColumnElement[bool]) -> int:
    found = (
        select(func.count())
        .select_from(CanaryDevice)
        .join(Device, Device.id == CanaryDevice.device_id)
        .join(DeviceJudgement, DeviceJudgement.device_id == CanaryDevice.device_id)
        .where(_is_here(canary), *conditions)
    )
    return session.scalar(found) or 0


def _is_here(canary: Canary) -> ColumnElement[bool]:
    return and_(CanaryDevice.canary_id == canary.id, Device.policy_id == canary.trial_id)
