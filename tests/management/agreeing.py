"""Writers that disturb each other: reports, changes of policy, time, and the work that follows.

Each runs in a process of its own on the same data folder and database, as web, jobs and workers do.
"""

import random
import time
from collections.abc import Callable
from datetime import timedelta
from multiprocessing import get_context
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from management.compliance.service import rejudge
from management.compliance.work import judge_due
from management.context import Context, open_context
from management.devices.models import Device
from management.devices.queries import lock_device
from management.devices.rules import Fact, FactKind
from management.devices.service import record_contact, record_facts
from management.handlers import find_handler
from management.policies.queries import current_version
from management.policies.rules import Requirements
from management.policies.service import change_policy
from management.settings import Settings
from management.work.service import claim, finish
from runtime.clock import utc_now
from runtime.errors import SekishoError

SILENCE = timedelta(seconds=2)
FLAGS = (
    FactKind.ROOTED,
    FactKind.ENCRYPTED,
    FactKind.PASSCODE_SET,
    FactKind.DEVELOPER_OPTIONS,
    FactKind.USB_DEBUGGING,
)
Act = Callable[[Context, random.Random], None]


def asking(choose: random.Random) -> Requirements:
    """Return criteria under which silence is broken after two seconds."""
    return Requirements(
        maximum_silence=SILENCE,
        no_developer_options=choose.random() < 0.5,
        no_usb_debugging=choose.random() < 0.5,
        encrypted=choose.random() < 0.5,
    )


def report(context: Context, choose: random.Random) -> None:
    """Take what three devices say, in one transaction as a visit to a relay does."""
    with context.database.transaction("take reports") as session:
        ids = choose.sample(list(session.scalars(select(Device.id).order_by(Device.id))), 3)
        now = utc_now()
        for device_id in ids:
            device = lock_device(session, device_id)
            record_contact(session, device, now, SILENCE, now)
            applied = dict(zip(("policy_id", "version"), _asked(session, device), strict=True))
            said: dict[FactKind, Any] = {kind: choose.random() < 0.3 for kind in FLAGS}
            said |= {FactKind.APPLIED_POLICY: applied}
            facts = {kind: Fact(value, "agent", now) for kind, value in said.items()}
            record_facts(session, device_id, facts, now)
        rejudge(session, ids, now)


def _asked(session: Any, device: Device) -> tuple[str, int]:
    return str(device.policy_id), current_version(session, device.policy_id).version


def change(context: Context, choose: random.Random) -> None:
    """Change the policy of all devices."""
    with context.database.transaction("change a policy") as session:
        policy_id: UUID = session.scalars(select(Device.policy_id)).first()  # type: ignore[assignment]
        settings = current_version(session, policy_id).settings
        change_policy(session, policy_id, asking(choose), settings, "keeper", "why", utc_now())
    time.sleep(0.2)


def pass_time(context: Context, choose: random.Random) -> None:
    """Judge whatever fell due."""
    judge_due(context)
    time.sleep(0.05)


def work(context: Context, choose: random.Random) -> None:
    """Do one piece of queued work, or wait a moment when there is none."""
    if not do_one(context, f"worker {choose.random()}"):
        time.sleep(0.05)


def do_one(context: Context, owner: str) -> bool:
    """Do the next queued work; False when there was none."""
    with context.database.transaction("claim") as session:
        job = claim(session, owner)
    if job is None:
        return False
    find_handler(job.kind)(context, job.payload, lambda _: None)
    with context.database.transaction("finish") as session:
        finish(session, job.id, owner)
    return True


ACTS: dict[str, tuple[Act, int]] = {
    "report": (report, 25),
    "change": (change, 6),
    "time": (pass_time, 25),
    "work": (work, 40),
}
"""What each writer does, and how often."""


def write(settings: Settings, kind: str, seed: int) -> None:
    """Be one writer; a lost race (deadlock, busy database) is tried again, as all edges do."""
    context, choose = open_context(settings), random.Random(seed)
    act, times = ACTS[kind]
    for _ in range(times):
        for _attempt in range(20):
            try:
                act(context, choose)
                break
            except (OperationalError, SekishoError):
                time.sleep(choose.random() * 0.1)
        else:
            raise AssertionError(f"{kind} never got through")
    context.database.close()


def write_together(context: Context, seed: int) -> None:
    """Let all writers run at once, until each has done its part."""
    spawn = get_context("spawn")
    kinds = ("report", "report", "change", "time", "work")
    writers = [
        spawn.Process(target=write, args=(context.settings, kind, seed + number))
        for number, kind in enumerate(kinds)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(240)
    assert [writer.exitcode for writer in writers] == [0] * len(writers)
