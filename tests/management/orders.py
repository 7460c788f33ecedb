"""Commands in the database that nobody sends: for lists, counts, files and plans."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from contracts.agent import CommandKind
from management.commands.models import Command, CommandBatch
from management.commands.rules import CommandState, Waiting

PEOPLE = ("keeper", "scout", "automatic consequence")
MOMENTS = 12
"""So many different instants: many commands share one, as those of a bulk command do."""


def add_orders(
    session: Session, devices: Sequence[UUID], now: datetime, count: int, seed: int = 5
) -> UUID:
    """Store *count* commands of the last days; return the bulk command that some belong to."""
    chance, batch_id = random.Random(seed), uuid4()
    batch = {"kind": "message", "requested_by": "scout", "reason": "told", "devices": 9}
    session.add(CommandBatch(id=batch_id, made_at=now, confirmed_at=now, **batch))
    session.flush()
    for _ in range(count):
        state = chance.choice(list(CommandState))
        waits = chance.choice([*Waiting, Waiting.NOTHING]) if state == "queued" else Waiting.NOTHING
        at = now - timedelta(hours=7 * chance.randrange(MOMENTS))
        session.add(
            Command(
                id=UUID(int=chance.getrandbits(128)),
                device_id=chance.choice(devices),
                kind=chance.choice(list(CommandKind)[:5]).value,
                state=state.value,
                waiting_for=waits.value,
                requested_by=chance.choice(PEOPLE),
                reason="lost, =asked by phone",
                batch_id=batch_id if chance.random() < 0.1 else None,
                detail="The device said no." if state == "failed" else "",
                queued_at=at,
                ready_at=at,
                expires_at=at + timedelta(days=7),
            )
        )
    return batch_id
