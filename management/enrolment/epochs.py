"""A new epoch for devices: both sides count from one again, and old orders are worth nothing.

Two things ask for it. After a restore from a backup this server no longer knows which numbers it
gave; and after the order-signing key changed, orders under the old one must not be taken any more.
In both cases every device is welcomed anew with the keys it has; nobody enrols again.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from contracts.agent import CommandKind
from management.commands.models import Command
from management.commands.rules import HELD_BY_PAUSE, OPEN, CommandState, Waiting
from management.commands.service import send_again
from management.context import Context
from management.devices.models import Device
from management.devices.queries import lock_device
from management.devices.rules import EnrolmentState
from management.enrolment.answers import welcome
from management.enrolment.granting import start_counting
from management.enrolment.queries import enrolment_ids
from management.enrolment.renewing import certify, tell_mail
from management.handlers import Progress
from management.relays.models import OutboundMessage
from management.relays.service import ORDER
from management.safety.service import pause
from management.work.service import enqueue
from runtime.clock import utc_now

WORK = "enrolment.epochs"
STEP = 1000
"""More than a device can have gone on by itself since the backup was made."""
CHUNK = 50
CHUNKS = 200
"""How many chunks one job does before it queues the rest as another."""
HELD = HELD_BY_PAUSE | {CommandKind.RESET_PASSCODE}


def restored(session: Session, by: str, because: str, now: datetime) -> int:
    """After a restore: pause enforcement, hold what destroys, and let every device begin anew.

    Returns how many commands wait for a person now.
    """
    pause(session, by, f"The database was restored from a backup. {because}".strip(), now)
    held = session.execute(
        update(Command)
        .where(Command.state.in_(OPEN), Command.kind.in_([kind.value for kind in HELD]))
        .values(
            state=CommandState.QUEUED,
            waiting_for=Waiting.PERSON,
            sent_at=None,
            acknowledged_at=None,
            outbound_seq=None,
            ready_at=now,
            detail="The database was restored from a backup. Is this still wanted?",
        )
        .execution_options(synchronize_session=False)
    )
    enqueue(session, WORK, f"{WORK}:restored:{now.isoformat()}", {}, now=now)
    return int(held.rowcount)  # type: ignore[attr-defined]


def order_everywhere(context: Context, key: str) -> None:
    """Let every device begin anew; once for each *key*."""
    now = utc_now()
    with context.database.transaction("begin epochs") as session:
        enqueue(session, WORK, f"{WORK}:{key}", {}, now=now)


def begin_epochs(context: Context, payload: dict[str, Any], progress: Progress) -> None:
    """Welcome every enrolled device anew, in the order of their ids; a repetition does no harm."""
    after = UUID(payload.get("after", str(UUID(int=0))))
    for number in range(1, CHUNKS + 1):
        with context.database.transaction("begin epochs") as session:
            found = _enrolled(session, after)
            for device_id in found:
                begin_epoch(session, context, lock_device(session, device_id), utc_now())
            if found:
                tell_mail(session, found, utc_now())
        if not found:
            return
        after = found[-1]
        progress(f"{number * CHUNK} devices")
    with context.database.transaction("queue the other epochs") as session:
        enqueue(session, WORK, f"{WORK}:{after}:{utc_now().isoformat()}", {"after": str(after)})


def begin_epoch(session: Session, context: Context, device: Device, now: datetime) -> None:
    """Let an enrolled device count from one again; what it has not done is sent once more."""
    start_counting(session, device, device.epoch + STEP, now)
    _forget_at_relay(session, device, now)
    certificate, device.renewed_at = certify(context, device, now), now
    wiped = send_again(session, device, now)
    enrolment_id = next(iter(enrolment_ids(session, device.id)), device.id)
    welcome(session, context, device, enrolment_id, certificate, wiped, now, device.id)


def _forget_at_relay(session: Session, device: Device, now: datetime) -> None:
    """Let the relay forget all orders of earlier epochs, also those this database never knew."""
    session.add(
        OutboundMessage(
            recipient=device.id,
            epoch=device.epoch - 1,
            seq=0,
            kind=ORDER,
            relay_id=device.relay_id,
            sealed="",
            written_at=now,
            handed_at=now,
            acknowledged_at=now,
        )
    )


def _enrolled(session: Session, after: UUID) -> Sequence[UUID]:
    return session.scalars(
        select(Device.id)
        .where(Device.enrolment_state == EnrolmentState.ENROLLED, Device.id > after)
        .order_by(Device.id)
        .limit(CHUNK)
    ).all()
