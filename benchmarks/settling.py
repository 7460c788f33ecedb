"""A policy change that touches 100,000 devices: counts, orders, and the console meanwhile.

Another process reads the dashboard and writes a setting all the time, as a console does.
"""

import os
import statistics
import time
from collections.abc import Iterator
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from benchmarks._million import NOW, fill
from contracts import keys
from management.compliance.work import spread_policy
from management.context import Context, open_context
from management.devices.models import DeviceJudgement
from management.keys import prepare
from management.listing.queries import count_states
from management.overview.queries import read_dashboard
from management.policies.queries import current_version
from management.policies.rules import Requirements
from management.policies.service import change_policy
from management.safety.service import write_setting
from management.settings import Settings
from management.signer_rules import Limits
from management.signer_server import running
from runtime.clock import utc_now

ASKED = Requirements(
    no_developer_options=True,
    maximum_silence=timedelta(days=3000),
    inactive_after=timedelta(days=3600),
)


def run() -> Iterator[dict[str, Any]]:
    """Yield seconds until counts are right and orders written, and what the console felt."""
    devices = int(os.environ.get("SEKISHO_BENCH_DEVICES", "1000000")) // 10
    with TemporaryDirectory() as folder:
        home = Path(folder)
        prepare(home / "keys", NOW)
        with running(home / "signer", Limits()):
            settings = Settings(home=home, public_name="localhost")
            context = open_context(settings)
            policy = fill(context.database, devices, key=keys.new_key()).policy
            with _Console(settings) as console:
                yield from _measured(context, policy, devices)
            yield _row("settling.console_read_p95", console.reads, "s", "value<=1")
            yield _row("settling.console_write_p95", console.writes, "s", "value<=1")
            context.database.close()


def _measured(context: Context, policy: UUID, devices: int) -> Iterator[dict[str, Any]]:
    began = time.perf_counter()
    with context.database.transaction("change") as session:
        settings = current_version(session, policy).settings
        change_policy(session, policy, ASKED, settings, "bench", "bench", utc_now())
    yield _row("settling.change", time.perf_counter() - began, "s", "value<=1")
    judged = [0.0]

    def progress(words: str) -> None:
        if "judged" in words:
            judged[0] = time.perf_counter() - began

    spread_policy(context, {"policy_id": str(policy)}, progress)
    yield _row(f"settling.counts_right_{devices}", judged[0], "s", "minutes")
    yield _row(f"settling.orders_written_{devices}", time.perf_counter() - began, "s", "minutes")
    with context.database.reading() as session:
        well = select(func.count()).where(DeviceJudgement.state == "healthy")
        counted = count_states(session)
        assert counted["healthy"] == session.execute(well).scalar_one() < devices
        assert sum(counted.values()) == devices


class _Console:
    """Reads the dashboard and writes a setting every fifth of a second, in another process."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.reads, self.writes = settings, 0.0, 0.0

    def __enter__(self) -> "_Console":
        spawn = get_context("spawn")
        self.ours, theirs = spawn.Pipe()
        self.process = spawn.Process(target=_ask, args=(self.settings, theirs), daemon=True)
        self.process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ours.send("stop")
        reads, writes = self.ours.recv()
        self.reads, self.writes = _p95(reads), _p95(writes)
        self.process.join(60)


def _ask(settings: Settings, pipe: Connection) -> None:
    context = open_context(settings)
    reads, writes = [], []
    while not pipe.poll(0.2):
        began = time.perf_counter()
        with context.database.reading() as session:
            read_dashboard(session, utc_now())
        reads.append(time.perf_counter() - began)
        began = time.perf_counter()
        with context.database.transaction("write") as session:
            write_setting(session, "bench", str(began), "bench", utc_now())
        writes.append(time.perf_counter() - began)
    pipe.send((reads, writes))


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1] if len(values) > 1 else 0.0


def _row(name: str, value: float, unit: str, reach: str) -> dict[str, Any]:
    return {"name": name, "value": round(value, 3), "unit": unit, "reach": reach}
