"""Background work that judges."""

import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from contracts import envelope
from contracts.agent import ApplyPolicy, Order
from contracts.keys import read_public
from management.compliance.models import DeviceJudgement
from management.compliance.service import due, rejudge
from management.context import Context
from management.devices.models import Device
from management.devices.queries import lock_device
from management.devices.rules import EnrolmentState
from management.handlers import Progress
from management.policies.delivery import document
from management.policies.models import PolicyVersion
from management.policies.queries import current_version, get_policy
from management.policies.service import SPREAD
from management.relays.service import draft_order, keep_order, send_order
from management.work.service import enqueue
from runtime.clock import utc_now

Find = Callable[[Session, UUID, UUID], Sequence[UUID]]
CHUNK = 100
TURN_SECONDS = 600.0
"""After so long a spread queues its rest anew, so that other work gets its turn."""


def spread_policy(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Judge every device of a policy by its current version, then order each to apply it.

    Judging all first is quick and makes every count and mail decision right; orders take longer.
    What is done is written in the device's own rows, so after a crash the work goes on where it
    was. Orders are signed and sealed outside of transactions: nobody waits for the signer.
    """
    policy_id, ends_at = UUID(payload["policy_id"]), time.monotonic() + TURN_SECONDS
    steps = (("judged", _unjudged, _judge_some), ("ordered", _behind, _order_some))
    for number, (word, find, do) in enumerate(steps):
        if number < int(payload.get("step", 0)):
            continue
        after, done = UUID(payload.get("after", str(UUID(int=0)))), 0
        payload = {"policy_id": str(policy_id)}
        while found := _found(context, find, policy_id, after):
            do(context, found)
            after, done = found[-1], done + len(found)
            progress(f"{done} devices are {word}.")
            if time.monotonic() > ends_at:
                return _go_on_later(context, policy_id, number, after)
    return None


def _found(context: Context, find: Find, policy_id: UUID, after: UUID) -> Sequence[UUID]:
    with context.database.reading() as session:
        return find(session, policy_id, after)


def _go_on_later(context: Context, policy_id: UUID, step: int, after: UUID) -> None:
    payload = {"policy_id": str(policy_id), "step": step, "after": str(after)}
    with context.database.transaction("spread later") as session:
        enqueue(session, SPREAD, f"{SPREAD}:{policy_id}:{after}:{uuid4()}", payload, priority=6)


def judge_due(context: Context) -> None:
    """Judge the devices whose answer time alone may have changed."""
    while True:
        with context.database.transaction("judge devices") as session:
            now = utc_now()
            waiting = due(session, now)
            rejudge(session, waiting, now)
        if not waiting:
            return


def _judge_some(context: Context, device_ids: Sequence[UUID]) -> None:
    with context.database.transaction("spread judgement") as session:
        rejudge(session, device_ids, utc_now())


def _order_some(context: Context, device_ids: Sequence[UUID]) -> None:
    drafts = _drafts(context, device_ids)
    with context.database.transaction("spread policy") as session:
        now = utc_now()
        for device_id in device_ids:
            device = lock_device(session, device_id)
            version = current_version(session, device.policy_id)
            wanted = f"{device.policy_id}/{version.version}"
            if device.ordered_policy == wanted or not _is_ours(device):
                continue
            drafted, order, sealed = drafts.get(device_id, ("", None, ""))
            kept = (
                order is not None
                and drafted == wanted
                and keep_order(session, device, order, sealed, now)
            )
            if not kept:  # something else was ordered meanwhile
                body = _body(session, context, device, version)
                send_order(session, context.keys, context.signer, device, body, now)
            device.ordered_policy = wanted


def _drafts(context: Context, device_ids: Sequence[UUID]) -> dict[UUID, tuple[str, Order, str]]:
    """Return device -> which version its order asks, the order, and the same signed and sealed."""
    now, unsigned = utc_now(), []
    with context.database.reading() as session:
        wanted = select(Device).where(Device.id.in_(list(device_ids)))
        for device in session.scalars(wanted).all():
            version = current_version(session, device.policy_id)
            order = draft_order(device, _body(session, context, device, version), now)
            unsigned.append((device, f"{device.policy_id}/{version.version}", order))
    return {
        device.id: (
            asked,
            order,
            envelope.encrypt(context.signer.sign_order(order), read_public(device.encryption_key)),
        )
        for device, asked, order in unsigned
        if _is_ours(device)
    }


def _body(
    session: Session, context: Context, device: Device, version: PolicyVersion
) -> ApplyPolicy:
    policy = get_policy(session, device.policy_id)
    asked = document(policy, version, context.keys, device.platform, device.owner_address)
    return ApplyPolicy(policy=asked)


def _is_ours(device: Device) -> bool:
    return device.enrolment_state == EnrolmentState.ENROLLED


def _unjudged(session: Session, policy_id: UUID, after: UUID) -> Sequence[UUID]:
    """Return the next devices above id *after* that were judged by something else."""
    version = current_version(session, policy_id).version
    return session.scalars(
        select(Device.id)
        .outerjoin(DeviceJudgement, DeviceJudgement.device_id == Device.id)
        .where(
            Device.policy_id == policy_id,
            Device.id > after,
            or_(
                DeviceJudgement.device_id.is_(None),
                DeviceJudgement.policy_id != policy_id,
                DeviceJudgement.policy_version != version,
            ),
        )
        .order_by(Device.id)
        .limit(CHUNK)
    ).all()


def _behind(session: Session, policy_id: UUID, after: UUID) -> Sequence[UUID]:
    """Return the next devices above id *after* that were not ordered to apply the version.

    Whoever comes to the policy meanwhile is spread to by the work that its change queued.
    """
    version = current_version(session, policy_id).version
    return session.scalars(
        select(Device.id)
        .where(
            Device.policy_id == policy_id,
            Device.id > after,
            Device.enrolment_state == EnrolmentState.ENROLLED,
            Device.ordered_policy != f"{policy_id}/{version}",
        )
        .order_by(Device.id)
        .limit(CHUNK)
    ).all()
