"""Several million commands in a filled database, and what is asked of their list."""

import os
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from sqlalchemy import func, insert, select

from benchmarks._console_cases import ASKED, Cases
from management.commands.models import Command
from management.database import Database
from management.listing.models import DeviceListing
from sekisho.fill_fleet import FAMILY, GIVEN

NUMBER = int(os.environ.get("SEKISHO_BENCH_COMMANDS", "3000000"))
BATCH = 10_000
DAYS = 180
KINDS = {"scan_now": 60, "message": 25, "lock": 8, "locate": 5, "renew_keys": 1.5, "wipe": 0.5}
STATES = {"done": 96.4, "failed": 1, "expired": 2, "queued": 0.3, "sent": 0.2, "acknowledged": 0.1}
PEOPLE = [f"Administrator {number}" for number in range(40)]


def add_commands(database: Database, now: datetime) -> None:
    """Store `NUMBER` commands unless there are some; many share an instant, as of bulk commands."""
    with database.reading() as session:
        if session.scalar(select(func.count()).select_from(Command.__table__)):
            return
        devices = list(session.scalars(select(DeviceListing.device_id)))
    chance = random.Random(3)
    for start in range(0, NUMBER, BATCH):
        count = min(BATCH, NUMBER - start)
        with database.transaction("commands") as session:
            session.execute(insert(Command), list(_rows(chance, devices, now, count)))


def _rows(
    chance: random.Random, devices: list[UUID], now: datetime, count: int
) -> Iterator[dict[str, Any]]:
    kinds = chance.choices(list(KINDS), list(KINDS.values()), k=count)
    states = chance.choices(list(STATES), list(STATES.values()), k=count)
    at = now
    for number, (kind, state) in enumerate(zip(kinds, states, strict=True)):
        if number % 50 == 0:
            at = now - timedelta(seconds=chance.randrange(DAYS * 86_400))
        waits = chance.choice(["approval", "undo"]) if state == "queued" and number % 3 else ""
        yield {
            "id": UUID(int=chance.getrandbits(128)), "device_id": chance.choice(devices),
            "kind": kind, "arguments": {}, "state": state, "waiting_for": waits,
            "requested_by": chance.choice(PEOPLE), "reason": "asked", "attempt": 1, "detail": "",
            "queued_at": at, "ready_at": at, "expires_at": at + timedelta(days=7),
        }  # fmt: skip


def command_cases(now: datetime) -> Cases:
    """Return what is asked of the list of commands."""
    chance = random.Random(9)

    def day(most: int = DAYS) -> str:
        return f"{now - timedelta(days=chance.randrange(most)):%Y-%m-%d}"

    def many(**said: Any) -> list[str]:
        words = [{name: one() for name, one in said.items()} for _ in range(ASKED)]
        return [f"/commands?{urlencode(one)}" for one in words]

    def one_of(values: Any) -> Any:
        return lambda: chance.choice(list(values))

    def person() -> str:
        return f"{chance.choice(FAMILY)} {chance.choice(GIVEN)}"

    return {
        "commands": many(),
        "commands_kind": many(kind=one_of(KINDS)),
        "commands_state": many(state=one_of(STATES)),
        "commands_waiting": many(waiting=one_of(["approval", "undo", "person"])),
        "commands_by": many(by=one_of(PEOPLE)),
        "commands_days": many(since=day, until=day),
        "commands_person": many(q=person),
        "commands_common_word": many(q=one_of(["pixel", "samsung", "org"])),
        "commands_together": many(kind=one_of(KINDS), state=one_of(STATES), by=one_of(PEOPLE)),
        "commands_all_filters": many(
            q=one_of(["pixel", *FAMILY]), kind=one_of(KINDS), state=one_of(STATES), until=day
        ),
        "filter_command_failed": ["/devices?command=failed"] * ASKED,
        "filter_command_waiting": ["/devices?command=waiting"] * ASKED,
    }
