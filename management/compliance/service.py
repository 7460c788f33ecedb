"""Judges devices and keeps the judgement, so that everything which shows a state reads the same."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from management.compliance.judgement import (
    AskedPolicy,
    Judgement,
    State,
    write_consequence,
    write_undecided,
    write_violation,
)
from management.compliance.models import DeviceJudgement
from management.compliance.queries import for_device, wish_of
from management.compliance.rules import judge, kept_since
from management.database import locked
from management.devices.models import Device, DeviceFacts
from management.devices.queries import find_all_held
from management.devices.rules import read_facts
from management.policies.models import Policy
from management.work.service import enqueue_anew

FOLLOWERS = ("mail_access.decide", "consequences.follow")
"""Work that is queued, with ``device_ids``, for devices whose answer changed or for which a
consequence fell due; it reads the stored judgement and does what is not done yet."""
BATCH = 200
"""Most devices in one statement or one piece of work."""
Known = tuple[Device, DeviceFacts | None, DeviceJudgement | None]
Wishes = dict[UUID, AskedPolicy]
"""Policy -> what it asks, of nobody in particular."""


def rejudge(
    session: Session, device_ids: Iterable[UUID], now: datetime, wishes: Wishes | None = None
) -> list[UUID]:
    """Judge these devices and store the answers; return those for which something follows.

    That is a changed answer, or a consequence that fell due; `FOLLOWERS` act in the background.
    *wishes* are those that the caller has read since it holds the devices; others are added.
    """
    wanted = list(dict.fromkeys(device_ids))
    concerned: list[UUID] = []
    wishes = {} if wishes is None else wishes
    for start in range(0, len(wanted), BATCH):
        concerned += _judge_some(session, wanted[start : start + BATCH], now, wishes)
    for start in range(0, len(concerned), BATCH):
        _follow(session, concerned[start : start + BATCH], now)
    return concerned


def judge_due(session: Session, now: datetime, limit: int = BATCH) -> list[UUID]:
    """Judge the devices that are due by time alone; return those for which something follows.

    Call it again as long as `due` finds some.
    """
    return rejudge(session, due(session, now, limit), now)


def due(session: Session, now: datetime, limit: int = BATCH) -> Sequence[UUID]:
    """Return the devices to judge again because of the time, longest due first."""
    return session.scalars(
        select(DeviceJudgement.device_id)
        .where(DeviceJudgement.next_due_at <= now)
        .order_by(DeviceJudgement.next_due_at)
        .limit(limit)
    ).all()


def _judge_some(
    session: Session, device_ids: list[UUID], now: datetime, wishes: Wishes
) -> list[UUID]:
    concerned = []
    for device, known, row in find_all_held(session, device_ids) or _read(session, device_ids):
        if device.policy_id not in wishes:
            wishes[device.policy_id] = wish_of(session, device.policy_id)
        facts = read_facts(known.facts) if known else {}
        judged = judge(facts, for_device(wishes[device.policy_id], device, facts), now)
        fell_due = _fell_due(row.judged_at if row else None, judged, now)
        if _store(session, device.id, row, judged, now) or fell_due:
            concerned.append(device.id)
    return concerned


def _read(session: Session, device_ids: list[UUID]) -> Sequence[Known]:
    session.flush()
    _lock(session, device_ids)
    found = session.execute(
        select(Device, DeviceFacts, DeviceJudgement)
        .outerjoin(DeviceFacts, DeviceFacts.device_id == Device.id)
        .outerjoin(DeviceJudgement, DeviceJudgement.device_id == Device.id)
        .where(Device.id.in_(device_ids))
        .execution_options(populate_existing=True)
    )
    return [(device, known, row) for device, known, row in found]


def _lock(session: Session, device_ids: list[UUID]) -> None:
    """Wait for whoever learns something of these devices, and read policies as they are now.

    Otherwise an answer from older facts, or by an older version, could replace a newer one.
    """
    session.execute(
        locked(
            select(DeviceFacts.device_id)
            .where(DeviceFacts.device_id.in_(device_ids))
            .order_by(DeviceFacts.device_id),
            DeviceFacts,
        )
    ).all()
    asked = select(Device.policy_id).where(Device.id.in_(device_ids))
    session.scalars(
        select(Policy).where(Policy.id.in_(asked)).execution_options(populate_existing=True)
    ).all()


def _fell_due(judged_at: datetime | None, judged: Judgement, now: datetime) -> bool:
    """Tell whether a consequence fell due since the device was judged last."""
    return any(
        one.due_at <= now and (judged_at is None or one.due_at > judged_at)
        for one in judged.consequences
    )


def _store(
    session: Session,
    device_id: UUID,
    row: DeviceJudgement | None,
    judged: Judgement,
    now: datetime,
) -> bool:
    """Keep the judgement; return whether it says something else than before."""
    before = (State(row.state), row.since) if row else None
    fields = {
        "state": judged.state.value,
        "since": kept_since(before, judged, now),
        "violations": [write_violation(violation) for violation in judged.violations],
        "missing": [kind.value for kind in judged.missing],
        "stale": [kind.value for kind in judged.stale],
        "undecided": [write_undecided(one) for one in judged.undecided],
        "consequences": [write_consequence(one) for one in judged.consequences],
        "risk": judged.risk.value,
        "policy_id": UUID(judged.policy_id),
        "policy_version": judged.policy_version,
    }
    if row is None:
        row = DeviceJudgement(device_id=device_id)
        session.add(row)
    changed = {name: value for name, value in fields.items() if getattr(row, name) != value}
    for name, value in changed.items():
        setattr(row, name, value)
    row.judged_at, row.next_due_at = now, judged.next_due_at
    return bool(changed)


def _follow(session: Session, device_ids: list[UUID], now: datetime) -> None:
    payload = {"device_ids": [str(device_id) for device_id in device_ids]}
    for kind in FOLLOWERS:
        enqueue_anew(session, kind, payload, priority=3, now=now)
