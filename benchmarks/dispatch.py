"""What sending a command costs: one by one and many at once, with the signer in its own thread."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from contracts import keys
from contracts.agent import CommandKind
from management import tables
from management.commands import sending
from management.commands.service import queue_command
from management.context import Context, open_context
from management.database import Base
from management.devices.models import Device
from management.keys import prepare
from management.policies.service import ensure_default_policy
from management.settings import Settings
from management.signer_messages import MOST_ORDERS
from management.signer_rules import Limits
from management.signer_server import running
from runtime.clock import utc_now

DEVICES = 400


def run() -> Iterator[dict[str, Any]]:
    """Yield CPU and elapsed milliseconds for each order, single and in batches."""
    with _server() as context:
        devices = _devices(context)
        for name, kind, most in (
            ("a lock, one by one", CommandKind.LOCK, 1),
            ("a lock, 200 at once", CommandKind.LOCATE, MOST_ORDERS),
            ("a wipe (counted), 200 at once", CommandKind.WIPE, MOST_ORDERS),
        ):
            cpu, elapsed = _sent(context, devices, kind, most)
            yield {"name": f"send {name}: CPU", "value": cpu, "unit": "ms/order"}
            yield {"name": f"send {name}: elapsed", "value": elapsed, "unit": "ms/order"}


def _sent(
    context: Context, devices: list[UUID], kind: CommandKind, most: int
) -> tuple[float, float]:
    now = utc_now()
    with context.database.transaction("queue") as session:
        ids = [
            queue_command(session, one, kind, {}, "bench", "", now, timedelta(days=1)).id
            for one in devices
        ]
    cpu, began = time.process_time(), time.perf_counter()
    for start in range(0, len(ids), most):
        sending.send(context, ids[start : start + most], now)
    number = len(ids) / 1000
    return (time.process_time() - cpu) / number, (time.perf_counter() - began) / number


def _devices(context: Context) -> list[UUID]:
    now, key = utc_now(), keys.public_jwk(keys.new_key())
    with context.database.transaction("devices") as session:
        policy = ensure_default_policy(session, now).id
        made = [
            Device(
                name=f"Phone {number}",
                owner_address="bench@example.com",
                platform="android",
                ownership="company",
                enrolment_state="enrolled",
                enrolled_at=now,
                policy_id=policy,
                certificate_serial="0",
                signing_key=key,
                encryption_key=key,
                epoch=1,
                inbound_seq=0,
                outbound_seq=0,
            )
            for number in range(DEVICES)
        ]
        session.add_all(made)
        session.flush()
        return [one.id for one in made]


@contextmanager
def _server() -> Iterator[Context]:
    unlimited = {
        name: 100_000 for name in Limits.__dataclass_fields__ if name.startswith("wipes_per")
    }
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        home = Path(folder)
        prepare(home / "keys", utc_now())
        tables.load()
        with running(home / "signer", Limits(**unlimited)):  # type: ignore[arg-type]
            context = open_context(Settings(home=home, public_name="localhost"))
            Base.metadata.create_all(context.database.engine)
            yield context
            context.database.close()
