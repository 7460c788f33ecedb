"""Leaves sealed orders at a communication server, and says which it may forget.

Safe to repeat: what it holds is noted only after it said so.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from contracts.link import Discard, Outbound
from management.context import Context
from management.relays.link_client import LinkClient
from management.relays.models import OutboundMessage
from management.relays.queries import to_discard, to_hand
from runtime.clock import utc_now
from runtime.process import crash_point

ROUNDS = 50
"""Most batches in one visit, so that a busy relay does not keep the others waiting."""
REQUEST_BYTES = 3_000_000
"""Most that one request leaves, below the relay's limit of 4 MiB."""


def bring_orders(context: Context, link: LinkClient, relay_id: UUID) -> None:
    """Leave what waits for devices of this relay, and take back what they need no more."""
    for _ in range(ROUNDS):
        with context.database.reading() as session:
            waiting, old = to_hand(session, relay_id), to_discard(session, relay_id)
        if not waiting and not old:
            return
        some = list(parts(waiting)) or [[]]
        for number, part in enumerate(some):
            link.hand_out(
                [_outbound(message) for message in part], discards(old) if number == 0 else ()
            )
            crash_point("after effect orders")
            with context.database.transaction("note the orders") as session:
                _handed(session, relay_id, part, utc_now())
                _discarded(session, old if number == 0 else ())


def parts(messages: Sequence[OutboundMessage]) -> Iterator[list[OutboundMessage]]:
    """Split messages so that each request stays below the relay's limit."""
    part: list[OutboundMessage] = []
    size = 0
    for message in messages:
        size += len(message.sealed) + 200
        if part and size > REQUEST_BYTES:
            yield part
            part, size = [], len(message.sealed) + 200
        part.append(message)
    if part:
        yield part


def _outbound(message: OutboundMessage) -> Outbound:
    return Outbound(
        kind="order" if message.kind == "order" else "enrolment_answer",
        recipient=message.recipient,
        epoch=message.epoch,
        seq=message.seq,
        sealed=message.sealed,
    )


def discards(messages: Sequence[OutboundMessage]) -> list[Discard]:
    """Return for each recipient the newest message up to which the relay may forget."""
    highest: dict[UUID, tuple[int, int]] = {}
    for message in messages:
        known = highest.get(message.recipient, (0, 0))
        highest[message.recipient] = max(known, (message.epoch, message.seq))
    return [
        Discard(recipient=recipient, epoch=epoch, seq=seq)
        for recipient, (epoch, seq) in highest.items()
    ]


def _handed(
    session: Session, relay_id: UUID, messages: Sequence[OutboundMessage], now: datetime
) -> None:
    """Note that the relay holds them, unless they moved to another relay meanwhile."""
    for message in messages:
        session.execute(
            update(OutboundMessage)
            .where(
                OutboundMessage.recipient == message.recipient,
                OutboundMessage.epoch == message.epoch,
                OutboundMessage.seq == message.seq,
                OutboundMessage.relay_id == relay_id,
            )
            .values(handed_at=now)
        )


def _discarded(session: Session, messages: Sequence[OutboundMessage]) -> None:
    for message in messages:
        session.execute(
            delete(OutboundMessage).where(
                OutboundMessage.recipient == message.recipient,
                OutboundMessage.epoch == message.epoch,
                OutboundMessage.seq == message.seq,
            )
        )
