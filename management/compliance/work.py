"""Background work that judges."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
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
from management.database import locked
from management.devices.models import Device
from management.devices.rules import EnrolmentState
from management.handlers import Progress
from management.policies.delivery import document
from management.policies.models import Policy, PolicyVersion
from management.policies.queries import current_version, get_policy, get_version
from management.policies.service import SPREAD
from management.progress import said as _l
from management.relays.service import draft_order, keep_order, send_order
from management.work.service import enqueue
from runtime.clock import utc_now

Find = Callable[[Session, UUID, UUID], Sequence[UUID]]
CHUNK = 100
JUDGED = _l("%(count)s devices are judged.").text
ORDERED = _l("%(count)s devices are told of the policy.").text
TURN_SECONDS = 600.0
"""After so long a spread queues its rest anew, so that other work gets its turn."""


def spread_policy(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Judge every device of a policy by its current version, then order each to apply it.

    Judging all first is quick and makes every count and mail decision right; orders take longer.
    What is done is written in the device's own rows, so after a crash the work goes on where it
    was. Orders are signed and sealed outside of transactions: nobody waits for the signer.
    """
    policy_id, ends_at = UUID(payload["policy_id"]), time.monotonic() + TURN_SECONDS
    steps = ((JUDGED, _unjudged, _judge_some), (ORDERED, _behind, _order_some))
    for number, (word, find, do) in enumerate(steps):
        if number < int(payload.get("step", 0)):
            continue
        after, done = UUID(payload.get("after", str(UUID(int=0)))), 0
        payload = {"policy_id": str(policy_id)}
        while found := _found(context, find, policy_id, after):
            do(context, found)
            after, done = found[-1], done + len(found)
            progress(_l(word, count=done))
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


@dataclass(frozen=True, slots=True)
class _Draft:
    """An order that was signed and sealed before the transaction that stores it."""

    asked: str
    """``POLICY ID/VERSION`` that it asks."""
    order: Order
    sealed: str


def _order_some(context: Context, device_ids: Sequence[UUID]) -> None:
    drafts = _drafts(context, device_ids)
    with context.database.transaction("spread policy") as session:
        now, versions = utc_now(), _Versions(session)
        for device in _locked(session, device_ids):
            version = versions.of(device)
            wanted = f"{device.policy_id}/{version.version}"
            if device.ordered_policy == wanted or not _is_ours(device):
                continue
            draft = drafts.get(device.id)
            if draft is None or draft.asked != wanted or not _keep(session, device, draft, now):
                body = versions.body(context, device)  # something else was ordered meanwhile
                send_order(session, context.keys, context.signer, device, body, now)
            device.ordered_policy = wanted


def _keep(session: Session, device: Device, draft: _Draft, now: datetime) -> bool:
    with session.no_autoflush:
        return keep_order(session, device, draft.order, draft.sealed, now)


def _drafts(context: Context, device_ids: Sequence[UUID]) -> dict[UUID, _Draft]:
    now = utc_now()
    with context.database.reading() as session:
        versions = _Versions(session)
        wanted = select(Device).where(Device.id.in_(list(device_ids)))
        devices = [device for device in session.scalars(wanted) if _is_ours(device)]
        orders = [draft_order(device, versions.body(context, device), now) for device in devices]
        asked = [f"{device.policy_id}/{versions.of(device).version}" for device in devices]
    signed = context.signer.sign_orders([(order, "") for order in orders])
    return {
        device.id: _Draft(
            name, order, envelope.encrypt(one.token, read_public(device.encryption_key))
        )
        for device, name, order, one in zip(devices, asked, orders, signed, strict=True)
        if one.token
    }


def _locked(session: Session, device_ids: Sequence[UUID]) -> Sequence[Device]:
    wanted = select(Device).where(Device.id.in_(list(device_ids))).order_by(Device.id)
    return session.scalars(locked(wanted, Device)).all()


class _Versions:
    """The policies of one chunk and their versions; held, so that each is read once."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.known: dict[UUID, tuple[Policy, PolicyVersion]] = {}

    def of(self, device: Device) -> PolicyVersion:
        """Return the version that is asked of the device."""
        return self._both(device)[1]

    def body(self, context: Context, device: Device) -> ApplyPolicy:
        """Return what orders the device to apply it."""
        policy, version = self._both(device)
        asked = document(policy, version, context.keys, device.platform, device.owner_address)
        return ApplyPolicy(policy=asked)

    def _both(self, device: Device) -> tuple[Policy, PolicyVersion]:
        if device.policy_id not in self.known:
            policy = get_policy(self.session, device.policy_id)
            version = get_version(self.session, policy.id, policy.current_version)
            self.known[policy.id] = policy, version
        return self.known[device.policy_id]


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
