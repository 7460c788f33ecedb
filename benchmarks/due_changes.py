"""The grace period of 1,000 devices among 1,000,000 ends: until it is acted on, and what it costs.

Devices were judged before; nothing else is due. Judging, following and mail are done as the jobs
process does them, one after the other; its loop begins a round every 10 seconds at the latest, and
its workers look twice a second, so that is added.
"""

import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import func, select, update

from benchmarks._million import fill
from management.compliance.judgement import Rule
from management.compliance.service import rejudge
from management.compliance.work import judge_due
from management.consequences.models import CarriedOut
from management.context import Context, open_context
from management.devices.models import DeviceJudgement
from management.devices.rules import Fact, FactKind
from management.devices.service import record_facts
from management.handlers import find_handler
from management.jobs import JUDGE_SECONDS
from management.keys import prepare
from management.listing.queries import count_states
from management.policies.queries import current_version
from management.policies.rules import Requirements
from management.policies.service import change_policy
from management.policies.treatment import Consequence, ConsequenceKind, Treatment
from management.settings import Settings
from management.work.models import Job
from management.work.service import claim, finish
from management.worker import LOOK_SECONDS
from runtime.clock import utc_now
from sekisho.fill import device_id

AT_ONCE = 1_000
GRACE = timedelta(seconds=90)
TOLD = Treatment(grace=GRACE, consequences=(Consequence(kind=ConsequenceKind.TELL_ADMINISTRATORS),))
ASKED = Requirements(
    maximum_silence=timedelta(days=3000),
    inactive_after=timedelta(days=3600),
    policy_applied=False,
    treatments={Rule.NOT_ROOTED: TOLD},
)


def run() -> Iterator[dict[str, Any]]:
    """Yield seconds from the end of the grace period until the last of them is acted on."""
    devices = int(os.environ.get("SEKISHO_BENCH_DEVICES", "1000000"))
    with TemporaryDirectory() as folder:
        home = Path(folder)
        prepare(home / "keys", utc_now())
        context = open_context(Settings(home=home, public_name="localhost"))
        _prepared(context, devices)
        began = time.perf_counter()
        judge_due(context)
        judged = time.perf_counter() - began
        while _do_one(context):
            pass
        seconds = time.perf_counter() - began
        with context.database.reading() as session:
            assert session.scalar(select(func.count()).select_from(CarriedOut)) == AT_ONCE
            assert sum(count_states(session).values()) == devices
        yield _row("due.judged", judged, "s", f"{AT_ONCE} of {devices}")
        waits = JUDGE_SECONDS + 2 * LOOK_SECONDS
        yield _row("due.acted_on", seconds + waits, "s", "value<=60")
        yield _row("due.idle_look", _idle(context), "s", "an index, not the fleet")
        context.database.close()


def _prepared(context: Context, devices: int) -> None:
    """Let the first 1,000 devices be rooted for nearly as long as their grace."""
    policy = fill(context.database, devices).policy
    with context.database.transaction("ask") as session:
        settings = current_version(session, policy).settings
        change_policy(session, policy, ASKED, settings, "bench", "bench", utc_now() - 2 * GRACE)
        session.execute(update(DeviceJudgement).values(policy_version=2))
        session.query(Job).delete()
    ids = [device_id(devices // AT_ONCE * number) for number in range(AT_ONCE)]
    with context.database.transaction("root") as session:
        now = utc_now() - GRACE
        for one in ids:
            record_facts(session, one, {FactKind.ROOTED: Fact(True, "agent", now)}, now)
        rejudge(session, ids, now)
        session.query(Job).delete()
        due_at = select(func.count()).where(DeviceJudgement.next_due_at <= utc_now())
        assert session.scalar(due_at) == AT_ONCE


def _do_one(context: Context) -> bool:
    with context.database.transaction("claim") as session:
        job = claim(session, "bench")
    if job is None:
        return False
    find_handler(job.kind)(context, job.payload, lambda _: None)
    with context.database.transaction("finish") as session:
        finish(session, job.id, "bench")
    return True


def _idle(context: Context) -> float:
    began = time.perf_counter()
    for _ in range(10):
        judge_due(context)
    return (time.perf_counter() - began) / 10


def _row(name: str, value: float, unit: str, reach: str) -> dict[str, Any]:
    return {"name": name, "value": round(value, 4), "unit": unit, "reach": reach}
