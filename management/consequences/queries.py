"""Reads what followed from violations, and what keeps more from following."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from management.commands.models import Command
from management.commands.rules import AUTOMATIC, CommandState
from management.compliance.judgement import ConsequenceKind
from management.compliance.models import DeviceJudgement
from management.consequences.models import CarriedOut, Freeze, HeldDevice
from management.consequences.rules import (
    BRAKE_PERIOD,
    CUTTING,
    MOVES_PERIOD,
    SILENT_AFTER,
    Cause,
    Frozen,
    Result,
    brake_limit,
)
from management.devices.models import Device
from management.relays.models import Relay
from management.safety.queries import get_enforcement
from runtime.errors import NotFoundError

PAGE = 50
CHUNK = 500
LARGEST_ID = 2**63
_WAIT = "Wait, or release the freeze if every device that matters was heard."


@dataclass(frozen=True, slots=True)
class Told:
    """One row of the list: what followed, and for which device."""

    row: CarriedOut
    name: str


@dataclass(frozen=True, slots=True)
class Alerts:
    """What the dashboard says of consequences."""

    frozen: list[Frozen]
    notices: int
    """Violations told to administrators that stand and that nobody put away."""


def read_alerts(session: Session, now: datetime) -> Alerts:
    """Return what administrators should see first."""
    notices = select(func.count()).where(
        CarriedOut.kind == ConsequenceKind.TELL_ADMINISTRATORS,
        CarriedOut.ended_at.is_(None),
        CarriedOut.seen_by == "",
    )
    return Alerts(active_freezes(session, now), session.scalar(notices) or 0)


def list_standing(session: Session, device_id: UUID) -> Sequence[CarriedOut]:
    """Return what followed for the device from violations that were not seen to be mended."""
    return session.scalars(
        select(CarriedOut).where(CarriedOut.device_id == device_id, CarriedOut.ended_at.is_(None))
    ).all()


def list_carried_out(
    session: Session,
    kind: str = "",
    device_id: UUID | None = None,
    unseen: bool = False,
    before_id: int | None = None,
    limit: int = PAGE,
) -> list[Told]:
    """Return what followed, newest first, older than row *before_id*."""
    query = (
        select(CarriedOut, Device.name)
        .join(Device, Device.id == CarriedOut.device_id)
        .order_by(CarriedOut.id.desc())
        .limit(limit)
    )
    if kind:
        query = query.where(CarriedOut.kind == kind)
    if device_id is not None:
        query = query.where(CarriedOut.device_id == device_id)
    if unseen:
        query = query.where(CarriedOut.ended_at.is_(None), CarriedOut.seen_by == "")
    if before_id is not None:
        query = query.where(CarriedOut.id < before_id)
    return [Told(row, name) for row, name in session.execute(query)]


def get_carried_out(session: Session, row_id: int) -> CarriedOut:
    """Return one row; NotFoundError when there is none."""
    found = session.get(CarriedOut, row_id) if row_id < LARGEST_ID else None
    if found is None:
        raise NotFoundError("There is no such entry.")
    return found


def concerned(session: Session, device_ids: Sequence[UUID], now: datetime) -> list[UUID]:
    """Return those of *device_ids* for which something stands or may be due; takes no lock."""
    found: set[UUID] = set()
    for start in range(0, len(device_ids), CHUNK):
        some = device_ids[start : start + CHUNK]
        standing = select(CarriedOut.device_id).where(
            CarriedOut.device_id.in_(some), CarriedOut.ended_at.is_(None)
        )
        held = select(HeldDevice.device_id).where(HeldDevice.device_id.in_(some))
        judged = select(DeviceJudgement.device_id, DeviceJudgement.consequences).where(
            DeviceJudgement.device_id.in_(some)
        )
        found.update(session.scalars(standing))
        found.update(session.scalars(held))
        found.update(one for one, due in session.execute(judged) if _is_due(due, now))
    return [one for one in device_ids if one in found]


def _is_due(consequences: Sequence[dict[str, str]], now: datetime) -> bool:
    return any(datetime.fromisoformat(one["due_at"]) <= now for one in consequences)


def list_held(session: Session, now: datetime, limit: int = PAGE) -> Sequence[UUID]:
    """Return the devices to look at again."""
    return session.scalars(
        select(HeldDevice.device_id)
        .where(HeldDevice.look_at <= now)
        .order_by(HeldDevice.look_at)
        .limit(limit)
    ).all()


def count_held(session: Session) -> int:
    """Return for how many devices something waits."""
    return session.scalar(select(func.count()).select_from(HeldDevice)) or 0


def count_devices(session: Session) -> int:
    """Return how many devices are judged."""
    return session.scalar(select(func.count()).select_from(DeviceJudgement)) or 0


def pause_sentence(session: Session) -> str:
    """Return who paused all enforcement and why; nothing while it acts."""
    row = get_enforcement(session)
    if row.paused_at is None:
        return ""
    return f"All enforcement is paused by {row.paused_by}: {row.paused_because}"


def active_freezes(session: Session, now: datetime) -> list[Frozen]:
    """Return what freezes consequences now, for all devices or for some."""
    rows = session.scalars(
        select(Freeze)
        .where(Freeze.released_at.is_(None), or_(Freeze.until.is_(None), Freeze.until > now))
        .order_by(Freeze.id)
    ).all()
    return [*map(_frozen, rows), *_silent_relays(session, now)]


def holding(session: Session, device_ids: Collection[UUID], now: datetime) -> dict[UUID, Frozen]:
    """Return device -> what freezes it, for those of *device_ids* that are frozen."""
    freezes = active_freezes(session, now)
    if not freezes:
        return {}
    found: dict[UUID, Frozen] = {}
    wanted = list(device_ids)
    for start in range(0, len(wanted), CHUNK):
        rows = session.execute(
            select(Device.id, Device.relay_id, Device.contact_at).where(
                Device.id.in_(wanted[start : start + CHUNK])
            )
        )
        for device_id, relay_id, contact_at in rows:
            why = next((one for one in freezes if one.holds(relay_id, contact_at)), None)
            if why is not None:
                found[device_id] = why
    return found


def find_freeze(session: Session, relay_id: UUID, since: datetime) -> Freeze | None:
    """Return the freeze of an outage, whether or not somebody released it."""
    return session.scalars(
        select(Freeze).where(Freeze.relay_id == relay_id, Freeze.since == since)
    ).first()


def get_freeze(session: Session, freeze_id: int) -> Freeze:
    """Return a freeze; NotFoundError when there is none."""
    found = session.get(Freeze, freeze_id) if freeze_id < LARGEST_ID else None
    if found is None:
        raise NotFoundError("There is no such freeze.")
    return found


def count_waiting_for(session: Session, freeze: Freeze) -> int:
    """Return how many devices wait because of a freeze."""
    found = select(func.count()).where(
        HeldDevice.because.startswith(freeze.because, autoescape=True)
    )
    return session.scalar(found) or 0


def let_through(session: Session, now: datetime) -> int:
    """Return how many devices waited when somebody released the brake within its period."""
    found = select(func.sum(Freeze.let_through)).where(
        Freeze.cause == Cause.MASS_CHANGE, Freeze.released_at > now - BRAKE_PERIOD
    )
    return session.scalar(found) or 0


def count_cut(session: Session, now: datetime) -> int:
    """Return from how many devices consequences took something within the brake's period."""
    found = select(func.count(func.distinct(CarriedOut.device_id))).where(
        CarriedOut.kind.in_([kind.value for kind in CUTTING]),
        CarriedOut.at > now - BRAKE_PERIOD,
    )
    return session.scalar(found) or 0


def count_moves(session: Session, device_id: UUID, now: datetime) -> int:
    """Return how often consequences moved the device within `MOVES_PERIOD`."""
    found = select(func.count()).where(
        CarriedOut.device_id == device_id,
        CarriedOut.kind == ConsequenceKind.MOVE_GROUP,
        CarriedOut.result == Result.DONE,
        CarriedOut.at > now - MOVES_PERIOD,
    )
    return session.scalar(found) or 0


def room(session: Session, devices: int, now: datetime) -> int:
    """Return how many more of so many devices may be cut off now.

    Releasing the brake lets those go on that waited, and no other mass change.
    """
    allowed = brake_limit(devices) + let_through(session, now)
    return max(0, allowed - count_cut(session, now))


def count_waiting_wipes(session: Session) -> int:
    """Return how many automatic wipes are not sent yet."""
    found = select(func.count()).where(
        Command.requested_by == AUTOMATIC,
        Command.kind == "selective_wipe",
        Command.state == CommandState.QUEUED,
    )
    return session.scalar(found) or 0


def _frozen(row: Freeze) -> Frozen:
    mend = (
        _WAIT
        if row.cause == Cause.RELAY_SILENCE
        else "Look at what changed: a dry run or the newest policy version tells. Then release it."
    )
    return Frozen(
        Cause(row.cause),
        row.because,
        mend,
        row.since,
        row.until,
        row.relay_id,
        row.heard_after,
        row.id,
    )


def _silent_relays(session: Session, now: datetime) -> list[Frozen]:
    """Return a freeze for each relay that is silent now, unless somebody released it."""
    silent = session.scalars(select(Relay).where(Relay.contact_at < now - SILENT_AFTER)).all()
    return [
        Frozen(
            Cause.RELAY_SILENCE,
            f"The communication server {relay.name} was last reached at "
            f"{relay.contact_at:%Y-%m-%d %H:%M} UTC.",
            "Mend its connection. Devices then have time to come back before anything follows.",
            relay.contact_at,
            None,
            relay.id,
        )
        for relay in silent
        if relay.contact_at is not None and find_freeze(session, relay.id, relay.contact_at) is None
    ]
