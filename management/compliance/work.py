"""Background work that judges."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from contracts.agent import ApplyPolicy
from management.compliance.service import due, rejudge
from management.context import Context
from management.devices.models import Device
from management.devices.queries import lock_device
from management.devices.rules import EnrolmentState
from management.handlers import Progress
from management.policies.delivery import document
from management.policies.queries import current_version, get_policy
from management.relays.service import send_order
from runtime.clock import utc_now

CHUNK = 50


def spread_policy(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Order every device of a policy to apply its current version, and judge it again.

    What is done is written in the device's own row, so after a crash the work goes on where it was.
    """
    policy_id, after = UUID(payload["policy_id"]), UUID(int=0)
    with context.database.reading() as session:
        left = _count_behind(session, policy_id)
    done = 0
    while True:
        with context.database.transaction("spread policy") as session:
            waiting = _behind(session, policy_id, after)
            _spread_some(session, context, waiting)
        done, left = done + len(waiting), max(0, left - len(waiting))
        progress(f"{done} devices have their order, {left} wait.")
        if not waiting:
            return
        after = waiting[-1]


def judge_due(context: Context) -> None:
    """Judge the devices whose answer time alone may have changed."""
    while True:
        with context.database.transaction("judge devices") as session:
            now = utc_now()
            waiting = due(session, now)
            rejudge(session, waiting, now)
        if not waiting:
            return


def _spread_some(session: Session, context: Context, device_ids: Sequence[UUID]) -> None:
    now = utc_now()
    for device_id in device_ids:
        device = lock_device(session, device_id)
        version = current_version(session, device.policy_id)
        policy, keys = get_policy(session, device.policy_id), context.keys
        asked = document(policy, version, keys, device.platform, device.owner_address)
        body = ApplyPolicy(policy=asked)
        send_order(session, context.keys, context.signer, device, body, now)
        device.ordered_policy = f"{device.policy_id}/{version.version}"
    rejudge(session, device_ids, now)


def _behind(session: Session, policy_id: UUID, after: UUID) -> Sequence[UUID]:
    """Return the next devices above id *after*: what was passed is not looked at again.

    Whoever comes to the policy meanwhile is spread to by the work that its change queued.
    """
    return session.scalars(
        select(Device.id)
        .where(*_is_behind(session, policy_id), Device.id > after)
        .order_by(Device.id)
        .limit(CHUNK)
    ).all()


def _count_behind(session: Session, policy_id: UUID) -> int:
    found = select(func.count()).select_from(Device).where(*_is_behind(session, policy_id))
    return session.scalar(found) or 0


def _is_behind(session: Session, policy_id: UUID) -> tuple[Any, ...]:
    wanted = f"{policy_id}/{current_version(session, policy_id).version}"
    return (
        Device.policy_id == policy_id,
        Device.enrolment_state == EnrolmentState.ENROLLED,
        Device.ordered_policy != wanted,
    )
