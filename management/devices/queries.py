"""Reads devices, what is known of them, and the log of who said so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session

from management.database import locked
from management.devices import models
from management.devices.models import Device, DeviceFacts, DeviceJudgement
from management.devices.rules import EnrolmentState, Fact, FactKind, read_facts
from management.policies.models import Group
from runtime.errors import NotFoundError

PAGE = 50
MOST = 500
"""Most rows in one page."""
STATES = ("healthy", "non_compliant", "out_of_sync", "inactive", "not_enrolled")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFilter:
    """Which devices are wanted; what is empty filters nothing."""

    state: str = ""
    """`compliance.rules.State`."""
    platform: str = ""
    enrolment: str = ""
    """`EnrolmentState`."""
    policy_id: UUID | None = None
    group_id: UUID | None = None
    """Those in the group and in all groups below it."""
    owner_address: str = ""
    text: str = ""
    """Part of the name, the owner, the serial number, the model or the Exchange id."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page of devices ended."""

    name: str
    device_id: UUID


@dataclass(frozen=True, slots=True)
class ListedDevice:
    """One row of the list: the device and how it stands."""

    device: Device
    state: str
    since: datetime
    violations: Sequence[Mapping[str, object]]
    """As `compliance.rules.write_violation` wrote them."""

    @property
    def cursor(self) -> Cursor:
        """Where the list goes on after this row."""
        return Cursor(self.device.name, self.device.id)


def get_device(session: Session, device_id: UUID) -> Device:
    """Return the device; NotFoundError when there is none with this id."""
    found = session.get(Device, device_id)
    if found is None:
        raise NotFoundError("There is no such device.")
    return found


def lock_device(session: Session, device_id: UUID) -> Device:
    """Return the device as it is now; nobody else writes it until this transaction ends."""
    session.flush()
    found = session.scalars(locked(select(Device).where(Device.id == device_id), Device)).first()
    if found is None:
        raise NotFoundError("There is no such device.")
    return found


def list_devices(
    session: Session,
    wanted: DeviceFilter | None = None,
    after: Cursor | None = None,
    limit: int = PAGE,
) -> list[ListedDevice]:
    """Return at most *limit* devices in the order of their names, those behind *after*."""
    query = (
        _filtered(wanted or DeviceFilter()).order_by(Device.name, Device.id).limit(min(limit, MOST))
    )
    if after is not None:
        query = query.where(
            Device.name >= after.name,
            or_(Device.name > after.name, Device.id > after.device_id),
        )
    return [
        ListedDevice(device, judged.state, judged.since, judged.violations)
        for device, judged in session.execute(query)
    ]


def count_devices(session: Session, wanted: DeviceFilter | None = None) -> int:
    """Return how many devices the filter finds."""
    found = _filtered(wanted or DeviceFilter()).with_only_columns(func.count())
    return session.scalar(found) or 0


def count_states(session: Session, wanted: DeviceFilter | None = None) -> dict[str, int]:
    """Return how many devices are in each state, all states named."""
    found = (
        _filtered(wanted or DeviceFilter())
        .with_only_columns(DeviceJudgement.state, func.count())
        .group_by(DeviceJudgement.state)
    )
    return {**dict.fromkeys(STATES, 0), **dict(session.execute(found).all())}


def count_platforms(session: Session) -> dict[str, int]:
    """Return how many enrolled devices there are of each platform."""
    found = (
        select(Device.platform, func.count())
        .where(Device.enrolment_state == EnrolmentState.ENROLLED)
        .group_by(Device.platform)
    )
    return dict(session.execute(found).all())


def get_facts(session: Session, device_id: UUID) -> dict[FactKind, Fact]:
    """Return what is known of the device now; nothing said yet gives an empty answer."""
    row = session.get(DeviceFacts, device_id)
    return {} if row is None else read_facts(row.facts)


def list_log(
    session: Session,
    device_id: UUID,
    kind: FactKind | None = None,
    before_id: int | None = None,
    limit: int = PAGE,
) -> Sequence[models.Fact]:
    """Return what was said of the device, newest first, older than row *before_id*."""
    query = select(models.Fact).where(models.Fact.device_id == device_id)
    if kind is not None:
        query = query.where(models.Fact.kind == kind)
    if before_id is not None:
        query = query.where(models.Fact.id < before_id)
    return session.scalars(query.order_by(models.Fact.id.desc()).limit(min(limit, MOST))).all()


def _filtered(wanted: DeviceFilter) -> Select[Device, DeviceJudgement]:
    query = select(Device, DeviceJudgement).join(
        DeviceJudgement, DeviceJudgement.device_id == Device.id
    )
    return query.where(*_conditions(wanted))


def _conditions(wanted: DeviceFilter) -> list[ColumnElement[bool]]:
    equal = (
        (DeviceJudgement.state, wanted.state),
        (Device.platform, wanted.platform),
        (Device.enrolment_state, wanted.enrolment),
        (Device.policy_id, wanted.policy_id),
        (Device.owner_address, wanted.owner_address),
    )
    conditions: list[ColumnElement[bool]] = [column == value for column, value in equal if value]
    if wanted.group_id is not None:
        conditions.append(Device.group_id.in_(_groups_below(wanted.group_id)))
    return [*conditions, *(_holds(word) for word in wanted.text.split()[:8])]


def _groups_below(group_id: UUID) -> Select[UUID]:
    top = select(Group.id).where(Group.id == group_id).cte("below", recursive=True)
    children = select(Group.id).join(top, Group.parent_id == top.c.id)
    return select(top.union_all(children).c.id)


def _holds(word: str) -> ColumnElement[bool]:
    searched = (
        Device.name,
        Device.owner_name,
        Device.owner_address,
        Device.serial,
        Device.model,
        Device.exchange_device_id,
    )
    return or_(*(column.icontains(word, autoescape=True) for column in searched))
